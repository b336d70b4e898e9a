// SPDX-License-Identifier: Apache-2.0
// Entries that change: overwriting, the four ways of a set, each way of invalidation; page sizes; accesses
// that cross pages; device memory.
#include "tests/guests/ppc/tlb/tlb.h"

#define INVALIDATE_TLB1 8u
#define INVALIDATE_ALL  4u

static void test_overwrite(void) {
    map_page(EA, PHYS, 0, MAS3_ALL);
    check(load_gives(EA, 0, content(PHYS)), "an entry");
    map_page(EA, PHYS + 5 * PAGE, 0, MAS3_ALL);
    check(load_gives(EA, 0, content(PHYS + 5 * PAGE)), "the same page elsewhere");
    map_page(EA, PHYS + 5 * PAGE, 0, MAS3_SR);
    check(load_gives(EA, 0, content(PHYS + 5 * PAGE)) && !store(EA, 0, 1) && run_context.vector == VECTOR_DSI,
          "the same page with less rights");
    map_page(EA + SET_STRIDE, PHYS + 6 * PAGE, 0, MAS3_ALL);
    check(load_gives(EA + SET_STRIDE, 0, content(PHYS + 6 * PAGE)) && !load(EA, 0) && missed(EA),
          "another page in its place");
    tlb_write(MAS0_WAY(0), (struct tlb_entry){.mas2 = EA});
    check(!load(EA + SET_STRIDE, 0) && missed(EA + SET_STRIDE), "nothing in its place");
    clear_all();

    /* Code, too, is fetched from the new page. */
    static const uint32_t one[] = {OP_ADDI(6, 0, 1)}, two[] = {OP_ADDI(6, 0, 2)};
    code_write(PHYS + 8 * PAGE, one, 1);
    code_write(PHYS + 9 * PAGE, two, 1);
    bool ok = true;
    for (unsigned round = 0; round < 20; round++) {
        map_page(EA, PHYS + (8 + round % 2) * PAGE, round % 4, MAS3_ALL);
        run_context.pc = EA;
        run_context.msr = MSR_PR | MSR_ME;
        run_enter();
        ok &= run_context.gpr[6] == 1 + round % 2;
        tlb_invalidate(EA);
    }
    check(ok, "code on a page that changes");
    for (uint32_t at = PHYS + 8 * PAGE; at < PHYS + 10 * PAGE; at += 4)
        *(volatile uint32_t *)at = content(at);
    clear_all();
}

static void test_ways(void) {
    bool ok = true;

    for (unsigned set = 0; set < SETS; set++)
        for (unsigned way = 0; way < WAYS; way++)
            map_page(EA + way * SET_STRIDE + set * PAGE, PHYS + (set * WAYS + way) * PAGE, way, MAS3_ALL);
    for (unsigned set = 0; set < SETS; set++)
        for (unsigned way = 0; way < WAYS; way++)
            ok &= load_gives(EA + way * SET_STRIDE + set * PAGE, MSR_PR,
                             content(PHYS + (set * WAYS + way) * PAGE));
    check(ok, "512 pages at once");
    tlb_invalidate(EA + 2 * SET_STRIDE + 17 * PAGE);
    check(!load(EA + 2 * SET_STRIDE + 17 * PAGE, 0) && missed(EA + 2 * SET_STRIDE + 17 * PAGE),
          "tlbivax of one page");
    ok = load_gives(EA + SET_STRIDE + 17 * PAGE, 0, content(PHYS + (17 * WAYS + 1) * PAGE)) &&
         load_gives(EA + 2 * SET_STRIDE + 18 * PAGE, 0, content(PHYS + (18 * WAYS + 2) * PAGE));
    check(ok, "tlbivax leaves other pages");
    tlb_invalidate(INVALIDATE_TLB1 | INVALIDATE_ALL);
    check(load_gives(EA, 0, content(PHYS)), "tlbivax of all of TLB1 leaves TLB0");
    tlb_invalidate(INVALIDATE_ALL);
    ok = true;
    for (unsigned i = 0; i < SETS * WAYS; i += 37)
        ok &= !load(EA + i * PAGE, 0) && missed(EA + i * PAGE);
    check(ok, "tlbivax of all of TLB0");
    map_page(EA, PHYS, 3, MAS3_ALL);
    tlb_flash(true, false);
    check(!load(EA, 0) && missed(EA), "flash invalidation of TLB0");
    clear_all();
}

static void test_large_pages(void) {
    static const char *const names[] = {"4 KiB in TLB1", "16 KiB", "64 KiB", "256 KiB",
                                        "1 MiB",         "4 MiB",  "16 MiB"};

    for (unsigned size = 1; size <= 7; size++) {
        uint32_t bytes = 1024u << (2 * size);

        map_large(0x20000000, PHYS, size, size, MAS3_ALL);
        bool ok = load_gives(0x20000000, 0, content(PHYS)) &&
                  load_gives(0x20000000 + bytes - 4, MSR_PR, content(PHYS + bytes - 4)) &&
                  load_gives(0x20000000 + bytes / 2, 0, content(PHYS + bytes / 2));
        ok &= !load(0x20000000 + bytes, 0) && missed(0x20000000 + bytes);
        ok &= !load(0x20000000 - 4, 0) && missed(0x20000000 - 4);
        for (uint32_t at = 0; at < bytes; at += bytes / 64 + 4)
            ok &= load_gives(0x20000000 + (at & ~3u), MSR_PR, content(PHYS + (at & ~3u)));
        check(ok, names[size - 1]);
        tlb_invalidate(0x20000000 | (bytes / 2 & ~0xfffu) | INVALIDATE_TLB1);
        check(!load(0x20000000, 0) && missed(0x20000000), "tlbivax of a large page");
    }
    /* Flash invalidation takes what is not protected. */
    map_large(0x20000000, PHYS, 0, 5, MAS3_ALL);
    tlb_write(MAS0_TLB1 | MAS0_WAY(9), (struct tlb_entry){MAS1_VALID | MAS1_IPROT | MAS1_SIZE(5), 0x30000000,
                                                          (PHYS + 0x100000) | MAS3_ALL, 0});
    check(load_gives(0x20000010, 0, content(PHYS + 0x10)) &&
              load_gives(0x30000010, 0, content(PHYS + 0x100010)),
          "two large pages");
    tlb_flash(false, true);
    check(!load(0x20000010, 0) && missed(0x20000010), "flash invalidation of TLB1");
    check(load_gives(0x30000010, 0, content(PHYS + 0x100010)), "a protected entry stays");
    tlb_invalidate(0x30000000 | INVALIDATE_TLB1);
    tlb_invalidate(INVALIDATE_TLB1 | INVALIDATE_ALL);
    check(load_gives(0x30000010, 0, content(PHYS + 0x100010)), "a protected entry stays after tlbivax");
    /* Moved to other memory while it was in use. */
    tlb_write(MAS0_TLB1 | MAS0_WAY(9),
              (struct tlb_entry){MAS1_VALID | MAS1_SIZE(5), 0x30000000, (PHYS + 0x200000) | MAS3_SR, 0});
    check(load_gives(0x30000010, 0, content(PHYS + 0x200010)) && !store(0x30000010, 0, 1) &&
              run_context.vector == VECTOR_DSI,
          "a large page that moves");
    clear_all();
    /* Beside each other: all that the TLB has room for. */
    bool ok = true;
    for (unsigned slot = 0; slot < 14; slot++)
        map_large(0x20000000 + slot * 0x100000, PHYS + (13 - slot) * 0x100000, slot, 5, MAS3_ALL);
    for (unsigned round = 0; round < 3; round++)
        for (unsigned slot = 0; slot < 14; slot++)
            ok &= load_gives(0x20000000 + slot * 0x100000 + round * 0x40004, MSR_PR,
                             content(PHYS + (13 - slot) * 0x100000 + round * 0x40004));
    check(ok, "fourteen large pages");
    clear_all();
}

static void test_crossing(void) {
    static const uint32_t load_multiple[] = {0xbb850000},
                          store_multiple[] = {0xbf850000}; /* lmw/stmw r28, 0(r5) */
    const volatile uint8_t *bytes = (const volatile uint8_t *)PHYS;
    uint32_t across = PAGE - 2, expected = 0;

    for (unsigned i = 0; i < 4; i++)
        expected = expected << 8 | (i < 2 ? bytes[across + i] : bytes[PAGE * 4 + i - 2]);
    map_page(EA, PHYS, 0, MAS3_ALL);
    check(!load(EA + across, 0) && run_context.vector == VECTOR_DTLB && run_context.pc == CODE &&
              (run_context.dear & ~0xfffu) == EA + PAGE,
          "a load into a page that is not there");
    map_page(EA + PAGE, PHYS + 4 * PAGE, 0, MAS3_ALL);
    check(load_gives(EA + across, MSR_PR, expected), "a load across two pages");
    map_page(EA + PAGE, PHYS + 4 * PAGE, 0, MAS3_SR);
    *(volatile uint32_t *)(PHYS + PAGE - 4) = 0;
    check(!store(EA + across, 0, 0x11223344) && run_context.vector == VECTOR_DSI,
          "a store into a page to be read only");
    map_page(EA + PAGE, PHYS + 4 * PAGE, 0, MAS3_ALL);
    check(store(EA + across, 0, 0x11223344) && *(volatile uint16_t *)(PHYS + across) == 0x1122 &&
              *(volatile uint16_t *)(PHYS + 4 * PAGE) == 0x3344,
          "a store across two pages");

    tlb_invalidate(EA + PAGE);
    run_context.gpr[5] = EA + PAGE - 8;
    for (unsigned i = 28; i < 32; i++)
        run_context.gpr[i] = 0xaa000000 + i;
    check(!run_words(MSR_PR, store_multiple, 1) && run_context.vector == VECTOR_DTLB &&
              run_context.pc == CODE,
          "stmw into a page that is not there");
    map_page(EA + PAGE, PHYS + 4 * PAGE, 0, MAS3_ALL);
    check(run_words(MSR_PR, store_multiple, 1), "stmw across two pages");
    for (unsigned i = 28; i < 32; i++)
        run_context.gpr[i] = 0;
    bool ok = run_words(MSR_PR, load_multiple, 1);
    for (unsigned i = 28; i < 32; i++)
        ok &= run_context.gpr[i] == 0xaa000000 + i;
    check(ok, "lmw across two pages");
    for (uint32_t at = PHYS; at < PHYS + 5 * PAGE; at += 4)
        *(volatile uint32_t *)at = content(at);
    clear_all();
}

/* The UART's line status through a small page: physical addresses have 36 bits. */
static void test_device(void) {
    tlb_write(MAS0_WAY(0),
              (struct tlb_entry){MAS1_VALID | MAS1_SIZE(1), EA | 0x0a, 0xe0004000 | MAS3_UR | MAS3_SR, 0xf});
    run_context.gpr[5] = EA + 0x505;
    check(run_word(MSR_PR, 0x88c50000) && (run_context.gpr[6] & 0x20),
          "device memory in user mode"); /* lbz r6, 0(r5) */
    check(!store(EA + 0x504, MSR_PR, 0) && run_context.vector == VECTOR_DSI, "device memory to be read only");
    clear_all();
}

void test_pages(void) {
    test_overwrite();
    test_ways();
    test_large_pages();
    test_crossing();
    test_device();
}
