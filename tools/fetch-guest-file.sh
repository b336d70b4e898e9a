#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Takes one file out of a Debian package, which is downloaded and unpacked, never installed.
#
#   fetch-guest-file.sh binary|depends ARCH PACKAGE PATTERN TARGET
#
# The package itself stays beside TARGET as TARGET.deb, for the other files in it (a kernel's modules).
set -eu

kind=$1 arch=$2 package=$3 pattern=$4 target=$5
tools=$(dirname "$(readlink -f "$0")")
mkdir -p "$(dirname "$target")"
work=$(mktemp -d "$target.XXXXXX")
trap 'rm -rf "$work"' EXIT

echo "  FETCH   $package ($arch)"
if ! deb=$("$tools/apt-private.sh" "$kind" "-:$arch" "$package" "$work" 2>"$work/log"); then
    cat "$work/log" >&2
    echo "fetch-guest-file.sh: $package ($arch) could not be downloaded" >&2
    exit 1
fi
mkdir "$work/root"
dpkg-deb --fsys-tarfile "$work/$deb" | tar -C "$work/root" -x --wildcards "$pattern"
found=$(find "$work/root" -type f | head -n 1)
if [ -z "$found" ]; then
    echo "fetch-guest-file.sh: $deb holds no $pattern" >&2
    exit 1
fi
mv "$work/$deb" "$target.deb"
mv "$found" "$target"
