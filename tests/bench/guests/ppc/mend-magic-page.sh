#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Mends what keeps Linux 6.1 on e500v2 from using the magic page of KVM's interface, in an unpacked source: its self-test reads
# the page by a function that refuses a kernel's address, and its buffer for patched code is too small.
#
#   mend-magic-page.sh FOLDER
set -eu

kvm=$1/arch/powerpc/kernel
# The call goes over two lines.
sed -i '/if (fault_in_readable((const char __user \*)KVM_MAGIC_PAGE,/{
N
s/if (.*/if (copy_from_kernel_nofault(\&(u32){0}, (const void *)KVM_MAGIC_PAGE, sizeof(u32))) {/
}' "$kvm/kvm.c"
sed -i '/^kvm_tmp:/{
n
s/(64 \* 1024)/(512 * 1024)/
}' "$kvm/kvm_emul.S"
grep -q copy_from_kernel_nofault "$kvm/kvm.c" && grep -q '(512 \* 1024)' "$kvm/kvm_emul.S" || {
    echo "mend-magic-page.sh: $kvm is not the code that was expected" >&2
    exit 1
}
