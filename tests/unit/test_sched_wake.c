// SPDX-License-Identifier: Apache-2.0
// Which CPU the scheduler wakes for a vCPU that has become ready, on a simulated machine (see test_sched.c).
// unit-sources: core/sched.c core/timer.c core/cpu.c
#include "sched_vcpus_fixture.h"

static void test_back_to_last_cpu(void **state) {
    (void)state;
    begin(4);
    for (unsigned i = 0; i < 4; i++)
        start(i, 10, 0xf);
    int where = cpu_of(&vcpus[3]);
    assert_int_not_equal(where, 0);
    for (unsigned i = 1; i < 4; i++)
        give_back(i, VCPU_RUN_BLOCK);
    on_cpu(0); /* which has its vCPU */
    unsigned kicks = machine.kicks[where];
    sched_wake(&vcpus[3]);
    assert_int_equal(machine.kicks[where], kicks + 1);
    settle();
    assert_int_equal(cpu_of(&vcpus[3]), where);
    finish(4);
}

/* Who is woken by an interrupt of an idle CPU stays there, and no other CPU is disturbed. */
static void test_stays_where_it_is_woken(void **state) {
    (void)state;
    begin(2);
    start(0, 10, 3);
    struct vcpu *free = start(1, 10, 3), *bound = start(2, 20, 2);
    give_back(0, VCPU_RUN_BLOCK);
    give_back(1, VCPU_RUN_BLOCK);
    settle();
    while (cpu_of(free) >= 0)
        give_back((unsigned)cpu_of(free), VCPU_RUN_BLOCK);
    assert_true(machine.cpu[0].idle && machine.cpu[1].idle);
    unsigned kicks[] = {machine.kicks[0], machine.kicks[1]};
    for (unsigned i = 0; i < 2; i++) {
        on_cpu(i);
        sched_wake(free);
        assert_false(machine.cpu[i].idle);
        assert_true(machine.cpu[!i].idle);
        settle();
        assert_int_equal(cpu_of(free), i);
        give_back(i, VCPU_RUN_BLOCK);
    }
    assert_int_equal(machine.kicks[0], kicks[0]);
    assert_int_equal(machine.kicks[1], kicks[1]);
    on_cpu(0);
    sched_wake(bound); /* must not run here */
    assert_int_equal(machine.kicks[1], kicks[1] + 1);
    settle();
    assert_int_equal(cpu_of(bound), 1);
    finish(3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_back_to_last_cpu),
        cmocka_unit_test(test_stays_where_it_is_woken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
