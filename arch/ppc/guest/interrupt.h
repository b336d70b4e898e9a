// SPDX-License-Identifier: Apache-2.0
// Interrupts of a guest: what is pending, what MSR lets through, and what taking one does to the registers
// (e500 core manual, ch. 5).
#ifndef SAGUARO_ARCH_PPC_GUEST_INTERRUPT_H
#define SAGUARO_ARCH_PPC_GUEST_INTERRUPT_H

#include "arch/ppc/registers.h"
#include "arch/ppc/vm.h"

/* MSR bits that an e500v2 has. */
#define GUEST_MSR_BITS                                                                                       \
    (MSR_UCLE | MSR_SPE | MSR_WE | MSR_CE | MSR_EE | MSR_PR | MSR_ME | MSR_UBLE | MSR_DE | MSR_IS | MSR_DS | \
     MSR_PMM)

/* ESR bits that it has (2.7.1.6). */
#define GUEST_ESR_BITS (ESR_PIL | ESR_PPR | ESR_PTR | ESR_ST | ESR_DLK | ESR_ILK | ESR_BO | ESR_SPE)

/* MCSR: what a bus error was (2.7.2.4). */
#define MCSR_BUS_IAERR 0x00000080u /* instruction fetch, address */
#define MCSR_BUS_RAERR 0x00000040u /* load */
#define MCSR_BUS_WAERR 0x00000020u /* store */

/* Sets the guest's MSR: context and waiting follow. What may have become deliverable by it is delivered
 * before the next entry. */
void guest_msr_set(struct ppc_vcpu *vcpu, uint32_t value);

/* Takes an interrupt of the normal class; SRR0 is the present PC. */
void guest_interrupt(struct ppc_vcpu *vcpu, unsigned ivor);
/* The same with ESR; program, alignment, SPE unavailable, storage (with DEAR). */
void guest_interrupt_program(struct ppc_vcpu *vcpu, uint32_t esr);
void guest_interrupt_syndrome(struct ppc_vcpu *vcpu, unsigned ivor, uint32_t esr);
void guest_interrupt_data(struct ppc_vcpu *vcpu, unsigned ivor, uint32_t esr, uint32_t dear);
/* TLB errors: the MAS registers are set too. */
void guest_interrupt_data_tlb(struct ppc_vcpu *vcpu, uint32_t esr, uint32_t dear);
void guest_interrupt_inst_tlb(struct ppc_vcpu *vcpu);
/* A bus error. With MSR[ME] off the CPU stops for good: the guest has crashed. */
void guest_machine_check(struct ppc_vcpu *vcpu, uint32_t mcsr, uint32_t address);

/* Takes what is pending and let through, brings `slow` up to date, and arms the clock's timer. By the CPU
 * that runs the vCPU, between two entries. */
void guest_interrupts_update(struct ppc_vcpu *vcpu);
/* True if an interrupt is pending that MSR lets through. Changes nothing; also for a vCPU that is blocked,
 * from other CPUs. */
bool guest_interrupt_ready(const struct ppc_vcpu *vcpu);

#endif
