#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs the unit tests named, one after another, each within a time limit; shows cmocka's lines and fails if any failed.
set -u

count=0
failed=
for test in "$@"; do
    count=$((count + 1))
    echo "== $(basename "$test")"
    timeout 120 "$test" >"$test.log" 2>&1
    status=$?
    grep -v '^\[ RUN ' "$test.log"
    # A program that runs no test at all has not passed.
    if [ $status -ne 0 ] || ! grep -q '^\[  PASSED  \] [1-9][0-9]* test' "$test.log"; then
        echo "$(basename "$test"): exit status $status"
        failed="$failed $(basename "$test")"
    fi
done
if [ -n "$failed" ]; then
    echo "unit tests FAILED:$failed"
    exit 1
fi
echo "unit tests: all $count programs passed"
