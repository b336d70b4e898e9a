// SPDX-License-Identifier: Apache-2.0
// Privileged instructions and special registers for C. <ppc_instructions.h> comes from arch/ppc/inline/; unit
// tests on the host get tests/unit/host/ppc_instructions.h, whose functions each test defines.
#ifndef SAGUARO_ARCH_PPC_INSTRUCTIONS_H
#define SAGUARO_ARCH_PPC_INSTRUCTIONS_H

#include "arch/ppc/registers.h"

/*
 *   uint32_t spr_read(SPR_...);           mfspr; the number is a constant
 *   void spr_write(SPR_..., uint32_t);    mtspr
 *   uint32_t msr_read(void);              mfmsr
 *   void msr_write(uint32_t value);       mtmsr and isync
 *   uint64_t timebase_read(void);         both halves, consistent
 *   void context_sync(void);              isync
 *   void memory_sync(void);               msync: all accesses before it are performed
 *   void io_sync(void);                   mbar: orders accesses to device memory
 *   void cache_store(const void *at);     dcbst: the line of 32 bytes or more goes to memory
 *   void cache_forget_code(void);         this CPU's instruction cache is empty; it sees no stores by itself
 * The TLB, by what the MAS registers hold; each is followed by the isync (and msync) that it needs:
 *   void tlb_write(void);                 tlbwe
 *   void tlb_search(uint32_t address);    tlbsx by MAS6; MAS1[V] tells whether it was found
 *   void tlb_flash(uint32_t which);       MMUCSR0_TLB0_FI | MMUCSR0_TLB1_FI, waited for; spares IPROT entries
 */
#include <ppc_instructions.h>

#endif
