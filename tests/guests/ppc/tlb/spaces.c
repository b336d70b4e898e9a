// SPDX-License-Identifier: Apache-2.0
// Which entry an access finds: process IDs in three registers, and the two address spaces.
#include "tests/guests/ppc/tlb/tlb.h"

static bool sees(uint32_t ea, uint32_t msr, uint32_t physical) {
    return load_gives(ea, msr, content(physical));
}

static void test_pids(void) {
    static const uint16_t registers[] = {SPR_PID, SPR_PID1, SPR_PID2};
    static const char *const names[] = {"PID0", "PID1", "PID2"};

    tlb_write(MAS0_WAY(0), page_entry(EA, PHYS, 5, 0, MAS3_ALL));
    tlb_write(MAS0_WAY(1), page_entry(EA, PHYS + PAGE, 6, 0, MAS3_ALL));
    for (unsigned i = 0; i < array_count(registers); i++) {
        const uint32_t set[] = {OP_MTSPR(registers[i], 5), OP_ISYNC};

        run_context.gpr[5] = 5;
        run_words(0, set, 2);
        check(sees(EA, 0, PHYS) && sees(EA, MSR_PR, PHYS), names[i]);
        run_context.gpr[5] = 6;
        run_words(0, set, 2);
        check(sees(EA, 0, PHYS + PAGE) && sees(EA, MSR_PR, PHYS + PAGE), "another PID");
        run_context.gpr[5] = 7;
        run_words(0, set, 2);
        check(!load(EA, 0) && missed(EA), "a PID without an entry");
        run_context.gpr[5] = 0;
        run_words(0, set, 2);
        check(!load(EA, MSR_PR) && missed(EA), "PID 0");
    }
    /* Two PIDs at once, and an entry for all. */
    tlb_write(MAS0_WAY(1), page_entry(EA + SET_STRIDE, PHYS + PAGE, 6, 0, MAS3_ALL));
    tlb_write(MAS0_WAY(2), page_entry(EA + 2 * SET_STRIDE, PHYS + 2 * PAGE, 0, 0, MAS3_ALL));
    MTSPR(SPR_PID, 5);
    MTSPR(SPR_PID2, 6);
    check(sees(EA, 0, PHYS) && sees(EA + SET_STRIDE, 0, PHYS + PAGE) &&
              sees(EA + 2 * SET_STRIDE, 0, PHYS + 2 * PAGE),
          "two PIDs at once");
    for (unsigned pid = 1; pid < 256; pid += 51) {
        MTSPR(SPR_PID, pid);
        check(sees(EA + 2 * SET_STRIDE, MSR_PR, PHYS + 2 * PAGE), "an entry for all PIDs");
    }
    /* Every PID with a page of its own at the same address, in turns: more than a machine has to give. */
    bool ok = true;
    MTSPR(SPR_PID2, 0);
    for (unsigned round = 0; round < 3; round++)
        for (unsigned pid = 1; pid < 256; pid++) {
            MTSPR(SPR_PID, pid);
            if (!load(EA + PAGE, MSR_PR))
                tlb_write(MAS0_WAY(pid & 3), page_entry(EA + PAGE, PHYS + pid * PAGE, pid, 0, MAS3_ALL));
            ok &= check_quiet(sees(EA + PAGE, MSR_PR, PHYS + pid * PAGE), "a page of each PID", pid);
        }
    check(ok, "255 PIDs, each with a page of its own");
    clear_all();
}

static void test_address_spaces(void) {
    tlb_write(MAS0_WAY(0), page_entry(EA, PHYS, 0, 0, MAS3_ALL));
    tlb_write(MAS0_WAY(1), page_entry(EA, PHYS + PAGE, 0, 1, MAS3_ALL));
    for (unsigned user = 0; user < 2; user++) {
        uint32_t msr = user ? MSR_PR : 0;

        check(sees(EA, msr, PHYS), user ? "address space 0, user mode" : "address space 0");
        check(sees(EA, msr | MSR_DS, PHYS + PAGE), user ? "address space 1, user mode" : "address space 1");
    }
    check(!load(EA + PAGE, MSR_DS) && missed(EA + PAGE) && (run_context.mas[1] & MAS1_TS) &&
              (run_context.mas[6] & 1),
          "a miss in address space 1");

    /* Code there: nothing but the page itself is mapped, and interrupts come back to space 0. */
    code_write(PHYS + 2 * PAGE, NULL, 0);
    tlb_write(MAS0_WAY(2), page_entry(EA + SET_STRIDE, PHYS + 2 * PAGE, 0, 1, MAS3_ALL));
    check(execute(EA + SET_STRIDE, MSR_IS) && execute(EA + SET_STRIDE, MSR_IS | MSR_DS | MSR_PR),
          "code in address space 1");
    check_equal(run_context.msr, MSR_IS | MSR_DS | MSR_PR | MSR_ME, "SRR1 from address space 1");
    check(!execute(EA + SET_STRIDE, 0) && run_context.vector == VECTOR_ITLB,
          "that code from address space 0");
    check(!execute(CODE, MSR_IS) && run_context.vector == VECTOR_ITLB && run_context.pc == CODE &&
              (run_context.mas[1] & MAS1_TS),
          "code of address space 0 from address space 1");
    /* Code in one space, data in the other. */
    static const uint32_t words[] = {OP_LWZ(6, 5)};
    code_write(PHYS + 2 * PAGE, words, 1);
    run_context.gpr[5] = EA;
    run_context.pc = EA + SET_STRIDE;
    run_context.msr = MSR_IS | MSR_ME;
    run_enter();
    check_equal(run_context.gpr[6], content(PHYS), "code of space 1, data of space 0");
    code_write(CODE, words, 1);
    run_context.gpr[5] = EA;
    run_context.pc = CODE;
    run_context.msr = MSR_DS | MSR_ME;
    run_enter();
    check_equal(run_context.gpr[6], content(PHYS + PAGE), "code of space 0, data of space 1");
    /* mtmsr switches the data space. */
    static const uint32_t change[] = {OP_MTMSR(7), OP_ISYNC, OP_LWZ(6, 5),
                                      OP_MTMSR(8), OP_ISYNC, OP_LWZ(9, 5)};
    run_context.gpr[7] = MSR_ME | MSR_DS;
    run_context.gpr[8] = MSR_ME;
    run_context.gpr[5] = EA;
    check(run_words(0, change, array_count(change)) && run_context.gpr[6] == content(PHYS + PAGE) &&
              run_context.gpr[9] == content(PHYS),
          "mtmsr switches the data space");
    for (uint32_t at = PHYS + 2 * PAGE; at < PHYS + 3 * PAGE; at += 4)
        *(volatile uint32_t *)at = content(at);
    clear_all();
}

void test_spaces(void) {
    test_pids();
    test_address_spaces();
}
