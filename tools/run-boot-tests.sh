#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs the boot tests: run-boot-tests.sh LOG PYTEST [ARGUMENT...]. Those on Bochs, which is one thread with a clock of its own, run
# beside the others, into LOG, which is shown at the end.
set -u

log=$1
shift
mkdir -p "$(dirname "$log")"
"$@" -m "bochs and not long" >"$log" 2>&1 &
beside=$!
trap 'kill $beside; exit 130' INT TERM HUP
"$@" -m "not bochs and not long"
first=$?
wait $beside
second=$?
echo "== the boot tests on Bochs"
cat "$log"
# pytest's 5: there was no test to run, as when only some were asked for.
if [ $first -eq 5 ] && [ $second -eq 5 ]; then
    exit 5
fi
for status in $first $second; do
    if [ $status -ne 0 ] && [ $status -ne 5 ]; then
        exit $status
    fi
done
