#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Boots a disk image as a USB stick under UEFI on an emulated AMD machine; the machine's serial port is this terminal.
#
#   run-qemu.sh IMAGE WORK-FOLDER [QEMU OPTION...]
set -eu

image=$1 work=$2
shift 2
mkdir -p "$work"
code= vars=
for folder in /usr/share/OVMF /usr/share/edk2/x64; do
    for suffix in _4M.fd .4m.fd .fd; do
        if [ -z "$code" ] && [ -e "$folder/OVMF_CODE$suffix" ] && [ -e "$folder/OVMF_VARS$suffix" ]; then
            code=$folder/OVMF_CODE$suffix vars=$folder/OVMF_VARS$suffix
        fi
    done
done
if [ -z "$code" ]; then
    echo "run-qemu.sh: no OVMF firmware found (Debian package ovmf)" >&2
    exit 1
fi
cp "$vars" "$work/vars.fd"
echo "Ctrl-A X ends the emulator, Ctrl-A C is its own prompt; Ctrl-] goes to Saguaro and leaves a guest's console."
exec qemu-system-x86_64 -accel tcg,thread=multi -machine q35 -cpu EPYC,+svm,+npt -m 1G -smp 2 \
    -drive "if=pflash,format=raw,readonly=on,file=$code" -drive "if=pflash,format=raw,file=$work/vars.fd" \
    -device qemu-xhci -drive "if=none,id=stick,format=raw,file=$image" -device usb-storage,drive=stick \
    -display none -serial mon:stdio -nic none "$@" 2>"$work/qemu.log"
