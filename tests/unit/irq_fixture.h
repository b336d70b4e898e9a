// SPDX-License-Identifier: Apache-2.0
// A small PC for unit tests of the guest's interrupt controllers: vCPUs with local APICs, I/O APIC, PIC, a
// clock that the test moves, timers that fire with it, and a piece of RAM. Included by one file of a test
// program.
#ifndef SAGUARO_TESTS_IRQ_FIXTURE_H
#define SAGUARO_TESTS_IRQ_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/x86/clock.h"
#include "arch/x86/guest/ioapic.h"
#include "arch/x86/guest/lapic.h"
#include "arch/x86/guest/pic.h"
#include "arch/x86/guest/pv.h"
#include "arch/x86/vm.h"
#include "core/log.h"
#include "lib/state.h"

struct cpu *test_cpu;
uint64_t test_time;

#define VCPUS 4u

static struct machine {
    struct x86_vm vm;
    struct x86_vcpu vcpu[VCPUS];
    struct x86_vcpu_state state[VCPUS];
    struct list timers;
    unsigned arms;     /* calls of timer_arm() */
    unsigned kicks;    /* calls of vcpu_kick() */
    unsigned requests; /* calls of vcpu_request() */
    unsigned dirtied;  /* calls of guest_mark_dirty() */
    uint64_t wall;     /* what wallclock_now() says */
} machine;

/* Guest RAM at RAM_BASE, ROM behind it. */
#define RAM_BASE 0x10000u
#define RAM_SIZE 0x4000u
static uint8_t guest_ram[RAM_SIZE + 0x1000] __attribute__((aligned(4096)));

static inline uint64_t guest_word(uint64_t gpa, unsigned size) {
    uint64_t value = 0;
    memcpy(&value, guest_ram + (gpa - RAM_BASE), size);
    return value;
}

/* ---- what core and the architecture give */

unsigned cpu_count(void) {
    return 2;
}

void *heap_allocate(size_t size, struct memory_account *account) {
    if (account)
        account->overhead += size;
    return calloc(1, size);
}

void heap_free(void *object, size_t size, struct memory_account *account) {
    if (account)
        account->overhead -= size;
    free(object);
}

void timer_init(struct timer *timer, void (*function)(struct timer *timer)) {
    list_init(&timer->link);
    timer->function = function;
}

void timer_arm(struct timer *timer, uint64_t deadline) {
    list_remove(&timer->link);
    timer->deadline = deadline;
    list_insert_before(&machine.timers, &timer->link);
    machine.arms++;
}

bool timer_cancel(struct timer *timer) {
    bool armed = !list_empty(&timer->link);
    list_remove(&timer->link);
    return armed;
}

void vcpu_request(struct vcpu *vcpu, uint32_t requests) {
    __atomic_fetch_add(&machine.requests, 1, __ATOMIC_RELAXED);
    __atomic_fetch_or(&vcpu->requests, requests, __ATOMIC_RELEASE);
}

void vcpu_kick(struct vcpu *vcpu) {
    (void)vcpu;
    machine.kicks++;
}

void log_line(enum log_level level, const char *format, ...) {
    (void)level;
    (void)format;
}

bool log_allowed(struct log_limit *limit) {
    (void)limit;
    return true;
}

void panic(const char *format, ...) {
    (void)format;
    abort();
}

uint64_t clock_from_tsc(uint64_t tsc) {
    return tsc; /* the host's TSC is test_time */
}

uint64_t wallclock_now(void) {
    return machine.wall;
}

int guest_memory_translate(struct vm *vm, uint64_t gpa, uint64_t *physical, uint64_t *contiguous,
                           enum guest_region_kind *kind) {
    (void)vm;
    if (gpa < RAM_BASE || gpa - RAM_BASE >= sizeof(guest_ram))
        return -EFAULT;
    *kind = gpa - RAM_BASE < RAM_SIZE ? GUEST_RAM : GUEST_ROM;
    *physical = (uint64_t)(uintptr_t)guest_ram + (gpa - RAM_BASE);
    *contiguous = (*kind == GUEST_RAM ? RAM_SIZE : sizeof(guest_ram)) - (gpa - RAM_BASE);
    return 0;
}

int guest_write(struct vm *vm, uint64_t gpa, const void *buffer, size_t size) {
    (void)vm;
    if (gpa < RAM_BASE || gpa - RAM_BASE + size > RAM_SIZE)
        return -EFAULT;
    memcpy(guest_ram + (gpa - RAM_BASE), buffer, size);
    return 0;
}

void guest_mark_dirty(struct vm *vm, uint64_t gpa, uint64_t size) {
    (void)vm;
    (void)gpa;
    (void)size;
    machine.dirtied++;
}

void *arch_window_map(uint64_t physical) {
    assert_int_equal(physical % 4096, 0);
    return (void *)(uintptr_t)physical;
}

/* ---- the machine */

static const struct part *const machine_parts[] = {&lapic_part, &ioapic_part, &pic_part, &pv_part};

static inline void machine_each(void (*function)(const struct part *part, unsigned index)) {
    for (unsigned p = 0; p < array_count(machine_parts); p++)
        for (unsigned i = 0; i < (machine_parts[p]->per_vcpu ? VCPUS : 1); i++)
            function(machine_parts[p], i);
}

static inline void create_part(const struct part *part, unsigned index) {
    assert_int_equal(part->create(&machine.vm.core, index), 0);
}
static inline void reset_part(const struct part *part, unsigned index) {
    part->reset(&machine.vm.core, index);
}
static inline void destroy_part(const struct part *part, unsigned index) {
    part->destroy(&machine.vm.core, index);
}

static inline int machine_open(void **state) {
    (void)state;
    memset(&machine, 0, sizeof(machine));
    memset(guest_ram, 0, sizeof(guest_ram));
    test_time = 1000000;
    list_init(&machine.timers);
    struct vm *vm = &machine.vm.core;
    vm->vcpu_count = VCPUS;
    for (unsigned i = 0; i < VCPUS; i++) {
        machine.vcpu[i].core.vm = vm;
        machine.vcpu[i].core.index = i;
        machine.vcpu[i].state = &machine.state[i];
        machine.vcpu[i].tsc_offset = 5000 - test_time; /* the guest's TSC is 5000 now */
        machine.state[i].tsc_frequency = 1000000000;
        vm->vcpu[i] = &machine.vcpu[i].core;
    }
    assert_int_equal(bus_init(&vm->bus[BUS_MEMORY]), 0);
    assert_int_equal(bus_init(&vm->bus[BUS_PORT]), 0);
    machine_each(create_part);
    machine_each(reset_part);
    return 0;
}

static inline int machine_close(void **state) {
    (void)state;
    machine_each(destroy_part);
    bus_destroy(&machine.vm.core.bus[BUS_MEMORY]);
    bus_destroy(&machine.vm.core.bus[BUS_PORT]);
    assert_int_equal(machine.vm.core.memory.account.overhead, 0);
    assert_true(list_empty(&machine.timers));
    return 0;
}

static inline struct lapic *apic(unsigned index) {
    return machine.vcpu[index].lapic;
}

/* The next deadline, or UINT64_MAX. */
static inline uint64_t next_deadline(void) {
    uint64_t first = UINT64_MAX;
    for (struct list *at = machine.timers.next; at != &machine.timers; at = at->next)
        if (container_of(at, struct timer, link)->deadline < first)
            first = container_of(at, struct timer, link)->deadline;
    return first;
}

/* Moves the clock, stopping at each deadline; returns how many timers fired. */
static inline unsigned advance_to(uint64_t time) {
    unsigned count = 0;
    while (next_deadline() <= time) {
        uint64_t due = next_deadline();
        if (test_time < due)
            test_time = due;
        struct list *at = machine.timers.next;
        while (container_of(at, struct timer, link)->deadline != due)
            at = at->next;
        struct timer *timer = container_of(at, struct timer, link);
        list_remove(at);
        timer->function(timer);
        count++;
    }
    if (test_time < time)
        test_time = time;
    return count;
}

/* Takes the requests that a vCPU's run loop would see. */
static inline uint32_t take_requests(unsigned index) {
    uint32_t requests = machine.vcpu[index].core.requests;
    machine.vcpu[index].core.requests = 0;
    return requests;
}

static inline uint32_t xread(unsigned index, uint32_t offset) {
    uint64_t value = ~0ull;
    assert_int_equal(lapic_mmio_read(apic(index), offset, 4, &value), 0);
    return (uint32_t)value;
}

static inline void xwrite(unsigned index, uint32_t offset, uint32_t value) {
    assert_int_equal(lapic_mmio_write(apic(index), offset, 4, value), 0);
}

static inline uint64_t msr(unsigned index, uint32_t number) {
    uint64_t value = ~0ull;
    assert_int_equal(lapic_msr_read(apic(index), number, &value), 0);
    return value;
}

static inline int wrmsr(unsigned index, uint32_t number, uint64_t value) {
    return lapic_msr_write(apic(index), number, value);
}

/* Software-enables all local APICs, in xAPIC or x2APIC mode. */
static inline void enable_all(bool x2apic) {
    for (unsigned i = 0; i < VCPUS; i++) {
        if (x2apic)
            assert_int_equal(wrmsr(i, 0x1b, msr(i, 0x1b) | 0x400), 0);
        if (x2apic)
            assert_int_equal(wrmsr(i, 0x80f, 0x1ff), 0);
        else
            xwrite(i, 0xf0, 0x1ff);
        take_requests(i);
    }
}

/* What the run loop does for X86_REQUEST_EVENT: the vector that it injects, or -1. */
static inline int take_interrupt(unsigned index) {
    if (!(take_requests(index) & X86_REQUEST_EVENT))
        return -1;
    int vector = lapic_pending(apic(index));
    if (vector >= 0)
        lapic_accept(apic(index), (uint8_t)vector);
    return vector;
}

/* Saves a part, wrecks nothing, and returns the record's bytes. */
static inline size_t save_part(const struct part *part, unsigned index, void *buffer, size_t size) {
    struct state_writer writer;
    state_writer_init(&writer, buffer, size);
    state_begin(&writer, part->name, index, part->version);
    part->save(&machine.vm.core, index, &writer);
    state_end(&writer);
    int64_t used = state_finish(&writer);
    assert_true(used > 0);
    return (size_t)used;
}

static inline int load_part(const struct part *part, unsigned index, const void *buffer, size_t size) {
    struct state_reader reader;
    assert_int_equal(state_reader_init(&reader, buffer, size), 0);
    assert_true(state_next(&reader));
    return part->load(&machine.vm.core, index, &reader, part->version);
}

/* Saves, resets, loads, saves again: both records must be equal, and the first is left in `buffer`. */
static inline size_t round_trip(const struct part *part, unsigned index, void *buffer, size_t size) {
    uint8_t again[2048];
    assert_true(size <= sizeof(again));
    size_t used = save_part(part, index, buffer, size);
    part->reset(&machine.vm.core, index);
    assert_int_equal(load_part(part, index, buffer, used), 0);
    assert_int_equal(save_part(part, index, again, size), used);
    assert_memory_equal(buffer, again, used);
    return used;
}

#define RECORD_HEAD sizeof(struct state_record)

/* A record with `size` bytes at `offset` of its contents changed must be refused, and leave the reset state.
 */
static inline void refuse_change(const struct part *part, unsigned index, const uint8_t *record, size_t used,
                                 size_t offset, unsigned size, uint64_t value) {
    uint8_t changed[2048], after[2048], fresh[2048];
    memcpy(changed, record, used);
    memcpy(changed + RECORD_HEAD + offset, &value, size);
    assert_int_equal(load_part(part, index, changed, used), -EINVAL);
    size_t size_after = save_part(part, index, after, sizeof(after));
    part->reset(&machine.vm.core, index);
    assert_int_equal(save_part(part, index, fresh, sizeof(fresh)), size_after);
    assert_memory_equal(after, fresh, size_after);
}

/* A record that is too short must be refused. */
static inline void refuse_short(const struct part *part, unsigned index, const uint8_t *record, size_t used) {
    uint8_t changed[2048];
    memcpy(changed, record, used);
    struct state_record *head = (struct state_record *)(void *)changed;
    head->length = 8;
    assert_int_equal(load_part(part, index, changed, RECORD_HEAD + 8), -EINVAL);
}

#endif
