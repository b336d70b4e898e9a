// SPDX-License-Identifier: Apache-2.0
// One guest's e500 board for unit tests of its parts: bus, a clock that the test moves with the timers on it,
// what the vCPUs are told, console, and how the guest ended. Included by one file of a test program.
#ifndef SAGUARO_TESTS_PPC_FIXTURE_H
#define SAGUARO_TESTS_PPC_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/ppc/guest/board.h"
#include "arch/ppc/vm.h"
#include "core/console.h"
#include "core/log.h"
#include "lib/config.h"
#include "lib/state.h"

struct cpu *test_cpu;
uint64_t test_time;

#define VCPUS 3

static struct fixture {
    struct ppc_vm vm;
    struct board board;
    struct ppc_vcpu vcpu[VCPUS];
    struct config_guest config;
    struct list timers;
    unsigned fired;       /* timers that ran */
    bool external[VCPUS]; /* by vcpu_set_external() */
    unsigned rises[VCPUS];
    uint32_t requests[VCPUS]; /* by vcpu_request() */
    unsigned released[VCPUS]; /* by vcpu_release() */
    uint32_t release_pc, release_r3;
    enum vm_end end;
    char output[64]; /* what the guest printed */
    size_t output_length;
    struct console_receiver receiver;
    size_t heap;        /* bytes allocated */
    unsigned heap_left; /* calls of heap_allocate() until it fails */
} fixture;

static inline struct vm *vm(void) {
    return &fixture.vm.core;
}

/* ---- what core and the vCPUs give ---- */

void *heap_allocate(size_t size, struct memory_account *account) {
    (void)account;
    if (fixture.heap_left == 0)
        return NULL;
    fixture.heap_left--;
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

bool timer_armed(const struct timer *timer) {
    return !list_empty(&timer->link);
}

void log_line(enum log_level level, const char *format, ...) {
    (void)level;
    (void)format;
}

void vm_end(struct vm *which, enum vm_end end, uint32_t code, const char *text) {
    assert_ptr_equal(which, vm());
    assert_int_equal(code, 0);
    assert_non_null(text);
    if (fixture.end == VM_END_NONE)
        fixture.end = end;
}

void console_guest_attach(struct vm *which, const struct console_receiver *receiver) {
    assert_ptr_equal(which, vm());
    fixture.receiver = *receiver;
}

void console_guest_ready(struct vm *which) {
    assert_ptr_equal(which, vm());
}

void console_guest_output(struct vm *which, const uint8_t *bytes, size_t count) {
    assert_ptr_equal(which, vm());
    assert_true(fixture.output_length + count < sizeof(fixture.output));
    memcpy(fixture.output + fixture.output_length, bytes, count);
    fixture.output_length += count;
}

void vcpu_set_external(struct ppc_vcpu *vcpu, bool asserted) {
    assert_true(asserted != fixture.external[vcpu->core.index]); /* it is told of changes alone */
    fixture.external[vcpu->core.index] = asserted;
    fixture.rises[vcpu->core.index] += asserted;
}

void vcpu_request(struct vcpu *vcpu, uint32_t requests) {
    fixture.requests[vcpu->index] |= requests;
}

void vcpu_release(struct ppc_vcpu *vcpu, uint32_t pc, uint32_t r3) {
    fixture.released[vcpu->core.index]++;
    fixture.release_pc = pc;
    fixture.release_r3 = r3;
}

/* ---- the clock ---- */

static inline struct timer *next_timer(void) {
    struct timer *next = NULL;
    for (struct list *at = fixture.timers.next; at != &fixture.timers; at = at->next) {
        struct timer *timer = container_of(at, struct timer, link);
        if (!next || timer->deadline < next->deadline)
            next = timer;
    }
    return next;
}

/* Moves the clock; timers fire on the way, each at its deadline. */
static inline void run_for(uint64_t ns) {
    uint64_t end = test_time + ns;
    struct timer *timer;
    while ((timer = next_timer()) && timer->deadline <= end) {
        if (timer->deadline > test_time)
            test_time = timer->deadline;
        list_remove(&timer->link);
        fixture.fired++;
        timer->function(timer);
    }
    test_time = end;
}

/* ---- the guest's accesses ---- */

/* By vCPU `index`. What bus_read() returns goes to *error. */
static inline uint64_t peek(unsigned index, uint64_t address, unsigned size, int *error) {
    uint64_t value = 0;
    int result = bus_read(&vm()->bus[BUS_MEMORY], &fixture.vcpu[index].core, address, size, &value);
    if (error)
        *error = result;
    return value;
}

static inline int poke(unsigned index, uint64_t address, unsigned size, uint64_t value) {
    return bus_write(&vm()->bus[BUS_MEMORY], &fixture.vcpu[index].core, address, size, value);
}

/* ---- set-up ---- */

static inline void fixture_init(void) {
    memset(&fixture, 0, sizeof(fixture));
    test_time = 1000000;
    list_init(&fixture.timers);
    fixture.heap_left = UINT32_MAX;
    fixture.config = (struct config_guest){
        .name = "test", .memory = 64u << 20, .vcpus = VCPUS, .image = "vmlinux", .cmdline = "console=ttyS0"};
    fixture.vm.board = &fixture.board;
    vm()->config = &fixture.config;
    vm()->platform = &board_platform;
    vm()->vcpu_count = VCPUS;
    strcpy(vm()->name, "test");
    for (unsigned i = 0; i < VCPUS; i++) {
        fixture.vcpu[i].core.vm = vm();
        fixture.vcpu[i].core.index = i;
        vm()->vcpu[i] = &fixture.vcpu[i].core;
    }
    assert_int_equal(bus_init(&vm()->bus[BUS_MEMORY]), 0);
}

static inline void fixture_done(void) {
    bus_destroy(&vm()->bus[BUS_MEMORY]);
    assert_null(next_timer());
    assert_int_equal(fixture.heap, 0);
}

/* ---- saved state of one part ---- */

static uint8_t saved[8192] __attribute__((aligned(8)));
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
    int error = part->load(vm(), 0, &reader, part->version);
    if (!error)
        assert_int_equal(reader.position, reader.record_end); /* all of it was read */
    return error;
}

/* Saves, resets, loads, saves again: both records must be the same while no time passes. */
static inline void part_round_trip(const struct part *part) {
    static uint8_t first[sizeof(saved)];
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
    static uint8_t whole[sizeof(saved)];
    part_save(part);
    struct state_record *record = (struct state_record *)saved;
    uint64_t length = record->length;
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
    assert_true(saved[sizeof(struct state_record) + offset] != value);
    saved[sizeof(struct state_record) + offset] = value;
    return part_load(part);
}

#endif
