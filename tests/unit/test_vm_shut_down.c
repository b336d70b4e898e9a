// SPDX-License-Identifier: Apache-2.0
// The power button of a guest: when it can be pressed, and that a guest that switches itself off then stays
// off.
// unit-sources: core/vm.c core/sched.c core/timer.c core/cpu.c
#include "vm_fixture.h"

/* Asked to shut down by its power button: no restart, whatever the policy, if it switches itself off. */
static void test_shut_down(void **state) {
    (void)state;
    config_a.restart = CONFIG_RESTART_ALWAYS;
    assert_int_equal(vm_shut_down(a), -EINVAL);
    assert_int_equal(vm_start(a), 0);
    assert_int_equal(vm_shut_down(a), -EAGAIN); /* the reset that is to come would not know of it */
    settle();
    button_result = -ENOTSUP;
    assert_int_equal(vm_shut_down(a), -ENOTSUP);
    vm_end(a, VM_END_POWER_OFF, 0, "end");
    settle();
    is_up(a);
    button_result = 0;
    assert_int_equal(buttons, 1);
    assert_int_equal(vm_shut_down(a), 0);
    assert_int_equal(buttons, 2);
    is_up(a); /* it takes its time */
    assert_int_equal(vm_shut_down(a), 0);
    vm_end(a, VM_END_POWER_OFF, 0, "end");
    assert_int_equal(vm_shut_down(a), -EBUSY);
    settle();
    is_off(a, "off");
    run_for(100 * SECOND);
    is_off(a, "off");
    /* That is over with the run: a crash and a reset are other ends, and what follows is another run. */
    vm_start(a);
    settle();
    assert_int_equal(vm_shut_down(a), 0);
    vm_end(a, VM_END_RESET, 0, "end");
    settle();
    is_up(a);
    vm_end(a, VM_END_POWER_OFF, 0, "end");
    run_for(100 * SECOND);
    is_up(a);
    vm_pause(a);
    settle();
    assert_int_equal(vm_shut_down(a), -EINVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_shut_down, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
