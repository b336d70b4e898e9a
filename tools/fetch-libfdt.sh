#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Puts libfdt's source (licence: GPL-2.0-or-later or BSD-2-Clause, used under the latter) into a folder of the cache:
# from Debian's device-tree-compiler, or from a source package that carries a copy, where a mirror lacks the first.
#
#   fetch-libfdt.sh DIR
set -eu

target=$1
tools=$(dirname "$(readlink -f "$0")")
parent=$(dirname "$target")
mkdir -p "$parent"
work=$(mktemp -d "$parent/libfdt.XXXXXX")
trap 'rm -rf "$work"' EXIT

for place in "- device-tree-compiler libfdt" "trixie device-tree-compiler libfdt" "- u-boot scripts/dtc/libfdt" \
    "- arm-trusted-firmware lib/libfdt" "trixie u-boot scripts/dtc/libfdt"; do
    set -- $place
    echo "libfdt: trying the source package $2 (suite $1)"
    if ! tarball=$("$tools/apt-private.sh" source "$1" "$2" "$work/$2-$1" 2>"$work/log"); then
        tail -n 3 "$work/log" | sed 's/^/    /'
        continue
    fi
    mkdir -p "$work/unpacked"
    for file in $tarball; do
        tar -C "$work/unpacked" -xf "$work/$2-$1/$file" --wildcards "*/$3/*" 2>/dev/null || true
    done
    for source in "$work"/unpacked/*/"$3"; do
        [ -e "$source/fdt_ro.c" ] && [ -e "$source/libfdt.h" ] || continue
        rm -rf "$target"
        mkdir "$work/libfdt"
        cp "$source"/*.[ch] "$work/libfdt/"
        echo "$tarball" >"$work/libfdt/origin"
        mv "$work/libfdt" "$target"
        echo "libfdt: $target, from $tarball"
        exit 0
    done
done
echo "libfdt: no source found; get it (https://git.kernel.org/pub/scm/utils/dtc/dtc.git, folder libfdt) and give" >&2
echo "        its folder as LIBFDT_DIR=..., or see above why apt failed" >&2
exit 1
