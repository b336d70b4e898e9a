// SPDX-License-Identifier: Apache-2.0
// What a kernel does most often, in supervisor mode and with every general register: moves from and to
// special-purpose registers and MSR, MSR[EE], rfi and sc. Nothing but what is named may change.
#include "tests/guests/ppc/cpu/cpu.h"
#include "tests/guests/ppc/runtime/guest.h"

#define SPRG3_USER 259

/* Registers whose bits can all be written, and read back. SRR0 and 1 change with each interrupt. */
static const uint16_t plain[] = {SPR_DEAR,      SPR_SPRG0,     SPR_SPRG0 + 1, SPR_SPRG0 + 2, SPR_SPRG0 + 3,
                                 SPR_SPRG0 + 4, SPR_SPRG0 + 5, SPR_SPRG0 + 6, SPR_SPRG0 + 7};

static void fill(uint32_t salt) {
    for (unsigned i = 0; i < 32; i++)
        run_context.gpr[i] = (i + 1) * 0x01010101u ^ salt;
    run_context.cr = 0x87654321 ^ salt;
    run_context.lr = 0xbeef0000 ^ salt;
    run_context.ctr = 0xaaaa5555 ^ salt;
    run_context.xer = 0xe0000000 | (salt & 0x7f);
}

/* All but r`changed` (32: none) are as fill() made them. */
static bool kept(uint32_t salt, unsigned changed) {
    for (unsigned i = 0; i < 32; i++)
        if (i != changed && run_context.gpr[i] != ((i + 1) * 0x01010101u ^ salt))
            return false;
    return run_context.cr == (0x87654321 ^ salt) && run_context.lr == (0xbeef0000 ^ salt) &&
           run_context.ctr == (0xaaaa5555 ^ salt) && run_context.xer == (0xe0000000 | (salt & 0x7f));
}

/* Runs words to their trap in supervisor mode; true: they came there and nothing but r`changed` is another.
 */
static bool runs(uint32_t msr, uint32_t salt, unsigned changed, const uint32_t *words, unsigned count) {
    fill(salt);
    return run_words(msr, words, count) && kept(salt, changed);
}

static void test_special(void) {
    bool ok = true;
    for (unsigned i = 0; i < array_count(plain); i++) {
        for (unsigned r = 0; r < 32; r++) {
            /* Read before the next interrupt: the runtime uses some of them itself. */
            unsigned other = (r + 7) % 32;
            uint32_t salt = 0x10000u * i + r, words[] = {OP_MTSPR(plain[i], r), OP_MFSPR(other, plain[i])};
            ok &= check_quiet(runs(0, salt, other, words, 2) &&
                                  run_context.gpr[other] == ((r + 1) * 0x01010101u ^ salt),
                              "mtspr, mfspr", (uint32_t)plain[i] << 8 | r);
        }
    }
    check(ok, "moves to and from special-purpose registers");

    ok = true;
    for (unsigned r = 0; r < 32; r++) {
        /* Read before the next interrupt comes. The two low bits do not count: QEMU 7.2 keeps them. */
        uint32_t words[] = {OP_MTSPR(SPR_SRR0, r), OP_MFSPR(r, SPR_SRR0)};
        ok &= check_quiet(
            runs(0, r, r, words, 2) && !((run_context.gpr[r] ^ (r + 1) * 0x01010101u ^ r) & ~3u), "SRR0", r);
        words[0] = OP_MTSPR(SPR_SPRG0 + 3, r);
        words[1] = OP_MFSPR(r, SPRG3_USER);
        ok &= check_quiet(runs(0, r, r, words, 2) && run_context.gpr[r] == ((r + 1) * 0x01010101u ^ r),
                          "SPRG3 as user mode reads it", r);
    }
    check(ok, "SRR0 and the user's SPRG3");
}

static void test_msr(void) {
    bool ok = true;
    for (unsigned r = 0; r < 32; r++) {
        uint32_t words[] = {OP_MFMSR(r), 0};
        ok &= check_quiet(runs(0, r, r, words, 1) && run_context.gpr[r] == MSR_ME, "mfmsr", r);
        /* The register's own EE decides; no other bit counts. */
        uint32_t salt = r & 1 ? MSR_EE : 0;
        bool set = (((r + 1) * 0x01010101u ^ salt) & MSR_EE) != 0;
        words[0] = OP_WRTEE(r);
        ok &= check_quiet(runs(0, salt, 32, words, 1) && run_context.msr == (MSR_ME | (set ? MSR_EE : 0)),
                          "wrtee", r);
    }
    uint32_t on[] = {OP_WRTEEI(1)}, both[] = {OP_WRTEEI(1), OP_WRTEEI(0)};
    ok &= check_quiet(runs(0, 1, 32, on, 1) && run_context.msr == (MSR_ME | MSR_EE), "wrteei", 1);
    ok &= check_quiet(runs(MSR_EE, 2, 32, both, 2) && run_context.msr == MSR_ME, "wrteei", 0);
    check(ok, "MSR and MSR[EE]");
}

/* To the word behind it, in each of the two modes, with every condition register and carry as it was. */
static void test_return(void) {
    static const uint32_t modes[] = {0, MSR_EE, MSR_PR, MSR_PR | MSR_EE};
    bool ok = true;

    for (unsigned i = 0; i < array_count(modes); i++) {
        uint32_t words[] = {OP_MTSPR(SPR_SRR0, 3), OP_MTSPR(SPR_SRR1, 4), OP_RFI, OP_TRAP};
        fill(i);
        run_context.gpr[3] = CODE + 12;
        run_context.gpr[4] = MSR_ME | modes[i];
        bool there = run_words(0, words, 4) || run_context.pc == CODE + 12;
        run_context.gpr[3] = 4 * 0x01010101u ^ i;
        run_context.gpr[4] = 5 * 0x01010101u ^ i;
        ok &= check_quiet(there && run_context.msr == (MSR_ME | modes[i]) && kept(i, 32), "rfi", modes[i]);
    }
    uint32_t call[] = {OP_SC};
    for (unsigned i = 0; i < array_count(modes); i++) {
        fill(i);
        run_words(modes[i], call, 1);
        ok &= check_quiet(run_context.vector == VECTOR_SYSTEM_CALL && run_context.pc == CODE + 4 &&
                              run_context.msr == (MSR_ME | modes[i]) && kept(i, 32),
                          "sc", modes[i]);
    }
    check(ok, "rfi and sc");
}

void test_moves(void) {
    test_special();
    test_msr();
    test_return();
}
