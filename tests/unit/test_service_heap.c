// SPDX-License-Identifier: Apache-2.0
// The service VM's heap: pages and blocks, alignment, zeroes, joining of what is freed, the end of memory,
// what is freed wrongly, and a long run against a model.
// unit-sources: service/heap.c service/log.c
#include "tests/unit/service_fixture.h"
#include "service/heap.h"

#define PAGES 64u

static uint8_t *memory;

static int setup(void **state) {
    (void)state;
    calls_reset();
    memory = aligned_alloc(HEAP_PAGE, PAGES * HEAP_PAGE);
    memset(memory, 0xee, PAGES * HEAP_PAGE);
    heap_init(memory, PAGES * HEAP_PAGE);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    free(memory);
    return 0;
}

static bool is_zero(const void *area, size_t size) {
    const uint8_t *byte = area;

    for (size_t i = 0; i < size; i++)
        if (byte[i])
            return false;
    return true;
}

static bool is_ours(const void *area, size_t size) {
    const uint8_t *at = area;
    return at >= memory && at + size <= memory + PAGES * HEAP_PAGE;
}

static void test_pages(void **state) {
    uint8_t *page[PAGES];

    (void)state;
    assert_int_equal(heap_available(), PAGES * HEAP_PAGE);
    assert_null(heap_pages(0));
    assert_null(heap_pages(PAGES + 1));
    assert_null(heap_pages(SIZE_MAX));
    for (unsigned i = 0; i < PAGES; i++) {
        page[i] = heap_pages(1);
        assert_non_null(page[i]);
        assert_true(is_ours(page[i], HEAP_PAGE) && (uintptr_t)page[i] % HEAP_PAGE == 0);
        assert_true(is_zero(page[i], HEAP_PAGE));
        memset(page[i], (int)i + 1, HEAP_PAGE);
    }
    assert_null(heap_pages(1));
    assert_int_equal(heap_available(), 0);
    for (unsigned i = 0; i < PAGES; i++)
        assert_int_equal(page[i][HEAP_PAGE - 1], i + 1); /* none lies in another */
    /* Every second one first: then nothing lies together. */
    for (unsigned i = 0; i < PAGES; i += 2)
        heap_free_pages(page[i], 1);
    assert_null(heap_pages(2));
    for (unsigned i = 1; i < PAGES; i += 2)
        heap_free_pages(page[i], 1);
    uint8_t *all = heap_pages(PAGES);
    assert_ptr_equal(all, memory);
    assert_true(is_zero(all, PAGES * HEAP_PAGE));
    /* A part of what was given. */
    heap_free_pages(all + 8 * HEAP_PAGE, 4);
    assert_ptr_equal(heap_pages(4), all + 8 * HEAP_PAGE);
    heap_free_pages(NULL, 1);
    heap_free_pages(all, 0);
}

static void test_ragged(void **state) {
    (void)state;
    heap_init(memory + 1, 4 * HEAP_PAGE);
    assert_int_equal(heap_available(), 3 * HEAP_PAGE);
    assert_ptr_equal(heap_pages(3), memory + HEAP_PAGE);
    heap_init(memory + 1, HEAP_PAGE);
    assert_int_equal(heap_available(), 0);
    assert_null(heap_pages(1));
}

static void test_blocks(void **state) {
    static const size_t sizes[] = {1,    15,   16,   17,   48,   100,  496,  497,          1000,
                                   2032, 2033, 4080, 4081, 4096, 8176, 8177, 5 * HEAP_PAGE};
    void *block[array_count(sizes)];

    (void)state;
    for (unsigned i = 0; i < array_count(sizes); i++) {
        block[i] = heap_allocate(sizes[i]);
        assert_non_null(block[i]);
        assert_true(is_ours(block[i], sizes[i]) && (uintptr_t)block[i] % HEAP_ALIGNMENT == 0);
        assert_true(is_zero(block[i], sizes[i]));
        memset(block[i], (int)i + 1, sizes[i]);
    }
    for (unsigned i = 0; i < array_count(sizes); i++)
        for (size_t at = 0; at < sizes[i]; at++)
            assert_int_equal(((uint8_t *)block[i])[at], i + 1);
    for (unsigned i = 0; i < array_count(sizes); i++)
        heap_free(block[i]);
    /* Used again, and zeroed again. */
    void *again = heap_allocate(100);
    assert_true(is_zero(again, 100));
    assert_null(heap_allocate(0));
    assert_null(heap_allocate(SIZE_MAX));
    assert_null(heap_allocate(SIZE_MAX - 16));
    assert_null(heap_allocate(PAGES * HEAP_PAGE));
    heap_free(NULL);
}

static void test_exhausted(void **state) {
    unsigned count = 0;
    void *last = NULL, *block;

    (void)state;
    while ((block = heap_allocate(1000))) {
        last = block;
        count++;
    }
    assert_int_equal(count, 4 * PAGES);
    heap_free(last);
    assert_ptr_equal(heap_allocate(1000), last);
    assert_null(heap_allocate(1000));
}

static void test_wrong(void **state) {
    uint8_t *block = heap_allocate(64), *page = heap_pages(2), *large = heap_allocate(3 * HEAP_PAGE);

    (void)state;
    heap_free(block);
    assert_crash(heap_free(block), "not in use");
    assert_crash(heap_free(block + 1), "not in use");
    assert_crash(heap_free(page + 64), "not in use");
    heap_free_pages(page, 1);
    assert_crash(heap_free_pages(page, 1), "not in use");
    assert_crash(heap_free_pages(page, 2), "not in use");
    assert_crash(heap_free_pages(page + 1, 1), "not in use");
    heap_free(large);
    assert_crash(heap_free(large), "not in use");
}

/* Whatever comes and goes: no two overlap, and in the end all is one run again. */
static void test_model(void **state) {
    static struct {
        uint8_t *at;
        size_t pages;
    } held[PAGES];
    uint32_t random = 2463534242u;

    (void)state;
    memset(held, 0, sizeof(held));
    for (unsigned turn = 0; turn < 20000; turn++) {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        unsigned slot = random % PAGES;
        if (held[slot].at) {
            for (size_t i = 0; i < held[slot].pages * HEAP_PAGE; i += 512)
                assert_int_equal(held[slot].at[i], slot + 1);
            heap_free_pages(held[slot].at, held[slot].pages);
            held[slot].at = NULL;
            continue;
        }
        held[slot].pages = 1 + random / PAGES % 5;
        held[slot].at = heap_pages(held[slot].pages);
        if (held[slot].at)
            memset(held[slot].at, (int)slot + 1, held[slot].pages * HEAP_PAGE);
    }
    for (unsigned i = 0; i < PAGES; i++)
        if (held[i].at)
            heap_free_pages(held[i].at, held[i].pages);
    assert_int_equal(heap_available(), PAGES * HEAP_PAGE);
    assert_ptr_equal(heap_pages(PAGES), memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ragged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blocks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exhausted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong, setup, teardown),
        cmocka_unit_test_setup_teardown(test_model, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
