#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds a guest's Linux kernel for PowerPC from the tarball in Debian's package linux-source-6.1, which is downloaded where
# TARBALL does not exist: `allnoconfig` and what the fragments add. The result is the stripped ELF file; nothing else stays.
# With -e the program EDIT changes the unpacked source, whose folder it is given, first.
#
#   build-guest-kernel.sh [-e EDIT] TARBALL OUT JOBS FRAGMENT...
set -eu

edit=:
if [ "$1" = -e ]; then
    edit=$2
    shift 2
fi
tarball=$1 out=$2 jobs=$3
shift 3
tools=$(dirname "$(readlink -f "$0")")
mkdir -p "$(dirname "$out")" "$(dirname "$tarball")"
# One kernel at a time: each uses every CPU that it is given, and 1.5 GB of disk.
exec 9>"$tarball.lock"
flock 9
[ -e "$tarball" ] || "$tools/fetch-guest-file.sh" binary - linux-source-6.1 './usr/src/linux-source-*.tar.xz' "$tarball"
rm -f "$tarball.deb"

work=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$work"' EXIT
echo "  KERNEL  $out (once; takes about 8 minutes of CPU time, the log is $out.log)"
cat "$@" >"$work/fragment"
mkdir "$work/source" "$work/objects"
tar -C "$work/source" --strip-components=1 -xf "$tarball"
"$edit" "$work/source"

# Nothing of the caller's make reaches this one, and two builds from the same files give the same bytes.
kernel_make() {
    env -i PATH="$PATH" HOME="$work" LC_ALL=C KBUILD_BUILD_USER=saguaro KBUILD_BUILD_HOST=saguaro \
        KBUILD_BUILD_TIMESTAMP="Thu Jan  1 00:00:00 UTC 1970" KBUILD_BUILD_VERSION=1 \
        make -C "$work/source" O="$work/objects" ARCH=powerpc CROSS_COMPILE=powerpc-linux-gnu- "$@"
}

if ! { kernel_make KCONFIG_ALLCONFIG="$work/fragment" allnoconfig && kernel_make -j"$jobs" vmlinux; } >"$out.log" 2>&1; then
    tail -n 30 "$out.log" >&2
    echo "build-guest-kernel.sh: the kernel could not be built; the whole log is $out.log" >&2
    exit 1
fi
# A line that this kernel does not know, or that another one overrides, has no effect: the fragment would not be true.
missing=$(grep -E '^(CONFIG_.*|# CONFIG_.* is not set)$' "$work/fragment" | while read -r line; do
    grep -qxF -- "$line" "$work/objects/.config" || echo "$line"
done)
if [ -n "$missing" ]; then
    echo "build-guest-kernel.sh: the kernel's configuration did not take these lines of the fragments:" >&2
    echo "$missing" >&2
    exit 1
fi
powerpc-linux-gnu-strip --strip-all -o "$work/vmlinux" "$work/objects/vmlinux"
mv "$work/vmlinux" "$out"
