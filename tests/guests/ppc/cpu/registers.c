// SPDX-License-Identifier: Apache-2.0
// Special-purpose registers in supervisor mode: what is written to them is read again, and what they say of
// the CPU.
#include "tests/guests/ppc/cpu/cpu.h"
#include "tests/guests/ppc/runtime/guest.h"

#define SAVED_MSR 0x0202d230u /* bits that every MSR has: SPE, CE, EE, PR, ME, DE, IS, DS */

/* Bits that hold what is written; only these are written. */
static const struct {
    uint16_t first, last;
    uint32_t bits;
} kept[] = {
    {SPR_SRR0, SPR_SRR0, 0xfffffffc},
    {SPR_SRR1, SPR_SRR1, SAVED_MSR},
    {SPR_CSRR0, SPR_CSRR0, 0xfffffffc},
    {SPR_CSRR1, SPR_CSRR1, SAVED_MSR},
    {SPR_MCSRR0, SPR_MCSRR0, 0xfffffffc},
    {SPR_MCSRR1, SPR_MCSRR1, SAVED_MSR},
    {SPR_DEAR, SPR_DEAR, 0xffffffff},
    {SPR_ESR, SPR_ESR, ESR_PIL | ESR_PPR | ESR_PTR | ESR_ST},
    {SPR_IVPR, SPR_IVPR, 0xffff0000},
    {SPR_IVOR0, SPR_IVOR0 + 15, 0x0000fff0},
    {SPR_IVOR32, SPR_IVOR32 + 3, 0x0000fff0},
    {SPR_USPRG0, SPR_USPRG0, 0xffffffff},
    {SPR_SPRG0, SPR_SPRG0 + 7, 0xffffffff},
    {SPR_PID, SPR_PID, 0xff},
    {SPR_PID1, SPR_PID2, 0xff},
    {SPR_MAS0, SPR_MAS0, 0x100f0003},
    {SPR_MAS1, SPR_MAS1, 0xc0ff1f00},
    {SPR_MAS2, SPR_MAS2, 0xfffff01f},
    {SPR_MAS3, SPR_MAS3, 0xfffff3ff},
    {SPR_MAS4, SPR_MAS4, 0x10030f1f},
    {SPR_MAS6, SPR_MAS6, 0x00ff0001},
    {SPR_MAS7, SPR_MAS7, 0x0000000f},
    {312, 313, 0xffffffff},         /* IAC1, IAC2 */
    {316, 317, 0xffffffff},         /* DAC1, DAC2 */
    {SPR_TCR, SPR_TCR, 0xcfdfe000}, /* not WRC, which stays once it is set */
};

static bool keeps(unsigned number, uint32_t value) {
    /* The old value is put back by the same piece of code: an interrupt needs IVPR and the IVORs. */
    const uint32_t words[] = {OP_MFSPR(7, number), OP_MTSPR(number, 5), OP_ISYNC,
                              OP_MFSPR(6, number), OP_MTSPR(number, 7), OP_ISYNC};

    run_context.gpr[5] = value;
    return run_words(0, words, array_count(words));
}

void test_registers(void) {
    static const uint32_t patterns[] = {0xffffffff, 0xa5a5a5a5, 0x5a5a5a5a, 0};
    bool ok = true;

    for (unsigned i = 0; i < array_count(kept); i++)
        for (unsigned number = kept[i].first; number <= kept[i].last; number++)
            for (unsigned pattern = 0; pattern < array_count(patterns); pattern++) {
                uint32_t value = patterns[pattern] & kept[i].bits;
                bool done = keeps(number, value);
                ok &= check_quiet(done && (run_context.gpr[6] & kept[i].bits) == value,
                                  "register does not keep its value", number);
            }
    check(ok, "registers keep what is written");

    /* Written with what they hold: caches, branch prediction, debug control. */
    static const uint16_t quiet[] = {304, 308, 309, 310, 1008, 1009, 1010, 1011, 1013};
    ok = true;
    for (unsigned i = 0; i < array_count(quiet); i++) {
        const uint32_t words[] = {OP_MFSPR(5, quiet[i]), OP_MTSPR(quiet[i], 5), OP_ISYNC};
        ok &= check_quiet(run_words(0, words, array_count(words)), "register cannot be used", quiet[i]);
    }
    check(ok, "registers of caches and debugging can be used");

    check_equal(MFSPR(SPR_PVR) >> 16, 0x8021, "PVR: an e500v2");
    check_equal(MFSPR(SPR_PIR), 0, "PIR of the first CPU");
    uint32_t tlb0 = MFSPR(SPR_TLB0CFG), tlb1 = MFSPR(SPR_TLB1CFG);
    check(tlb0 >> 24 == 4 && (tlb0 & 0xfff) == 512, "TLB0CFG: 512 entries, 4 ways");
    check(tlb1 >> 24 == 16 && (tlb1 & 0xfff) == 16, "TLB1CFG: 16 entries, fully associative");
}
