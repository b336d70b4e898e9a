// SPDX-License-Identifier: Apache-2.0
// Synchronous interrupts: system call, trap, alignment, unavailable units; the MSR instructions, and rfi,
// rfci and rfmci.
#include "tests/guests/ppc/cpu/cpu.h"
#include "tests/guests/ppc/runtime/guest.h"

#define TARGET (CODE + 0x400) /* where returns go */

static bool took(unsigned vector, uint32_t pc, uint32_t msr) {
    return run_context.vector == vector && run_context.pc == pc && run_context.msr == (msr | MSR_ME);
}

static void test_calls(void) {
    for (unsigned user = 0; user < 2; user++) {
        uint32_t msr = user ? MSR_PR : 0;

        run_word(msr, OP_SC);
        check(took(VECTOR_SYSTEM_CALL, CODE + 4, msr), user ? "sc in user mode" : "sc in supervisor mode");
        run_word(msr, 0x7c842808); /* tw 4, r4, r5: if equal */
        run_context.gpr[4] = run_context.gpr[5] = 7;
        run_word(msr, 0x7c842808);
        check(took(VECTOR_PROGRAM, CODE, msr) && run_context.esr == ESR_PTR, user ? "tw in user mode" : "tw");
        run_context.gpr[4] = 6;
        check(run_word(msr, 0x7c842808), "tw whose condition does not hold");
        check(run_word(msr, 0x0e040006) && run_word(msr, 0x0c840005), "twi whose condition does not hold");
        run_context.gpr[5] = 5;
        run_word(msr, 0x0c850005); /* twi 4, r5, 5 */
        check(took(VECTOR_PROGRAM, CODE, msr) && run_context.esr == ESR_PTR, "twi");
    }
}

static void test_msr(void) {
    static const uint32_t words[] = {OP_MFMSR(5), OP_WRTEEI(0), OP_MFMSR(6), OP_WRTEE(4),
                                     OP_MFMSR(7), OP_MTMSR(8),  OP_ISYNC,    OP_MFMSR(9)};

    run_context.gpr[4] = MSR_EE | MSR_PR; /* of which wrtee takes EE alone */
    run_context.gpr[8] = MSR_ME | MSR_CE | MSR_SPE;
    MTSPR(SPR_TCR, 0);
    bool ok = run_words(MSR_EE | MSR_CE, words, array_count(words));
    check(ok, "instructions of the MSR");
    check_equal(run_context.gpr[5], MSR_EE | MSR_CE | MSR_ME, "mfmsr");
    check_equal(run_context.gpr[6], MSR_CE | MSR_ME, "wrteei 0");
    check_equal(run_context.gpr[7], MSR_EE | MSR_CE | MSR_ME, "wrtee");
    check_equal(run_context.gpr[9], MSR_CE | MSR_SPE | MSR_ME, "mtmsr");
    check_equal(run_context.msr, MSR_SPE | MSR_ME, "SRR1 after mtmsr");

    /* The switch to user mode by mtmsr takes effect with what follows. */
    static const uint32_t drop[] = {OP_MTMSR(8), OP_ISYNC, OP_MFMSR(5)};
    run_context.gpr[8] = MSR_ME | MSR_PR;
    run_words(0, drop, array_count(drop));
    check(took(VECTOR_PROGRAM, CODE + 8, MSR_PR) && run_context.esr == ESR_PPR, "mtmsr to user mode");
}

static void test_returns(void) {
    static const uint32_t sc[] = {OP_SC};
    static const struct {
        uint16_t save0;
        uint32_t word;
        const char *name, *user;
    } kinds[] = {
        {SPR_SRR0, OP_RFI, "rfi", "rfi to user mode"},
        {SPR_CSRR0, OP_RFCI, "rfci", "rfci to user mode"},
        {SPR_MCSRR0, OP_RFMCI, "rfmci", "rfmci to user mode"},
    };

    for (unsigned i = 0; i < array_count(kinds) - !exact; i++)
        for (unsigned user = 0; user < 2; user++) {
            const uint32_t words[] = {OP_MTSPR(kinds[i].save0, 5), OP_MTSPR(kinds[i].save0 + 1, 6),
                                      kinds[i].word};
            uint32_t msr = user ? MSR_PR | MSR_CE : MSR_CE;

            code_write(TARGET, sc, 1);
            run_context.gpr[5] = TARGET;
            run_context.gpr[6] = msr | MSR_ME;
            run_words(0, words, array_count(words));
            check(took(VECTOR_SYSTEM_CALL, TARGET + 4, msr), user ? kinds[i].user : kinds[i].name);
        }
}

static void test_units(void) {
    /* evxor r5, r5, r5 without MSR[SPE]; then with it. */
    run_word(0, 0x10a52a16);
    check(took(VECTOR_SPE, CODE, 0) && run_context.esr == ESR_SPV, "SPE unavailable");
    run_word(MSR_PR, 0x10a52a16);
    check(took(VECTOR_SPE, CODE, MSR_PR), "SPE unavailable in user mode");
    run_context.gpr[5] = 99;
    run_word(MSR_SPE, 0x10a52a16);
    check(shared ? took(VECTOR_SPE, CODE, MSR_SPE)
                 : run_context.vector == VECTOR_PROGRAM && run_context.gpr[5] == 0,
          "SPE with MSR[SPE]");
    run_word(0, 0xfc22182a); /* fadd f1, f2, f3: no such unit */
    check(took(VECTOR_PROGRAM, CODE, 0), "floating point is illegal");
    run_context.gpr[4] = CODE + 0x802;
    run_word(0, 0x7ca02028); /* lwarx r5, 0, r4 */
    check(took(VECTOR_ALIGNMENT, CODE, 0), "lwarx across words");
    check_equal(run_context.dear, CODE + 0x802, "DEAR of an alignment interrupt");
}

/* A loop of interrupts: nothing of a program is lost by them. */
static void test_kept(void) {
    static const uint32_t words[] = {OP_SC, 0x00000000, OP_MFSPR(31, 48), OP_TRAP, OP_SC};
    bool ok = true;

    for (unsigned round = 0; round < 200; round++) {
        code_write(CODE, words, array_count(words));
        for (unsigned i = 0; i < 32; i++)
            run_context.gpr[i] = round * 0x9e3779b9 + i;
        run_context.cr = ~(round * 0x01234567);
        run_context.lr = round;
        run_context.ctr = round << 16;
        run_context.xer = 0x20000000;
        run_context.pc = CODE;
        run_context.msr = MSR_PR | MSR_ME;
        for (unsigned step = 0; step < array_count(words); step++) {
            run_enter();
            ok &= run_context.pc == CODE + 4 * step + (words[step] == OP_SC ? 4 : 0);
            run_context.pc = CODE + 4 * (step + 1);
        }
        for (unsigned i = 0; i < 32; i++)
            ok &= run_context.gpr[i] == round * 0x9e3779b9 + i;
        ok &= run_context.cr == ~(round * 0x01234567) && run_context.lr == round &&
              run_context.ctr == round << 16 && run_context.xer == 0x20000000;
    }
    check(ok, "interrupts keep every register");
}

void test_interrupts(void) {
    test_calls();
    test_msr();
    test_returns();
    test_units();
    test_kept();
}
