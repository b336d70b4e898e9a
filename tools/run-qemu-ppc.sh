#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Boots the hypervisor with a bundle on an emulated PowerPC machine (e500v2); its serial port is this terminal.
#
#   run-qemu-ppc.sh HYPERVISOR BUNDLE WORK-FOLDER [QEMU OPTION...]
set -eu

hypervisor=$1 bundle=$2 work=$3
shift 3
mkdir -p "$work"
echo "Ctrl-A X ends the emulator, Ctrl-A C is its own prompt; Ctrl-] goes to Saguaro and leaves a guest's console."
exec qemu-system-ppc -accel tcg -machine ppce500 -cpu e500v2 -smp 2 -m 512 -kernel "$hypervisor" -initrd "$bundle" \
    -display none -serial mon:stdio -nic none "$@" 2>"$work/qemu.log"
