// SPDX-License-Identifier: Apache-2.0
// The service VM's run as the hypervisor sees it: events, readiness, the watch over it, its image at each
// start.
// unit-sources: core/service.c core/guest_memory.c core/guest_regions.c core/memory.c core/heap.c lib/config_iommu.c
#include "service_host_fixture.h"

/* ---- its run */

static void test_events(void **state) {
    (void)state;
    struct service_board *board = create();
    service.wake_at = UINT64_MAX;
    assert_false(service_has_event());
    service_vcpu.state = VCPU_RUNNING;
    service_event(SERVICE_EVENT_DOORBELL);
    assert_int_equal(woken, 0); /* it looks before it sleeps */
    service_vcpu.state = VCPU_BLOCKED;
    service_event(SERVICE_EVENT_REQUEST);
    assert_int_equal(woken, 1);
    assert_int_equal(board->events, SERVICE_EVENT_DOORBELL | SERVICE_EVENT_REQUEST);
    assert_true(service_has_event());
    board->events = 0;
    service.wake_at = test_time + 1;
    assert_false(service_has_event());
    test_time++;
    assert_true(service_has_event());
    service.wake.function(&service.wake);
    assert_int_equal(woken, 2);
}

static void test_ready(void **state) {
    (void)state;
    create();
    service_start(ready);
    assert_int_equal(started, 1);
    assert_int_equal(readies, 0);
    assert_null(queued);
    service_say_ready();
    assert_int_equal(readies, 0); /* that is the boot CPU's to do */
    assert_ptr_equal(queued, &service.ready_work);
    queued->function(queued);
    assert_int_equal(readies, 1);
    /* Guests start once, however often it is started and says so. */
    queued->function(queued);
    queued = NULL;
    service_say_ready();
    assert_null(queued);
    assert_int_equal(readies, 1);
    assert_int_equal(service_restart(), -EBUSY);
    assert_int_equal(restarts, 1);
    /* The functions that it had are not there again yet. */
    rest = 1;
    assert_int_equal(service_restart(), -EBUSY);
    assert_int_equal(restarts, 1);
}

/* A guest that has functions of the machine to itself. */
static unsigned let_go_of;
static void let_go(struct vm *vm, bool last) {
    assert_ptr_equal(vm, &guests[1]);
    assert_true(last);
    assert_int_equal(released, 1); /* before the service VM's */
    let_go_of++;
}

/* What it has of the machine's functions ends with its run. */
static void test_functions(void **state) {
    (void)state;
    create();
    for (enum vm_state at = VM_OFF; at <= VM_PAUSED; at++) {
        machine.state = at;
        service_guest_changed(&machine);
    }
    guests[1].state = VM_OFF;
    service_guest_changed(&guests[1]);
    assert_int_equal(released, 1);
    assert_int_equal(last_released, 0);
    struct vm_passed passed = {.release = let_go};
    guests[1].passed = &passed;
    service_leave();
    assert_int_equal(let_go_of, 1);
    assert_int_equal(released, 2);
    assert_int_equal(last_released, 1);
}

/* One look of the watch, a second later; `calls` of SERVICE_CALL_WAIT and `used` ns of CPU time since. */
static void second(uint32_t calls, uint64_t used) {
    assert_int_equal(service.watch.deadline, test_time + SECOND);
    test_time += SECOND;
    service.calls += calls;
    run_time += used;
    service.watch.function(&service.watch);
}

static void second_later(void) {
    test_time = service.watch.deadline;
    service.watch.function(&service.watch);
}

static void test_never_ready(void **state) {
    (void)state;
    create();
    service_start(ready);
    for (unsigned i = 0; i < 10; i++) {
        second(1, SECOND);
        service.vm->started = test_time; /* also if it dies each time, and starts again */
    }
    assert_null(queued);
    text[0] = 0;
    second(1, SECOND);
    assert_non_null(queued);
    assert_true(logged("the service VM is not ready after 10 s: guests start without its devices"));
    queued->function(queued);
    assert_int_equal(readies, 1);
    queued = NULL;
    second(1, SECOND);
    service_say_ready();
    assert_null(queued);
    assert_string_equal(text, "");
}

static void test_watch(void **state) {
    (void)state;
    create();
    service_start(ready);
    service.ready_said = 1;
    for (unsigned i = 0; i < 20; i++)
        second(1, SECOND); /* busy, but it comes back */
    for (unsigned i = 0; i < 20; i++)
        second(0, SECOND / 10); /* it is not given more time */
    assert_int_equal(crashes, 0);
    second(1, 0);
    for (unsigned i = 0; i < 3; i++)
        second(0, SECOND);
    assert_int_equal(crashes, 0);
    text[0] = 0;
    second(0, 1);
    assert_int_equal(crashes, 1);
    assert_true(logged("does not come back to its events"));
    /* The next run has its own time, counted from its start. */
    for (unsigned i = 0; i < 3; i++)
        second(0, SECOND);
    assert_int_equal(crashes, 1);
    image.highest = 1;
    uint64_t entry, board;
    run_time += 100 * SECOND;
    assert_int_equal(service_load(&machine, &entry, &board), 0);
    second(0, SECOND);
    for (unsigned i = 0; i < 3; i++)
        second(0, SECOND);
    assert_int_equal(crashes, 1);
    /* It waits, as it should. */
    service.board->events = 1;
    service_vcpu.hold = VCPU_HOLD_EVENT;
    second(0, 5 * SECOND);
    assert_int_equal(crashes, 1);
}

/* While it sleeps nobody watches, and no timer is armed. */
static void test_watch_sleeps(void **state) {
    (void)state;
    struct service_board *board = create();
    service_start(ready);
    service.ready_said = 1;
    service.wake_at = UINT64_MAX;
    service_vcpu.hold = VCPU_HOLD_EVENT;
    service_vcpu.state = VCPU_BLOCKED;
    board->events = 0;
    /* A guest waits for it: its time is looked at. */
    guests[1].vcpu[0] = &service_vcpu;
    service_guest_reset(&guests[1]);
    board->events = 0;
    service_guest_waits(&guests[1]);
    second(0, 0);
    board->vm_settled[1] = 1;
    uint64_t last = service.watch.deadline;
    assert_int_equal(last, test_time + SECOND);
    test_time = last;
    service.watch.function(&service.watch);
    assert_int_equal(service.watch.deadline, last);
    /* So is the time of one that begins to wait when the watch has just ended. */
    service_guest_waits(&guests[1]);
    assert_int_equal(service.watch.deadline, test_time + SECOND);
    last = service.watch.deadline;
    second_later();
    assert_int_equal(service.watch.deadline, last);
    /* An event wakes it, and the watch, once. */
    service_event(SERVICE_EVENT_KEY);
    assert_int_equal(service.watch.deadline, test_time + SECOND);
    last = service.watch.deadline;
    test_time += 10;
    service_event(SERVICE_EVENT_KEY);
    assert_int_equal(service.watch.deadline, last);
    second_later();
    assert_int_equal(service.watch.deadline, test_time + SECOND); /* the event is still there */
    board->events = 0;
    last = service.watch.deadline;
    second_later();
    assert_int_equal(service.watch.deadline, last);
    /* So does its own timer, and a new start. */
    service.wake.function(&service.wake);
    assert_int_equal(service.watch.deadline, test_time + SECOND);
    second_later();
    image.highest = 1;
    uint64_t entry, at;
    service_vcpu.hold = VCPU_HOLD_NONE;
    assert_int_equal(service_load(&machine, &entry, &at), 0);
    assert_int_equal(service.watch.deadline, test_time + SECOND);
}

/* Guests that it serves nothing do not wait for it. */
static void test_unserved(void **state) {
    (void)state;
    memset(guest_configs, 0, sizeof(guest_configs));
    create();
    service_start(ready);
    assert_int_equal(started, 1);
    assert_int_equal(readies, 1);
    service_say_ready();
    queued->function(queued);
    assert_int_equal(readies, 1);
    uint32_t events = service.board->events;
    service_guest_reset(&guests[1]);
    service_guest_changed(&guests[1]);
    assert_true(service_guest_settled(&guests[1]));
    assert_int_equal(service.board->events, events);
    assert_int_equal(devices_reset, 0);
    /* It is not ready in time: that is said, but nobody waits. */
    service.ready_said = 0;
    queued = NULL;
    test_time += 11 * SECOND;
    text[0] = 0;
    service.watch.function(&service.watch);
    assert_true(logged("the service VM is not ready after 10 s: there is no prompt"));
}

/* ---- its image */

static void test_load(void **state) {
    uint64_t entry, at;
    char bytes[32];
    (void)state;
    struct service_board *board = create();
    service_start(ready);
    board->events = UINT32_MAX;
    service.wake_at = UINT64_MAX;
    timer_arm(&service.wake, test_time + SECOND);
    image = (struct image_loadable){.count = 2,
                                    .segment = {{16, 8, 0x1000, 8}, {4090, 6, 0x200000, 100}},
                                    .highest = 16 * MIB,
                                    .entry = 0x1004};
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(service_load(&machine, &entry, &at), 0);
        assert_int_equal(entry, service.memory + 0x1004);
        assert_int_equal(at, service.board_physical);
        assert_int_equal(guest_read(&machine, service.memory + 0x1000, bytes, 8), 0);
        assert_memory_equal(bytes, "01234567", 8);
        assert_int_equal(guest_read(&machine, service.memory + 0x200000, bytes, 6), 0);
        assert_memory_equal(bytes, "abcdef", 6);
        /* It finds no event but what it is told anew. */
        assert_int_equal(asked_again, i);
        assert_int_equal(shown, i);
        assert_int_equal(board->events, SERVICE_EVENT_VM);
        assert_int_equal(board->starts, i);
        assert_int_equal(service_starts(), i);
        assert_int_equal(service.wake.deadline, 0);
        assert_int_equal(service.wake_at, 0);
        service.wake_at = UINT64_MAX;
        board->starts = 77; /* what it wrote itself does not count */
        board->events = UINT32_MAX;
    }
}

static void test_bad_image(void **state) {
    uint64_t entry, at;
    (void)state;
    create();
    parse_result = -EINVAL;
    assert_int_equal(service_load(&machine, &entry, &at), -EINVAL);
    assert_string_equal(machine.end_text, "its image: it is no ELF file");
    parse_result = 0;
    image.highest = 16 * MIB + 1;
    assert_int_equal(service_load(&machine, &entry, &at), -EINVAL);
    assert_string_equal(machine.end_text, "its image: it does not fit into its memory");
    machine.end_text[0] = 0;
    image.highest = image.entry = 16 * MIB;
    assert_int_equal(service_load(&machine, &entry, &at), -EINVAL);
    assert_string_equal(machine.end_text, "its image: it does not fit into its memory");
    image.entry--;
    assert_int_equal(service_load(&machine, &entry, &at), 0);
    image.count = 1;
    image.segment[0] = (struct image_segment){0, 16, 16 * MIB - 8, 16};
    assert_int_equal(service_load(&machine, &entry, &at), -EINVAL);
    assert_string_equal(machine.end_text, "its image: it cannot be read");
    assert_int_equal(service_starts(), 1);
    assert_int_equal(asked_again, 1);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_events),      TEST(test_ready),        TEST(test_functions),
        TEST(test_never_ready), TEST(test_watch),        TEST(test_load),
        TEST(test_bad_image),   TEST(test_watch_sleeps), TEST(test_unserved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
