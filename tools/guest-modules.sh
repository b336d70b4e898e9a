#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Takes modules out of the package of a kernel, for an initramfs: DIR/lib/modules/VERSION/NAME.ko, and a file `order` there
# with the names in the order in which they are to be loaded.
#
#   guest-modules.sh PACKAGE.deb DIR NAME...
set -eu

deb=$1 out=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

patterns=
for name in "$@"; do
    patterns="$patterns ./lib/modules/*/kernel/*/$name.ko"
done
set -f
dpkg-deb --fsys-tarfile "$deb" | tar -C "$work" -x --wildcards $patterns
set +f
version=$(ls "$work/lib/modules")
target=$out/lib/modules/$version
mkdir -p "$target"
: >"$target/order"
for name in "$@"; do
    find "$work/lib/modules/$version" -name "$name.ko" -exec cp {} "$target/" \;
    echo "$name" >>"$target/order"
done
