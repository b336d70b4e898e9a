#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds busybox for PowerPC guests, static, from Debian's source: `defconfig` with the fragment's lines, on the C library musl,
# without floating-point registers, since an e500v2 has none. OUT is the program, OUT.list the names of its commands, one
# a line (the program itself does not run here). Nothing else stays.
#
#   build-guest-busybox.sh OUT JOBS FRAGMENT SOFTFLOAT.c
set -eu

out=$1 jobs=$2 fragment=$3 softfloat=$4
tools=$(dirname "$(readlink -f "$0")")
cross=powerpc-linux-gnu-
code="-msoft-float -mlong-double-64"
mkdir -p "$(dirname "$out")"
work=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$work"' EXIT

unpack() { # PACKAGE FOLDER
    echo "  FETCH   $1 (source)"
    if ! tarball=$("$tools/apt-private.sh" source - "$1" "$work" 2>"$work/log"); then
        cat "$work/log" >&2
        echo "build-guest-busybox.sh: the source of $1 could not be downloaded" >&2
        exit 1
    fi
    mkdir "$2"
    tar -C "$2" --strip-components=1 -xf "$work/$tarball"
}

# Nothing of the caller's make reaches these.
clean() {
    env -i PATH="$PATH" HOME="$work" LC_ALL=C SOURCE_DATE_EPOCH=0 KCONFIG_NOTIMESTAMP=1 "$@"
}

build_musl() {
    (cd "$work/musl" && clean ./configure CROSS_COMPILE=$cross CFLAGS="-Os $code" --target=powerpc-linux-musl --disable-shared \
        --enable-wrapper=gcc --prefix="$work/root")
    clean make -C "$work/musl" -j"$jobs" install
    # The kernel's headers, which musl does not have.
    headers=$(echo '#include <linux/version.h>' | ${cross}gcc -E -M -x c - | tr ' ' '\n' | sed -n 's,/linux/version.h$,,p')
    for folder in linux asm asm-generic mtd; do
        cp -R "$headers/$folder" "$work/root/include/"
    done
    # The linker must not know that this one object has to do with floating-point registers.
    ${cross}gcc -O2 -ffreestanding -c -o "$work/softfloat.o" "$softfloat"
    ${cross}objcopy -R .gnu.attributes "$work/softfloat.o"
    # Before libgcc, whose functions of these names take floating-point registers.
    sed -i "/^\*startfile:/{n;s,\$, $work/softfloat.o,}" "$work/root/lib/musl-gcc.specs"
}

busybox_make() {
    clean make -C "$work/busybox" ARCH=powerpc CROSS_COMPILE=$cross CC="$work/root/bin/musl-gcc" "$@"
}

build_busybox() {
    busybox_make defconfig
    { grep -E '^(CONFIG_.*|# CONFIG_.* is not set)$' "$fragment"
      echo "CONFIG_EXTRA_CFLAGS=\"$code\""; } >"$work/wanted"
    for name in $(sed -E 's/^(# )?(CONFIG_[A-Z0-9_]+).*/\2/' "$work/wanted"); do
        sed -i -E "/^(# )?$name(=| is not set)/d" "$work/busybox/.config"
    done
    cat "$work/wanted" >>"$work/busybox/.config"
    yes '' 2>/dev/null | busybox_make oldconfig
    busybox_make -j"$jobs" busybox busybox.links
}

unpack musl "$work/musl"
unpack busybox "$work/busybox"
echo "  BUSYBOX $out (once; takes about 2 minutes of CPU time, the log is $out.log)"
# With "set -e" in force inside, which it is not in an if.
set +e
(set -e; build_musl; build_busybox) >"$out.log" 2>&1
status=$?
set -e
if [ $status -ne 0 ]; then
    tail -n 30 "$out.log" >&2
    echo "build-guest-busybox.sh: busybox could not be built; the whole log is $out.log" >&2
    exit 1
fi
sed 's,.*/,,' "$work/busybox/busybox.links" | LC_ALL=C sort -u >"$out.list"
mv "$work/busybox/busybox" "$out"
