// SPDX-License-Identifier: Apache-2.0
// A Book E (e500v2) virtual CPU's architectural state: the master copy, and what travels. The layout is part
// of the saved-state format: append only, and raise PPC_VCPU_STATE_VERSION.
#ifndef SAGUARO_ABI_PPC_VCPU_H
#define SAGUARO_ABI_PPC_VCPU_H

#include <stdint.h>

#define PPC_VCPU_STATE_VERSION 1u

#define PPC_TLB0_SETS          128u
#define PPC_TLB0_WAYS          4u
#define PPC_TLB1_ENTRIES       16u
#define PPC_IVOR_COUNT         20u /* IVOR0-15, then IVOR32-35 */

/* What a guest reads of its CPU, by mfspr and in the board's global utilities: an e500v2 of revision 2.2, in
 * no chip of Freescale's that has a number. */
#define PPC_GUEST_PVR          0x80210022u
#define PPC_GUEST_SVR          0u

/* What the trap code saves and loads (arch/ppc/traps.S knows the offsets). */
struct ppc_registers {
    uint32_t gpr[32];
    uint32_t cr;
    uint32_t lr;
    uint32_t ctr;
    uint32_t xer;
    uint32_t pc;
};

/* An entry of the guest's TLB, in the form of the MAS registers (e500 core manual, 2.12.5). TLB0's have
 * TSIZE 4 KiB whatever MAS1 says. MAS1[V] clear: no entry. */
struct ppc_tlb_entry {
    uint32_t mas1;
    uint32_t mas2;
    uint32_t mas3;
    uint32_t mas7;
};

enum ppc_activity {
    PPC_RUNNING,
    PPC_WAITING, /* MSR[WE], wait, or the idle hypercall: until an interrupt that MSR lets through */
    PPC_HELD,    /* a vCPU that has not been released through the spin table yet */
};

/* Interrupts that have come and are not taken yet (bits of `pending`). Level-sensitive ones follow their
 * source: DEC, FIT and watchdog follow TSR & TCR, external follows the MPIC's output. */
struct ppc_vcpu_state {
    struct ppc_registers registers;
    uint32_t msr; /* the guest's view: never the CPU's own MSR */
    uint32_t srr0, srr1, csrr0, csrr1, mcsrr0, mcsrr1;
    uint32_t dear, esr, mcsr;
    uint32_t pid[3];
    uint32_t sprg[10]; /* SPRG0-9; 8 and 9 stay 0 on an e500v2 */
    uint32_t usprg0;
    uint32_t ivpr;
    uint32_t ivor[PPC_IVOR_COUNT];
    uint32_t mas[8]; /* MAS0-4, MAS6, MAS7; [5] unused */
    uint32_t tcr, tsr, decar;
    uint32_t dec; /* the decrementer when the state was saved; while it runs: see the vCPU's clock */
    uint32_t hid0, hid1, l1csr0, l1csr1, bucsr;
    uint32_t dbcr0, dbcr1, dbcr2, dbsr, iac1, iac2, dac1, dac2;
    uint32_t spefscr, epr, pir;
    uint32_t activity;           /* enum ppc_activity */
    uint32_t magic_page;         /* effective address of the ePAPR/KVM magic page; 0: none */
    uint32_t magic_physical;     /* guest-physical address of it */
    uint64_t timebase;           /* the guest's time base when the state was saved */
    uint64_t timebase_frequency; /* Hz */
    uint32_t gpr_high[32];       /* upper halves (SPE), and the accumulator */
    uint64_t acc;
    struct ppc_tlb_entry tlb0[PPC_TLB0_SETS][PPC_TLB0_WAYS];
    struct ppc_tlb_entry tlb1[PPC_TLB1_ENTRIES];
    uint8_t tlb0_next[PPC_TLB0_SETS]; /* TLB0[NV] of each set: the way that is proposed next, 0-3 */
    uint32_t mcar;                    /* machine check address */
};

#endif
