// SPDX-License-Identifier: Apache-2.0
// One guest's PC for unit tests of its devices: bus, a clock that the test moves with the timers on it,
// interrupt lines, console, and how the guest ended. Included by one file of a test program.
#ifndef SAGUARO_TESTS_PC_FIXTURE_H
#define SAGUARO_TESTS_PC_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/x86/clock.h"
#include "arch/x86/vm.h"
#include "core/console.h"
#include "core/log.h"
#include "devices/service_mmio.h"
#include "lib/config.h"
#include "lib/state.h"

struct cpu *test_cpu;
uint64_t test_time;

#define LINES 24

static struct fixture {
    struct x86_vm vm;
    struct config_guest config;
    struct list timers;
    unsigned fired;    /* timers that ran */
    bool level[LINES]; /* by pc_line_set() */
    unsigned rises[LINES];
    uint64_t wall; /* wallclock_now() when test_time was 0 */
    enum vm_end end;
    uint32_t end_code;
    char output[256]; /* what the guest printed */
    size_t output_length;
    struct console_receiver receiver;
    unsigned ready; /* calls of console_guest_ready() */
    unsigned logged;
    unsigned limited; /* lines that log_allowed() was asked for */
    uint32_t places;  /* of devices that are on no bus */
    size_t heap;      /* bytes allocated */
} fixture;

static inline struct vm *vm(void) {
    return &fixture.vm.core;
}

/* ---- what core and the rest of the PC give */

void *heap_allocate(size_t size, struct memory_account *account) {
    (void)account;
    fixture.heap += size;
    return calloc(1, size);
}

void heap_free(void *object, size_t size, struct memory_account *account) {
    (void)account;
    if (object)
        fixture.heap -= size;
    free(object);
}

void timer_init(struct timer *timer, void (*function)(struct timer *timer)) {
    list_init(&timer->link);
    timer->function = function;
}

void timer_arm(struct timer *timer, uint64_t deadline) {
    list_remove(&timer->link);
    timer->deadline = deadline;
    list_insert_before(&fixture.timers, &timer->link);
}

bool timer_cancel(struct timer *timer) {
    bool armed = !list_empty(&timer->link);
    list_remove(&timer->link);
    return armed;
}

void log_line(enum log_level level, const char *format, ...) {
    (void)level;
    (void)format;
    fixture.logged++;
}

bool log_allowed(struct log_limit *limit) {
    assert_true(limit->burst > 0);
    fixture.limited++;
    return true;
}

uint64_t wallclock_now(void) {
    return fixture.wall + test_time;
}

void vm_end(struct vm *which, enum vm_end end, uint32_t code, const char *text) {
    assert_ptr_equal(which, vm());
    assert_non_null(text);
    if (fixture.end == VM_END_NONE) {
        fixture.end = end;
        fixture.end_code = code;
    }
}

void console_guest_attach(struct vm *which, const struct console_receiver *receiver) {
    assert_ptr_equal(which, vm());
    fixture.receiver = *receiver;
}

void console_guest_ready(struct vm *which) {
    assert_ptr_equal(which, vm());
    fixture.ready++;
}

void console_guest_output(struct vm *which, const uint8_t *bytes, size_t count) {
    assert_ptr_equal(which, vm());
    assert_true(fixture.output_length + count < sizeof(fixture.output));
    memcpy(fixture.output + fixture.output_length, bytes, count);
    fixture.output_length += count;
}

uint32_t service_mmio_places(const struct vm *which) {
    assert_ptr_equal(which, vm());
    return fixture.places;
}

void pc_line_set(struct vm *which, unsigned gsi, bool level) {
    assert_ptr_equal(which, vm());
    assert_true(gsi < LINES);
    if (level && !fixture.level[gsi])
        fixture.rises[gsi]++;
    fixture.level[gsi] = level;
}

/* ---- the clock */

static inline struct timer *next_timer(void) {
    struct timer *next = NULL;
    for (struct list *at = fixture.timers.next; at != &fixture.timers; at = at->next) {
        struct timer *timer = container_of(at, struct timer, link);
        if (!next || timer->deadline < next->deadline)
            next = timer;
    }
    return next;
}

static inline bool timers_armed(void) {
    return next_timer() != NULL;
}

/* Moves the clock to `time`; timers fire on the way, each at its deadline. */
static inline void run_until(uint64_t time) {
    struct timer *timer;
    while ((timer = next_timer()) && timer->deadline <= time) {
        if (timer->deadline > test_time)
            test_time = timer->deadline;
        list_remove(&timer->link);
        fixture.fired++;
        timer->function(timer);
    }
    test_time = time;
}

static inline void run_for(uint64_t ns) {
    run_until(test_time + ns);
}

/* ---- the guest's accesses */

static inline uint64_t in(uint16_t port, unsigned size) {
    uint64_t value = 0;
    bus_read(&vm()->bus[BUS_PORT], NULL, port, size, &value);
    return value;
}

static inline void out(uint16_t port, unsigned size, uint32_t value) {
    bus_write(&vm()->bus[BUS_PORT], NULL, port, size, value);
}

static inline uint8_t inb(uint16_t port) {
    return (uint8_t)in(port, 1);
}

static inline void outb(uint16_t port, uint8_t value) {
    out(port, 1, value);
}

/* ---- set-up */

static inline void fixture_init(void) {
    memset(&fixture, 0, sizeof(fixture));
    test_time = 1000000;
    list_init(&fixture.timers);
    fixture.config = (struct config_guest){.name = "test", .memory = 64u << 20, .vcpus = 2, .exit_port = 1};
    vm()->config = &fixture.config;
    vm()->vcpu_count = 2;
    strcpy(vm()->name, "test");
    assert_int_equal(bus_init(&vm()->bus[BUS_PORT]), 0);
    assert_int_equal(bus_init(&vm()->bus[BUS_MEMORY]), 0);
}

static inline void fixture_done(void) {
    bus_destroy(&vm()->bus[BUS_PORT]);
    bus_destroy(&vm()->bus[BUS_MEMORY]);
    assert_false(timers_armed());
    assert_int_equal(fixture.heap, 0);
}

/* A machine with this one part. */
static inline void part_start(const struct part *part) {
    fixture_init();
    assert_int_equal(part->create(vm(), 0), 0);
    part->reset(vm(), 0);
}

static inline void part_stop(const struct part *part) {
    part->destroy(vm(), 0);
    fixture_done();
}

/* ---- saved state */

static uint8_t saved[4096] __attribute__((aligned(8)));
static size_t saved_size;

static inline void part_save(const struct part *part) {
    struct state_writer writer;
    state_writer_init(&writer, saved, sizeof(saved));
    state_begin(&writer, part->name, 0, part->version);
    part->save(vm(), 0, &writer);
    state_end(&writer);
    int64_t used = state_finish(&writer);
    assert_true(used > 0);
    saved_size = (size_t)used;
}

static inline int part_load(const struct part *part) {
    struct state_reader reader;
    assert_int_equal(state_reader_init(&reader, saved, saved_size), 0);
    assert_true(state_next(&reader));
    return part->load(vm(), 0, &reader, part->version);
}

/* Saves, resets, loads, saves again: both records must be the same while no time passes. */
static inline void part_round_trip(const struct part *part) {
    uint8_t first[sizeof(saved)];
    part_save(part);
    size_t size = saved_size;
    memcpy(first, saved, size);
    part->reset(vm(), 0);
    assert_int_equal(part_load(part), 0);
    part_save(part);
    assert_int_equal(saved_size, size);
    assert_memory_equal(saved, first, size);
}

/* Every record that is cut short is refused. */
static inline void part_truncation(const struct part *part) {
    part_save(part);
    struct state_record *record = (struct state_record *)saved;
    uint64_t length = record->length;
    uint8_t whole[sizeof(saved)];
    memcpy(whole, saved, saved_size);
    for (uint64_t cut = 0; cut < length; cut++) {
        size_t padded = (cut + 7) / 8 * 8;
        memcpy(saved, whole, sizeof(*record) + cut);
        memset(saved + sizeof(*record) + cut, 0, padded - cut);
        record->length = cut;
        saved_size = sizeof(*record) + padded;
        assert_int_equal(part_load(part), -EINVAL);
    }
}

/* Loads the saved record with one byte of its body changed. */
static inline int part_load_changed(const struct part *part, size_t offset, uint8_t value) {
    part_save(part);
    saved[sizeof(struct state_record) + offset] = value;
    return part_load(part);
}

#endif
