// SPDX-License-Identifier: Apache-2.0
// Frames and heap: what is given out is aligned, zero, nobody else's, and comes back.
// unit-sources: core/memory.c core/heap.c
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "tests/unit/host/arena.h"

#define MIB 0x100000ull

static void start(uint64_t size, int rubbish, const struct memory_range *ranges, unsigned count) {
    arena_open(size, rubbish);
    assert_int_equal(memory_init(ranges, count), 0);
}

static struct memory_statistics statistics(void) {
    struct memory_statistics out;
    memory_statistics(&out);
    return out;
}

static int is_zero(const void *at, size_t size) {
    const unsigned char *bytes = at;
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

static const struct memory_range plain = {.base = 0, .size = 64 * MIB};

static void test_start(void **state) {
    (void)state;
    start(64 * MIB, 0xa5, &plain, 1);
    struct memory_statistics s = statistics();
    assert_int_equal(s.total, 64 * MIB);
    /* Low memory stays away, one block holds the records and the first of the heap. */
    assert_int_equal(s.free, 61 * MIB);
    assert_int_equal(s.heap, 2 * MIB);
    assert_true(s.heap_used > 0 && s.heap_used < 64 * MIB / 1000);
    assert_int_equal(s.largest, 32 * MIB);
    arena_close();
}

static void test_bad_ranges(void **state) {
    (void)state;
    arena_open(16 * MIB, 0);
    struct memory_range many[65];
    for (unsigned i = 0; i < 65; i++)
        many[i] = (struct memory_range){.base = (i + 1) * MIB, .size = 4096};
    assert_int_equal(memory_init(many, 65), -EINVAL);
    /* 64 small ones: fine, but there is no block for the records. */
    assert_int_equal(memory_init(many, 64), -ENOMEM);
    struct memory_range wraps = {.base = UINT64_MAX - 4095, .size = 8192};
    assert_int_equal(memory_init(&wraps, 1), -EINVAL);
    struct memory_range overlap[2] = {{4 * MIB, 4 * MIB}, {7 * MIB, 4 * MIB}};
    assert_int_equal(memory_init(overlap, 2), -EINVAL);
    assert_int_equal(memory_init(NULL, 0), -ENOMEM);
    struct memory_range low = {.base = 0, .size = MIB};
    assert_int_equal(memory_init(&low, 1), -ENOMEM);
    struct memory_range edge = {.base = UINT64_MAX - 10, .size = 5};
    assert_int_equal(memory_init(&edge, 1), -ENOMEM);
    arena.map_left = 0;
    assert_int_equal(memory_init(&plain, 1), -ENOMEM);
    arena_close();
}

/* Ranges that are out of order, touch, share a block, and have odd ends. */
static void test_odd_ranges(void **state) {
    (void)state;
    const struct memory_range ranges[] = {
        {20 * MIB, 4 * MIB},         {MIB + 100, 3 * MIB}, {16 * MIB, 4 * MIB},
        {4 * MIB + 0x10000, 0x5123}, {5 * MIB, 4096},      {40 * MIB, 0},
    };
    start(64 * MIB, 0x11, ranges, array_count(ranges));
    struct memory_statistics s = statistics();
    uint64_t pages = 0;
    /* Every page that can be had lies in one of the ranges; none comes twice. */
    static uint8_t seen[64 * 256];
    memset(seen, 0, sizeof(seen));
    for (uint64_t at; (at = frame_allocate(12, NULL)) != 0; pages++) {
        int inside = 0;
        for (unsigned i = 0; i < array_count(ranges); i++)
            inside |= at >= ranges[i].base && at + 4096 <= ranges[i].base + ranges[i].size;
        assert_true(inside);
        assert_int_equal(seen[at >> 12]++, 0);
        assert_true(is_zero(arena.memory + at, 4096));
    }
    assert_int_equal(pages * 4096, s.free);
    assert_int_equal(statistics().free, 0);
    assert_int_equal(statistics().largest, 0);
    /* 8 MiB in the joined ranges less one block for records; 2 + 1 MiB less two cut pages; 5 + 1 pages. */
    assert_int_equal(pages, (6 * MIB >> 12) + (3 * MIB >> 12) - 1 + 5 + 1);
    for (uint64_t i = 0; i < sizeof(seen); i++) {
        if (seen[i])
            frame_free(i << 12, 12, NULL);
    }
    assert_int_equal(statistics().free, s.free);
    assert_int_equal(statistics().largest, s.largest);
    arena_close();
}

static void test_frames(void **state) {
    (void)state;
    start(64 * MIB, 0x5a, &plain, 1);
    struct memory_account account = {0};
    uint64_t frame[13];
    struct memory_statistics before = statistics();
    for (unsigned shift = 12; shift <= 24; shift++) {
        frame[shift - 12] = frame_allocate(shift, &account);
        assert_int_not_equal(frame[shift - 12], 0);
        assert_int_equal(frame[shift - 12] & ((1ull << shift) - 1), 0);
        assert_true(is_zero(arena.memory + frame[shift - 12], 1ull << shift));
        memset(arena.memory + frame[shift - 12], 0xcc, 1ull << shift);
    }
    assert_int_equal(account.frames, (1ull << 25) - (1ull << 12));
    assert_int_equal(before.free - statistics().free, account.frames);
    assert_int_equal(frame_allocate(25, &account), 0); /* the only such block was cut */
    assert_int_equal(account.frames, (1ull << 25) - (1ull << 12));
    for (unsigned shift = 12; shift <= 24; shift++) {
        frame_free(frame[shift - 12], shift, &account);
        assert_true(is_zero(arena.memory + frame[shift - 12], 1ull << shift)); /* scrubbed at once */
    }
    assert_int_equal(account.frames, 0);
    assert_int_equal(statistics().free, before.free);
    assert_int_equal(statistics().largest, before.largest);
    arena_close();
}

/* A clean block is not scrubbed again. */
static void test_clean(void **state) {
    (void)state;
    start(64 * MIB, 0x77, &plain, 1);
    uint64_t a = frame_allocate(21, NULL);
    assert_int_equal(arena.scrubs, 1);
    frame_free(a, 21, NULL);
    assert_int_equal(arena.scrubs, 2);
    assert_int_equal(frame_allocate(21, NULL), a);
    assert_int_equal(arena.scrubs, 2);
    frame_free(a, 21, NULL);
    assert_int_equal(arena.scrubs, 3);
    /* Small frames of a clean block are clean; a dirtied and freed one makes no dirty block. */
    uint64_t small = frame_allocate(12, NULL);
    memset(arena.memory + small, 1, 4096);
    frame_free(small, 12, NULL);
    for (unsigned i = 0; i < 20; i++) {
        uint64_t b = frame_allocate(21, NULL);
        assert_true(is_zero(arena.memory + b, LARGE_PAGE_SIZE));
    }
    arena_close();
}

static void test_huge(void **state) {
    (void)state;
    const struct memory_range ranges[] = {{2 * MIB, 62 * MIB}, {1024 * MIB, 3072 * MIB}};
    start(64 * MIB, 0, ranges, 2);
    assert_int_equal(statistics().largest, 1024 * MIB);
    uint64_t a = frame_allocate(30, NULL), b = frame_allocate(30, NULL), c = frame_allocate(30, NULL);
    assert_true(a != 0 && b != 0 && c != 0 && a != b && b != c && a != c);
    assert_int_equal((a | b | c) & (HUGE_PAGE_SIZE - 1), 0);
    assert_int_equal(arena.scrubs, 3 * 512);
    assert_int_equal(frame_allocate(30, NULL), 0);
    frame_free(b, 30, NULL);
    assert_int_equal(statistics().largest, 1024 * MIB);
    assert_int_equal(frame_allocate(30, NULL), b);
    arena_close();
}

/* Below a limit that cuts through blocks: what ends at it may be taken, what crosses it is split. */
static void test_below(void **state) {
    (void)state;
    const struct memory_range ranges[] = {{2 * MIB, 62 * MIB}, {1024 * MIB, 4096 * MIB}};
    const uint64_t limit = 3072 * MIB;
    struct memory_account account = {0};
    start(64 * MIB, 0, ranges, 2);
    struct memory_statistics before = statistics();
    uint64_t huge[2];
    for (unsigned i = 0; i < 2; i++) {
        huge[i] = frame_allocate_below(30, limit, &account);
        assert_in_range(huge[i], 1024 * MIB, limit - 1024 * MIB);
        assert_int_equal(huge[i] & (HUGE_PAGE_SIZE - 1), 0);
    }
    assert_int_not_equal(huge[0], huge[1]);
    assert_int_equal(account.frames, 2048 * MIB);
    assert_int_equal(arena.scrubs, 0); /* it may hold what somebody left in it */
    assert_int_equal(frame_allocate_below(30, limit, &account), 0);
    assert_int_equal(account.frames, 2048 * MIB);
    assert_int_equal(before.free - statistics().free, 2048 * MIB);
    /* There is more above; and small memory below. */
    uint64_t above = frame_allocate_below(30, limit + 1024 * MIB, NULL);
    assert_int_equal(above, limit);
    frame_free(above, 30, NULL);
    uint64_t small = frame_allocate_below(24, limit, NULL);
    assert_true(small != 0 && small < 64 * MIB);
    assert_int_equal(small & (16 * MIB - 1), 0);
    frame_free(small, 24, NULL);
    frame_free(huge[0], 30, &account);
    frame_free(huge[1], 30, &account);
    assert_int_equal(account.frames, 0);
    assert_int_equal(statistics().free, before.free);
    assert_int_equal(statistics().largest, before.largest);

    /* Up to the last byte below it, in pieces of every size. */
    for (unsigned shift = 21; shift <= 30; shift++) {
        uint64_t count = 0, last = 0;
        static uint64_t taken[2048];
        for (uint64_t at; (at = frame_allocate_below(shift, limit, &account)) != 0;) {
            assert_true(at + (1ull << shift) <= limit);
            assert_int_equal(at & ((1ull << shift) - 1), 0);
            last = at > last ? at : last;
            taken[count++] = at;
        }
        assert_int_equal(last + (1ull << shift), limit);
        assert_true(count >= (2048 * MIB) >> shift);
        while (count > 0)
            frame_free(taken[--count], shift, &account);
        assert_int_equal(statistics().largest, before.largest);
    }
    arena_close();
    /* A limit inside of a free block. */
    start(64 * MIB, 0, ranges, 2);
    assert_int_equal(frame_allocate_below(29, 1536 * MIB, NULL), 1024 * MIB);
    assert_int_equal(frame_allocate_below(29, 1536 * MIB, NULL), 0);
    assert_int_equal(frame_allocate_below(29, 2048 * MIB - 1, NULL), 0);
    assert_int_equal(frame_allocate_below(29, 2048 * MIB, NULL), 1536 * MIB);
    arena_close();
    for (volatile unsigned i = 0; i < 3; i++) {
        start(64 * MIB, 0, &plain, 1);
        assert_panic(frame_allocate_below(i == 0   ? 20
                                          : i == 1 ? 31
                                                   : 21,
                                          i == 2 ? HUGE_PAGE_SIZE - 1 : limit, NULL));
        arena_close();
    }
}

/* Frames in a row: the lowest ones that there are, cut out of larger ones or put together of several. */
static void test_row(void **state) {
    (void)state;
    const struct memory_range ranges[] = {{2 * MIB, 62 * MIB}, {1024 * MIB, 4096 * MIB}};
    struct memory_account account = {0};
    start(64 * MIB, 0x33, ranges, 2);
    struct memory_statistics before = statistics();
    /* 2 to 4 MiB holds the records. */
    assert_int_equal(frame_allocate_row(3, 0, 64 * MIB, &account), 4 * MIB);
    assert_int_equal(account.frames, 6 * MIB);
    assert_int_equal(before.free - statistics().free, 6 * MIB);
    assert_int_equal(arena.scrubs, 0);
    assert_int_equal(frame_allocate_row(1, 9 * MIB, 64 * MIB, &account), 10 * MIB);
    assert_int_equal(frame_allocate_row(1, 12 * MIB + 1, 64 * MIB, &account), 14 * MIB);
    /* What is too large for the first gap lies behind it; a limit that cuts through a frame excludes it. */
    assert_int_equal(frame_allocate_row(2, 0, 64 * MIB, &account), 16 * MIB);
    assert_int_equal(frame_allocate_row(23, 0, 64 * MIB, NULL), 0);
    assert_int_equal(frame_allocate_row(22, 0, 64 * MIB - 1, NULL), 0);
    assert_int_equal(frame_allocate_row(22, 20 * MIB + 1, 64 * MIB, NULL), 0);
    assert_int_equal(frame_allocate_row(1, 0, 64 * MIB, &account), 12 * MIB);
    assert_int_equal(frame_allocate_row(22, 0, 64 * MIB, &account), 20 * MIB);
    assert_int_equal(frame_allocate_row(1, 0, 1024 * MIB, &account), 0);
    /* Across whole frames of 1 GiB, and not across what is no memory. */
    assert_int_equal(frame_allocate_row(1024 + 3, 0, UINT64_MAX, &account), 1024 * MIB);
    assert_int_equal(statistics().largest, 1024 * MIB);
    assert_int_equal(frame_allocate_row(1021, 0, 5120 * MIB, &account), 3078 * MIB);
    assert_int_equal(statistics().free, 0);
    /* Each comes back by itself, and the large ones are whole again. */
    for (uint64_t i = 0; i < 30; i++)
        frame_free((4 + 2 * (i * 7 % 30)) * MIB, 21, &account);
    for (uint64_t i = 0; i < 2048; i++)
        frame_free((1024 + 2 * (i * 5 % 2048)) * MIB, 21, &account);
    assert_int_equal(account.frames, 0);
    assert_int_equal(statistics().free, before.free);
    for (unsigned i = 0; i < 4; i++)
        assert_int_not_equal(frame_allocate(30, NULL), 0);
    arena_close();
    /* A block that is given out in pages, or is the heap's, is in no row. */
    start(64 * MIB, 0, &plain, 1);
    uint64_t page = frame_allocate(12, NULL);
    uint64_t row = frame_allocate_row(4, 0, 64 * MIB, NULL);
    assert_true(row != 0 && (page < row || page >= row + 8 * MIB));
    arena_close();
    for (volatile unsigned i = 0; i < 2; i++) {
        start(64 * MIB, 0, &plain, 1);
        assert_panic(frame_allocate_row(i, 0, i == 0 ? 64 * MIB : MIB, NULL));
        arena_close();
    }
}

/* Rows and single frames mixed, against a list of what is free. */
static void test_random_rows(void **state) {
    (void)state;
    static uint8_t owner[32]; /* of each 2 MiB; 0: nobody */
    start(64 * MIB, 0, &plain, 1);
    struct memory_statistics before = statistics();
    memset(owner, 0, sizeof(owner));
    owner[0] = owner[1] = 255; /* pages, and the records */
    for (unsigned step = 0; step < 4000; step++) {
        unsigned count = 1 + (unsigned)(test_random() % 6), from = (unsigned)(test_random() % 32), first = 32;
        if (test_random() % 2) {
            for (unsigned i = from; i + count <= 32 && first == 32; i++) {
                unsigned row = 0;
                while (row < count && !owner[i + row])
                    row++;
                first = row == count ? i : 32;
            }
            uint64_t at = frame_allocate_row(count, from * 2 * MIB, 64 * MIB, NULL);
            assert_int_equal(at, first == 32 ? 0 : first * 2 * MIB);
            for (unsigned i = 0; i < count && first != 32; i++)
                owner[first + i] = 1;
        } else if (test_random() % 2) {
            uint64_t at = frame_allocate(21, NULL);
            assert_int_equal(owner[at / (2 * MIB)], at ? 0 : 255);
            if (at)
                owner[at / (2 * MIB)] = 1;
        } else if (owner[from] == 1) {
            frame_free(from * 2 * MIB, 21, NULL);
            owner[from] = 0;
        }
    }
    for (unsigned i = 0; i < 32; i++)
        if (owner[i] == 1)
            frame_free(i * 2 * MIB, 21, NULL);
    assert_int_equal(statistics().free, before.free);
    assert_int_equal(statistics().largest, before.largest);
    arena_close();
}

/* A long random life; each frame carries its own mark. */
static void test_random_frames(void **state) {
    (void)state;
    start(64 * MIB, 0x99, &plain, 1);
    struct memory_account account = {0};
    struct memory_statistics before = statistics();
    struct {
        uint64_t at;
        unsigned shift;
    } live[200] = {{0}};
    uint64_t bytes = 0;
    for (unsigned step = 0; step < 6000; step++) {
        unsigned i = (unsigned)(test_random() % array_count(live));
        if (live[i].at != 0) {
            uint64_t size = 1ull << live[i].shift;
            assert_int_equal(arena.memory[live[i].at], (char)(i + 1));
            assert_int_equal(arena.memory[live[i].at + size - 1], (char)(i + 1));
            frame_free(live[i].at, live[i].shift, &account);
            bytes -= size;
            live[i].at = 0;
        } else {
            unsigned shift = test_random() % 8 == 0 ? 21 + (unsigned)(test_random() % 3)
                                                    : 12 + (unsigned)(test_random() % 9);
            uint64_t at = frame_allocate(shift, &account);
            if (at == 0)
                continue;
            assert_true(is_zero(arena.memory + at, 1ull << shift));
            memset(arena.memory + at, (int)i + 1, 1ull << shift);
            live[i].at = at;
            live[i].shift = shift;
            bytes += 1ull << shift;
        }
        assert_int_equal(account.frames, bytes);
        assert_int_equal(statistics().free, before.free - bytes);
    }
    for (unsigned i = 0; i < array_count(live); i++) {
        if (live[i].at != 0)
            frame_free(live[i].at, live[i].shift, &account);
    }
    assert_int_equal(statistics().free, before.free);
    assert_int_equal(statistics().largest, before.largest);
    arena_close();
}

static void test_frame_bugs(void **state) {
    (void)state;
    start(64 * MIB, 0, &plain, 1);
    uint64_t a = frame_allocate(21, NULL);
    frame_free(a, 21, NULL);
    assert_panic(frame_free(a, 21, NULL));
    arena_close();
    start(64 * MIB, 0, &plain, 1);
    a = frame_allocate(22, NULL);
    assert_panic(frame_free(a, 21, NULL));
    assert_panic(frame_free(a + 0x200000, 21, NULL));
    assert_panic(frame_free(a, 12, NULL));
    assert_panic(frame_free(a + 4096, 22, NULL));
    assert_panic(frame_allocate_stale(12, NULL)); /* small frames are never handed out stale */
    assert_panic(frame_allocate(11, NULL));
    assert_panic(frame_allocate(31, NULL));
    assert_panic(frame_free(0x123456000000ull, 12, NULL));
    a = frame_allocate(12, NULL);
    uint64_t b = frame_allocate(12, NULL);
    assert_int_not_equal(b, 0); /* keeps the block in pages */
    frame_free(a, 12, NULL);
    assert_panic(frame_free(a, 12, NULL));
    arena_close();
}

static void test_heap_pages(void **state) {
    (void)state;
    start(64 * MIB, 0x33, &plain, 1);
    struct memory_account account = {0};
    struct memory_statistics before = statistics();
    void *pages[10];
    for (unsigned order = 0; order <= 9; order++) {
        pages[order] = heap_pages(order, &account);
        assert_non_null(pages[order]);
        assert_int_equal(arch_heap_physical(pages[order]) & ((4096u << order) - 1), 0);
        assert_true(is_zero(pages[order], 4096u << order));
        memset(pages[order], 0xee, 4096u << order);
    }
    assert_int_equal(account.overhead, 1023 * 4096);
    assert_int_equal(statistics().heap_used - before.heap_used, 1023 * 4096);
    for (unsigned order = 0; order <= 9; order++)
        heap_pages_free(pages[order], order, &account);
    assert_int_equal(account.overhead, 0);
    assert_int_equal(statistics().heap_used, before.heap_used);
    /* The heap keeps what it has: the same again needs no more. */
    uint64_t heap = statistics().heap;
    for (unsigned order = 0; order < 9; order++) {
        pages[order] = heap_pages(order, &account);
        assert_true(is_zero(pages[order], 4096u << order));
    }
    assert_int_equal(statistics().heap, heap);
    heap_pages_free(NULL, 3, &account);
    assert_panic(heap_pages(10, NULL));
    heap_pages_free(pages[3], 3, NULL);
    assert_panic(heap_pages_free(pages[3], 3, NULL));
    arena_close();
}

static void test_heap_exhausted(void **state) {
    (void)state;
    const struct memory_range small = {.base = 2 * MIB, .size = 6 * MIB};
    start(8 * MIB, 0, &small, 1);
    struct memory_statistics before = statistics();
    unsigned count = 0;
    void *list = NULL, *at;
    while ((at = heap_allocate(4096, NULL)) != NULL) {
        *(void **)at = list;
        list = at;
        count++;
    }
    assert_true(count > 512 + 512 && count < 3 * 512);
    assert_null(heap_allocate(16, NULL));
    assert_null(heap_pages(0, NULL));
    assert_int_equal(frame_allocate(12, NULL), 0);
    while (list != NULL) {
        at = list;
        list = *(void **)at;
        heap_free(at, 4096, NULL);
    }
    assert_int_equal(statistics().heap_used, before.heap_used);
    arena_close();
    /* A block that cannot be mapped is no loss. */
    start(8 * MIB, 0, &small, 1);
    arena.map_left = 0;
    assert_null(heap_pages(9, NULL));
    assert_int_equal(statistics().free, 4 * MIB);
    assert_int_not_equal(frame_allocate(21, NULL), 0);
    arena_close();
}

/* A heap that has one place, and does not grow out of it. */
static void test_fixed_heap(void **state) {
    (void)state;
    const struct memory_range range = {.base = 2 * MIB, .size = 30 * MIB};
    const struct memory_range heap = {.base = 24 * MIB, .size = 4 * MIB};
    arena_open(32 * MIB, 0x5a);
    assert_int_equal(memory_init_heap(&range, 1, &heap), 0);
    struct memory_statistics before = statistics();
    assert_int_equal(before.heap, 4 * MIB);
    assert_int_equal(before.free, 26 * MIB);
    assert_true(before.heap_used > 0 && before.heap_used < MIB);
    unsigned count = 0;
    void *list = NULL, *at;
    while ((at = heap_pages(0, NULL)) != NULL) {
        uint64_t physical = arch_heap_physical(at);
        assert_true(physical >= heap.base && physical < heap.base + heap.size);
        assert_true(is_zero(at, 4096));
        *(void **)at = list;
        list = at;
        count++;
    }
    assert_int_equal(count * 4096, 4 * MIB - before.heap_used);
    assert_null(heap_allocate(16, NULL));
    for (count = 0; (at = (void *)(uintptr_t)frame_allocate(21, NULL)) != NULL; count++)
        assert_true((uintptr_t)at < heap.base || (uintptr_t)at >= heap.base + heap.size);
    assert_int_equal(count, 13);
    while (list != NULL) {
        at = list;
        list = *(void **)at;
        heap_pages_free(at, 0, NULL);
    }
    /* A whole block that has come back is given out again. */
    assert_non_null(heap_pages(9, NULL));
    assert_int_equal(statistics().heap, 4 * MIB);
    arena_close();
    /* Regions that are none. */
    const struct memory_range bad[] = {{.base = 24 * MIB + 4096, .size = 4 * MIB},
                                       {.base = 24 * MIB, .size = 0},
                                       {.base = 30 * MIB, .size = 4 * MIB},
                                       {.base = 0, .size = 4 * MIB}};
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        arena_open(32 * MIB, 0);
        assert_int_equal(memory_init_heap(&range, 1, &bad[i]), -ENOMEM);
        arena_close();
    }
}

static void test_objects(void **state) {
    (void)state;
    start(64 * MIB, 0x44, &plain, 1);
    struct memory_account account = {0};
    uint64_t used = statistics().heap_used;
    struct {
        unsigned char *at;
        size_t size;
    } live[400] = {{0}};
    for (unsigned step = 0; step < 40000; step++) {
        unsigned i = (unsigned)(test_random() % array_count(live));
        if (live[i].at != NULL) {
            for (size_t j = 0; j < live[i].size; j++)
                assert_int_equal(live[i].at[j], (unsigned char)i);
            heap_free(live[i].at, live[i].size, &account);
            live[i].at = NULL;
        } else {
            size_t size = test_random() % 16 == 0 ? test_random() % 40000 : test_random() % 2100;
            live[i].at = heap_allocate(size, &account);
            live[i].size = size;
            assert_non_null(live[i].at);
            assert_int_equal((uintptr_t)live[i].at & 15, 0);
            assert_true(is_zero(live[i].at, size));
            memset(live[i].at, (int)i, size);
        }
    }
    uint64_t bytes = 0;
    for (unsigned i = 0; i < array_count(live); i++)
        bytes += live[i].at != NULL ? live[i].size : 0;
    assert_true(account.overhead >= bytes && account.overhead < bytes + bytes / 2);
    assert_int_equal(statistics().heap_used - used, account.overhead);
    for (unsigned i = 0; i < array_count(live); i++)
        heap_free(live[i].at, live[i].size, &account);
    assert_int_equal(account.overhead, 0);
    assert_int_equal(statistics().heap_used, used);
    heap_free(NULL, 100, &account);
    assert_null(heap_allocate(LARGE_PAGE_SIZE + 1, NULL));
    assert_non_null(heap_allocate(LARGE_PAGE_SIZE, NULL));
    arena_close();
}

static void test_object_bugs(void **state) {
    (void)state;
    for (volatile unsigned i = 0; i < 4; i++) {
        start(64 * MIB, 0, &plain, 1); /* panic() leaves the lock held */
        char *a = heap_allocate(100, NULL), *b = heap_allocate(100, NULL);
        heap_free(b, 100, NULL);
        if (i == 0)
            assert_panic(heap_free(b, 100, NULL));
        else if (i == 1)
            assert_panic(heap_free(a, 200, NULL));
        else if (i == 2)
            assert_panic(heap_free(a + 16, 100, NULL));
        else
            assert_panic(heap_free(a, 5000, NULL));
        arena_close();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_bad_ranges),
        cmocka_unit_test(test_odd_ranges),
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_clean),
        cmocka_unit_test(test_huge),
        cmocka_unit_test(test_below),
        cmocka_unit_test(test_random_frames),
        cmocka_unit_test(test_row),
        cmocka_unit_test(test_random_rows),
        cmocka_unit_test(test_frame_bugs),
        cmocka_unit_test(test_heap_pages),
        cmocka_unit_test(test_heap_exhausted),
        cmocka_unit_test(test_fixed_heap),
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_object_bugs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
