// SPDX-License-Identifier: Apache-2.0
// The log of written pages against an architecture that the test plays: what is given out, what stays when a
// vCPU does not come out in time, what the CPUs are told.
// unit-sources: core/dirty_log.c core/guest_memory.c core/guest_regions.c core/memory.c core/heap.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/dirty_log.h"
#include "core/vm.h"
#include "tests/unit/host/arena.h"

#define MIB   (1024u * 1024u)
#define PAGES (8 * MIB / PAGE_SIZE)

static struct vm vm;

/* ---- the architecture: a set of pages that the CPU has noted, and of those that it would note */

static struct {
    int start, gather, settle; /* what they return */
    bool runs;
    unsigned gathers, settles, cleans, stops;
    bool written[2 * PAGES]; /* by guest-physical page; taken by gathering */
    bool cleaned[2 * PAGES];
    unsigned late; /* page that is written between gathering and cleaning; 0: none */
} cpu;

static bool told; /* the service VM is to tell what it writes */

void service_guest_logged(struct vm *of, bool logged) {
    assert_ptr_equal(of, &vm);
    told = logged;
}

int arch_dirty_start(struct vm *of) {
    assert_ptr_equal(of, &vm);
    cpu.runs = cpu.start == 0;
    return cpu.start;
}
void arch_dirty_stop(struct vm *of) {
    assert_ptr_equal(of, &vm);
    cpu.runs = false;
    cpu.stops++;
}
int arch_dirty_gather(struct vm *of) {
    assert_ptr_equal(of, &vm);
    cpu.gathers++;
    if (cpu.gather)
        return cpu.gather;
    for (unsigned i = 0; i < 2 * PAGES; i++) {
        if (cpu.written[i])
            guest_mark_dirty(&vm, i * PAGE_SIZE, PAGE_SIZE);
        cpu.written[i] = false;
    }
    return 0;
}
void arch_dirty_clean(struct vm *of, const struct memory_range *ranges, unsigned count) {
    assert_ptr_equal(of, &vm);
    assert_in_range(count, 1, 64);
    cpu.cleans++;
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal((ranges[i].base | ranges[i].size) % PAGE_SIZE, 0);
        assert_true(ranges[i].size != 0);
        for (uint64_t at = 0; at < ranges[i].size; at += PAGE_SIZE)
            cpu.cleaned[(ranges[i].base + at) / PAGE_SIZE] = true;
    }
    if (cpu.late)
        guest_mark_dirty(&vm, (uint64_t)cpu.late * PAGE_SIZE, 1);
}
int arch_dirty_settle(struct vm *of) {
    assert_ptr_equal(of, &vm);
    cpu.settles++;
    return cpu.settle;
}

/* ---- what is given out */

static uint8_t given[PAGES];
static uint64_t last_end;
static unsigned runs;

static void found(void *context, uint64_t offset, uint64_t size) {
    assert_ptr_equal(context, &vm);
    assert_true(size != 0 && (offset | size) % PAGE_SIZE == 0 && offset + size <= 8 * MIB);
    assert_true(runs == 0 || offset > last_end); /* in order, and runs are whole */
    last_end = offset + size;
    runs++;
    for (uint64_t at = offset; at < offset + size; at += PAGE_SIZE)
        given[at / PAGE_SIZE] = 1;
}

/* Collects: how many pages; -1: an error, which is `error`. */
static int collect(int error) {
    unsigned count = 0;
    memset(given, 0, sizeof(given));
    memset(cpu.cleaned, 0, sizeof(cpu.cleaned));
    runs = 0;
    assert_int_equal(dirty_log_collect(&vm, found, &vm), error);
    for (unsigned i = 0; i < PAGES; i++)
        count += given[i];
    return error ? -1 : (int)count;
}

static int setup(void **state) {
    (void)state;
    memset(&cpu, 0, sizeof(cpu));
    memset(&vm, 0, sizeof(vm));
    const struct memory_range range = {.base = 0, .size = 32 * MIB};
    arena_open(32 * MIB, 0xa5);
    assert_int_equal(memory_init(&range, 1), 0);
    assert_int_equal(guest_memory_create(&vm, 8 * MIB), 0);
    /* The guest sees the second half of the backing 8 MiB further. */
    assert_int_equal(guest_memory_place(&vm, 0, 4 * MIB, 0, GUEST_RAM), 0);
    assert_int_equal(guest_memory_place(&vm, 12 * MIB, 4 * MIB, 4 * MIB, GUEST_RAM), 0);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    dirty_log_stop(&vm);
    guest_memory_destroy(&vm);
    assert_int_equal(vm.memory.account.overhead, 0);
    arena_close();
    return 0;
}

static void begin(void) {
    assert_int_equal(dirty_log_start(&vm), 0);
    assert_int_equal(collect(0), PAGES); /* all of it counts as written */
    assert_int_equal(runs, 1);
}

static void test_rounds(void **state) {
    (void)state;
    assert_int_equal(collect(-EINVAL), -1);
    assert_false(dirty_log_runs(&vm));
    begin();
    assert_true(dirty_log_runs(&vm) && told);
    assert_int_equal(dirty_log_start(&vm), -EALREADY);
    assert_int_equal(collect(0), 0);
    /* By vCPUs, and by the hypervisor. */
    cpu.written[3] = cpu.written[4] = cpu.written[63] = cpu.written[64] = true;
    cpu.written[12 * MIB / PAGE_SIZE + 7] = true;
    assert_int_equal(guest_write(&vm, 100 * PAGE_SIZE - 1, "ab", 2), 0);
    assert_int_equal(collect(0), 7);
    assert_true(given[3] && given[4] && given[63] && given[64] && given[4 * MIB / PAGE_SIZE + 7]);
    assert_true(given[99] && given[100]);
    assert_int_equal(runs, 4);
    /* The CPU is told of exactly these, where the guest sees them. */
    for (unsigned i = 0; i < 2 * PAGES; i++) {
        unsigned page = i < 4 * MIB / PAGE_SIZE ? i : i - 8 * MIB / PAGE_SIZE;
        bool memory = i < 4 * MIB / PAGE_SIZE || i >= 12 * MIB / PAGE_SIZE;
        assert_int_equal(cpu.cleaned[i], memory && given[page]);
    }
    assert_int_equal(collect(0), 0);
    dirty_log_stop(&vm);
    assert_false(cpu.runs);
    assert_int_equal(guest_write(&vm, 0, "x", 1), 0);
    assert_int_equal(collect(-EINVAL), -1);
    begin();
    assert_int_equal(dirty_log_collect(&vm, NULL, NULL), 0);
}

static void test_many_runs(void **state) {
    (void)state;
    begin();
    unsigned before = cpu.cleans;
    for (unsigned i = 0; i < 1024; i += 2)
        cpu.written[i] = true;
    assert_int_equal(collect(0), 512);
    assert_int_equal(runs, 512);
    assert_int_equal(cpu.cleans - before, 512 / 64);
}

/* Nothing is lost, whatever keeps a vCPU in its guest. */
static void test_patience(void **state) {
    (void)state;
    begin();
    cpu.written[9] = true;
    cpu.gather = -EAGAIN;
    assert_int_equal(collect(-EAGAIN), -1);
    cpu.gather = 0;
    cpu.settle = -EAGAIN;
    assert_int_equal(collect(-EAGAIN), -1);
    assert_int_equal(runs, 0);
    assert_int_equal(guest_write(&vm, 20 * PAGE_SIZE, "x", 1), 0);
    cpu.settle = 0;
    assert_int_equal(collect(0), 2);
    assert_true(given[9] && given[20]);
}

/* A write during a collection is in the next one, if not in this. */
static void test_late(void **state) {
    (void)state;
    begin();
    cpu.written[9] = true;
    cpu.late = 10;
    assert_int_equal(collect(0), 1);
    cpu.late = 0;
    assert_int_equal(collect(0), 1);
    assert_true(given[10]);
}

/* The guest's map changes: what the CPU has noted in entries that go is not lost with them. */
static void test_other_map(void **state) {
    (void)state;
    begin();
    assert_int_equal(guest_memory_place(&vm, 3 * PAGE_SIZE, 2 * PAGE_SIZE, 3 * PAGE_SIZE, GUEST_ROM), 0);
    assert_int_equal(collect(0), 2);
    assert_true(given[3] && given[4]);
    assert_int_equal(guest_memory_remove(&vm, 4 * MIB - PAGE_SIZE, 8 * MIB + 2 * PAGE_SIZE), 0);
    assert_int_equal(collect(0), 2);
    assert_true(given[4 * MIB / PAGE_SIZE - 1] && given[4 * MIB / PAGE_SIZE]);
    /* What was placed where nothing was has been written by nobody. */
    assert_int_equal(guest_memory_place(&vm, 20 * MIB, PAGE_SIZE, 0, GUEST_RAM), 0);
    assert_int_equal(guest_memory_place_shown(&vm, 21 * MIB, PAGE_SIZE, 0), 0);
    assert_int_equal(guest_memory_remove(&vm, 21 * MIB, PAGE_SIZE), 0);
    assert_int_equal(collect(0), 0);
    dirty_log_stop(&vm);
    assert_int_equal(guest_memory_remove(&vm, 0, PAGE_SIZE), 0);
}

static void test_refused(void **state) {
    (void)state;
    cpu.start = -ENOTSUP;
    assert_int_equal(dirty_log_start(&vm), -ENOTSUP);
    assert_false(dirty_log_runs(&vm) || told);
    assert_int_equal(guest_write(&vm, 0, "x", 1), 0);
    dirty_log_stop(&vm);
    assert_int_equal(cpu.stops, 0);
    cpu.start = 0;
    begin();
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_rounds), TEST(test_many_runs), TEST(test_patience),
        TEST(test_late),   TEST(test_other_map), TEST(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
