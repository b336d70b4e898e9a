// SPDX-License-Identifier: Apache-2.0
// Every combination of rights, for loads, stores and fetches of supervisor and user mode.
#include "tests/guests/ppc/tlb/tlb.h"

#define TRAP_PAGE (PHYS + PAGE)

static bool data_denied(uint32_t ea, uint32_t msr, uint32_t esr) {
    return run_context.vector == VECTOR_DSI && run_context.pc == CODE && run_context.dear == ea &&
           run_context.esr == esr && run_context.msr == (msr | MSR_ME);
}

static bool one(uint32_t rights, bool user) {
    uint32_t msr = user ? MSR_PR : 0;
    bool read = rights & (user ? MAS3_UR : MAS3_SR), write = rights & (user ? MAS3_UW : MAS3_SW);
    bool run = rights & (user ? MAS3_UX : MAS3_SX), ok = true;

    ok &= read ? load_gives(EA + 0x100, msr, content(PHYS + 0x100))
               : !load(EA + 0x100, msr) && data_denied(EA + 0x100, msr, 0);
    *(volatile uint32_t *)(PHYS + 0x200) = 1;
    ok &= write ? store(EA + 0x200, msr, 0x600d600d)
                : !store(EA + 0x200, msr, 0xbad) && data_denied(EA + 0x200, msr, ESR_ST);
    ok &= *(volatile uint32_t *)(PHYS + 0x200) == (write ? 0x600d600d : 1);
    if (run)
        ok &= execute(EA + PAGE, msr);
    else
        ok &= !execute(EA + PAGE, msr) && run_context.vector == VECTOR_ISI && run_context.pc == EA + PAGE &&
              run_context.msr == (msr | MSR_ME);
    return ok;
}

void test_rights(void) {
    bool small = true, large = true;

    code_write(TRAP_PAGE, NULL, 0);
    for (uint32_t rights = 0; rights < 64; rights++) {
        map_page(EA, PHYS, 1, rights);
        map_page(EA + PAGE, TRAP_PAGE, 1, rights);
        small &= check_quiet(one(rights, false), "rights of supervisor mode", rights);
        small &= check_quiet(one(rights, true), "rights of user mode", rights);
    }
    check(small, "rights of a page in TLB0");
    clear_all();
    for (uint32_t rights = 0; rights < 64; rights++) {
        map_large(EA, PHYS, 3, 5, rights);
        large &= check_quiet(one(rights, false), "rights of supervisor mode, large page", rights);
        large &= check_quiet(one(rights, true), "rights of user mode, large page", rights);
    }
    check(large, "rights of a page in TLB1");
    clear_all();

    /* dcbz is a store; the others need what a load does. */
    map_page(EA, PHYS, 0, MAS3_SR | MAS3_UR);
    run_context.gpr[5] = EA + 0x300;
    run_word(MSR_PR, 0x7c002fec);
    check(data_denied(EA + 0x300, MSR_PR, ESR_ST), "dcbz of a page that is to be read only");
    static const struct {
        uint32_t word;
        const char *name;
    } cache[] = {{0x7c00286c, "dcbst"}, {0x7c0028ac, "dcbf"}, {0x7c002a2c, "dcbt"}, {0x7c002fac, "icbi"}};
    for (unsigned i = 0; i < array_count(cache); i++)
        check(run_word(MSR_PR, cache[i].word), cache[i].name);
    map_page(EA, PHYS, 0, MAS3_SR | MAS3_SW | MAS3_UR | MAS3_UW);
    check(run_word(MSR_PR, 0x7c002fec) && *(volatile uint32_t *)(PHYS + 0x300) == 0, "dcbz");
    *(volatile uint32_t *)(PHYS + 0x200) = content(PHYS + 0x200);
    for (uint32_t at = PHYS + 0x300; at < PHYS + 0x340; at += 4)
        *(volatile uint32_t *)at = content(at);
    *(volatile uint32_t *)TRAP_PAGE = content(TRAP_PAGE);
    clear_all();
}
