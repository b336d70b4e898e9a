#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Lays an example's config and the guest files that the build made side by side, since a config names files relative to
# itself and the examples hold none.
#
#   stage-config.sh CONFIG GUESTS-FOLDER STAGE-FOLDER
set -eu

config=$1 guests=$2 stage=$3
rm -rf "$stage"
mkdir -p "$stage"
for file in "$guests"/*; do
    ln -s "$(readlink -f "$file")" "$stage/$(basename "$file")"
done
cp -R "$(dirname "$config")/." "$stage/"
