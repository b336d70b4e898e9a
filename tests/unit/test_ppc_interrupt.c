// SPDX-License-Identifier: Apache-2.0
// A guest's interrupts: what taking one does to each register, masking, priorities, external proxy, the
// checkstop.
// unit-sources: arch/ppc/guest/interrupt.c arch/ppc/guest/clock.c arch/ppc/guest/magic.c arch/ppc/guest/tlb.c
// unit-sources: arch/ppc/guest/shadow.c arch/ppc/guest/shadow_cpu.c
#include "ppc_cpu_fixture.h"
#include "arch/ppc/guest/clock.h"
#include "arch/ppc/guest/magic.h"
#include "arch/ppc/guest/shadow.h"

#define PC 0x00003004u

static int start(void **context) {
    (void)context;
    fixture_init();
    clock_guest_create(vcpu0());
    assert_int_equal(shadow_create(vcpu0()), 0);
    state0()->registers.pc = PC;
    state0()->ivpr = 0xc0010000;
    for (unsigned i = 0; i < PPC_IVOR_COUNT; i++)
        state0()->ivor[i] = 0x100 + (i << 4);
    return shadow_load(vcpu0());
}

static int stop(void **context) {
    (void)context;
    magic_destroy(vcpu0());
    shadow_destroy(vcpu0());
    return 0;
}

#define MSR_MANY (MSR_UCLE | MSR_SPE | MSR_WE | MSR_CE | MSR_EE | MSR_PR | MSR_ME | MSR_DE | MSR_IS | MSR_DS)

static uint32_t vector_of(unsigned ivor) {
    return 0xc0010100 + ((ivor < 16 ? ivor : ivor - 16) << 4);
}

static void test_normal(void **context) {
    (void)context;
    static const unsigned each[] = {IVOR_SYSTEM_CALL, IVOR_EXTERNAL, IVOR_SPE_UNAVAILABLE, IVOR_SPE_FP_ROUND};
    for (unsigned i = 0; i < array_count(each); i++) {
        state0()->registers.pc = PC;
        state0()->msr = MSR_MANY;
        state0()->activity = PPC_WAITING;
        guest_interrupt(vcpu0(), each[i]);
        assert_int_equal(state0()->srr0, PC);
        assert_int_equal(state0()->srr1, MSR_MANY);
        assert_int_equal(state0()->msr, MSR_CE | MSR_ME | MSR_DE);
        assert_int_equal(state0()->registers.pc, vector_of(each[i]));
        assert_int_equal(state0()->activity, PPC_RUNNING);
    }
    assert_int_equal(state0()->csrr0 | state0()->mcsrr0 | state0()->esr | state0()->dear, 0);
}

static void test_syndromes(void **context) {
    (void)context;
    state0()->msr = MSR_PR;
    guest_interrupt_program(vcpu0(), ESR_PTR);
    assert_int_equal(state0()->esr, ESR_PTR);
    assert_int_equal(state0()->registers.pc, vector_of(IVOR_PROGRAM));
    state0()->registers.pc = PC;
    guest_interrupt_data(vcpu0(), IVOR_DATA_STORAGE, ESR_ST, 0x1234);
    assert_int_equal(state0()->esr, ESR_ST);
    assert_int_equal(state0()->dear, 0x1234);
    assert_int_equal(state0()->registers.pc, vector_of(IVOR_DATA_STORAGE));
    assert_int_equal(state0()->mas[1], 0);
    /* TLB errors set the MAS registers, by the space of the access. */
    state0()->registers.pc = PC;
    state0()->msr = MSR_DS;
    state0()->pid[0] = 4;
    guest_interrupt_data_tlb(vcpu0(), 0, 0x55555555);
    assert_int_equal(state0()->esr, 0);
    assert_int_equal(state0()->dear, 0x55555555);
    assert_int_equal(state0()->mas[1], MAS1_V | MAS1_TID(4) | MAS1_TS);
    assert_int_equal(state0()->mas[2], 0x55555000);
    assert_int_equal(state0()->registers.pc, vector_of(IVOR_DATA_TLB));
    state0()->registers.pc = PC;
    state0()->msr = MSR_DS;
    guest_interrupt_inst_tlb(vcpu0());
    assert_int_equal(state0()->mas[1], MAS1_V | MAS1_TID(4));
    assert_int_equal(state0()->mas[2], PC & 0xfffff000);
    assert_int_equal(state0()->dear, 0x55555555); /* not a fetch's */
    assert_int_equal(state0()->registers.pc, vector_of(IVOR_INST_TLB));
}

static void test_machine_check(void **context) {
    (void)context;
    state0()->msr = MSR_MANY;
    guest_machine_check(vcpu0(), MCSR_BUS_RAERR, 0x777);
    assert_int_equal(state0()->msr, 0);
    assert_int_equal(state0()->mcsrr0, PC);
    assert_int_equal(state0()->mcsrr1, MSR_MANY);
    assert_int_equal(state0()->mcsr, MCSR_BUS_RAERR);
    assert_int_equal(state0()->mcar, 0x777);
    assert_int_equal(state0()->registers.pc, vector_of(IVOR_MACHINE_CHECK));
    assert_false(fixture.crashed);
    /* A second one inside the handler stops the CPU. */
    guest_machine_check(vcpu0(), MCSR_BUS_WAERR, 0x888);
    assert_true(fixture.crashed);
    assert_non_null(strstr(fixture.text, "checkstop"));
    assert_int_equal(state0()->mcar, 0x777);
}

static void test_external(void **context) {
    (void)context;
    vcpu0()->external = 1;
    guest_interrupts_update(vcpu0());
    assert_int_equal(state0()->registers.pc, PC); /* EE is off */
    assert_int_equal(vcpu0()->slow, PPC_SLOW_MASKED);
    assert_false(guest_interrupt_ready(vcpu0()));
    state0()->msr = MSR_EE;
    assert_true(guest_interrupt_ready(vcpu0()));
    guest_interrupts_update(vcpu0());
    assert_int_equal(state0()->registers.pc, vector_of(IVOR_EXTERNAL));
    assert_int_equal(fixture.acknowledged, 0);
    /* The line is still up: it waits for EE. */
    assert_int_equal(vcpu0()->slow, PPC_SLOW_MASKED);
    /* With external proxy the vector is taken with the interrupt. */
    fixture.core_int = true;
    fixture.vector = 0x2a;
    state0()->msr = MSR_EE;
    guest_interrupts_update(vcpu0());
    assert_int_equal(fixture.acknowledged, 1);
    assert_int_equal(state0()->epr, 0x2a);
    assert_int_equal(vcpu0()->slow, 0);
}

static void test_priorities(void **context) {
    (void)context;
    state0()->tsr = TSR_WIS | TSR_FIS | TSR_DIS | TSR_ENW;
    state0()->tcr = TCR_WIE | TCR_FIE | TCR_DIE;
    vcpu0()->external = 1;
    /* External first; then, since CE stays, the watchdog on top of it. */
    state0()->msr = MSR_EE | MSR_CE;
    guest_interrupts_update(vcpu0());
    assert_int_equal(state0()->srr0, PC);
    assert_int_equal(state0()->csrr0, vector_of(IVOR_EXTERNAL));
    assert_int_equal(state0()->csrr1, MSR_CE);
    assert_int_equal(state0()->registers.pc, vector_of(IVOR_WATCHDOG));
    assert_int_equal(state0()->msr, 0);
    /* The watchdog by CE alone, the others by EE alone. */
    vcpu0()->external = 0;
    state0()->msr = MSR_CE | MSR_ME | MSR_DE;
    guest_interrupts_update(vcpu0());
    assert_int_equal(state0()->registers.pc, vector_of(IVOR_WATCHDOG));
    assert_int_equal(state0()->msr, MSR_ME);
    state0()->msr = MSR_EE;
    guest_interrupts_update(vcpu0());
    assert_int_equal(state0()->registers.pc, vector_of(IVOR_FIXED_TIMER));
    state0()->tsr = TSR_DIS;
    state0()->msr = MSR_EE;
    guest_interrupts_update(vcpu0());
    assert_int_equal(state0()->registers.pc, vector_of(IVOR_DECREMENTER));
    /* Not enabled: not pending. */
    state0()->tcr = 0;
    state0()->msr = MSR_EE | MSR_CE;
    assert_false(guest_interrupt_ready(vcpu0()));
    guest_interrupts_update(vcpu0());
    assert_int_equal(vcpu0()->slow, 0);
}

static void test_waiting(void **context) {
    (void)context;
    state0()->hid0 = HID0_NAP;
    guest_msr_set(vcpu0(), MSR_WE | MSR_EE);
    assert_int_equal(state0()->activity, PPC_WAITING);
    state0()->tcr = TCR_DIE;
    clock_dec_write(vcpu0(), 100);
    assert_false(guest_interrupt_ready(vcpu0()));
    guest_interrupts_update(vcpu0());
    assert_int_equal(state0()->activity, PPC_WAITING);
    fixture.timebase += 100;
    assert_true(guest_interrupt_ready(vcpu0()));
    assert_int_equal(state0()->tsr, 0); /* looking changes nothing */
    guest_interrupts_update(vcpu0());
    assert_int_equal(state0()->activity, PPC_RUNNING);
    assert_int_equal(state0()->srr1, MSR_WE | MSR_EE);
    assert_int_equal(state0()->msr, 0);
}

static void test_magic_critical(void **context) {
    (void)context;
    assert_int_equal(magic_map(vcpu0(), 0xfffff000, 0xfffff000), 0);
    magic_touched(vcpu0());
    state0()->msr = MSR_EE;
    state0()->registers.gpr[1] = 0xc0abcde0;
    vcpu0()->external = 1;
    fixture.heap_page[28] = 0xc0;
    fixture.heap_page[29] = 0xab;
    fixture.heap_page[30] = 0xcd;
    fixture.heap_page[31] = 0xe0;
    assert_true(magic_critical(vcpu0()));
    guest_interrupts_update(vcpu0());
    assert_int_equal(state0()->registers.pc, PC);
    assert_int_equal(vcpu0()->slow, PPC_SLOW_MASKED | PPC_SLOW_MAGIC);
    magic_enter(vcpu0());
    assert_int_equal(fixture.heap_page[103], 1); /* the guest is told */
    state0()->registers.gpr[1] += 16;
    guest_interrupts_update(vcpu0());
    assert_int_equal(state0()->registers.pc, vector_of(IVOR_EXTERNAL));
    /* The watchdog has to wait as well. */
    state0()->registers.gpr[1] -= 16;
    state0()->registers.pc = PC;
    state0()->msr = MSR_CE;
    state0()->tcr = TCR_WIE;
    state0()->tsr = TSR_WIS;
    vcpu0()->external = 0;
    guest_interrupts_update(vcpu0());
    assert_int_equal(state0()->registers.pc, PC);
    assert_int_equal(vcpu0()->slow, PPC_SLOW_MASKED | PPC_SLOW_MAGIC);
    state0()->registers.gpr[1] += 16;
    guest_interrupts_update(vcpu0());
    assert_int_equal(state0()->registers.pc, vector_of(IVOR_WATCHDOG));
}

static void test_magic_fields(void **context) {
    (void)context;
    assert_int_equal(magic_map(vcpu0(), 0xfffff000, 0xfffff000), 0);
    magic_touched(vcpu0());
    for (unsigned i = 0; i < 8; i++)
        state0()->sprg[i] = 0x1000 + i;
    state0()->srr0 = 0x2000;
    state0()->srr1 = MSR_EE;
    state0()->dear = 0x3000;
    state0()->msr = MSR_ME;
    state0()->esr = ESR_ST;
    state0()->mas[2] = 0x10005004;
    struct ppc_vcpu_state before = *state0();
    magic_enter(vcpu0());
    magic_exit(vcpu0());
    assert_memory_equal(state0(), &before, sizeof(before));
    /* The guest's kernel writes: registers take it, but MSR's bits that need a trap, and bits that are none.
     */
    memset(fixture.heap_page, 0xff, 4096);
    magic_exit(vcpu0());
    assert_int_equal(state0()->sprg[7], 0xffffffff);
    assert_int_equal(state0()->srr0, 0xfffffffc);
    assert_int_equal(state0()->msr, MSR_ME | MSR_CE | MSR_EE);
    assert_int_equal(state0()->mas[0], GUEST_MAS0_BITS);
    assert_int_equal(state0()->mas[7], MAS7_RPN_MASK);
    assert_int_equal(state0()->esr, GUEST_ESR_BITS);
    assert_int_equal(state0()->pir, 0);
    magic_unmap(vcpu0());
    assert_false(magic_covers(vcpu0(), 0xfffff000));
    assert_int_equal(vcpu0()->slow, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_normal),     TEST(test_syndromes), TEST(test_machine_check),  TEST(test_external),
        TEST(test_priorities), TEST(test_waiting),   TEST(test_magic_critical), TEST(test_magic_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
