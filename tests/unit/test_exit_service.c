// SPDX-License-Identifier: Apache-2.0
// Exits that have to do with the service VM: its own calls, and a guest's accesses to devices that it answers
// for, which are asked, waited for and repeated.
// unit-sources: arch/x86/engine/exit.c arch/x86/engine/run.c core/bus.c
#include "exit_fixture.h"

/* ---- calls */

/* Of the service VM: always of 32 bits, and its result is a signed number. */
static void test_service_call(void **unused) {
    uint64_t *gpr = state.registers.gpr;
    static const unsigned order[5] = {X86_RAX, X86_RBX, X86_RCX, X86_RDX, X86_RSI};
    (void)unused;
    vm.core.service = true;
    for (unsigned i = 0; i < 16; i++)
        gpr[i] = 0xa00000000 + i;
    mock.call_result = -22;
    assert_int_equal(exit_hypercall(&vcpu, 3), ENGINE_AGAIN);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(mock.call[i], order[i]);
    assert_int_equal(gpr[X86_RAX], (uint64_t)-22);
    assert_int_equal(state.registers.rip, 0x1003);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(gpr[i], i == X86_RAX ? (uint64_t)-22 : 0xa00000000ull + i);
    assert_int_equal(mock.hypercall[0] | mock.hypercall[4], 0);
    /* It sleeps behind the call. The other vendor's instruction does as well. */
    mode_32();
    mock.call_hold = true;
    mock.call_result = 7;
    static const uint8_t instruction[3] = {0x0f, 0x01, 0xd9};
    memcpy(mock.peek, instruction, sizeof(instruction));
    mock.peek_count = 3;
    assert_int_equal(exit_undefined(&vcpu), ENGINE_BLOCK);
    assert_int_equal(gpr[X86_RAX], 7);
    assert_int_equal(state.registers.rip, 0x1006);
    assert_int_equal(mock.calls, 2);
}

/* ---- accesses that the service VM answers */

static enum engine_next step_nmi(void) {
    vcpu.core.requests |= X86_REQUEST_NMI;
    return ENGINE_AGAIN;
}
static enum engine_next step_ask(void) {
    mock.asks++;
    return exit_nested_fault(&vcpu, 0xfec00010, true, false);
}
static enum engine_next step_wait(void) {
    return exit_hypercall(&vcpu, 3);
}

static void test_asked(void **unused) {
    (void)unused;
    mock.translate = -EFAULT;
    /* By the short way, and by the long one. */
    for (unsigned i = 0; i < 2; i++) {
        mock.device = i == 0;
        mock.asks = 1;
        vcpu.core.hold = VCPU_HOLD_NONE;
        assert_int_equal(exit_nested_fault(&vcpu, 0xfec00020, i, false), ENGINE_BLOCK);
        assert_int_equal(emulate.gpa, 0xfec00020);
        assert_int_equal(emulate.gpa_write, i);
        /* Only looked at again: it goes on. */
        vcpu.core.hold = VCPU_HOLD_NONE;
        mock.result = EMULATE_RETRY;
        assert_int_equal(exit_nested_fault(&vcpu, 0xfec00020, i, false), ENGINE_AGAIN);
        mock.result = EMULATE_OK;
    }
    assert_int_equal(state.registers.rip, 0x1000);
}

static void test_answered(void **unused) {
    (void)unused;
    mock.translate = -EFAULT;
    mock.device = true;
    mock.waits = true;
    /* With the question asked it sleeps, whatever else has come; nothing of that is taken. */
    vcpu.core.requests = 0;
    assert_int_equal(run(2, step_nmi, step_ask), VCPU_RUN_BLOCK);
    assert_int_equal(mock.nmis, 1);
    assert_int_equal(vcpu.core.hold, VCPU_HOLD_ANSWER);
    assert_int_equal(mock.preempted, 0);
    vcpu.core.requests = X86_REQUEST_TLB | X86_REQUEST_INIT;
    unsigned loads = mock.loads, moves = mock.device_moves;
    assert_int_equal(arch_vcpu_run(&vcpu.core), VCPU_RUN_BLOCK);
    assert_int_equal(mock.loads, loads);
    assert_int_equal(mock.device_moves, moves);
    assert_int_equal(vcpu.core.requests, X86_REQUEST_TLB | X86_REQUEST_INIT);
    assert_int_equal(vcpu.core.hold, VCPU_HOLD_ANSWER);
    /* The answer: the same access once more, before anything else is looked at. Its instruction has another
     * one, which is asked for in its turn. */
    mock.waits = false;
    mock.asks = 1;
    emulate.gpa_valid = false;
    assert_int_equal(run(0), VCPU_RUN_BLOCK);
    assert_int_equal(mock.device_moves, moves + 1);
    assert_int_equal(emulate.gpa, 0xfec00010);
    assert_true(emulate.gpa_write);
    assert_int_equal(vcpu.core.hold, VCPU_HOLD_ANSWER);
    assert_int_equal(mock.init_resets, 0);
    /* The last one: it goes on. */
    assert_int_equal(run(1, step_reschedule), VCPU_RUN_RESCHEDULE);
    assert_int_equal(mock.device_moves, moves + 2);
    assert_int_equal(vcpu.core.hold, VCPU_HOLD_NONE);
    assert_int_equal(mock.init_resets, 1);
    assert_int_equal(run(1, step_reschedule), VCPU_RUN_RESCHEDULE);
    assert_int_equal(mock.device_moves, moves + 2);
    assert_int_equal(mock.crash[0], 0);
}

static enum engine_next step_ask_ins(void) {
    mock.asks = 1;
    return exit_emulate(&vcpu);
}

/* INS to a device's register, which the CPU says no address of: the port must not be read again. */
static enum engine_next step_sleep(void) {
    return ENGINE_BLOCK;
}

/* What the last VM left in the CPU is emptied before another one runs there, and only then. */
static void test_barriers(void **unused) {
    (void)unused;
    struct vm other;
    barriers = 0;
    cpu.window_vm = NULL;
    run(1, step_sleep);
    run(1, step_sleep);
    assert_int_equal(barriers, 1);
    cpu.window_vm = &other;
    run(1, step_sleep);
    assert_int_equal(barriers, 2);
    assert_ptr_equal(cpu.window_vm, vcpu.core.vm);
}

static void test_answered_ins(void **unused) {
    (void)unused;
    mock.waits = true;
    assert_int_equal(run(1, step_ask_ins), VCPU_RUN_BLOCK);
    assert_int_equal(mock.emulations, 1);
    mock.waits = false;
    vcpu.core.requests = X86_REQUEST_INIT;
    assert_int_equal(run(1, step_reschedule), VCPU_RUN_RESCHEDULE);
    assert_int_equal(mock.emulations, 2);
    assert_int_equal(mock.init_resets, 1);
    assert_int_equal(vcpu.core.hold, VCPU_HOLD_NONE);
}

static enum engine_next step_ask_with_request(void) {
    vcpu.core.requests |= X86_REQUEST_TLB;
    return step_ask();
}

/* A request that came with the question does not keep it awake. */
static void test_asked_with_request(void **unused) {
    (void)unused;
    mock.translate = -EFAULT;
    mock.device = mock.waits = true;
    assert_int_equal(run(1, step_ask_with_request), VCPU_RUN_BLOCK);
    assert_int_equal(vcpu.core.requests, X86_REQUEST_TLB);
    assert_int_equal(engine_calls.tlb_flushes, 0);
}

/* The service VM waits for an event: it goes on behind its call. */
static void test_service_wait(void **unused) {
    (void)unused;
    vm.core.service = true;
    mock.call_hold = mock.waits = mock.device = true;
    mock.translate = -EFAULT;
    emulate.gpa = 0xfec00010;
    assert_int_equal(run(1, step_wait), VCPU_RUN_BLOCK);
    assert_int_equal(vcpu.core.hold, VCPU_HOLD_EVENT);
    assert_int_equal(arch_vcpu_run(&vcpu.core), VCPU_RUN_BLOCK);
    mock.waits = false;
    assert_int_equal(run(1, step_reschedule), VCPU_RUN_RESCHEDULE);
    assert_int_equal(vcpu.core.hold, VCPU_HOLD_NONE);
    assert_int_equal(mock.device_moves, 0);
    assert_int_equal(state.registers.rip, 0x1003);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_service_call), TEST(test_asked),        TEST(test_answered),
        TEST(test_barriers),     TEST(test_answered_ins), TEST(test_asked_with_request),
        TEST(test_service_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
