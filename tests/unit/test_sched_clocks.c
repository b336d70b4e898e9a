// SPDX-License-Identifier: Apache-2.0
// The scheduler on CPUs whose clocks are not quite the same.
// unit-sources: core/sched.c core/timer.c core/cpu.c
#include "sched_vcpus_fixture.h"

/* The period ends on the CPU that it began on, whose clock is a little behind that of the one where the vCPU
 * has just begun to run: it has its new budget, and owes nothing. */
static void test_budget_clocks(void **state) {
    (void)state;
    begin(2);
    start(1, 10, 2);
    struct vcpu *vcpu = start_budget(0, 50, 40 * MS, 100 * MS);
    assert_int_equal(cpu_of(vcpu), 0);
    vcpu->affinity = 3;
    give_back(0, VCPU_RUN_BLOCK);
    start(2, 90, 1);
    uint64_t end = vcpu->replenish.deadline;
    run_until(end - MS);
    test_time = end + 3;
    request(vcpu, WAKE);
    settle();
    assert_int_equal(cpu_of(vcpu), 1);
    test_time = end;
    timer_fires(0);
    settle();
    assert_int_equal(cpu_of(vcpu), 1);
    assert_false(vcpu->throttled);
    assert_int_equal(ran(vcpu), 0);
    run_for(40 * MS - 1);
    assert_int_equal(cpu_of(vcpu), 1);
    run_for(4);
    assert_int_equal(cpu_of(vcpu), -1);
    run_for(60 * MS);
    assert_int_equal(cpu_of(vcpu), 1);
    finish(3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budget_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
