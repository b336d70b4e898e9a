// SPDX-License-Identifier: Apache-2.0
// What the parts of the TLB test share: pages with known contents, and accesses in a context of their own.
#ifndef SAGUARO_TESTS_GUESTS_PPC_TLB_TLB_H
#define SAGUARO_TESTS_GUESTS_PPC_TLB_TLB_H

#include "tests/guests/ppc/runtime/guest.h"

#define PAGE       0x1000u
#define PHYS       0x01000000u /* physical memory of the test: 16 MiB, up to 32 MiB */
#define EA         0x10000000u /* effective addresses that nothing maps */
#define SETS       128u
#define WAYS       4u
#define SET_STRIDE (SETS * PAGE) /* addresses of one set of TLB0 */

/* What each word of the test's memory holds before it is written. */
static inline uint32_t content(uint32_t physical) {
    return physical ^ 0x5a000000;
}

static inline struct tlb_entry page_entry(uint32_t ea, uint32_t physical, unsigned pid, unsigned space,
                                          uint32_t rights) {
    return (struct tlb_entry){MAS1_VALID | MAS1_TID(pid) | (space ? MAS1_TS : 0) | MAS1_SIZE(1), ea,
                              physical | rights, 0};
}

/* Into TLB0, a 4 KiB page for all processes. */
static inline void map_page(uint32_t ea, uint32_t physical, unsigned way, uint32_t rights) {
    tlb_write(MAS0_WAY(way), page_entry(ea, physical, 0, 0, rights));
}

/* Into TLB1[2 + slot]. */
static inline void map_large(uint32_t ea, uint32_t physical, unsigned slot, unsigned size, uint32_t rights) {
    tlb_write(MAS0_TLB1 | MAS0_WAY(2 + slot),
              (struct tlb_entry){MAS1_VALID | MAS1_SIZE(size), ea, physical | rights, 0});
}

/* Everything but the runtime's own two entries goes, and the PIDs become 0. */
static inline void clear_all(void) {
    MTSPR(SPR_PID, 0);
    MTSPR(SPR_PID1, 0);
    MTSPR(SPR_PID2, 0);
    MTSPR(SPR_MAS4, 0);
    for (unsigned slot = 2; slot < 16; slot++)
        tlb_write(MAS0_TLB1 | MAS0_WAY(slot), (struct tlb_entry){0});
    tlb_flash(true, true);
}

/* Each returns whether it was done, else run_context has the interrupt. */
static inline bool load(uint32_t ea, uint32_t msr) {
    run_context.gpr[5] = ea;
    run_context.gpr[6] = 0;
    return run_word(msr, OP_LWZ(6, 5));
}
static inline bool load_gives(uint32_t ea, uint32_t msr, uint32_t value) {
    return load(ea, msr) && run_context.gpr[6] == value;
}
static inline bool store(uint32_t ea, uint32_t msr, uint32_t value) {
    run_context.gpr[5] = ea;
    run_context.gpr[6] = value;
    return run_word(msr, OP_STW(6, 5));
}
/* Whether the trap that is at `ea` was reached. */
static inline bool execute(uint32_t ea, uint32_t msr) {
    run_context.pc = ea;
    run_context.msr = msr | MSR_ME;
    run_enter();
    return run_context.vector == VECTOR_PROGRAM && run_context.esr == ESR_PTR && run_context.pc == ea;
}

static inline bool missed(uint32_t ea) {
    return run_context.vector == VECTOR_DTLB && run_context.pc == CODE && run_context.dear == ea;
}

void test_rights(void); /* rights of supervisor and user mode */
void test_spaces(void); /* PIDs and address spaces */
void test_misses(void); /* what a miss leaves in the MAS registers; tlbre, tlbsx */
void test_pages(void);  /* overwriting, ways, invalidation, sizes, what crosses a page */

#endif
