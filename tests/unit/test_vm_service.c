// SPDX-License-Identifier: Apache-2.0
// VMs and the service VM: what it is told of them, when a start waits for it, vCPUs that are held, and its
// own life beside the guests'.
// unit-sources: core/vm.c core/sched.c core/timer.c core/cpu.c
#include "vm_fixture.h"

/* Its memory is a guest's own again only when the service VM has let go of it. */
static void test_unsettled(void **state) {
    (void)state;
    unsettled = true;
    vm_start(a);
    settle();
    assert_int_equal(guest_of(a)->told, 1);
    assert_int_equal(guest_of(a)->waits, 1);
    assert_int_equal(scrubs, 0);
    assert_true(a->vcpu[0]->requests & VCPU_REQUEST_LOAD);
    /* It sleeps meanwhile, whoever wakes it. */
    assert_int_equal(a->vcpu[0]->state, VCPU_BLOCKED);
    sched_wake(a->vcpu[0]);
    assert_int_equal(a->vcpu[0]->state, VCPU_BLOCKED);
    unsettled = false;
    sched_wake(a->vcpu[0]);
    settle();
    is_up(a);
    assert_int_equal(scrubs, BLOCKS);
    assert_int_equal(guest_of(a)->told, 1);
    /* Each start asks anew, and can be stopped meanwhile. */
    unsettled = true;
    assert_int_equal(vm_reset(a), 0);
    for (unsigned i = 0; i < 2; i++)
        give_back(i, VCPU_RUN_PARK);
    on_cpu(0);
    settle();
    assert_int_equal(guest_of(a)->told, 2);
    assert_int_equal(scrubs, BLOCKS);
    assert_int_equal(vm_stop(a), 0);
    settle();
    is_off(a, "off");
    unsettled = false;
    vm_start(a);
    settle();
    assert_int_equal(guest_of(a)->told, 3);
    is_up(a);
}

static void test_told(void **state) {
    struct guest *guest = guest_of(a);
    (void)state;
    guest->seen = VM_OFF;
    vm_start(a);
    settle();
    assert_int_equal(guest->changes, 1);
    assert_int_equal(guest->seen, VM_RUNNING);
    vm_pause(a);
    settle();
    assert_int_equal(guest->changes, 2);
    assert_int_equal(guest->seen, VM_PAUSED);
    vm_resume(a);
    assert_int_equal(guest->changes, 3);
    assert_int_equal(guest->seen, VM_RUNNING);
    vm_stop(a);
    settle();
    assert_int_equal(guest->changes, 4);
    assert_int_equal(guest->seen, VM_OFF);
}

static void test_held(void **state) {
    (void)state;
    vm_start(b);
    settle();
    struct vcpu *vcpu = b->vcpu[0];
    assert_false(vcpu_held(vcpu));
    vcpu->io.state = VCPU_IO_WAITING;
    assert_false(vcpu_held(vcpu));
    vcpu->hold = VCPU_HOLD_ANSWER;
    assert_true(vcpu_held(vcpu));
    vcpu->io.state = VCPU_IO_ANSWERED;
    assert_false(vcpu_held(vcpu));
    vcpu->hold = VCPU_HOLD_EVENT;
    vcpu->io.state = VCPU_IO_NONE;
    assert_true(vcpu_held(vcpu));
    event = true;
    assert_false(vcpu_held(vcpu));
    event = false;
    vcpu->hold = VCPU_HOLD_CONTROL;
    assert_false(vcpu_held(vcpu));
    controlling = true;
    assert_true(vcpu_held(vcpu));
    controlling = false;

    /* Held, it sleeps, whatever it is asked for; paused and resumed it still is. */
    vcpu->hold = VCPU_HOLD_ANSWER;
    vcpu->io.state = VCPU_IO_WAITING;
    int where = cpu_of(vcpu);
    assert_true(where >= 0);
    give_back((unsigned)where, VCPU_RUN_BLOCK);
    vcpu_request(vcpu, VCPU_REQUEST_ARCH);
    settle();
    assert_int_equal(vcpu->state, VCPU_BLOCKED);
    assert_int_equal(vm_pause(b), 0);
    settle();
    assert_int_equal(b->state, VM_PAUSED);
    assert_int_equal(vm_resume(b), 0);
    assert_int_equal(vcpu->hold, VCPU_HOLD_ANSWER);
    assert_int_equal(vcpu->io.state, VCPU_IO_WAITING);
    settle();
    /* Another life owes nothing to the one before. */
    assert_int_equal(vm_stop(b), 0);
    settle();
    assert_int_equal(vcpu->hold, VCPU_HOLD_ANSWER);
    assert_int_equal(vm_start(b), 0);
    assert_int_equal(vcpu->hold, VCPU_HOLD_NONE);
    assert_int_equal(vcpu->io.state, VCPU_IO_NONE);
    settle();
    is_up(b);
    for (unsigned i = 0; i < 3; i++) {
        a->vcpu[i]->hold = VCPU_HOLD_ANSWER;
        a->vcpu[i]->io.state = VCPU_IO_WAITING;
    }
    assert_int_equal(vm_start(a), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(a->vcpu[i]->hold, VCPU_HOLD_NONE);
        assert_int_equal(a->vcpu[i]->io.state, VCPU_IO_NONE);
    }
    settle();
    is_up(a);
}

/* It lives as guests do, and is none of them. */
static void test_service(void **state) {
    static const struct config_guest config = {.name = "(service)",
                                               .vcpus = 1,
                                               .cpus = UINT64_MAX,
                                               .priority = 99,
                                               .restart = CONFIG_RESTART_ALWAYS};
    int error;
    (void)state;
    struct vm *vm = vm_create_service(&config, &error);
    assert_non_null(vm);
    assert_true(vm->service);
    assert_false(a->service);
    assert_int_equal(vm_count(), 2);
    assert_null(vm_find("(service)"));
    for (unsigned i = 0; i < 2; i++)
        assert_ptr_not_equal(vm_get(i), vm);
    assert_int_equal(vm_start(vm), 0);
    settle();
    is_up(vm);
    for (unsigned i = 0; i < 2; i++) {
        vm_crash(vm->vcpu[0], "it fell");
        settle();
        run_for(1 * SECOND);
        is_up(vm);
    }
    assert_int_equal(vm->restarts, 2);
    /* What it had of the machine's is being reset meanwhile. */
    service_wait = SECOND / 10;
    assert_int_equal(vm_reset(vm), 0);
    settle();
    is_off(vm, "restarting");
    service_wait = 0;
    run_for(SECOND / 10);
    is_up(vm);
    text[0] = 0;
    vm_print_summary();
    assert_false(logged("(service)"));
    /* It keeps no machine up that its guests have left. */
    vm_set_when_idle(CONFIG_IDLE_POWEROFF);
    vm_start(a);
    settle();
    assert_int_equal(power(stop_a), 1);
    vm_set_when_idle(CONFIG_IDLE_STAY);
    on_cpu(0);
    settle();
    vm_stop(vm);
    settle();
    is_off(vm, "off");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_unsettled),
        TEST(test_told),
        TEST(test_held),
        TEST(test_service),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
