#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Packs a guest's initramfs: busybox with a link for each of its commands, and the files of a folder (its /init among them).
#
#   make-initramfs.sh BUSYBOX COMMANDS FOLDER OUT
#
# COMMANDS is a busybox that runs here and tells its commands, or a file NAME.list with them.
# The same input gives the same bytes.
set -eu

busybox=$1 commands=$2 folder=$3 out=$4
work=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$work"' EXIT

root=$work/root
mkdir -p "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/tmp" "$root/etc" "$root/run"
cp "$busybox" "$root/bin/busybox"
chmod 755 "$root/bin/busybox"
case $commands in
*.list) list=$(cat "$commands") ;;
*) list=$("$commands" --list) ;;
esac
for command in $list; do
    [ "$command" = busybox ] || ln -s busybox "$root/bin/$command"
done
cp -R "$folder/." "$root/"
find "$root" -exec touch -h -d @0 {} +
(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 --reproducible) | gzip -9n >"$work/out"
mv "$work/out" "$out"
