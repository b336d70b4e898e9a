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

extern const struct part pv_part; /* "x86.pv", per vCPU; needs lapic_part created before it */

/* Nanoseconds since 1970 (UTC) at time_now() == 0; set once when the platform has read its clock. */
extern uint64_t wallclock_boot_ns;

/* CPUID leaves 0x40000000 to 0x400000ff: eax, ebx, ecx, edx; zeroes for a leaf that is not there. */
void pv_cpuid(struct x86_vcpu *vcpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

/* 0; -EINVAL: #GP(0); -ENOENT: not one of these MSRs. The vCPU's run loop only. */
int pv_msr_read(struct x86_vcpu *vcpu, uint32_t msr, uint64_t *value);
int pv_msr_write(struct x86_vcpu *vcpu, uint32_t msr, uint64_t value);

/* A VMCALL or VMMCALL: what goes to RAX. Outside 64-bit mode the caller passes the lower halves and puts the
 * lower half back. */
uint64_t pv_hypercall(struct x86_vcpu *vcpu, uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2,
                      uint64_t a3);

/*
 * Writes the clock page and settles what depends on the TSC (the APIC's TSC deadline). The run loop calls it
 * whenever x86_vcpu.tsc_offset or state->tsc_frequency was changed: after power-on has set them, after a
 * load, when a paused VM goes on (`paused`: the guest is told, so that its watchdogs forgive it), and after
 * the guest's own write to its TSC.
 */
void pv_refresh(struct x86_vcpu *vcpu, bool paused);

/*
 * Steal time: the run loop calls it once after each time the vCPU was put on a CPU, before the first entry.
 */
void pv_scheduled(struct x86_vcpu *vcpu);

/*
 * PV EOI: instead of an exit the guest ends an interrupt by clearing bit 0 of a word of its own.
 * pv_eoi_offer(): right after lapic_accept(vector), before the entry that injects it; does nothing where an
 * exit at the EOI is needed (level-triggered, others in service or pending, not enabled by the guest).
 * pv_eoi_sync(): settles an open offer: what the guest ended is ended, what it did not will need a real EOI.
 * lapic_pending(), lapic_eoi(), the MSR and MMIO functions, save and INIT do so themselves; the run loop
 * calls it once more before it blocks a halted vCPU, so that lapic_has_work() is right. Cheap without an
 * offer.
 */
void pv_eoi_offer(struct x86_vcpu *vcpu, uint8_t vector);
void pv_eoi_sync(struct vcpu *vcpu);

#endif
