// SPDX-License-Identifier: Apache-2.0
// For unit tests of guest memory: one VM in an arena of 64 MiB, with a look at its account at the end.
// Included by one file of a test program.
#ifndef SAGUARO_TESTS_GUEST_MEMORY_FIXTURE_H
#define SAGUARO_TESTS_GUEST_MEMORY_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "core/vm.h"
#include "tests/unit/host/arena.h"

#define K4  0x1000ull
#define MIB 0x100000ull

static struct vm vm;
static struct memory_statistics before;

static inline struct memory_statistics statistics(void) {
    struct memory_statistics out;
    memory_statistics(&out);
    return out;
}

static inline void start(uint64_t size) {
    const struct memory_range range = {.base = 0, .size = 64 * MIB};
    arena_open(64 * MIB, 0xa5);
    assert_int_equal(memory_init(&range, 1), 0);
    memset(&vm, 0, sizeof(vm));
    before = statistics();
    if (size != 0)
        assert_int_equal(guest_memory_create(&vm, size), 0);
}

static inline void finish(void) {
    guest_memory_destroy(&vm);
    assert_int_equal(vm.memory.account.frames, 0);
    assert_int_equal(vm.memory.account.overhead, 0);
    assert_int_equal(statistics().free + statistics().heap, before.free + before.heap);
    assert_int_equal(statistics().heap_used, before.heap_used);
    arena_close();
}

static inline void dirty_log(void) {
    vm.memory.dirty = heap_allocate(vm.memory.size / PAGE_SIZE / 8, &vm.memory.account);
    assert_non_null(vm.memory.dirty);
    vm.memory.logging = true;
}

/* How many bits are set; they are cleared. */
static inline unsigned dirty_take(void) {
    unsigned count = 0;
    for (uint64_t i = 0; i < vm.memory.size / PAGE_SIZE / 64; i++) {
        count += (unsigned)__builtin_popcountll(vm.memory.dirty[i]);
        vm.memory.dirty[i] = 0;
    }
    return count;
}

static inline void translated(uint64_t gpa, uint64_t offset, uint64_t contiguous,
                              enum guest_region_kind kind) {
    uint64_t p, c;
    enum guest_region_kind k;
    assert_int_equal(guest_memory_translate(&vm, gpa, &p, &c, &k), 0);
    assert_int_equal(p, vm.memory.block[offset >> 21] + offset % (2 * MIB));
    assert_int_equal(c, contiguous);
    assert_int_equal(k, kind);
}

#endif
