#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs the boot tests: run-boot-tests.sh LOG PYTEST [ARGUMENT...]. Those that are marked so run beside the others, into LOG, which is
# shown at the end: one emulated machine uses little more than one CPU. Those marked "alone" come last.
set -u

log=$1
shift
mkdir -p "$(dirname "$log")"
"$@" -m "beside and not long" >"$log" 2>&1 &
beside=$!
trap 'kill $beside; exit 130' INT TERM HUP
"$@" -m "not beside and not alone and not long"
first=$?
wait $beside
second=$?
echo "== the boot tests that ran beside these"
cat "$log"
echo "== the boot tests that run alone"
"$@" -m "alone and not long"
third=$?
# pytest's 5: there was no test to run, as when only some were asked for.
if [ $first -eq 5 ] && [ $second -eq 5 ] && [ $third -eq 5 ]; then
    exit 5
fi
for status in $first $second $third; do
    if [ $status -ne 0 ] && [ $status -ne 5 ]; then
        exit $status
    fi
done
