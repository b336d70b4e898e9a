// SPDX-License-Identifier: Apache-2.0
// Random TLB entries and accesses through them: any physical address, but for writes to the guest's own code
// and to what ends its report (UART, power, reset).
#include "tests/guests/ppc/hostile/hostile.h"

#define BOARD     0xe0000000u /* with MAS7 = 0xf */
#define READ_ONLY (MAS3_SR | MAS3_SX | MAS3_UR | MAS3_UX)

static bool anywhere;

/* Any entry for address space 1; for space 0 none that lies over the runtime's two. */
static struct tlb_entry random_entry(bool large, uint32_t *ea) {
    unsigned size = large ? 1 + next() % 9 : 1, space = next() & 1;
    uint32_t bytes = 1024u << (2 * size), physical = next(), high = next() & 3 ? 0 : next() & 0xf;
    uint32_t rights = next() & 0x3ff;

    if (next() & 1)
        physical &= 0x07ffffff; /* where RAM may be */
    if (!(next() & 7)) {
        physical = BOARD | (next() & 0x1fffff);
        high = 0xf;
        size = size > 3 ? 3 : size;
        bytes = 1024u << (2 * size);
    }
    physical &= ~(bytes - 1) & ~0xfffu;
    if (high == 0 && physical < PHYS)
        physical += bytes > PHYS ? bytes : PHYS;
    if (high == 0xf)
        rights &= ~(MAS3_SW | MAS3_UW);
    /* QEMU 7.2's own machine gives up where code is fetched from what is no RAM; "anywhere" says that this is
     * another one. */
    if ((high || physical + bytes > 2 * PHYS) && !anywhere)
        rights &= ~(MAS3_SX | MAS3_UX);
    *ea = space ? next() : (1 + next() % 13) << 28 | (next() & 0x0fffffff);
    *ea &= ~0xfffu;
    return (struct tlb_entry){MAS1_VALID | (next() & 3 ? 0 : MAS1_IPROT) |
                                  (next() & 1 ? 0 : MAS1_TID(next() & 0xff)) | (space ? MAS1_TS : 0) |
                                  MAS1_SIZE(size),
                              *ea | (next() & 0x1f), physical | rights, high};
}

/* One access, wherever it goes. */
static void access(uint32_t ea, uint32_t msr) {
    static const uint32_t words[] = {0x88c50000, 0xa0c50000, 0x80c50000, 0x98c50000, 0xb0c50000, 0x90c50000,
                                     0xbb850000, 0xbf850000, 0x7cc02828, 0x7cc0292d, 0x7c002fec, 0x7c0028ac};

    run_context.gpr[5] = ea;
    run_word(msr, words[next() % array_count(words)]);
}

void random_tlb(void) {
    uint32_t known[16] = {0}, slot = 0;

    anywhere = guest_option("anywhere");
    for (unsigned run = 0; run < RUNS; run++) {
        bool large = next() & 1;
        uint32_t ea;
        const struct tlb_entry entry = random_entry(large, &ea);
        uint32_t pid = next() & 1 ? entry.mas1 >> 16 & 0xff : next() & 0xff;

        prepare();
        tlb_write(large ? MAS0_TLB1 | MAS0_WAY(2 + next() % 14) : MAS0_WAY(next() & 3), entry);
        known[slot++ & 15] = ea;
        MTSPR(SPR_PID, pid);
        for (unsigned i = 0; i < 4; i++) {
            ea = known[next() & 15] + (next() & 1 ? next() & 0xfff : 0);
            access(ea, MSR_EE | (next() & 1 ? MSR_PR : 0) | (entry.mas1 & MAS1_TS ? MSR_DS : 0));
        }
        switch (next() & 7) {
        case 0:
            tlb_invalidate(next());
            break;
        case 1:
            tlb_flash(next() & 1, next() & 1);
            break;
        case 2: /* code there, whatever it is: it cannot hurt in user mode */
            prepare();
            run_context.pc = known[next() & 15];
            run_context.msr = MSR_ME | MSR_EE | MSR_PR | MSR_IS | MSR_DS;
            run_enter();
            break;
        default:
            break;
        }
    }
    prepare();
    for (unsigned i = 2; i < 16; i++)
        tlb_write(MAS0_TLB1 | MAS0_WAY(i), (struct tlb_entry){0});
    tlb_flash(true, true);
    check(true, "random TLB entries");
}

/* Reads of all of the board's registers and of places around; writes of the interrupt controller's, the
 * message registers' and PCI's. */
static void board(void) {
    for (uint32_t offset = 0; offset < 0x200000; offset += next() & 7 ? 0x10 : 0x1000) {
        tlb_write(MAS0_WAY(0), (struct tlb_entry){MAS1_VALID | MAS1_SIZE(1), USER | 0x0a,
                                                  (BOARD + offset) | MAS3_SR | MAS3_SW | MAS3_UR, 0xf});
        bool writable = (offset >= 0x40000 && offset < 0x80000) || (offset >= 0x8000 && offset < 0x9000);
        uint32_t at = USER | (offset & 0xfff);
        static const uint32_t reads[] = {0x88c50000, 0xa0c50000, 0x80c50000, 0xbb850000},
                              writes[] = {0x98c50000, 0xb0c50000, 0x90c50000, 0xbf850000};
        prepare();
        run_context.gpr[5] = at;
        run_word(MSR_EE, reads[next() & 3]);
        if (writable) {
            prepare();
            run_context.gpr[5] = at;
            run_context.gpr[6] = next() & 1 ? next() : next() & 0xff;
            run_word(MSR_EE, writes[next() & 3]);
        }
    }
    check(true, "the board's registers");
}

void random_memory(void) {
    board();
    for (unsigned run = 0; run < RUNS; run++) {
        uint32_t physical = next() & ~0xfffu, high = next() & 1 ? 0 : next() & 0xf;

        if (high == 0xf && physical >= BOARD)
            high = 0xe;
        if (high == 0 && physical < PHYS)
            physical += PHYS;
        prepare();
        tlb_write(MAS0_WAY(0),
                  (struct tlb_entry){MAS1_VALID | MAS1_SIZE(1), USER, physical | MAS3_ALL, high});
        access(USER + (next() & 0xffc), MSR_EE | (next() & 1 ? MSR_PR : 0));
        tlb_invalidate(USER);
    }
    check(true, "random physical addresses");
}
