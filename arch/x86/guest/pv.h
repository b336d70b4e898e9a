// SPDX-License-Identifier: Apache-2.0
// The paravirtual interface that guests find under KVM's names: CPUID leaves, kvmclock, steal time, PV EOI
// and hypercalls. docs/guest-pv.md describes it for guests.
#ifndef SAGUARO_ARCH_X86_GUEST_PV_H
#define SAGUARO_ARCH_X86_GUEST_PV_H

#include <stdbool.h>
#include <stdint.h>
#include "core/part.h"

struct vcpu;
struct x86_vcpu;

extern const struct part pv_part; /* "x86.pv", per vCPU; behind lapic_part in the table */

/* CPUID leaves 0x40000000 to 0x400000ff: eax, ebx, ecx, edx; zeroes for a leaf that is not there. */
void pv_cpuid(struct x86_vcpu *vcpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

/* 0; -EINVAL: #GP(0); -ENOENT: not one of these MSRs. The vCPU's run loop only. */
int pv_msr_read(struct x86_vcpu *vcpu, uint32_t msr, uint64_t *value);
int pv_msr_write(struct x86_vcpu *vcpu, uint32_t msr, uint64_t value);

/* A VMCALL or VMMCALL: what goes to RAX. X86_STATE_CODE and X86_STATE_CONTROL are present. Outside 64-bit
 * mode the caller passes the lower halves of the registers and puts the lower half of the result back. */
uint64_t pv_hypercall(struct x86_vcpu *vcpu, uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2,
                      uint64_t a3);

/* Hypercall 5 woke this vCPU although it may be halted with interrupts off. arch_vcpu_pending() asks
 * pv_kicked() (any CPU); the run loop asks pv_take_kick() on a HLT exit and when it looks at a halted vCPU:
 * true means that the HLT is over. */
bool pv_kicked(const struct x86_vcpu *vcpu);
bool pv_take_kick(struct x86_vcpu *vcpu);

/* Writes the guest's clock page again: after a load, and when a paused VM goes on (`paused`: the guest is
 * told, so that its watchdogs forgive it). The vCPU's TSC has been set. The vCPU's run loop, or parked. */
void pv_refresh(struct x86_vcpu *vcpu, bool paused);

/* The guest moved its TSC (MSR 0x10 or TSC_ADJUST) by `distance`, and x86_vcpu.tsc_offset with it: its clock
 * page follows, so that kvmclock does not jump; the TSC deadline too. The vCPU's run loop only. */
void pv_tsc_moved(struct x86_vcpu *vcpu, uint64_t distance);

/* Steal time: pv_preempted() when the run loop gives its CPU up while the vCPU is runnable
 * (VCPU_RUN_RESCHEDULE), pv_scheduled() when it gets a CPU again, before the first entry. */
void pv_preempted(struct x86_vcpu *vcpu);
void pv_scheduled(struct x86_vcpu *vcpu);

/* INIT: everything is off until the guest enables it again. lapic_init_reset() calls it. */
void pv_init_reset(struct x86_vcpu *vcpu);

/*
 * PV EOI: instead of an exit the guest ends an interrupt by clearing bit 0 of a word of its own.
 * pv_eoi_offer(): right after lapic_accept(vector), before the entry that injects it; does nothing where an
 * exit at the EOI is needed (level-triggered, others in service or pending, not enabled by the guest).
 * pv_eoi_sync(): settles an open offer: what the guest ended is ended, what it did not will need a real EOI.
 * lapic_pending(), lapic_eoi(), the MSR and MMIO functions, save and INIT do so themselves; the run loop
 * calls it once more on a HLT exit before it blocks, so that lapic_has_work() is right. Cheap without an
 * offer.
 */
void pv_eoi_offer(struct x86_vcpu *vcpu, uint8_t vector);
void pv_eoi_sync(struct vcpu *vcpu);

#endif
