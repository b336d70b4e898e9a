// SPDX-License-Identifier: Apache-2.0
// What pv.c and pv_clock.c share. Others use pv.h.
#ifndef SAGUARO_ARCH_X86_GUEST_PV_INTERNAL_H
#define SAGUARO_ARCH_X86_GUEST_PV_INTERNAL_H

#include "arch/x86/guest/pv.h"
#include "arch/x86/vm.h"

struct pv {
    struct x86_vcpu *vcpu;
    uint32_t kicked; /* hypercall 5; atomic */

    /* PV EOI: written by the vCPU's run loop alone. */
    uint64_t eoi_msr;
    uint64_t eoi_physical; /* host-physical address of the guest's byte, when enabled */

    /* Clock and steal time. Another vCPU whose TSC moved rewrites the page: under the lock. */
    struct spinlock lock;
    uint64_t clock_msr;
    uint64_t wall_msr;    /* last value written */
    uint64_t clock_start; /* the guest's TSC when its kvmclock was 0 */
    uint32_t clock_version;
    uint64_t steal_msr;
    uint64_t steal;        /* ns */
    uint64_t preempted_at; /* ns; 0: not preempted */
    uint32_t steal_version;
};

#define PV_ENABLE 1ull

/* Whether an MSR value names guest RAM: enabled at an address with `alignment`, `size` bytes within a page;
 * or disabled (bit 0 clear). */
bool pv_address_valid(struct x86_vcpu *vcpu, uint64_t msr, unsigned alignment, unsigned size);

/* pv_clock.c */
bool pv_clock_valid(struct x86_vcpu *vcpu, uint64_t msr);
int pv_clock_write(struct x86_vcpu *vcpu, uint64_t value);
int pv_wall_clock_write(struct x86_vcpu *vcpu, uint64_t value);
bool pv_steal_valid(struct x86_vcpu *vcpu, uint64_t msr);
int pv_steal_write(struct x86_vcpu *vcpu, uint64_t value);

#endif
