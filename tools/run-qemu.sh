#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Boots a disk image as a USB stick under UEFI on an emulated AMD machine; the machine's serial port is this terminal.
# It has a network card, 52:54:00:12:34:56, in a network of the emulator's (10.0.2.0/24; gateway 10.0.2.2), and a disk with
# the serial number saguaro-1, empty the first time, that stays in the folder.
#
# IOMMU=vtd in the environment puts both behind an Intel VT-d unit, IOMMU=amdvi behind one of AMD's.
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
[ -e "$work/disk.img" ] || truncate -s 256M "$work/disk.img"
behind=
case "${IOMMU:-none}" in
vtd) set -- -device intel-iommu,intremap=on "$@" ;;
amdvi) set -- -device amd-iommu,intremap=on "$@" ;;
esac
if [ "${IOMMU:-none}" != none ]; then
    # Virtio devices of QEMU's take the short way around the unit unless they are told not to.
    behind=,disable-legacy=on,iommu_platform=on
fi
echo "Ctrl-A X ends the emulator, Ctrl-A C is its own prompt; Ctrl-] goes to Saguaro and leaves a guest's console."
exec qemu-system-x86_64 -accel tcg,thread=multi -machine q35 -cpu EPYC,+svm,+npt -m 1G -smp 2 \
    -drive "if=pflash,format=raw,readonly=on,file=$code" -drive "if=pflash,format=raw,file=$work/vars.fd" \
    -device qemu-xhci -drive "if=none,id=stick,format=raw,file=$image" -device usb-storage,drive=stick,bootindex=0 \
    -netdev user,id=net -device virtio-net-pci,netdev=net,mac=52:54:00:12:34:56$behind \
    -drive "if=none,id=disk,format=raw,file=$work/disk.img" -device virtio-blk-pci,drive=disk,serial=saguaro-1$behind \
    -display none -serial mon:stdio "$@" 2>"$work/qemu.log"
