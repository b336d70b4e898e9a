// SPDX-License-Identifier: Apache-2.0
// The guest's own TLBs, TLB0 (128 sets of 4) and TLB1 (16 entries), and the MAS registers' part in what its
// instructions do to them (e500 core manual, ch. 12; Power ISA Book III-E, 6.11). State alone: the real
// entries that stand for the guest's are shadow.c's.
#ifndef SAGUARO_ARCH_PPC_GUEST_TLB_H
#define SAGUARO_ARCH_PPC_GUEST_TLB_H

#include <stdbool.h>
#include <stdint.h>
#include "abi/ppc/vcpu.h"
#include "arch/ppc/registers.h"

/* The bits that the MAS registers of an e500v2 have. */
#define GUEST_MAS0_BITS (MAS0_TLBSEL_MASK | MAS0_ESEL_MASK | MAS0_NV_MASK)
#define GUEST_MAS1_BITS (MAS1_V | MAS1_IPROT | MAS1_TID_MASK | MAS1_TS | MAS1_TSIZE_MASK)
#define GUEST_MAS2_BITS (MAS2_EPN_MASK | MAS2_X0 | MAS2_X1 | MAS2_WIMGE_MASK)
#define GUEST_MAS3_BITS (MAS3_RPN_MASK | MAS3_USER_MASK | MAS3_RIGHTS_MASK)
#define GUEST_MAS4_BITS (MAS4_TLBSELD_MASK | MAS4_TIDSELD_MASK | MAS4_TSIZED_MASK | MAS4_WIMGED_MASK)
#define GUEST_MAS6_BITS (MAS6_SPID_MASK | MAS6_SAS)

enum tlb_access { TLB_READ, TLB_WRITE, TLB_EXECUTE };

/* What an operation took away: real entries that stand for it must go too. */
struct tlb_lost {
    bool tlb0; /* every entry of TLB0 */
    unsigned count;
    struct {
        uint32_t first, last; /* effective addresses of the first and the last byte */
    } range[PPC_TLB1_ENTRIES + 1];
};

/* log2 of a valid entry's size, 12..32; 0: TLB1 knows no such size, the entry translates nothing. */
unsigned guest_tlb_shift(const struct ppc_tlb_entry *entry);
/* The entry that translates `address` in address space `space` (0 or 1) with the guest's PIDs; NULL: none. */
const struct ppc_tlb_entry *guest_tlb_lookup(const struct ppc_vcpu_state *state, uint32_t address,
                                             unsigned space);
/* Guest-physical address (36 bits) of `address` by an entry that translates it. */
uint64_t guest_tlb_physical(const struct ppc_tlb_entry *entry, uint32_t address);
bool guest_tlb_permits(const struct ppc_tlb_entry *entry, bool user, enum tlb_access access);
/* True for an entry of TLB1. */
bool guest_tlb_is_tlb1(const struct ppc_vcpu_state *state, const struct ppc_tlb_entry *entry);

/* A TLB error interrupt is taken: MAS0-3, 6 and 7 are what the handler starts from (12.7.2). */
void guest_tlb_miss(struct ppc_vcpu_state *state, uint32_t address, unsigned space);

/* The instructions. */
void guest_tlb_write(struct ppc_vcpu_state *state, struct tlb_lost *lost); /* tlbwe */
void guest_tlb_read(struct ppc_vcpu_state *state);                         /* tlbre */
void guest_tlb_search(struct ppc_vcpu_state *state, uint32_t address);     /* tlbsx */
void guest_tlb_invalidate(struct ppc_vcpu_state *state, uint32_t operand,  /* tlbivax, this CPU's part */
                          struct tlb_lost *lost);
/* MMUCSR0's flash invalidation: MMUCSR0_TLB0_FI and MMUCSR0_TLB1_FI. */
void guest_tlb_flash(struct ppc_vcpu_state *state, uint32_t which, struct tlb_lost *lost);

#endif
