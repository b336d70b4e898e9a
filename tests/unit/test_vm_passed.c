// SPDX-License-Identifier: Apache-2.0
// Lives of a VM that has functions of the machine to itself: when they are let go of, and that it starts no
// sooner than they are back.
// unit-sources: core/vm.c core/sched.c core/timer.c core/cpu.c
#include "vm_fixture.h"

static unsigned released, released_last;
static uint64_t rest_time;

static void release(struct vm *vm, bool last) {
    assert_ptr_equal(vm, a);
    assert_int_equal(vm->state, VM_OFF);
    assert_int_equal(guest_of(vm)->seen, VM_RUNNING);
    released++;
    released_last += last;
    rest_time = test_time + SECOND / 10;
}

static uint64_t rest(const struct vm *vm) {
    assert_ptr_equal(vm, a);
    return rest_time > test_time ? rest_time - test_time : 0;
}

/* They are let go of at each end but for a pause, and no start, by whom ever, comes before they are back. */
static void test_passed(void **state) {
    struct vm_passed passed = {.release = release, .rest = rest};
    (void)state;
    released = released_last = 0;
    rest_time = test_time + SECOND / 20;
    a->passed = &passed;
    assert_int_equal(vm_start(a), 0);
    settle();
    is_off(a, "restarting");
    assert_int_equal(vm_stop(a), 0); /* ends the wait */
    run_until(rest_time);
    assert_true(a->state == VM_OFF && !a->restarting);
    assert_int_equal(vm_start(a), 0);
    settle();
    is_up(a);
    assert_int_equal(vm_pause(a), 0);
    settle();
    assert_int_equal(vm_resume(a), 0);
    settle();
    assert_int_equal(released, 0);
    guest_of(a)->seen = VM_RUNNING;
    assert_int_equal(vm_reset(a), 0);
    settle();
    is_off(a, "restarting");
    assert_int_equal(released, 1);
    run_until(rest_time);
    is_up(a);
    guest_of(a)->seen = VM_RUNNING;
    assert_int_equal(vm_stop(a), 0);
    settle();
    is_off(a, "off");
    assert_int_equal(released, 2);
    assert_int_equal(vm_start(a), 0);
    settle();
    is_off(a, "restarting");
    run_until(rest_time);
    is_up(a);
    assert_int_equal(released_last, 0);
    /* They take longer than was said. */
    guest_of(a)->seen = VM_RUNNING;
    assert_int_equal(vm_reset(a), 0);
    settle();
    uint64_t said = rest_time;
    rest_time += SECOND / 5;
    run_until(said);
    is_off(a, "restarting");
    run_until(rest_time);
    is_up(a);
    a->passed = NULL;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_passed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
