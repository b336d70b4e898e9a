// SPDX-License-Identifier: Apache-2.0
// What a miss says (e500 core manual, "TLB miss exceptions": MAS registers are set up for the entry that is
// missing), and what tlbre and tlbsx do.
#include "tests/guests/ppc/tlb/tlb.h"

static void test_data_miss(void) {
    MTSPR(SPR_PID, 0x21);
    MTSPR(SPR_MAS4, 0x0000020a); /* TLB0, PID0, 16 KiB, I and G */
    check(!load(EA + 0x5678, 0) && missed(EA + 0x5678), "a load without an entry");
    check_equal(run_context.esr, 0, "ESR of a load");
    check_equal(run_context.msr, MSR_ME, "SRR1 of a miss");
    check_equal(run_context.mas[0] & 0x30000000, 0, "MAS0[TLBSEL] is MAS4's");
    check_equal(run_context.mas[1], MAS1_VALID | MAS1_TID(0x21) | MAS1_SIZE(2), "MAS1 of a miss");
    check_equal(run_context.mas[2], ((EA + 0x5678) & ~0xfffu) | 0x0a, "MAS2 of a miss");
    check_equal(run_context.mas[3] & 0xfffff03f, 0, "MAS3 of a miss");
    check_equal(run_context.mas[6], 0x21 << 16, "MAS6 of a miss");
    check(!store(EA + 0x9abc, MSR_PR, 1) && missed(EA + 0x9abc), "a store without an entry, in user mode");
    check_equal(run_context.esr, ESR_ST, "ESR of a store");
    check_equal(run_context.msr, MSR_PR | MSR_ME, "SRR1 of a miss in user mode");
    check(!load(EA, MSR_DS) && run_context.mas[1] == (MAS1_VALID | MAS1_TS | MAS1_TID(0x21) | MAS1_SIZE(2)) &&
              run_context.mas[6] == (0x21 << 16 | 1),
          "a miss in address space 1");
    MTSPR(SPR_PID1, 0x31);
    MTSPR(SPR_MAS4, 0x10010500); /* TLB1, PID1, 1 MiB */
    check(!load(EA, 0) && run_context.mas[1] == (MAS1_VALID | MAS1_TID(0x31) | MAS1_SIZE(5)) &&
              (run_context.mas[0] & 0x30000000) == MAS0_TLB1 && run_context.mas[2] == EA,
          "a miss with other defaults");
    clear_all();
}

static void test_fetch_miss(void) {
    MTSPR(SPR_PID, 0x42);
    check(!execute(EA + 0x124, 0) && run_context.vector == VECTOR_ITLB && run_context.pc == EA + 0x124,
          "a fetch without an entry");
    check_equal(run_context.mas[1] & ~MAS1_SIZE(15), MAS1_VALID | MAS1_TID(0x42), "MAS1 of a fetch");
    check_equal(run_context.mas[2] & ~0x1fu, EA, "MAS2 of a fetch");
    check(!execute(EA + 0x124, MSR_PR) && run_context.vector == VECTOR_ITLB &&
              run_context.msr == (MSR_PR | MSR_ME),
          "a fetch in user mode");
    clear_all();
    /* Over the end of a page. */
    map_page(EA, PHYS, 0, MAS3_ALL);
    *(volatile uint32_t *)(PHYS + PAGE - 4) = OP_ADDI(6, 0, 77);
    __asm__ volatile("dcbst 0, %0; msync; icbi 0, %0; msync; isync" ::"r"(PHYS + PAGE - 4) : "memory");
    run_context.pc = EA + PAGE - 4;
    run_context.msr = MSR_PR | MSR_ME;
    run_enter();
    check(run_context.vector == VECTOR_ITLB && run_context.pc == EA + PAGE && run_context.gpr[6] == 77,
          "code that runs over the end of a page");
    *(volatile uint32_t *)(PHYS + PAGE - 4) = content(PHYS + PAGE - 4);
    clear_all();
}

/* A handler that takes the MAS registers as they are: four pages of one set do not push each other out. */
static void test_refill(void) {
    bool ok = true;

    for (unsigned i = 0; i < WAYS; i++) {
        uint32_t ea = EA + i * SET_STRIDE;

        ok &= !load(ea, 0) && missed(ea);
        MTSPR(SPR_MAS0, run_context.mas[0]);
        MTSPR(SPR_MAS1, (run_context.mas[1] & ~MAS1_SIZE(15)) | MAS1_SIZE(1));
        MTSPR(SPR_MAS2, run_context.mas[2]);
        MTSPR(SPR_MAS3, (PHYS + i * PAGE) | MAS3_ALL);
        MTSPR(SPR_MAS7, 0);
        __asm__ volatile("tlbwe; isync" ::: "memory");
        ok &= load_gives(ea, 0, content(PHYS + i * PAGE));
    }
    for (unsigned i = 0; i < WAYS; i++)
        ok &= load_gives(EA + i * SET_STRIDE, 0, content(PHYS + i * PAGE));
    check(ok, "four misses in one set fill four ways");
    clear_all();
}

static void test_search(void) {
    struct tlb_entry entry = page_entry(EA + 3 * PAGE, PHYS, 9, 1, 0x2d5), read;

    entry.mas2 |= 0x0e; /* I, M, G */
    tlb_write(MAS0_WAY(2), entry);
    read = tlb_read(MAS0_WAY(2), EA + 3 * PAGE);
    check(read.mas1 == entry.mas1 && read.mas2 == entry.mas2 && read.mas3 == entry.mas3 && read.mas7 == 0,
          "tlbre of TLB0");
    check(tlb_search(EA + 3 * PAGE + 0x123, 9, 1), "tlbsx finds an entry of TLB0");
    check_equal(MFSPR(SPR_MAS0) & 0x300f0000, MAS0_WAY(2), "MAS0 of tlbsx");
    check(MFSPR(SPR_MAS1) == entry.mas1 && MFSPR(SPR_MAS2) == entry.mas2 && MFSPR(SPR_MAS3) == entry.mas3,
          "MAS1 to MAS3 of tlbsx");
    check(!tlb_search(EA + 3 * PAGE, 9, 0) && !tlb_search(EA + 3 * PAGE, 8, 1) &&
              !tlb_search(EA + 4 * PAGE, 9, 1),
          "tlbsx of another space, PID, page");
    entry = (struct tlb_entry){MAS1_VALID | MAS1_IPROT | MAS1_SIZE(6), 0x40000000, 0x01400000 | 0x15, 0xa};
    tlb_write(MAS0_TLB1 | MAS0_WAY(11), entry);
    read = tlb_read(MAS0_TLB1 | MAS0_WAY(11), 0);
    check(read.mas1 == entry.mas1 && read.mas2 == entry.mas2 && read.mas3 == entry.mas3 && read.mas7 == 0xa,
          "tlbre of TLB1");
    check(tlb_search(0x40234567, 3, 0), "tlbsx finds an entry of TLB1 for all PIDs");
    check_equal(MFSPR(SPR_MAS0) & 0x300f0000, MAS0_TLB1 | MAS0_WAY(11), "MAS0 of tlbsx for TLB1");
    check(MFSPR(SPR_MAS1) == entry.mas1 && MFSPR(SPR_MAS7) == 0xa, "MAS1 and MAS7 of tlbsx for TLB1");
    /* Empty entries read as such. */
    check_equal(tlb_read(MAS0_TLB1 | MAS0_WAY(12), 0).mas1 & MAS1_VALID, 0, "tlbre of an empty entry");
    clear_all();
}

void test_misses(void) {
    test_data_miss();
    test_fetch_miss();
    test_refill();
    test_search();
}
