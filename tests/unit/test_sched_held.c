// SPDX-License-Identifier: Apache-2.0
// vCPUs that are held until the service VM has answered, or has an event: what wakes them and what does not,
// parking, budgets.
// unit-sources: core/sched.c core/timer.c core/cpu.c
#include "sched_vcpus_fixture.h"

/* A held one has nothing to do but what it is held for. */
static void test_held(void **state) {
    (void)state;
    begin(2);
    struct vcpu *vcpu = start(0, 10, 1);
    vcpu->hold = VCPU_HOLD_ANSWER;
    vcpu->requests = WAKE;
    pending[0] = true;
    give_back(0, VCPU_RUN_BLOCK);
    assert_int_equal(vcpu->state, VCPU_BLOCKED);
    request(vcpu, WAKE << 1);
    sched_wake(vcpu);
    run_for(1000 * MS);
    assert_int_equal(vcpu->state, VCPU_BLOCKED);
    assert_int_equal(ran(vcpu), 0);
    assert_int_equal(vcpu->requests, WAKE | WAKE << 1); /* for later */
    answered[0] = true;
    sched_wake(vcpu);
    settle();
    assert_int_equal(cpu_of(vcpu), 0);
    /* The answer was there before it could sleep. */
    pending[0] = false;
    give_back(0, VCPU_RUN_BLOCK);
    assert_int_equal(cpu_of(vcpu), 0);
    /* Who answers while it goes to sleep sees its state, and wakes. */
    answered[0] = false;
    while_blocking = wake_elsewhere;
    give_back(0, VCPU_RUN_BLOCK);
    assert_null(while_blocking);
    assert_int_equal(vcpu->state, VCPU_BLOCKED);
    answered[0] = true;
    on_cpu(1);
    sched_wake(vcpu);
    settle();
    assert_int_equal(cpu_of(vcpu), 0);
    vcpu->hold = VCPU_HOLD_NONE;
    finish(1);
}

/* It parks as any other does, asleep or on its way there, and is held still when it comes back. */
static void test_held_parks(void **state) {
    (void)state;
    begin(1);
    struct vcpu *vcpu = start(0, 10, 1);
    vcpu->hold = VCPU_HOLD_EVENT;
    for (unsigned i = 0; i < 2; i++) {
        if (i)
            vcpu->requests = VCPU_REQUEST_PARK; /* while it is on its CPU */
        give_back(0, VCPU_RUN_BLOCK);
        if (!i)
            request(vcpu, VCPU_REQUEST_PARK);
        assert_int_equal(parked, i + 1);
        assert_int_equal(vcpu->state, VCPU_PARKED);
        vcpu->requests = 0;
        sched_unpark(vcpu);
        settle();
        assert_int_equal(cpu_of(vcpu), 0); /* its run loop looks, and blocks */
    }
    give_back(0, VCPU_RUN_BLOCK);
    assert_int_equal(vcpu->state, VCPU_BLOCKED);
    answered[0] = true;
    sched_wake(vcpu);
    settle();
    assert_int_equal(cpu_of(vcpu), 0);
    finish(1);
}

/* A new period wakes a held one only if there is what it is held for. */
static void test_held_budget(void **state) {
    (void)state;
    begin(1);
    struct vcpu *vcpu = start_budget(0, 50, 20 * MS, 100 * MS);
    vcpu->hold = VCPU_HOLD_ANSWER;
    for (unsigned i = 0; i < 3; i++) {
        uint64_t before = ran(vcpu);
        answered[0] = false;
        /* Its budget and its run end in one moment. */
        run_for(20 * MS - 1);
        test_time++;
        give_back(0, VCPU_RUN_BLOCK);
        assert_true(vcpu->throttled);
        assert_int_equal(ran(vcpu) - before, 20 * MS);
        request(vcpu, WAKE);
        if (i == 1) { /* it comes back out of budget, which counts as pushed aside */
            request(vcpu, VCPU_REQUEST_PARK);
            vcpu->requests = WAKE;
            sched_unpark(vcpu);
            assert_true(vcpu->preempted);
        }
        if (i == 2) { /* the answer comes while there is no budget */
            run_for(40 * MS);
            answered[0] = true;
            sched_wake(vcpu);
            run_for(40 * MS - 1);
            assert_int_equal(vcpu->state, VCPU_BLOCKED);
            run_for(1);
        } else {
            run_for(130 * MS);
            assert_int_equal(vcpu->state, VCPU_BLOCKED);
            assert_false(vcpu->throttled);
            answered[0] = true;
            sched_wake(vcpu);
            settle();
        }
        assert_int_equal(cpu_of(vcpu), 0);
        vcpu->requests = 0;
    }
    vcpu->hold = VCPU_HOLD_NONE;
    finish(1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_held_parks),
        cmocka_unit_test(test_held_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
