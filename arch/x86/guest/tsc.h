// SPDX-License-Identifier: Apache-2.0
// A guest's TSC: the host's, scaled where the guest has a frequency of its own (Intel SDM vol. 3, 25.3: TSC
// scaling), and moved by the vCPU's offset.
#ifndef SAGUARO_ARCH_X86_GUEST_TSC_H
#define SAGUARO_ARCH_X86_GUEST_TSC_H

#include "arch/x86/vm.h"

#define TSC_RATIO_SHIFT 48 /* of x86_vm.tsc_ratio */

/* Host ticks as the guest's, without the offset. */
static inline uint64_t tsc_scaled(const struct x86_vm *vm, uint64_t host) {
    if (__builtin_expect(!vm->tsc_ratio, 1))
        return host;
    return (uint64_t)((unsigned __int128)host * vm->tsc_ratio >> TSC_RATIO_SHIFT);
}

/* What the guest's TSC is when the host's is `host`. */
static inline uint64_t tsc_of_guest(const struct x86_vcpu *vcpu, uint64_t host) {
    return tsc_scaled(x86_vm(vcpu->core.vm), host) + vcpu->tsc_offset;
}

/* How many of the host's ticks surely hold `ticks` of the guest's: one or two more than needed, at most, in a
 * day. Saturates at UINT64_MAX. */
static inline uint64_t tsc_host_ticks(const struct x86_vm *vm, uint64_t ticks) {
    if (__builtin_expect(!vm->tsc_ratio, 1))
        return ticks;
    unsigned __int128 host = ((unsigned __int128)ticks * vm->tsc_inverse >> TSC_RATIO_SHIFT) + 1;
    return host > UINT64_MAX ? UINT64_MAX : (uint64_t)host;
}

/* Whether this machine can show a TSC of that frequency (Hz): its own, but for what calibrations differ by,
 * or where the CPU scales one of 1/16 to 16 times as much. */
bool tsc_frequency_possible(uint64_t frequency);
/* Gives the VM's TSCs that frequency, which is possible. No vCPU runs; their offsets follow. */
void tsc_set_frequency(struct x86_vm *vm, uint64_t frequency);

#endif
