// SPDX-License-Identifier: Apache-2.0
// Life and death of VMs over the real scheduler and timers: start, stop, reset, pause and resume in every
// state and between any two steps, ends and their reports, restarts and the waits before them, when-idle.
// unit-sources: core/vm.c core/sched.c core/timer.c core/cpu.c
#include "vm_fixture.h"

/* ---- creation */

static void test_create(void **state) {
    int error = 0;
    (void)state;
    assert_int_equal(vm_count(), 2);
    assert_ptr_equal(vm_find("a"), a);
    assert_ptr_equal(vm_get(1), b);
    assert_null(vm_find("c"));
    assert_int_equal(a->id, 0);
    assert_int_equal(b->id, 1);
    assert_int_equal(a->vcpu[2]->index, 2);
    assert_int_equal(a->vcpu[0]->priority, 10);

    struct config_guest config = {.name = "c", .vcpus = 2, .cpus = 1, .budget = 7, .period = 30};
    int *const failures[] = {&fail_console, &fail_create, &fail_platform};
    for (unsigned i = 0; i < 3; i++) {
        *failures[i] = -EINVAL;
        assert_null(vm_create(&config, &error));
        assert_int_equal(error, -EINVAL);
        *failures[i] = 0;
    }
    assert_int_equal(freed, 3);
    assert_int_equal(destroyed, 1);
    assert_int_equal(vcpus_destroyed, 2);
    fail_vcpu = 2;
    assert_null(vm_create(&config, &error));
    assert_int_equal(error, -ENOMEM);
    assert_int_equal(vcpus_destroyed, 3);
    fail_vcpu = 0;
    assert_int_equal(consoles, 2);
    config.cpus = 1ull << 40; /* a CPU that the machine does not have: it would wait for ever */
    assert_null(vm_create(&config, &error));
    assert_int_equal(error, -ENXIO);
    /* One that did not start has a number, too. */
    cpu_get(1)->absent = cpu_get(2)->absent = true;
    config.cpus = 6;
    error = 0;
    assert_null(vm_create(&config, &error));
    assert_int_equal(error, -ENXIO);
    cpu_get(2)->absent = false;
    assert_non_null(vm_create(&config, &error)); /* it may run on the other */
    assert_int_equal(vm_count(), 3);
}

/* ---- start and stop */

static void test_start(void **state) {
    (void)state;
    is_off(a, "off");
    assert_int_equal(vm_stop(a), -EALREADY);
    assert_int_equal(vm_pause(a), -EINVAL);
    assert_int_equal(vm_resume(a), -EINVAL);
    assert_int_equal(vm_start(a), 0);
    assert_int_equal(vm_start(a), -EALREADY);
    assert_int_equal(vm_resume(a), -EALREADY);
    settle();
    is_up(a);
    assert_int_equal(guest_of(a)->resets, 1);
    assert_int_equal(scrubs, BLOCKS);
    assert_int_equal(vm_stop(a), 0);
    assert_string_equal(vm_state_name(a), "stopping");
    assert_int_equal(vm_start(a), -EBUSY);
    assert_int_equal(vm_pause(a), -EBUSY);
    assert_int_equal(vm_resume(a), -EBUSY);
    assert_int_equal(vm_stop(a), 0); /* already on its way */
    settle();
    is_off(a, "off");
    assert_true(logged("2 guest a: stopped by command\n"));
    assert_int_equal(guest_of(a)->flushes, 1);
    /* Every start finds clean memory. */
    assert_int_equal(vm_start(a), 0);
    settle();
    is_up(a);
    assert_int_equal(scrubs, 2 * BLOCKS);
    assert_int_equal(marked, 2 * BLOCKS);
}

static void test_refused(void **state) {
    (void)state;
    guest_of(a)->reset_result = -EINVAL;
    guest_of(a)->reset_text = "kernel \"x\" is no kernel";
    vm_start(a);
    settle();
    is_off(a, "off");
    assert_true(logged("0 guest a: cannot be started: kernel \"x\" is no kernel\n"));
    run_for(100 * SECOND); /* no restart: it would end the same way */
    assert_int_equal(guest_of(a)->resets, 1);
    guest_of(a)->reset_text = NULL;
    vm_start(a);
    settle();
    assert_true(logged("cannot be started: bad image"));
    guest_of(a)->reset_result = -ENOMEM;
    vm_start(a);
    settle();
    assert_true(logged("cannot be started: not enough memory"));
    guest_of(a)->reset_result = 0;
    vm_start(a);
    settle();
    is_up(a);
    vm_stop(a);
    settle();
    /* A file that has no place after all. */
    text[0] = 0;
    pieces = 1;
    load_result = -EFAULT;
    vm_start(a);
    settle();
    is_off(a, "off");
    assert_true(logged("0 guest a: cannot be started: bad image\n"));
    assert_int_equal(loads, 2);
}

static void test_stop_while_preparing(void **state) {
    (void)state;
    for (unsigned steps = 0; steps <= BLOCKS + 1; steps++) {
        unsigned resets = guest_of(a)->resets;
        vm_start(a);
        settle_one(0);
        machine.runs[0] = NULL;
        machine.cpu[0].idle = false;
        /* settle_one() gave vCPU 0 the CPU: hand it back as a step. */
        sched_put(a->vcpu[0], VCPU_RUN_RESCHEDULE);
        for (unsigned i = 0; i < steps; i++)
            if (a->vcpu[0]->requests & VCPU_REQUEST_LOAD)
                one_step();
        assert_int_equal(vm_stop(a), 0);
        settle();
        is_off(a, "off");
        assert_int_equal(guest_of(a)->resets - resets, steps > BLOCKS);
    }
}

static void stop_it(struct vm *vm) {
    vm_stop(vm);
}
static void pause_it(struct vm *vm) {
    assert_int_equal(vm_pause(vm), 0);
}
static void end_it(struct vm *vm) {
    vm_end(vm, VM_END_POWER_OFF, 0, "gone");
}

static void test_end_in_last_step(void **state) {
    (void)state;
    in_reset = stop_it;
    vm_start(a);
    settle();
    is_off(a, "off");
    in_reset = end_it;
    vm_start(a);
    settle();
    is_off(a, "off");
    assert_true(logged("guest a: powered off"));
}

/* ---- pause and resume */

static void test_pause(void **state) {
    uint32_t resumed[VM_MAX_VCPUS]; /* bits seen by the run loop */
    (void)state;
    vm_start(a);
    settle();
    run_for(5 * MS);
    assert_int_equal(vm_pause(a), 0);
    assert_string_equal(vm_state_name(a), "stopping");
    settle();
    assert_int_equal(a->state, VM_PAUSED);
    assert_string_equal(vm_state_name(a), "paused");
    assert_int_equal(running(a), 0);
    assert_int_equal(vm_pause(a), -EALREADY);
    assert_int_equal(vm_start(a), -EBUSY);
    uint64_t time = sched_run_time(a->vcpu[0]);
    run_for(1000 * MS);
    assert_int_equal(sched_run_time(a->vcpu[0]), time);
    /* A request that comes meanwhile waits. */
    vcpu_request(a->vcpu[1], VCPU_REQUEST_ARCH);
    assert_int_equal(vm_resume(a), 0);
    for (unsigned i = 0; i < 3; i++) {
        resumed[i] = a->vcpu[i]->requests;
        assert_true(resumed[i] & VCPU_REQUEST_RESUMED);
        assert_false(resumed[i] & VCPU_REQUEST_PARK);
    }
    assert_true(resumed[1] & VCPU_REQUEST_ARCH);
    settle();
    is_up(a);
    assert_int_equal(guest_of(a)->resets, 1);
}

static void test_pause_while_preparing(void **state) {
    (void)state;
    pieces = 2;
    for (unsigned steps = 0; steps <= BLOCKS + pieces; steps++) {
        unsigned resets = guest_of(a)->resets;
        vm_start(a);
        one_step();
        for (unsigned i = 0; i < steps; i++)
            one_step();
        bool loading = (a->vcpu[0]->requests & VCPU_REQUEST_LOAD) != 0;
        assert_int_equal(vm_pause(a), 0);
        settle();
        assert_int_equal(a->state, VM_PAUSED);
        assert_int_equal(guest_of(a)->resets - resets, steps >= BLOCKS);
        assert_int_equal(loading, steps < BLOCKS + pieces);
        assert_int_equal(vm_resume(a), 0);
        settle();
        is_up(a);
        assert_int_equal(guest_of(a)->resets - resets, 1);
        assert_int_equal(loads, 1 + pieces);
        vm_stop(a);
        settle();
    }
    /* In the middle of the last step. */
    in_reset = pause_it;
    vm_start(a);
    settle();
    assert_int_equal(a->state, VM_PAUSED);
    in_reset = NULL;
    assert_int_equal(vm_resume(a), 0);
    settle();
    is_up(a);
}

static void test_end_while_pausing(void **state) {
    (void)state;
    vm_start(a);
    settle();
    vm_pause(a);
    vm_end(a, VM_END_EXIT, 3, "exit");
    settle();
    is_off(a, "off");
    assert_true(logged("guest a: exit code 3"));
    /* All have parked, but the boot CPU has not seen it yet. */
    vm_start(a);
    settle();
    vm_pause(a);
    for (unsigned i = 0; i < 2; i++)
        if (machine.runs[i])
            settle_guest(i);
    on_cpu(0);
    assert_int_equal(vm_stop(a), 0);
    settle();
    is_off(a, "off");
}

/* The work that ends a run may come twice. */
static void test_ended_twice(void **state) {
    (void)state;
    vm_start(a);
    settle();
    a->ended.function(&a->ended);
    is_up(a);
    vm_pause(a);
    if (a->unparked)
        a->ended.function(&a->ended);
    settle();
    assert_int_equal(a->state, VM_PAUSED);
    vm_end(a, VM_END_RESET, 0, "reset");
    settle();
    a->ended.function(&a->ended);
    is_up(a);
}

/* A guest that gets no CPU is stopped and paused like any other. */
static void test_starved(void **state) {
    (void)state;
    vm_start(a); /* three vCPUs on two CPUs */
    settle();
    for (unsigned i = 0; i < 3; i++)
        a->vcpu[i]->priority = 90;
    vm_start(b);
    settle();
    assert_int_equal(b->vcpu[0]->state, VCPU_READY);
    assert_int_equal(vm_pause(b), 0);
    settle();
    assert_int_equal(b->state, VM_PAUSED);
    assert_int_equal(vm_resume(b), 0);
    settle();
    assert_int_equal(vm_stop(b), 0);
    settle();
    is_off(b, "off");
    is_up(a);
    for (unsigned i = 0; i < 3; i++)
        a->vcpu[i]->priority = 10;
}

static void test_stop_paused(void **state) {
    (void)state;
    vm_start(a);
    settle();
    vm_pause(a);
    settle();
    assert_int_equal(vm_stop(a), 0);
    assert_int_equal(vm_resume(a), -EBUSY);
    settle();
    is_off(a, "off");
    /* Reset while paused: starts anew, running. */
    vm_start(a);
    settle();
    vm_pause(a);
    settle();
    assert_int_equal(vm_reset(a), 0);
    settle();
    is_up(a);
}

static void test_end_while_resuming(void **state) {
    (void)state;
    vm_start(a);
    settle();
    vm_pause(a);
    settle();
    vm_resume(a);
    vm_end(a, VM_END_POWER_OFF, 0, "off");
    settle();
    is_off(a, "off");
}

/* ---- ends */

static void test_ends(void **state) {
    static const struct {
        enum vm_end end;
        uint32_t code;
        const char *text, *line;
    } ends[] = {
        {VM_END_POWER_OFF, 0, "S5", "2 guest b: powered off\n"},
        {VM_END_EXIT, 0, "", "2 guest b: exit code 0\n"},
        {VM_END_EXIT, 4294967295u, NULL, "2 guest b: exit code 4294967295\n"},
        {VM_END_STOPPED, 0, "stopped by the test", "2 guest b: stopped by the test\n"},
        {VM_END_CRASH, 0, "it broke", "0 guest b crashed: it broke\n"},
    };
    (void)state;
    for (unsigned i = 0; i < array_count(ends); i++) {
        assert_int_equal(vm_start(b), 0);
        settle();
        vm_end(b, ends[i].end, ends[i].code, ends[i].text);
        vm_end(b, VM_END_CRASH, 9, "later: does not count");
        settle();
        is_off(b, ends[i].end == VM_END_CRASH ? "crashed" : "off");
        assert_true(logged(ends[i].line));
        vm_end(b, VM_END_CRASH, 0, "nobody there");
        settle();
        assert_int_equal(text[0], 0);
    }
    vm_print_summary();
    assert_true(logged("2 guest b: crashed: it broke\n"));
}

static void test_crash(void **state) {
    (void)state;
    config_a.restart = CONFIG_RESTART_NEVER;
    vm_start(a);
    settle();
    vm_crash(a->vcpu[1], "vCPU %u did %s", 1, "wrong");
    vm_crash(a->vcpu[2], "too");
    settle();
    is_off(a, "crashed");
    assert_true(logged("0 guest a crashed: vCPU 1 did wrong\n"));
    assert_int_equal(guest_of(a)->reports, 2); /* the one that did it */
    guest_of(a)->reports = 0;
    vm_start(a);
    settle();
    vm_end(a, VM_END_CRASH, 0, "all of them");
    vm_crash(a->vcpu[2], "too late");
    settle();
    assert_int_equal(guest_of(a)->reports, 7);
    /* A text that is too long is cut. */
    char lengthy[400];
    memset(lengthy, 'x', sizeof(lengthy) - 1);
    lengthy[sizeof(lengthy) - 1] = 0;
    vm_start(a);
    settle();
    vm_crash(a->vcpu[0], "%s", lengthy);
    settle();
    assert_int_equal(strlen(a->end_text), sizeof(a->end_text) - 1);
}

static void test_summary(void **state) {
    (void)state;
    vm_start(a);
    settle();
    vm_print_summary();
    assert_true(logged("2 guest a: running\n"));
    vm_pause(a);
    settle();
    vm_note_missing("c", "not enough memory");
    vm_print_summary();
    assert_non_null(strstr(text, "2 guest a: paused\n"));
    assert_true(logged("2 guest c: could not be created: not enough memory\n"));
}

/* ---- restarts */

static void test_policies(void **state) {
    static const struct {
        uint32_t policy;
        enum vm_end end;
        bool again;
    } rows[] = {
        {CONFIG_RESTART_NEVER, VM_END_POWER_OFF, false}, {CONFIG_RESTART_NEVER, VM_END_EXIT, false},
        {CONFIG_RESTART_NEVER, VM_END_CRASH, false},     {CONFIG_RESTART_NEVER, VM_END_RESET, true},
        {CONFIG_RESTART_NEVER, VM_END_RESTART, true},    {CONFIG_RESTART_NEVER, VM_END_STOPPED, false},
        {CONFIG_RESTART_ON_CRASH, VM_END_CRASH, true},   {CONFIG_RESTART_ON_CRASH, VM_END_EXIT, false},
        {CONFIG_RESTART_ON_CRASH, VM_END_RESET, true},   {CONFIG_RESTART_ON_CRASH, VM_END_POWER_OFF, false},
        {CONFIG_RESTART_ALWAYS, VM_END_POWER_OFF, true}, {CONFIG_RESTART_ALWAYS, VM_END_EXIT, true},
        {CONFIG_RESTART_ALWAYS, VM_END_CRASH, true},     {CONFIG_RESTART_ALWAYS, VM_END_STOPPED, false},
        {CONFIG_RESTART_ALWAYS, VM_END_REFUSED, false},
    };
    (void)state;
    for (unsigned i = 0; i < array_count(rows); i++) {
        config_a.restart = rows[i].policy;
        assert_int_equal(vm_start(a), 0);
        settle();
        vm_end(a, rows[i].end, 0, "end");
        settle();
        if (rows[i].again)
            is_up(a);
        else
            is_off(a, rows[i].end == VM_END_CRASH ? "crashed" : "off");
        vm_stop(a);
        settle();
    }
}

static void crash_now(void) {
    vm_crash(a->vcpu[0], "again");
    settle();
}

static void test_waits(void **state) {
    static const unsigned waits[] = {1, 2, 4, 8, 16, 32, 60, 60};
    char line[64];
    (void)state;
    vm_start(a);
    settle();
    crash_now();
    is_up(a); /* the first time at once */
    for (unsigned i = 0; i < array_count(waits); i++) {
        text[0] = 0;
        crash_now();
        is_off(a, "restarting");
        snprintf(line, sizeof(line), "2 guest a: starts again in %u s\n", waits[i]);
        assert_true(logged(line));
        run_for(waits[i] * SECOND - 1);
        is_off(a, "restarting");
        run_for(1);
        is_up(a);
        assert_int_equal(a->restarts, i + 2);
    }
    /* A guest that has run for a minute starts afresh. */
    run_for(60 * SECOND);
    crash_now();
    is_up(a);
    crash_now();
    assert_true(logged("starts again in 1 s"));
    /* By hand too, and that ends the wait. */
    assert_int_equal(vm_start(a), 0);
    settle();
    is_up(a);
    assert_int_equal(a->restarts, 0);
    run_for(10 * SECOND);
    is_up(a);
    assert_int_equal(guest_of(a)->resets, 1 + 1 + array_count(waits) + 1 + 1);
}

static void test_stop_while_waiting(void **state) {
    (void)state;
    vm_start(a);
    settle();
    crash_now();
    crash_now();
    is_off(a, "restarting");
    assert_int_equal(vm_pause(a), -EINVAL);
    assert_int_equal(vm_stop(a), 0);
    is_off(a, "crashed");
    assert_int_equal(vm_stop(a), -EALREADY);
    run_for(100 * SECOND);
    is_off(a, "crashed");

    /* The timer has fired, but the start itself has not come yet. */
    vm_start(a);
    settle();
    crash_now();
    crash_now();
    test_time += 1 * SECOND;
    timer_fires(0);
    assert_true(a->restart_work.queued);
    assert_int_equal(vm_stop(a), 0);
    settle();
    is_off(a, "crashed");
    run_for(100 * SECOND);
    is_off(a, "crashed");

    /* Reset ends the wait as well. */
    vm_start(a);
    settle();
    crash_now();
    crash_now();
    assert_int_equal(vm_reset(a), 0);
    settle();
    is_up(a);
}

/* A stop counts although the guest was about to restart by itself. */
static void test_stop_while_ending(void **state) {
    (void)state;
    vm_start(a);
    settle();
    vm_end(a, VM_END_RESET, 0, "reset");
    assert_int_equal(vm_reset(a), -EBUSY);
    assert_int_equal(vm_stop(a), 0);
    settle();
    is_off(a, "off");
    assert_true(logged("guest a: reset itself"));
    vm_start(a);
    settle();
    is_up(a);
    vm_end(a, VM_END_RESET, 0, "reset"); /* the stop of the run before does not count any more */
    settle();
    is_up(a);
}

/* ---- when idle */

static void exit_b(void) {
    vm_end(b, VM_END_EXIT, 5, "exit");
}
static void test_idle(void **state) {
    (void)state;
    vm_set_when_idle(CONFIG_IDLE_POWEROFF);
    vm_start(a);
    vm_start(b);
    settle();
    exit_b(); /* the other still runs */
    settle();
    vm_pause(a);
    settle();
    text[0] = 0;
    assert_int_equal(power(stop_a), 1);
    assert_non_null(strstr(text, "every guest has stopped: powering off"));
    assert_non_null(strstr(text, "2 guest a: stopped by command\n"));
    assert_true(logged("2 guest b: exit code 5\n"));
}

static void test_idle_waiting(void **state) {
    (void)state;
    vm_set_when_idle(CONFIG_IDLE_REBOOT);
    vm_start(a);
    settle();
    crash_now();
    crash_now();
    is_off(a, "restarting"); /* runs again by itself */
    assert_int_equal(power(stop_a), 2);
    assert_true(logged("every guest has stopped: rebooting"));
    is_off(a, "crashed");
}

/* ---- requests to a vCPU */

static void test_request(void **state) {
    (void)state;
    vm_start(b);
    settle();
    struct vcpu *vcpu = b->vcpu[0];
    int where = cpu_of(vcpu);
    assert_true(where >= 0);
    /* In the guest: its CPU gets a kick, once for each new bit. */
    vcpu->in_guest = 1;
    on_cpu(!where);
    unsigned before = machine.kicks[where];
    vcpu_request(vcpu, VCPU_REQUEST_ARCH);
    vcpu_request(vcpu, VCPU_REQUEST_ARCH);
    assert_int_equal(machine.kicks[where], before + 1);
    vcpu_request(vcpu, VCPU_REQUEST_ARCH | VCPU_REQUEST_ARCH << 1);
    assert_int_equal(machine.kicks[where], before + 2);
    /* From its own CPU, or between guest entries: it will look. */
    on_cpu((unsigned)where);
    vcpu_request(vcpu, VCPU_REQUEST_ARCH << 2);
    vcpu->in_guest = 0;
    on_cpu(!where);
    vcpu_request(vcpu, VCPU_REQUEST_ARCH << 3);
    assert_int_equal(machine.kicks[where], before + 2);
    vcpu->requests = 0;
    /* Asleep: woken. */
    give_back((unsigned)where, VCPU_RUN_BLOCK);
    assert_int_equal(vcpu->state, VCPU_BLOCKED);
    vcpu_request(vcpu, VCPU_REQUEST_ARCH);
    settle();
    assert_int_equal(vcpu->state, VCPU_RUNNING);
}

/* Commands and ends in any order: the VM is always in a state from which it can be started. */
static void test_random(void **state) {
    (void)state;
    srand(11);
    config_a.restart = CONFIG_RESTART_ALWAYS;
    for (unsigned step = 0; step < 6000; step++) {
        on_cpu(0);
        switch (rand() % 10) {
        case 0:
            vm_start(a);
            break;
        case 1:
            vm_stop(a);
            break;
        case 2:
            vm_pause(a);
            break;
        case 3:
            vm_resume(a);
            break;
        case 4:
            vm_reset(a);
            break;
        case 5:
            if (running(a)) {
                on_cpu((unsigned)rand() % 2);
                vm_end(a, (enum vm_end)(VM_END_POWER_OFF + rand() % 3), 1, "random");
            }
            break;
        case 6:
            for (unsigned i = 0; i < 2; i++)
                if (machine.runs[i] && rand() % 2)
                    settle_guest(i);
            break;
        case 7:
            run_for((uint64_t)rand() % (3 * SECOND));
            break;
        default:
            settle();
        }
        assert_int_equal(a->lock.next, a->lock.owner);
        assert_true(a->unparked <= a->vcpu_count);
        if (a->state == VM_OFF || a->state == VM_PAUSED)
            assert_int_equal(running(a), 0);
        text[0] = 0;
    }
    on_cpu(0);
    vm_stop(a);
    settle();
    is_off(a, vm_state_name(a));
    vm_start(a);
    settle();
    is_up(a);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_create),
        TEST(test_start),
        TEST(test_refused),
        TEST(test_stop_while_preparing),
        TEST(test_end_in_last_step),
        TEST(test_pause),
        TEST(test_pause_while_preparing),
        TEST(test_end_while_pausing),
        TEST(test_ended_twice),
        TEST(test_starved),
        TEST(test_stop_paused),
        TEST(test_end_while_resuming),
        TEST(test_ends),
        TEST(test_crash),
        TEST(test_summary),
        TEST(test_policies),
        TEST(test_waits),
        TEST(test_stop_while_waiting),
        TEST(test_stop_while_ending),
        TEST(test_idle),
        TEST(test_idle_waiting),
        TEST(test_request),
        TEST(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
