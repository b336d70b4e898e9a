// SPDX-License-Identifier: Apache-2.0
// Guest memory: backing, the map against a flat model, and every kind of access at and over the edges.
// unit-sources: core/guest_memory.c core/guest_regions.c core/memory.c core/heap.c
#include "guest_memory_fixture.h"

static void test_backing(void **state) {
    (void)state;
    start(0);
    assert_int_equal(guest_memory_create(&vm, 0), -EINVAL);
    assert_int_equal(guest_memory_create(&vm, UINT64_MAX), -EINVAL);
    assert_int_equal(guest_memory_create(&vm, 1ull << 50), -ENOMEM);
    assert_int_equal(guest_memory_create(&vm, 64 * MIB), -ENOMEM); /* not all of it is there */
    assert_int_equal(vm.memory.account.frames, 0);
    assert_int_equal(vm.memory.account.overhead, 0);
    assert_int_equal(guest_memory_create(&vm, 5 * MIB), 0);
    assert_int_equal(vm.memory.size, 6 * MIB);
    assert_int_equal(vm.memory.account.frames, 6 * MIB);
    uint64_t contiguous;
    for (uint64_t offset = 0; offset < 6 * MIB; offset += K4) {
        uint64_t physical = guest_memory_backing(&vm.memory, offset, &contiguous);
        assert_int_equal(contiguous, 2 * MIB - offset % (2 * MIB));
        assert_int_equal(arena.memory[physical], 0);
        assert_int_equal(physical % (2 * MIB), offset % (2 * MIB));
    }
    memset(arch_window_map_large(vm.memory.block[1]), 7, 2 * MIB);
    guest_memory_scrub(&vm);
    assert_int_equal(arena.memory[vm.memory.block[1] + 12345], 0);
    dirty_log();
    guest_memory_scrub(&vm);
    assert_int_equal(dirty_take(), 6 * MIB / K4);
    finish();
}

/* 1 GiB frames where there is room, at multiples of 1 GiB of the backing. */
static void test_huge_backing(void **state) {
    (void)state;
    const struct memory_range ranges[] = {{2 * MIB, 62 * MIB}, {1024 * MIB, 2048 * MIB}};
    arena_open(64 * MIB, 0);
    assert_int_equal(memory_init(ranges, 2), 0);
    memset(&vm, 0, sizeof(vm));
    before = statistics();
    assert_int_equal(guest_memory_create(&vm, 2048 * MIB + 4 * MIB), 0);
    assert_int_equal(vm.memory.block_shift[0], 30);
    assert_int_equal(vm.memory.block_shift[1023], 30);
    assert_int_equal(vm.memory.block_shift[1024], 21);
    uint64_t contiguous;
    uint64_t physical = guest_memory_backing(&vm.memory, 1536 * MIB + 5, &contiguous);
    assert_int_equal(contiguous, 512 * MIB - 5);
    assert_int_equal(physical % (1024 * MIB), 512 * MIB + 5);
    finish();
    arena_open(64 * MIB, 0);
    assert_int_equal(memory_init(ranges, 2), 0);
    assert_int_not_equal(frame_allocate(21, NULL), 0);
    uint64_t first = frame_allocate(30, NULL);
    memset(&vm, 0, sizeof(vm));
    before = statistics();
    assert_int_equal(guest_memory_create(&vm, 1500 * MIB), -ENOMEM);
    assert_int_equal(statistics().free + statistics().heap, before.free + before.heap);
    assert_int_not_equal(first, 0);
    arena_close();
}

/* In one piece, below a limit. */
static void test_below(void **state) {
    (void)state;
    const struct memory_range ranges[] = {{2 * MIB, 62 * MIB}, {1024 * MIB, 2048 * MIB}};
    uint64_t physical, contiguous;
    arena_open(64 * MIB, 0);
    assert_int_equal(memory_init(ranges, 2), 0);
    memset(&vm, 0, sizeof(vm));
    before = statistics();
    assert_int_equal(guest_memory_create_below(&vm, 30, 2048 * MIB, &physical), 0);
    assert_int_equal(physical, 1024 * MIB);
    assert_int_equal(vm.memory.size, 1024 * MIB);
    assert_int_equal(vm.memory.block_count, 512);
    assert_int_equal(vm.memory.account.frames, 1024 * MIB);
    for (uint64_t offset = 0; offset < 1024 * MIB; offset += 2 * MIB - K4) {
        assert_int_equal(guest_memory_backing(&vm.memory, offset, &contiguous), physical + offset);
        assert_int_equal(contiguous, 1024 * MIB - offset);
    }
    finish();
    arena_open(64 * MIB, 0);
    assert_int_equal(memory_init(ranges, 2), 0);
    memset(&vm, 0, sizeof(vm));
    before = statistics();
    /* There is such a piece, but not there. */
    uint64_t taken = frame_allocate_below(30, 2048 * MIB, NULL);
    assert_int_equal(guest_memory_create_below(&vm, 30, 2048 * MIB, &physical), -ENOMEM);
    assert_int_equal(vm.memory.size, 0);
    assert_int_equal(vm.memory.block_count, 0);
    assert_null(vm.memory.block);
    assert_int_equal(guest_memory_create_below(&vm, 24, 2048 * MIB, &physical), 0);
    assert_int_equal(vm.memory.block[7], physical + 14 * MIB);
    assert_int_equal(guest_memory_backing(&vm.memory, 15 * MIB, &contiguous), physical + 15 * MIB);
    assert_int_equal(contiguous, 1 * MIB);
    guest_memory_destroy(&vm);
    frame_free(taken, 30, NULL);
    finish();
}

/* A part apart, and the rest in one piece. */
static void test_row(void **state) {
    (void)state;
    uint64_t physical = 1, contiguous;
    start(0);
    assert_int_equal(guest_memory_create_row(&vm, 2 * MIB, 2 * MIB, 0, 64 * MIB, &physical), -EINVAL);
    assert_int_equal(guest_memory_create_row(&vm, 0, 2 * MIB, 0, 64 * MIB, &physical), -EINVAL);
    assert_int_equal(guest_memory_create_row(&vm, MIB, 4 * MIB, 0, 64 * MIB, &physical), -EINVAL);
    assert_int_equal(guest_memory_create_row(&vm, 2 * MIB, 5 * MIB, 0, 64 * MIB, &physical), -EINVAL);
    assert_int_equal(guest_memory_create_row(&vm, 2 * MIB, 1ull << 50, 0, 64 * MIB, &physical), -ENOMEM);
    /* There is room for the row, but for nothing beside it; for neither. */
    assert_int_equal(guest_memory_create_row(&vm, 2 * MIB, 62 * MIB, 0, 64 * MIB, &physical), -ENOMEM);
    assert_int_equal(guest_memory_create_row(&vm, 2 * MIB, 42 * MIB, 32 * MIB, 64 * MIB, &physical), -ENOMEM);
    assert_null(vm.memory.block);
    assert_int_equal(vm.memory.size, 0);
    assert_int_equal(vm.memory.account.frames, 0);
    assert_int_equal(statistics().free, before.free);
    assert_int_equal(guest_memory_create_row(&vm, 4 * MIB, 24 * MIB, 13 * MIB, 34 * MIB, &physical), 0);
    assert_int_equal(physical, 14 * MIB);
    assert_int_equal(vm.memory.size, 24 * MIB);
    assert_int_equal(vm.memory.account.frames, 24 * MIB);
    for (uint64_t offset = 0; offset < 24 * MIB; offset += MIB) {
        uint64_t at = guest_memory_backing(&vm.memory, offset, &contiguous);
        if (offset >= 4 * MIB)
            assert_int_equal(at, physical + offset - 4 * MIB);
        else
            assert_true(at < physical || at >= physical + 20 * MIB);
        assert_int_equal(contiguous, 2 * MIB - offset % (2 * MIB));
    }
    /* In place at the machine's own addresses. */
    assert_int_equal(guest_memory_place(&vm, physical, 20 * MIB, 4 * MIB, GUEST_RAM), 0);
    for (uint64_t gpa = physical; gpa < physical + 20 * MIB; gpa += MIB) {
        uint64_t at;
        assert_int_equal(guest_memory_translate(&vm, gpa, &at, NULL, NULL), 0);
        assert_int_equal(at, gpa);
    }
    finish();
}

static void test_place(void **state) {
    (void)state;
    start(8 * MIB);
    assert_int_equal(guest_memory_translate(&vm, 0, NULL, NULL, NULL), -EFAULT);
    assert_int_equal(guest_memory_place(&vm, 0, 4 * MIB, 0, GUEST_RAM), 0);
    assert_int_equal(guest_memory_place(&vm, 0x100000000ull, 4 * MIB, 4 * MIB, GUEST_RAM), 0);
    assert_int_equal(guest_memory_place(&vm, 0xf0000, 0x10000, 0xf0000, GUEST_ROM), 0);
    assert_int_equal(vm.memory.region_count, 4);
    translated(0, 0, 0xf0000, GUEST_RAM);
    translated(0xf0123, 0xf0123, 0x10000 - 0x123, GUEST_ROM);
    translated(0x100000, 0x100000, MIB, GUEST_RAM);
    translated(4 * MIB - 1, 4 * MIB - 1, 1, GUEST_RAM);
    translated(0x100200000ull, 6 * MIB, 2 * MIB, GUEST_RAM);
    assert_int_equal(guest_memory_translate(&vm, 4 * MIB, NULL, NULL, NULL), -EFAULT);
    assert_int_equal(guest_memory_translate(&vm, 0xffffffff, NULL, NULL, NULL), -EFAULT);
    assert_int_equal(guest_memory_translate(&vm, UINT64_MAX, NULL, NULL, NULL), -EFAULT);
    assert_int_equal(guest_memory_remove(&vm, 0xf8000, 0x10000), 0);
    assert_int_equal(vm.memory.region_count, 4);
    assert_int_equal(guest_memory_translate(&vm, 0xf8000, NULL, NULL, NULL), -EFAULT);
    translated(0xf7000, 0xf7000, K4, GUEST_ROM);
    translated(0x108000, 0x108000, 2 * MIB - 0x108000, GUEST_RAM);
    /* Refused, without a change. */
    assert_int_equal(guest_memory_place(&vm, 0, 0, 0, GUEST_RAM), -EINVAL);
    assert_int_equal(guest_memory_place(&vm, 1, K4, 0, GUEST_RAM), -EINVAL);
    assert_int_equal(guest_memory_place(&vm, 0, K4 + 1, 0, GUEST_RAM), -EINVAL);
    assert_int_equal(guest_memory_place(&vm, 0, K4, 1, GUEST_RAM), -EINVAL);
    assert_int_equal(guest_memory_place(&vm, 0, 8 * MIB + K4, 0, GUEST_RAM), -EINVAL);
    assert_int_equal(guest_memory_place(&vm, 0, K4, 8 * MIB, GUEST_RAM), -EINVAL);
    assert_int_equal(guest_memory_place(&vm, 0, K4, (uint64_t)-K4, GUEST_RAM), -EINVAL);
    assert_int_equal(guest_memory_place(&vm, (uint64_t)-K4, K4, 0, GUEST_RAM), -EINVAL);
    assert_int_equal(guest_memory_remove(&vm, (uint64_t)-K4, 2 * K4), -EINVAL);
    assert_int_equal(guest_memory_remove(&vm, 0, 0), -EINVAL);
    assert_int_equal(vm.memory.region_count, 4);
    /* As many regions as there may be, and no more. */
    assert_int_equal(guest_memory_remove(&vm, 0, 1ull << 40), 0);
    assert_int_equal(vm.memory.region_count, 0);
    for (uint64_t i = 0; i < GUEST_MAX_REGIONS; i++)
        assert_int_equal(guest_memory_place(&vm, i * 3 * K4, 2 * K4, i * 2 * K4, GUEST_RAM), 0);
    assert_int_equal(guest_memory_place(&vm, 1ull << 30, K4, 0, GUEST_RAM), -ENOSPC);
    /* Over the second half of one region, and within one's start: one more region each. */
    assert_int_equal(guest_memory_place(&vm, K4, K4, 0, GUEST_ROM), -ENOSPC);
    translated(K4, K4, K4, GUEST_RAM);
    assert_int_equal(guest_memory_place(&vm, 0, 2 * K4, 0, GUEST_ROM), 0);
    translated(K4, K4, K4, GUEST_ROM);
    finish();
}

/* --- the map against a flat model, through the hook --- */

#define MODEL 4096u /* pages */

static struct {
    uint8_t kind; /* 0: nothing, 1 + kind else */
    uint32_t page;
} model[MODEL], mapped[MODEL];
static unsigned hook_left;

static int hook(struct vm *of, const struct guest_region *region, bool present) {
    assert_ptr_equal(of, &vm);
    if (hook_left == 0)
        return -ENOMEM;
    hook_left--;
    for (uint64_t i = 0; i < region->size / K4; i++) {
        uint64_t page = region->base / K4 + i;
        mapped[page].kind = present ? (uint8_t)(1 + region->kind) : 0;
        mapped[page].page = present ? (uint32_t)(region->offset / K4 + i) : 0;
    }
    return 0;
}

static void check_model(void) {
    assert_memory_equal(model, mapped, sizeof(model));
    for (uint64_t page = 0; page < MODEL; page++) {
        uint64_t physical;
        enum guest_region_kind kind;
        int error = guest_memory_translate(&vm, page * K4 + 8, &physical, NULL, &kind);
        assert_int_equal(error, model[page].kind != 0 ? 0 : -EFAULT);
        if (error == 0) {
            assert_int_equal(kind, model[page].kind - 1);
            assert_int_equal(physical,
                             vm.memory.block[model[page].page / 512] + model[page].page % 512 * K4 + 8);
        }
    }
    for (unsigned i = 1; i < vm.memory.region_count; i++)
        assert_true(vm.memory.region[i - 1].base + vm.memory.region[i - 1].size <= vm.memory.region[i].base);
}

static void test_random_map(void **state) {
    (void)state;
    start(8 * MIB);
    vm.memory.changed = hook;
    memset(model, 0, sizeof(model));
    memset(mapped, 0, sizeof(mapped));
    unsigned refused = 0;
    for (unsigned step = 0; step < 1500; step++) {
        uint64_t page = test_random() % MODEL,
                 count = 1 + test_random() % (test_random() % 3 == 0 ? 1500 : 150);
        uint64_t from = test_random() % 2048;
        if (count > MODEL - page)
            count = MODEL - page;
        if (count > 2048 - from)
            count = 2048 - from;
        enum guest_region_kind kind = test_random() % 2 == 0 ? GUEST_RAM : GUEST_ROM;
        bool place = test_random() % 3 != 0;
        hook_left = UINT32_MAX;
        int error = place ? guest_memory_place(&vm, page * K4, count * K4, from * K4, kind)
                          : guest_memory_remove(&vm, page * K4, count * K4);
        if (error == -ENOSPC) {
            refused++;
            error = guest_memory_remove(&vm, 0, MODEL / 2 * K4);
            memset(model, 0, sizeof(model) / 2);
        } else {
            for (uint64_t i = 0; i < count; i++) {
                model[page + i].kind = place ? (uint8_t)(1 + kind) : 0;
                model[page + i].page = place ? (uint32_t)(from + i) : 0;
            }
        }
        assert_int_equal(error, 0);
        check_model();
    }
    assert_int_not_equal(refused, 0);
    finish();
}

static unsigned failing;

static int failing_hook(struct vm *of, const struct guest_region *region, bool present) {
    if (failing != 0 && --failing == 0) {
        hook(of, region, present); /* a part of it, or all, was done */
        return -ENOMEM;
    }
    return hook(of, region, present);
}

/* A mapping that fails: the regions and, where memory allows, the mapping are as before. */
static void test_failed_change(void **state) {
    (void)state;
    start(8 * MIB);
    vm.memory.changed = failing_hook;
    memset(model, 0, sizeof(model));
    memset(mapped, 0, sizeof(mapped));
    hook_left = UINT32_MAX;
    assert_int_equal(guest_memory_place(&vm, 0, 64 * K4, 0, GUEST_RAM), 0);
    assert_int_equal(guest_memory_place(&vm, 80 * K4, 64 * K4, 64 * K4, GUEST_ROM), 0);
    memcpy(model, mapped, sizeof(model));
    failing = 1;
    assert_int_equal(guest_memory_place(&vm, 32 * K4, 80 * K4, 512 * K4, GUEST_RAM), -ENOMEM);
    check_model();
    failing = 1;
    assert_int_equal(guest_memory_remove(&vm, 32 * K4, 80 * K4), -ENOMEM);
    check_model();
    assert_int_equal(vm.memory.region_count, 2);
    finish();
}

/* --- access --- */

static void test_access(void **state) {
    (void)state;
    start(8 * MIB);
    /* Neighbours in guest-physical space that are none in the backing; a hole; ROM. */
    assert_int_equal(guest_memory_place(&vm, 0, 2 * MIB, 4 * MIB, GUEST_RAM), 0);
    assert_int_equal(guest_memory_place(&vm, 2 * MIB, 2 * MIB, 0, GUEST_RAM), 0);
    assert_int_equal(guest_memory_place(&vm, 4 * MIB, 64 * K4, 2 * MIB, GUEST_ROM), 0);
    dirty_log();
    char out[20000], in[20000];
    for (unsigned i = 0; i < sizeof(out); i++)
        out[i] = (char)(i * 7 + i / 251);
    for (unsigned step = 0; step < 3000; step++) {
        size_t size = test_random() % (test_random() % 4 == 0 ? sizeof(out) : 17);
        uint64_t gpa = test_random() % 3 == 0 ? test_random() % (4 * MIB - size)
                                              : 2 * MIB - 10000 + test_random() % 10000;
        unsigned pages = size == 0 ? 0 : (unsigned)((gpa + size - 1) / K4 - gpa / K4 + 1);
        dirty_take();
        assert_int_equal(guest_write(&vm, gpa, out, size), 0);
        assert_int_equal(dirty_take(), pages);
        memset(in, 0, size);
        assert_int_equal(guest_read(&vm, gpa, in, size), 0);
        assert_memory_equal(in, out, size);
        assert_int_equal(dirty_take(), 0);
    }
    /* The right page of the backing is marked. */
    assert_int_equal(guest_write(&vm, 2 * MIB - 1, out, 2), 0);
    assert_true((vm.memory.dirty[(6 * MIB / K4 - 1) / 64] >> ((6 * MIB / K4 - 1) % 64) & 1) != 0);
    assert_true((vm.memory.dirty[0] & 1) != 0);
    dirty_take();
    /* ROM can be loaded, not written; and nothing is written by halves. */
    memset(in, 0, sizeof(in));
    assert_int_equal(guest_write(&vm, 4 * MIB, out, 4), -EFAULT);
    assert_int_equal(guest_write(&vm, 4 * MIB - 8, out, 16), -EFAULT);
    guest_load(&vm, 4 * MIB - 8, in, 8);
    dirty_take();
    assert_int_equal(guest_write(&vm, 4 * MIB - 5000, out, 6000), -EFAULT);
    assert_int_equal(dirty_take(), 0);
    test_code_stored = 0;
    assert_int_equal(guest_write(&vm, 0, out, 16), 0);
    assert_int_equal(test_code_stored, 0);
    dirty_take();
    assert_int_equal(guest_load(&vm, 4 * MIB - 8, out, 16), 0);
    assert_int_equal(test_code_stored, 16); /* it may be code */
    assert_int_equal(guest_read(&vm, 4 * MIB - 8, in, 16), 0);
    assert_memory_equal(in, out, 16);
    assert_int_equal(dirty_take(), 2);
    assert_int_equal(guest_load(&vm, 4 * MIB + 64 * K4 - 8, out, 9), -EFAULT);
    assert_int_equal(guest_read(&vm, 4 * MIB + 64 * K4 - 8, in, 9), -EFAULT);
    assert_int_equal(guest_read(&vm, 4 * MIB + 64 * K4 - 8, in, 8), 0);
    /* Nothing there; the end of the address space. */
    assert_int_equal(guest_read(&vm, 1ull << 40, in, 1), -EFAULT);
    assert_int_equal(guest_write(&vm, UINT64_MAX, out, 1), -EFAULT);
    assert_int_equal(guest_write(&vm, UINT64_MAX - 3, out, 8), -EFAULT);
    assert_int_equal(guest_read(&vm, UINT64_MAX - 3, in, 8), -EFAULT);
    assert_int_equal(guest_write(&vm, 0, out, SIZE_MAX), -EFAULT);
    assert_int_equal(guest_read(&vm, 1ull << 40, in, 0), 0);
    assert_int_equal(dirty_take(), 0);
    guest_mark_dirty(&vm, 10, 2 * K4);
    assert_int_equal(dirty_take(), 3);
    guest_mark_dirty(&vm, K4, K4);
    assert_int_equal(dirty_take(), 1);
    guest_mark_dirty(&vm, 1ull << 40, 10);
    guest_mark_dirty(&vm, UINT64_MAX, 10);
    guest_mark_dirty(&vm, 0, 0);
    assert_int_equal(dirty_take(), 0);
    assert_ptr_equal(guest_page(&vm, 5 * K4 + 7), arena.memory + vm.memory.block[2] + 5 * K4);
    assert_null(guest_page(&vm, 1ull << 40));
    finish();
}

static void test_compare_exchange(void **state) {
    (void)state;
    start(4 * MIB);
    assert_int_equal(guest_memory_place(&vm, 0, 2 * MIB, 0, GUEST_RAM), 0);
    assert_int_equal(guest_memory_place(&vm, 2 * MIB, 2 * MIB, 2 * MIB, GUEST_ROM), 0);
    dirty_log();
    for (unsigned size = 1; size <= 16; size *= 2) {
        uint8_t expected[16] __attribute__((aligned(16))) = {0}, desired[16] __attribute__((aligned(16)));
        uint8_t at[32], around[32] = {0};
        memset(desired, 0x5a, 16);
        guest_write(&vm, 0x1000, around, 32);
        dirty_take();
        uint64_t gpa = size == 16 ? 0x1010 : 0x1000 + 16 - size / 2; /* misaligned too */
        assert_int_equal(guest_compare_exchange(&vm, gpa, size, expected, desired), 1);
        assert_int_equal(dirty_take(), 1);
        memset(around + (gpa - 0x1000), 0x5a, size);
        guest_read(&vm, 0x1000, at, 32);
        assert_memory_equal(at, around, 32);
        assert_int_equal(guest_compare_exchange(&vm, gpa, size, expected, desired), 0);
        assert_memory_equal(expected, desired, size);
        assert_int_equal(dirty_take(), 0);
        assert_int_equal(guest_compare_exchange(&vm, gpa, size, expected, around), 1);
    }
    uint8_t a[32] = {0}, b[32] = {0};
    assert_int_equal(guest_compare_exchange(&vm, 0x1000, 3, a, b), -EFAULT);
    assert_int_equal(guest_compare_exchange(&vm, 0x1000, 0, a, b), -EFAULT);
    assert_int_equal(guest_compare_exchange(&vm, 0x1000, 32, a, b), -EFAULT);
    assert_int_equal(guest_compare_exchange(&vm, 0x1ffd, 4, a, b), -EFAULT);
    assert_int_equal(guest_compare_exchange(&vm, 0x1008, 16, a, b), -EFAULT);
    assert_int_equal(guest_compare_exchange(&vm, 2 * MIB, 4, a, b), -EFAULT);
    assert_int_equal(guest_compare_exchange(&vm, 1ull << 40, 4, a, b), -EFAULT);
    finish();
}

static void test_mark_backing(void **state) {
    (void)state;
    start(4 * MIB);
    assert_int_equal(guest_mark_backing(&vm, 0, 4 * MIB), 0); /* nobody keeps a log */
    dirty_log();
    assert_int_equal(dirty_take(), 0);
    assert_int_equal(guest_mark_backing(&vm, 3 * K4, 2 * K4), 0); /* no region places it */
    assert_int_equal(vm.memory.dirty[0], 3u << 3);
    assert_int_equal(dirty_take(), 2);
    assert_int_equal(guest_mark_backing(&vm, 0, 4 * MIB), 0);
    assert_int_equal(dirty_take(), 4 * MIB / K4);
    assert_int_equal(guest_mark_backing(&vm, 4 * MIB - K4, K4), 0);
    assert_int_equal(dirty_take(), 1);
    /* Words of the log in part and whole. */
    assert_int_equal(guest_mark_backing(&vm, 62 * K4, 131 * K4), 0);
    assert_true(vm.memory.dirty[0] == 3ull << 62 && vm.memory.dirty[1] == UINT64_MAX);
    assert_true(vm.memory.dirty[2] == UINT64_MAX && vm.memory.dirty[3] == 1);
    assert_int_equal(dirty_take(), 131);
    assert_int_equal(guest_mark_backing(&vm, 4 * MIB, 0), 0);
    assert_int_equal(guest_mark_backing(&vm, 4 * MIB, K4), -EINVAL);
    assert_int_equal(guest_mark_backing(&vm, 4 * MIB - K4, 2 * K4), -EINVAL);
    assert_int_equal(guest_mark_backing(&vm, 4 * MIB + K4, 0), -EINVAL);
    assert_int_equal(guest_mark_backing(&vm, K4, UINT64_MAX - K4 + 1), -EINVAL);
    assert_int_equal(guest_mark_backing(&vm, UINT64_MAX - K4 + 1, K4), -EINVAL);
    assert_int_equal(dirty_take(), 0);
    finish();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backing),      cmocka_unit_test(test_huge_backing),
        cmocka_unit_test(test_below),        cmocka_unit_test(test_place),
        cmocka_unit_test(test_random_map),   cmocka_unit_test(test_failed_change),
        cmocka_unit_test(test_access),       cmocka_unit_test(test_compare_exchange),
        cmocka_unit_test(test_mark_backing), cmocka_unit_test(test_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
