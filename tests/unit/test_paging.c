// SPDX-License-Identifier: Apache-2.0
// The paging engine over both x86 second-level formats: encodings, single operations, their limits and their
// flushes. (test_paging_model.c: long sequences.)
// unit-sources: core/paging.c arch/x86/paging_formats.c
#include "tests/unit/paging_fixture.h"

/* --- encodings: the manuals' numbers --- */

static uint64_t entry_of(const struct paging_format *format, uint64_t size, unsigned rights) {
    struct paging paging;
    unsigned shift;
    start(&paging, format, 30);
    assert_int_equal(paging_map(&paging, 0, 0x40000000, size, rights), 0);
    uint64_t entry = *walk(&paging, 0, &shift);
    finish(&paging);
    return entry;
}

static void test_encodings(void **state) {
    (void)state;
    const struct paging_format *n = &paging_npt_format, *e = &paging_ept_format;
    assert_int_equal(entry_of(n, K4, RWX), 0x40000027);
    assert_int_equal(entry_of(n, M2, RWX), 0x400000a7);
    assert_int_equal(entry_of(n, G1, RX), 0x400000a5);
    assert_int_equal(entry_of(n, K4, RW), 0x8000000040000027ull);
    assert_int_equal(entry_of(n, K4, RW | PAGING_UNCACHED), 0x800000004000003full);
    assert_int_equal(entry_of(e, K4, RWX), 0x40000137);
    assert_int_equal(entry_of(e, M2, RX), 0x400001b5);
    assert_int_equal(entry_of(e, G1, PAGING_READ), 0x400001b1);
    assert_int_equal(entry_of(e, K4, RW | PAGING_UNCACHED), 0x40000103);
    assert_int_equal(entry_of(&paging_ept_plain_format, K4, RWX), 0x40000037);
    /* Tables: everything is allowed above; NPT needs the user bit at every level. */
    struct paging paging;
    start(&paging, n, 12);
    assert_int_equal(paging_map(&paging, 0, 0, K4, RWX), 0);
    assert_int_equal(paging.root[0] & 0xfff, 0x27);
    finish(&paging);
    start(&paging, e, 12);
    assert_int_equal(paging_map(&paging, 0, 0, K4, RWX), 0);
    assert_int_equal(paging.root[0] & 0xfff, 0x107);
    finish(&paging);
}

/* --- single operations --- */

static void test_sizes(void **state) {
    (void)state;
    for (unsigned f = 0; f < FORMATS; f++) {
        struct paging paging;
        start(&paging, formats[f], 30);
        assert_int_equal(paging_map(&paging, G1 - M2 - K4, 2 * G1 - M2 - K4, G1 + 2 * M2 + 2 * K4, RWX), 0);
        expect(&paging, G1 - M2 - K4, 2 * G1 - M2 - K4, RWX, 12);
        expect(&paging, G1 - M2 + 5, 2 * G1 - M2 + 5, RWX, 21);
        expect(&paging, G1 + 0x123456, 2 * G1 + 0x123456, RWX, 30);
        expect(&paging, 2 * G1, 3 * G1, RWX, 21);
        expect(&paging, 2 * G1 + M2, 3 * G1 + M2, RWX, 12);
        expect_none(&paging, 2 * G1 + M2 + K4);
        expect_none(&paging, G1 - M2 - K4 - 1);
        assert_int_equal(flushes, 0); /* nothing was there */
        finish(&paging);
        /* The same with smaller leaves, and where the physical address is not as aligned. */
        start(&paging, formats[f], 21);
        assert_int_equal(paging_map(&paging, G1, 2 * G1, G1, RW), 0);
        expect(&paging, G1 + 5, 2 * G1 + 5, RW, 21);
        assert_int_equal(paging_map(&paging, 4 * G1, K4, M2, RW), 0);
        expect(&paging, 4 * G1 + K4, 2 * K4, RW, 12);
        finish(&paging);
        start(&paging, formats[f], 12);
        assert_int_equal(paging_map(&paging, M2, M2, M2, RW), 0);
        expect(&paging, M2, M2, RW, 12);
        finish(&paging);
    }
}

static void test_bad_arguments(void **state) {
    (void)state;
    struct paging paging;
    start(&paging, &paging_npt_format, 30);
    assert_int_equal(paging_map(&paging, 1, 0, K4, RW), -EINVAL);
    assert_int_equal(paging_map(&paging, 0, 1, K4, RW), -EINVAL);
    assert_int_equal(paging_map(&paging, 0, 0, K4 + 1, RW), -EINVAL);
    assert_int_equal(paging_map(&paging, 0, 0, K4, PAGING_WRITE), -EINVAL);
    assert_int_equal(paging_map(&paging, 1ull << 48, 0, K4, RW), -EINVAL);
    assert_int_equal(paging_map(&paging, (1ull << 48) - K4, 0, 2 * K4, RW), -EINVAL);
    assert_int_equal(paging_map(&paging, (uint64_t)-K4, 0, K4, RW), -EINVAL);
    assert_int_equal(paging_map(&paging, (uint64_t)-K4, 0, 2 * K4, RW), -EINVAL);
    assert_int_equal(paging_map(&paging, 0, 1ull << 52, K4, RW), -EINVAL);
    assert_int_equal(paging_map(&paging, 0, (uint64_t)-K4, 2 * K4, RW), -EINVAL);
    assert_int_equal(paging_unmap(&paging, 3, K4), -EINVAL);
    assert_int_equal(paging_unmap(&paging, K4, (uint64_t)-K4), -EINVAL);
    assert_int_equal(paging_protect(&paging, 1ull << 50, K4, RW), -EINVAL);
    assert_int_equal(paging_protect(&paging, 0, K4, 0), -EINVAL);
    assert_int_equal(paging_harvest(&paging, 1ull << 50, K4, NULL, NULL), -EINVAL);
    assert_int_equal(paging_merge(&paging, 1ull << 50, K4), 0);
    assert_int_equal(paging_map(&paging, 0, 0, 0, RW), 0);
    assert_int_equal(paging_unmap(&paging, 0, 0), 0);
    assert_int_equal(paging_map(&paging, (1ull << 48) - K4, 0, K4, RW), 0); /* the last page */
    expect(&paging, (1ull << 48) - 1, K4 - 1, RW, 12);
    expect_none(&paging, UINT64_MAX);
    assert_int_equal(paging_unmap(&paging, 0, 1ull << 48), 0);
    assert_int_equal(tables, 1);
    finish(&paging);
    /* A table of virtual addresses takes both halves, but nothing between. */
    struct paging_format virtual = paging_npt_format;
    virtual.physical = false;
    start(&paging, &virtual, 30);
    assert_int_equal(paging_map(&paging, 0xffff800000000000ull, 0, K4, RW), 0);
    expect(&paging, 0xffff800000000000ull, 0, RW, 12);
    assert_int_equal(paging_map(&paging, 1ull << 47, 0, K4, RW), -EINVAL);
    assert_int_equal(paging_map(&paging, (1ull << 47) - K4, 0, 2 * K4, RW), -EINVAL);
    assert_int_equal(paging_map(&paging, 0xffff000000000000ull, 0, K4, RW), -EINVAL);
    finish(&paging);
    struct paging plain;
    start(&plain, &paging_ept_plain_format, 30);
    assert_int_equal(paging_harvest(&plain, 0, K4, NULL, NULL), -ENOTSUP);
    finish(&plain);
}

static void test_unmap_and_flush(void **state) {
    (void)state;
    for (unsigned f = 0; f < FORMATS; f++) {
        struct paging paging;
        start(&paging, formats[f], 30);
        assert_int_equal(paging_map(&paging, 0, 4 * G1, G1, RWX), 0);
        /* A hole in a 1 GiB page. */
        assert_int_equal(paging_unmap(&paging, M2 + 3 * K4, K4), 0);
        assert_int_equal(flushes, 1);
        assert_int_equal(flush_low, M2 + 3 * K4);
        assert_int_equal(flush_high, M2 + 4 * K4);
        expect(&paging, M2 + 2 * K4, 4 * G1 + M2 + 2 * K4, RWX, 12);
        expect_none(&paging, M2 + 3 * K4);
        expect(&paging, M2 + 4 * K4, 4 * G1 + M2 + 4 * K4, RWX, 12);
        expect(&paging, 2 * M2, 4 * G1 + 2 * M2, RWX, 21);
        assert_int_equal(tables, 4);
        /* Holes are no error, and need no flush. */
        flushes = 0;
        assert_int_equal(paging_unmap(&paging, M2 + 3 * K4, K4), 0);
        assert_int_equal(paging_unmap(&paging, 8 * G1, 100 * G1), 0);
        assert_int_equal(flushes, 0);
        /* The last page of a table takes the table along. */
        assert_int_equal(paging_unmap(&paging, M2, 3 * K4), 0);
        assert_int_equal(tables, 4);
        assert_int_equal(paging_unmap(&paging, M2 + 4 * K4, M2 - 4 * K4), 0);
        assert_int_equal(tables, 3);
        assert_int_equal(paging_unmap(&paging, 0, M2), 0);
        assert_int_equal(paging_unmap(&paging, 2 * M2, G1 - 2 * M2), 0);
        assert_int_equal(tables, 1);
        finish(&paging);
        /* Replacing tells too; more tables than one operation can keep. */
        start(&paging, formats[f], 30);
        for (uint64_t i = 0; i < 100; i++)
            assert_int_equal(paging_map(&paging, i * M2, i * M2 + K4, M2, RW), 0);
        assert_int_equal(tables, 103);
        flushes = 0;
        assert_int_equal(paging_map(&paging, 0, 0, G1, RWX), 0);
        assert_int_equal(tables, 2);
        assert_true(flushes >= 1);
        assert_int_equal(flush_low, 0);
        assert_int_equal(flush_high, G1);
        expect(&paging, 99 * M2, 99 * M2, RWX, 30);
        finish(&paging);
    }
}

static void test_protect(void **state) {
    (void)state;
    for (unsigned f = 0; f < FORMATS; f++) {
        struct paging paging;
        unsigned shift;
        start(&paging, formats[f], 30);
        assert_int_equal(paging_map(&paging, 0, G1, 4 * M2, RWX), 0);
        *walk(&paging, M2, &shift) |= formats[f]->dirty;
        assert_int_equal(paging_protect(&paging, M2, K4, RX), 0);
        assert_int_equal(flushes, 1);
        expect(&paging, M2, G1 + M2, RX, 12);
        expect(&paging, M2 + K4, G1 + M2 + K4, RWX, 12);
        expect(&paging, 0, G1, RWX, 21);
        /* Both parts keep the dirty bit of the page that was split. */
        assert_true((*walk(&paging, M2, &shift) & formats[f]->dirty) != 0);
        assert_true((*walk(&paging, M2 + 511 * K4, &shift) & formats[f]->dirty) != 0);
        /* More rights need no flush, another memory type does. */
        flushes = 0;
        assert_int_equal(paging_protect(&paging, M2, K4, RWX), 0);
        assert_int_equal(flushes, 0);
        assert_int_equal(paging_protect(&paging, M2, K4, RWX | PAGING_UNCACHED), 0);
        assert_int_equal(flushes, 1);
        expect(&paging, M2, G1 + M2, RWX | PAGING_UNCACHED, 12);
        /* Across holes, over everything. */
        assert_int_equal(paging_protect(&paging, 0, 512 * G1, PAGING_READ), 0);
        expect(&paging, 3 * M2, G1 + 3 * M2, PAGING_READ, 21);
        expect_none(&paging, 4 * M2);
        finish(&paging);
    }
}

static void test_harvest_and_merge(void **state) {
    (void)state;
    for (unsigned f = 0; f < FORMATS; f++) {
        struct paging paging;
        unsigned shift;
        start(&paging, formats[f], 21);
        assert_int_equal(paging_map(&paging, 0, G1, 8 * M2, RWX), 0);
        *walk(&paging, 3 * M2, &shift) |= formats[f]->dirty;
        found_count = 0;
        assert_int_equal(paging_harvest(&paging, 3 * M2 + K4, K4, found, &found_count), 0);
        assert_int_equal(found_count, 1);
        assert_int_equal(found_address, 3 * M2);
        assert_int_equal(found_size, M2);
        assert_int_equal(flushes, 1);
        assert_int_equal(paging_harvest(&paging, 0, 8 * M2, found, &found_count), 0);
        assert_int_equal(found_count, 1);
        assert_int_equal(flushes, 1);
        /* Split by a change and back again: merged when rights are equal, dirty when one part was. */
        assert_int_equal(paging_protect(&paging, M2 + K4, K4, PAGING_READ), 0);
        assert_int_equal(paging_merge(&paging, 0, 8 * M2), 0);
        assert_int_equal(paging_protect(&paging, M2 + K4, K4, RWX), 0);
        *walk(&paging, M2 + 7 * K4, &shift) |= formats[f]->dirty;
        unsigned before = tables;
        assert_int_equal(paging_merge(&paging, M2 + K4, K4), 1);
        assert_int_equal(tables, before - 1);
        expect(&paging, M2 + K4 + 1, G1 + M2 + K4 + 1, RWX, 21);
        assert_true((*walk(&paging, M2, &shift) & formats[f]->dirty) != 0);
        /* Not contiguous, not aligned, or with a hole: stays. */
        assert_int_equal(paging_map(&paging, M2, K4, M2, RWX), 0);
        assert_int_equal(paging_merge(&paging, 0, 8 * M2), 0);
        assert_int_equal(paging_map(&paging, M2, G1 + M2, M2, RWX), 0);
        assert_int_equal(paging_unmap(&paging, M2 + K4, K4), 0);
        assert_int_equal(paging_merge(&paging, 0, 8 * M2), 0);
        assert_int_equal(paging_map(&paging, M2 + K4, G1 + 2 * M2, K4, RWX), 0);
        assert_int_equal(paging_merge(&paging, 0, 8 * M2), 0);
        finish(&paging);
        /* All the way up to 1 GiB, in one go. */
        start(&paging, formats[f], 30);
        for (uint64_t i = 0; i < 512; i++) {
            assert_int_equal(paging_map(&paging, G1 + i * M2, 3 * G1 + i * M2, M2 - K4, RW), 0);
            assert_int_equal(paging_map(&paging, G1 + (i + 1) * M2 - K4, 3 * G1 + (i + 1) * M2 - K4, K4, RW),
                             0);
        }
        *walk(&paging, G1 + 77 * M2 + 9 * K4, &shift) |= formats[f]->dirty;
        assert_int_equal(tables, 3 + 512);
        assert_int_equal(paging_merge(&paging, 0, 8 * G1), 513);
        expect(&paging, G1 + 0x1234567, 3 * G1 + 0x1234567, RW, 30);
        assert_true((*walk(&paging, G1, &shift) & formats[f]->dirty) != 0);
        finish(&paging);
    }
}

/* Tables are freed after the flush, and what is flushed is gone from the table by then. */
static struct paging *ordered;
static uint64_t gone;

static void order_flush(struct paging *paging, uint64_t address, uint64_t size) {
    unsigned shift;
    assert_ptr_equal(paging, ordered);
    assert_true(address <= gone && gone < address + size);
    assert_null(walk(paging, gone, &shift));
    flush_due = false;
}

static void test_order(void **state) {
    (void)state;
    struct paging paging;
    start(&paging, &paging_ept_format, 21);
    paging.flush = order_flush;
    ordered = &paging;
    assert_int_equal(paging_map(&paging, 0, K4, 64 * M2, RWX), 0);
    gone = 7 * M2 + K4;
    flush_due = true; /* freeing a table now fails the test, until the hook was called */
    assert_int_equal(paging_unmap(&paging, 0, 64 * M2), 0);
    assert_false(flush_due);
    assert_int_equal(tables, 1);
    paging.flush = NULL;
    finish(&paging);
}

/* A write that used the old table up to the flush of a merge is not lost. */
static uint64_t *late_entry;

static void late_flush(struct paging *paging, uint64_t address, uint64_t size) {
    (void)address;
    (void)size;
    *late_entry |= paging->format->dirty;
}

static void test_late_write(void **state) {
    (void)state;
    struct paging paging;
    unsigned shift;
    start(&paging, &paging_ept_format, 30);
    for (uint64_t i = 0; i < 512; i++)
        assert_int_equal(paging_map(&paging, i * M2, G1 + i * M2, M2, RWX), 0);
    for (uint64_t i = 0; i < 512; i++)
        assert_int_equal(paging_map(&paging, 5 * M2 + i * K4, G1 + 5 * M2 + i * K4, K4, RWX), 0);
    paging.flush = late_flush;
    late_entry = walk(&paging, 5 * M2 + 3 * K4, &shift);
    assert_int_equal(shift, 12);
    assert_int_equal(paging_merge(&paging, 0, G1), 2);
    expect(&paging, 0, G1, RWX, 30);
    assert_true((*walk(&paging, 0, &shift) & paging_ept_format.dirty) != 0);
    paging.flush = NULL;
    finish(&paging);
}

/* No code in large pages: whatever is done, no leaf above the last level can be executed. */
static void test_small_code(void **state) {
    (void)state;
    for (unsigned f = 0; f < FORMATS; f++) {
        struct paging paging;
        unsigned shift;
        start(&paging, formats[f], 30);
        paging.small_code = true;
        assert_int_equal(paging_map(&paging, 0, G1, G1, RWX), 0);
        assert_int_equal(paging_map(&paging, 3 * G1, 4 * G1, M2 + K4, RX), 0);
        expect(&paging, 0, G1, RW, 30);
        expect(&paging, 3 * G1, 4 * G1, PAGING_READ, 21);
        expect(&paging, 3 * G1 + M2, 4 * G1 + M2, RX, 12);
        assert_int_equal(paging_execute(&paging, 2 * G1), -ENOENT);
        assert_int_equal(paging_execute(&paging, 1ull << 48), -EINVAL);
        assert_int_equal(flushes, 0);

        /* Code at one address: its 2 MiB are in small pages, the rest stays large and without the right. What
         * hardware has noted is kept. */
        *walk(&paging, 0, &shift) |= formats[f]->dirty;
        assert_int_equal(paging_execute(&paging, 5 * M2 + 0x3456), 0);
        assert_int_equal(flushes, 1);
        expect(&paging, 5 * M2 - K4, G1 + 5 * M2 - K4, RW, 21);
        expect(&paging, 5 * M2, G1 + 5 * M2, RWX, 12);
        expect(&paging, 6 * M2 - K4, G1 + 6 * M2 - K4, RWX, 12);
        expect(&paging, 6 * M2, G1 + 6 * M2, RW, 21);
        assert_true((*walk(&paging, 5 * M2, &shift) & formats[f]->dirty) != 0);
        assert_int_equal(paging_execute(&paging, 5 * M2), 0); /* once more: nothing to do */
        assert_int_equal(flushes, 1);
        /* They are not put together again. */
        paging_merge(&paging, 0, G1);
        expect(&paging, 5 * M2, G1 + 5 * M2, RWX, 12);

        /* Split for another reason, as by a log of written pages: one page at a time. */
        assert_int_equal(paging_split(&paging, 8 * M2, M2), 0);
        expect(&paging, 8 * M2, G1 + 8 * M2, RW, 12);
        assert_int_equal(paging_execute(&paging, 8 * M2 + K4), 0);
        expect(&paging, 8 * M2, G1 + 8 * M2, RW, 12);
        expect(&paging, 8 * M2 + K4, G1 + 8 * M2 + K4, RWX, 12);
        assert_int_equal(paging_split(&paging, 9 * M2, M2), 0);
        assert_int_equal(paging_merge(&paging, 0, G1), 1);
        expect(&paging, 9 * M2, G1 + 9 * M2, RW, 21);

        /* Rights that come later reach the small ones alone. */
        assert_int_equal(paging_protect(&paging, 0, G1, PAGING_READ), 0);
        expect(&paging, 5 * M2, G1 + 5 * M2, PAGING_READ, 12);
        assert_int_equal(paging_protect(&paging, 0, G1, RWX), 0);
        expect(&paging, 5 * M2, G1 + 5 * M2, RWX, 12);
        expect(&paging, 6 * M2, G1 + 6 * M2, RW, 21);

        left = 0;
        assert_int_equal(paging_execute(&paging, 6 * M2), -ENOMEM);
        expect(&paging, 6 * M2, G1 + 6 * M2, RW, 21);
        left = UINT32_MAX;
        paging.flush = NULL;
        finish(&paging);
    }
}

static void test_split_and_clean(void **state) {
    (void)state;
    for (unsigned f = 0; f < FORMATS; f++) {
        struct paging paging;
        unsigned shift;
        start(&paging, formats[f], 30);
        assert_int_equal(paging_split(&paging, 0, 8 * G1), 0); /* nothing there */
        assert_int_equal(paging_split(&paging, K4 / 2, K4), -EINVAL);
        assert_int_equal(flushes, 0);
        assert_int_equal(paging_map(&paging, 0, G1, G1, RWX), 0);
        assert_int_equal(paging_map(&paging, 3 * G1, 4 * G1, M2 + K4, RX), 0);
        /* A part: what lies beside it stays large. */
        assert_int_equal(paging_split(&paging, 3 * M2, 2 * M2), 0);
        assert_int_equal(flushes, 1);
        expect(&paging, 2 * M2, G1 + 2 * M2, RWX, 21);
        expect(&paging, 3 * M2, G1 + 3 * M2, RWX, 12);
        expect(&paging, 5 * M2 - K4, G1 + 5 * M2 - K4, RWX, 12);
        expect(&paging, 5 * M2, G1 + 5 * M2, RWX, 21);
        assert_int_equal(paging_split(&paging, 0, 8 * G1), 0);
        assert_int_equal(flushes, 2); /* a remembered large page would set no dirty bit */
        expect(&paging, 0, G1, RWX, 12);
        expect(&paging, G1 - K4, 2 * G1 - K4, RWX, 12);
        expect(&paging, 3 * G1 + M2, 4 * G1 + M2, RX, 12);
        expect_none(&paging, 3 * G1 + M2 + K4);
        assert_int_equal(paging_split(&paging, 0, 8 * G1), 0);
        assert_int_equal(flushes, 2);

        struct memory_range ranges[] = {{K4, K4}, {M2, 2 * K4}, {5 * G1, G1}};
        *walk(&paging, K4, &shift) |= formats[f]->dirty;
        *walk(&paging, 2 * K4, &shift) |= formats[f]->dirty;
        *walk(&paging, M2 + K4, &shift) |= formats[f]->dirty;
        assert_int_equal(paging_clean(&paging, ranges, 3), 0);
        assert_int_equal(flushes, 3);
        assert_int_equal(*walk(&paging, K4, &shift) & formats[f]->dirty, 0);
        assert_int_equal(*walk(&paging, M2 + K4, &shift) & formats[f]->dirty, 0);
        assert_true((*walk(&paging, 2 * K4, &shift) & formats[f]->dirty) != 0);
        assert_int_equal(paging_clean(&paging, ranges, 3), 0);
        assert_int_equal(flushes, 3);
        ranges[2].base += 1;
        *walk(&paging, K4, &shift) |= formats[f]->dirty;
        assert_int_equal(paging_clean(&paging, ranges, 3), -EINVAL);
        assert_true((*walk(&paging, K4, &shift) & formats[f]->dirty) != 0);
        finish(&paging);
    }
    struct paging plain;
    start(&plain, &paging_ept_plain_format, 21);
    assert_int_equal(paging_clean(&plain, NULL, 0), -ENOTSUP);
    finish(&plain);
}

/* --- hardware that does not look into caches, and a flush that comes later --- */

static uint64_t seen[64][512]; /* what it has of each table */
static uint64_t *seen_of[64];
static void *retired;
static unsigned retired_count;

static unsigned number_of(const uint64_t *table) {
    for (unsigned i = 0; i < 64; i++) {
        if (seen_of[i] == NULL)
            seen_of[i] = (uint64_t *)table;
        if (seen_of[i] == table)
            return i;
    }
    fail();
    return 0;
}

static void see(const void *entries, size_t size) {
    uint64_t at = (uint64_t)entries, table = at & ~(K4 - 1);
    assert_true(size <= K4 - (at - table));
    memcpy((char *)seen[number_of((uint64_t *)table)] + (at - table), entries, size);
}

static void retire(struct paging *paging, void *table) {
    (void)paging;
    *(void **)table = retired;
    retired = table;
    retired_count++;
}

/* All that is linked is seen as it is. */
static void check_seen(const uint64_t *table, unsigned level) {
    assert_memory_equal(seen[number_of(table)], table, K4);
    for (unsigned i = 0; level != 0 && i < 512; i++)
        if ((table[i] & 1) != 0 && (table[i] & 0x80) == 0)
            check_seen((uint64_t *)(table[i] & 0x000ffffffffff000ull), level - 1);
}

static void test_written_and_retired(void **state) {
    struct paging paging;
    (void)state;
    start(&paging, &paging_npt_format, 30);
    paging.flush = count_flush;
    paging.written = see;
    paging.retire = retire;
    see(paging.root, K4);
    assert_int_equal(paging_map(&paging, 0, 0, G1 + M2 + K4, RW), 0);
    check_seen(paging.root, 3);
    assert_int_equal(paging_protect(&paging, K4, K4, PAGING_READ), 0);
    check_seen(paging.root, 3);
    assert_int_equal(paging_unmap(&paging, 2 * M2, M2 + K4), 0);
    check_seen(paging.root, 3);
    walk(&paging, M2, &(unsigned){0})[0] |= paging_npt_format.dirty;
    see(walk(&paging, M2, &(unsigned){0}), 8);
    assert_int_equal(paging_harvest(&paging, 0, G1, NULL, NULL), 0);
    check_seen(paging.root, 3);
    assert_int_equal(retired_count, 0);
    /* A table goes, and stays until its owner frees it. */
    unsigned before = tables;
    assert_int_equal(paging_protect(&paging, K4, K4, RW), 0);
    assert_int_equal(paging_merge(&paging, 0, M2), 1);
    assert_int_equal(paging_unmap(&paging, G1, M2 + K4), 0);
    check_seen(paging.root, 3);
    assert_int_equal(retired_count, 3);
    assert_int_equal(tables, before);
    while (retired != NULL) {
        void *table = retired;
        retired = *(void **)table;
        heap_pages_free(table, 0, &account);
    }
    /* Nobody walks it any more. */
    paging_destroy(&paging);
    assert_int_equal(retired_count, 3);
    assert_int_equal(tables, 0);
}

static uint64_t next_encode(unsigned rights) {
    return rights & PAGING_WRITE ? 3ull << 61 : 1ull << 61;
}

static unsigned next_decode(uint64_t entry) {
    return PAGING_READ | (entry >> 62 & 1 ? PAGING_WRITE : 0);
}

/* A format whose entries say the level of what they point at. */
static void test_next_field(void **state) {
    struct paging_format format = paging_npt_format;
    struct paging paging;
    (void)state;
    format.table_bits = format.leaf_bits = 1;
    format.large_bit = format.accessed = format.dirty = 0;
    format.next_field = 7ull << 9;
    format.rights_encode = next_encode;
    format.rights_decode = next_decode;
    start(&paging, &format, 30);
    assert_int_equal(paging_map(&paging, 0, 0, 2 * G1, PAGING_READ | PAGING_WRITE), 0);
    uint64_t *table = arch_heap_virtual(paging.root[0] & format.address_mask);
    assert_int_equal(paging.root[0] & ~format.address_mask, 1 | 3 << 9);
    assert_int_equal(table[1], 3ull << 61 | G1 | 1);
    /* Split twice; each table knows its level. */
    assert_int_equal(paging_protect(&paging, G1 + M2 + K4, K4, PAGING_READ), 0);
    assert_int_equal(table[1] & ~format.address_mask, 1 | 2 << 9);
    table = arch_heap_virtual(table[1] & format.address_mask);
    assert_int_equal(table[0], 3ull << 61 | G1 | 1);
    assert_int_equal(table[1] & ~format.address_mask, 1 | 1 << 9);
    table = arch_heap_virtual(table[1] & format.address_mask);
    assert_int_equal(table[0], 3ull << 61 | (G1 + M2) | 1);
    assert_int_equal(table[1], 1ull << 61 | (G1 + M2 + K4) | 1);
    expect(&paging, G1 + M2 + K4, G1 + M2 + K4, PAGING_READ, 12);
    expect(&paging, G1 + 2 * M2, G1 + 2 * M2, PAGING_READ | PAGING_WRITE, 21);
    /* And together again. */
    assert_int_equal(paging_protect(&paging, G1 + M2 + K4, K4, PAGING_READ | PAGING_WRITE), 0);
    assert_int_equal(paging_merge(&paging, G1, G1), 2);
    expect(&paging, G1 + M2 + K4, G1 + M2 + K4, PAGING_READ | PAGING_WRITE, 30);
    assert_int_equal(paging_unmap(&paging, 0, 2 * G1), 0);
    assert_int_equal(tables, 1);
    finish(&paging);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_unmap_and_flush),
        cmocka_unit_test(test_protect),
        cmocka_unit_test(test_harvest_and_merge),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_late_write),
        cmocka_unit_test(test_small_code),
        cmocka_unit_test(test_split_and_clean),
        cmocka_unit_test(test_written_and_retired),
        cmocka_unit_test(test_next_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
