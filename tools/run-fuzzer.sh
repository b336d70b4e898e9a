#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs one fuzzer over a working corpus of its own and the seeds; what breaks it is left in build/host/fuzz/.
#
#   run-fuzzer.sh PROGRAM fresh|keep "SEED-FOLDERS" ARGUMENT...
#
# `fresh` begins with an empty corpus and makes the same inputs each time. libFuzzer takes what the program
# compares for inputs, addresses too: they are kept the same, where the machine allows that.
set -eu

program=$1 mode=$2 seeds=$3
shift 3
corpus=$program.corpus
same=
if [ "$mode" = fresh ]; then
    rm -rf "$corpus"
    ! setarch -R true 2>/dev/null || same="setarch -R"
fi
mkdir -p "$corpus"
folders=
for seed in $seeds; do
    folders="$folders $seed"
done
# shellcheck disable=SC2086
if $same "$program" -print_final_stats=1 -timeout=10 -rss_limit_mb=1024 -artifact_prefix="$program-" "$@" "$corpus" $folders \
    >"$program.log" 2>&1; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$program.log")
    echo "$(basename "$program"): ${runs:-?} runs, no finding"
else
    tail -n 40 "$program.log"
    echo "$(basename "$program"): FAILED, see $program.log"
    exit 1
fi
