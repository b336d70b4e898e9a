// SPDX-License-Identifier: Apache-2.0
// Guests' virtio consoles in the hypervisor: what the service VM prints and fetches, with right and wrong
// arguments; flow control in both directions; open and closed.
// unit-sources: core/service_console.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "core/console.h"
#include "core/service_internal.h"

struct cpu *test_cpu;
uint64_t test_time;

/* ---- surroundings: three guests, of which the second has a virtio console; 64 KiB of the service VM's
 * memory at 0x10000 */

#define MEMORY 0x10000u
#define SIZE   0x10000u
#define RING   2048u /* as in core/service_console.c */

struct service service;
static struct service_board board;
static struct vm vms[3], service_machine;
static uint8_t memory[SIZE], shown[65536];
static size_t shown_count, host_room;
static struct console_receiver receiver;
static unsigned events, readies;
static struct timer *armed;
static bool no_memory;

unsigned vm_count(void) {
    return 3;
}
int guest_read(struct vm *vm, uint64_t gpa, void *buffer, size_t size) {
    assert_ptr_equal(vm, &service_machine);
    if (gpa < MEMORY || gpa - MEMORY > SIZE || size > SIZE - (gpa - MEMORY))
        return -EFAULT;
    memcpy(buffer, memory + (gpa - MEMORY), size);
    return 0;
}
int guest_write(struct vm *vm, uint64_t gpa, const void *buffer, size_t size) {
    assert_ptr_equal(vm, &service_machine);
    if (gpa < MEMORY || gpa - MEMORY > SIZE || size > SIZE - (gpa - MEMORY))
        return -EFAULT;
    memcpy(memory + (gpa - MEMORY), buffer, size);
    return 0;
}
void service_event(uint32_t bits) {
    assert_int_equal(bits, SERVICE_EVENT_CONSOLE);
    assert_int_equal(board.consoles, 2);
    events++;
}
void *heap_allocate(size_t size, struct memory_account *account) {
    assert_ptr_equal(account, &vms[1].memory.account);
    return no_memory ? NULL : calloc(1, size);
}
void timer_init(struct timer *timer, void (*function)(struct timer *timer)) {
    timer->function = function;
}
void timer_arm(struct timer *timer, uint64_t deadline) {
    assert_true(!armed);
    timer->deadline = deadline;
    armed = timer;
}
size_t console_room(void) {
    return host_room;
}
void console_guest_output_virtio(struct vm *vm, const uint8_t *bytes, size_t count) {
    assert_ptr_equal(vm, &vms[1]);
    assert_true(shown_count + count <= sizeof(shown));
    memcpy(shown + shown_count, bytes, count);
    shown_count += count;
    host_room -= count < host_room ? count : host_room;
}
void console_guest_ready(struct vm *vm) {
    assert_ptr_equal(vm, &vms[1]);
    readies++;
}
void console_guest_attach_virtio(struct vm *vm, const struct console_receiver *of) {
    assert_ptr_equal(vm, &vms[1]);
    receiver = *of;
}

/* The timer's time has come. */
static void expire(void) {
    struct timer *timer = armed;
    armed = NULL;
    timer->function(timer);
}

static int setup(void **state) {
    (void)state;
    memset(&board, 0, sizeof(board));
    memset(memory, 0, sizeof(memory));
    service.vm = &service_machine;
    service.board = &board;
    for (unsigned i = 0; i < 3; i++)
        vms[i].id = i;
    shown_count = 0;
    host_room = SIZE_MAX;
    events = readies = 0;
    armed = NULL;
    no_memory = false;
    test_time = 1000;
    assert_int_equal(service_console_create(&vms[1]), 0);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    free(receiver.device);
    return 0;
}

static int32_t print(const char *text) {
    memcpy(memory, text, strlen(text));
    return service_console_write(1, MEMORY, (uint32_t)strlen(text));
}

static size_t type(const char *text) {
    return receiver.input(receiver.device, (const uint8_t *)text, strlen(text));
}

/* ---- tests */

static void test_arguments(void **state) {
    (void)state;
    assert_int_equal(service_console_open(1, 1), 0);
    for (uint32_t vm = 0; vm < 5; vm++) {
        if (vm == 1)
            continue;
        assert_int_equal(service_console_open(vm, 1), -ENOENT);
        assert_int_equal(service_console_write(vm, MEMORY, 1), -ENOENT);
        assert_int_equal(service_console_read(vm, MEMORY, 1, 0), -ENOENT);
    }
    assert_int_equal(service_console_open(UINT32_MAX, 1), -ENOENT);
    assert_int_equal(service_console_open(1, 2), -EINVAL);
    static const uint32_t wrong[] = {0, SERVICE_MAX_CONSOLE + 1, UINT32_MAX};
    assert_int_equal(type("kept"), 4);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(service_console_write(1, MEMORY, wrong[i]), -EINVAL);
        if (wrong[i])
            assert_int_equal(service_console_read(1, MEMORY, wrong[i], 0), -EINVAL);
    }
    assert_int_equal(service_console_write(1, MEMORY + SIZE - 4, 5), -EFAULT);
    assert_int_equal(service_console_write(1, 0, 5), -EFAULT);
    assert_null(armed);
    assert_int_equal(service_console_read(1, MEMORY + SIZE - 2, 5, 0), -EFAULT);
    assert_int_equal(service_console_read(1, UINT32_MAX, 5, 0), -EFAULT);
    assert_int_equal(service_console_read(1, MEMORY, 5, 5), -ERANGE);
    assert_int_equal(service_console_read(1, MEMORY, 5, UINT32_MAX), -ERANGE);
    assert_int_equal(service_console_read(1, MEMORY + SIZE - 4, 5, 0), 4); /* nothing was lost by that */
    assert_memory_equal(memory + SIZE - 4, "kept", 4);
    service_console_close(&vms[0]); /* has none */
    assert_int_equal(service_console_read(1, MEMORY, 5, 4), 0);
}

static void test_output(void **state) {
    (void)state;
    assert_int_equal(print("hello, "), 7);
    assert_int_equal(armed->deadline, test_time);
    assert_int_equal(print("world\n"), 6); /* the timer is armed once */
    assert_int_equal(shown_count, 0);
    expire();
    assert_int_equal(shown_count, 13);
    assert_memory_equal(shown, "hello, world\n", 13);
    assert_null(armed);
    assert_int_equal(events, 0);
}

/* A slow host: nothing is lost, nobody waits, and the service VM hears of room once. */
static void test_slow_host(void **state) {
    uint32_t sent = 0, taken;
    unsigned runs = 0;

    (void)state;
    host_room = 100; /* less than is left to others */
    do {
        for (unsigned i = 0; i < SERVICE_MAX_CONSOLE; i++)
            memory[i] = (uint8_t)((sent + i) % 251);
        taken = (uint32_t)service_console_write(1, MEMORY, SERVICE_MAX_CONSOLE - 1);
        sent += taken;
    } while (taken == SERVICE_MAX_CONSOLE - 1);
    assert_int_equal(sent, RING);
    assert_int_equal(service_console_write(1, MEMORY, 1), 0);
    expire();
    assert_int_equal(shown_count, 0);
    assert_int_equal(armed->deadline, test_time + 1000000); /* later, not at once */
    assert_int_equal(events, 0);
    while (armed) {
        host_room = 2100; /* one piece, and it is too little */
        expire();
        assert_true(++runs < 100);
        assert_int_equal(events, shown_count >= RING / 2);
    }
    assert_int_equal(events, 1);
    assert_int_equal(shown_count, RING);
    for (unsigned i = 0; i < RING; i++)
        assert_int_equal(shown[i], i % 251);
    /* One that takes all: in bounded pieces. */
    board.consoles = 0;
    host_room = SIZE_MAX;
    shown_count = 0;
    while (service_console_write(1, MEMORY, SERVICE_MAX_CONSOLE) == SERVICE_MAX_CONSOLE)
        ;
    expire();
    assert_int_equal(shown_count, 1024);
    expire();
    assert_int_equal(shown_count, RING);
    assert_null(armed);
    assert_int_equal(events, 2);
}

/* A host's port that is stuck does not stop the guest for good. */
static void test_stuck_host(void **state) {
    (void)state;
    host_room = 0;
    assert_int_equal(service_console_write(1, MEMORY, 200), 200);
    expire();
    test_time += 999999999;
    expire();
    assert_int_equal(shown_count, 0);
    test_time++;
    expire();
    assert_int_equal(shown_count, 64); /* and the next one waits again */
    test_time += 1000000000;
    expire();
    assert_int_equal(shown_count, 128);
}

/* Another write that finds room does not make it forget who waits. */
static void test_refused_once(void **state) {
    (void)state;
    host_room = 0;
    while (service_console_write(1, MEMORY, SERVICE_MAX_CONSOLE) == SERVICE_MAX_CONSOLE)
        ;
    host_room = 2048;
    expire();
    assert_int_equal(events, 0);
    assert_int_equal(service_console_write(1, MEMORY, 1), 1);
    host_room = SIZE_MAX;
    expire();
    assert_int_equal(events, 1);
}

static void test_input(void **state) {
    char line[2000];

    (void)state;
    assert_false(receiver.open(receiver.device));
    assert_int_equal(type("no"), 0);
    assert_int_equal(events, 0);
    assert_int_equal(service_console_open(1, 1), 0);
    assert_true(receiver.open(receiver.device));
    assert_int_equal(readies, 1);
    assert_int_equal(type("ls\r"), 3);
    assert_int_equal(events, 1);
    assert_int_equal(service_console_read(1, MEMORY, 2, 0), 2);
    assert_int_equal(service_console_read(1, MEMORY + 2, 2, 2), 1);
    assert_memory_equal(memory, "ls\r", 3);
    /* It is there until somebody has said that it is not needed any more: not so if one starts anew. */
    assert_int_equal(service_console_open(1, 1), 0);
    assert_int_equal(service_console_read(1, MEMORY + 8, 3, 2), 1);
    assert_memory_equal(memory + 8, "\r", 1);
    assert_int_equal(service_console_read(1, MEMORY, 2, 1), -ERANGE);
    assert_int_equal(service_console_read(1, MEMORY, 2, 4), -ERANGE);
    assert_int_equal(service_console_read(1, MEMORY, 2, 3), 0);
    /* As much as there is room for; the rest once some was fetched. */
    memset(line, 'x', sizeof(line));
    line[1999] = 0;
    readies = 0;
    assert_int_equal(type(line), 1024);
    assert_int_equal(type(line), 0);
    assert_int_equal(events, 2);
    assert_int_equal(service_console_read(1, MEMORY, 100, 3), 100);
    assert_int_equal(type(line), 0);
    readies = 0;
    assert_int_equal(service_console_read(1, MEMORY, 0, 103), 0);
    assert_int_equal(readies, 1);
    assert_int_equal(type(line), 100);
    assert_int_equal(service_console_read(1, MEMORY, 256, 103), 256);
    assert_int_equal(service_console_read(1, MEMORY, 256, 103 + 1024), 0);
}

static void test_close(void **state) {
    (void)state;
    assert_int_equal(service_console_open(1, 1), 0);
    assert_int_equal(type("old"), 3);
    assert_int_equal(print("last words"), 10);
    readies = 0;
    service_console_close(&vms[1]);
    assert_false(receiver.open(receiver.device));
    assert_int_equal(readies, 1); /* what is typed next has somewhere else to go */
    assert_int_equal(type("new"), 0);
    assert_int_equal(service_console_read(1, MEMORY, 10, 0), 0);
    expire();
    assert_memory_equal(shown, "last words", 10);
    assert_int_equal(service_console_open(1, 1), 0);
    assert_int_equal(service_console_read(1, MEMORY, 10, 0), 0); /* that was for the run before */
    assert_int_equal(type("new"), 3);
    assert_int_equal(service_console_read(1, MEMORY, 10, 3), 0);
    assert_int_equal(service_console_open(1, 0), 0);
    assert_int_equal(type("new"), 0);
}

static void test_no_memory(void **state) {
    (void)state;
    no_memory = true;
    assert_int_equal(service_console_create(&vms[1]), -ENOMEM);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_arguments),  TEST(test_output), TEST(test_slow_host), TEST(test_refused_once),
        TEST(test_stuck_host), TEST(test_input),  TEST(test_close),     TEST(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
