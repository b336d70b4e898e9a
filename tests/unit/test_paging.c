// SPDX-License-Identifier: Apache-2.0
// The paging engine over both x86 second-level formats: against a flat model, with memory that runs out at
// every allocation, and beside a walker that sets accessed and dirty bits as hardware does.
// unit-sources: core/paging.c arch/x86/paging_formats.c
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "arch/x86/paging_formats.h"
#include "core/log.h"

struct cpu *test_cpu;
uint64_t test_time;

void panic(const char *format, ...) {
    fprintf(stderr, "panic: %s\n", format);
    abort();
}

/* --- tables come from the host's heap, so that ASan sees what is used after it was freed --- */

static unsigned tables;            /* that live */
static unsigned left = UINT32_MAX; /* allocations until memory runs out */
static bool flush_due;             /* an entry went, and no flush came yet */

void *heap_pages(unsigned order, struct memory_account *account) {
    assert_int_equal(order, 0);
    if (left == 0)
        return NULL;
    left--;
    tables++;
    account->overhead += PAGE_SIZE;
    void *page = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
    memset(page, 0, PAGE_SIZE);
    return page;
}

void heap_pages_free(void *page, unsigned order, struct memory_account *account) {
    assert_int_equal(order, 0);
    assert_false(flush_due);
    tables--;
    account->overhead -= PAGE_SIZE;
    free(page);
}

uint64_t arch_heap_physical(const void *at) {
    return (uint64_t)at;
}

void *arch_heap_virtual(uint64_t physical) {
    return (void *)physical;
}

/* --- common --- */

#define K4  0x1000ull
#define M2  0x200000ull
#define G1  0x40000000ull

#define RW  (PAGING_READ | PAGING_WRITE)
#define RX  (PAGING_READ | PAGING_EXECUTE)
#define RWX (PAGING_READ | PAGING_WRITE | PAGING_EXECUTE)

static const struct paging_format *const formats[] = {&paging_npt_format, &paging_ept_format};
#define FORMATS 2u

static struct memory_account account;
static unsigned flushes;
static uint64_t flush_low, flush_high;

static void count_flush(struct paging *paging, uint64_t address, uint64_t size) {
    (void)paging;
    if (flushes++ == 0) {
        flush_low = address;
        flush_high = address + size;
    } else {
        flush_low = address < flush_low ? address : flush_low;
        flush_high = address + size > flush_high ? address + size : flush_high;
    }
}

static void start(struct paging *paging, const struct paging_format *format, unsigned largest) {
    left = UINT32_MAX;
    assert_int_equal(paging_init(paging, format, &account, largest), 0);
    paging->flush = count_flush;
    flushes = 0;
}

static void finish(struct paging *paging) {
    paging_destroy(paging);
    assert_int_equal(tables, 0);
    assert_int_equal(account.overhead, 0);
}

static void expect(struct paging *paging, uint64_t address, uint64_t physical, unsigned rights,
                   unsigned shift) {
    uint64_t p;
    unsigned r, s;
    assert_int_equal(paging_lookup(paging, address, &p, &r, &s), 0);
    assert_int_equal(p, physical);
    assert_int_equal(r, rights);
    assert_int_equal(s, shift);
}

static void expect_none(struct paging *paging, uint64_t address) {
    assert_int_equal(paging_lookup(paging, address, NULL, NULL, NULL), -ENOENT);
}

/* The entry that maps an address, as hardware would find it; NULL: none. */
static uint64_t *walk(const struct paging *paging, uint64_t address, unsigned *shift) {
    const struct paging_format *format = paging->format;
    uint64_t *table = paging->root;
    for (unsigned at = 39;; at -= 9) {
        uint64_t *entry = &table[address >> at & 511];
        uint64_t value = __atomic_load_n(entry, __ATOMIC_RELAXED);
        if ((value & format->present_mask) == 0)
            return NULL;
        if (at == 12 || (at <= 30 && (value & 0x80) != 0)) {
            *shift = at;
            return entry;
        }
        table = (uint64_t *)(value & 0x000ffffffffff000ull);
    }
}

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

static unsigned found_count;
static uint64_t found_address, found_size;

static void found(void *context, uint64_t address, uint64_t size) {
    assert_ptr_equal(context, &found_count);
    found_count++;
    found_address = address;
    found_size = size;
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

/* --- against a flat model --- */

#define MODEL_PAGES (1u << 20) /* 4 GiB */

static struct model_page {
    uint64_t physical;
    uint8_t rights; /* 0: not mapped */
    uint8_t dirty;  /* hardware wrote since the last harvest */
} model[MODEL_PAGES];

static void check_page(struct paging *paging, uint64_t page) {
    uint64_t physical;
    unsigned rights;
    int error = paging_lookup(paging, page * K4 + 0x123, &physical, &rights, NULL);
    if (model[page].rights == 0) {
        assert_int_equal(error, -ENOENT);
        return;
    }
    assert_int_equal(error, 0);
    assert_int_equal(physical, model[page].physical + 0x123);
    assert_int_equal(rights, model[page].rights);
}

static void model_found(void *context, uint64_t address, uint64_t size) {
    (void)context;
    for (uint64_t page = address / K4; page < (address + size) / K4; page++)
        model[page].dirty = 0;
}

static void hardware_write(struct paging *paging, uint64_t page) {
    unsigned shift;
    uint64_t *entry = walk(paging, page * K4, &shift);
    if (entry == NULL)
        return;
    *entry |= paging->format->dirty;
    model[page].dirty = 1;
}

static void random_range(uint64_t *page, uint64_t *count) {
    static const unsigned units[] = {1, 1, 512, 512, 512, 262144};
    unsigned unit = units[test_time++ % 6];
    uint64_t r = test_time * 6364136223846793005ull + 1442695040888963407ull;
    r ^= r >> 29;
    r *= 0xbf58476d1ce4e5b9ull;
    r ^= r >> 32;
    *page = r % (MODEL_PAGES / unit) * unit;
    *count =
        (r >> 24) % (unit == 262144 ? 2 : 700) * (unit == 1 ? 1 : unit) + ((r >> 40) % 3 == 0 ? unit / 3 : 0);
    if (*count == 0)
        *count = 1;
    if (*count > MODEL_PAGES - *page)
        *count = MODEL_PAGES - *page;
}

static void random_life(const struct paging_format *format, unsigned largest, unsigned steps) {
    static const uint8_t rights_of[] = {RWX, RX, RW, PAGING_READ, RW | PAGING_UNCACHED};
    struct paging paging;
    memset(model, 0, sizeof(model));
    start(&paging, format, largest);
    for (unsigned step = 0; step < steps; step++) {
        uint64_t page, count;
        random_range(&page, &count);
        uint64_t r = page * 0x9e3779b97f4a7c15ull ^ step * 0xd1342543de82ef95ull;
        uint8_t rights = rights_of[(r >> 20) % 5];
        switch ((r >> 50) % 6) {
        case 0:
        case 1: {
            /* The same physical address again and again, so that merging finds something. */
            uint64_t physical = (r >> 30) % 4 != 0 ? (page + 3 * 262144) * K4 : (r >> 34) % 1000 * K4;
            assert_int_equal(paging_map(&paging, page * K4, physical, count * K4, rights), 0);
            for (uint64_t i = 0; i < count; i++)
                model[page + i] = (struct model_page){.physical = physical + i * K4, .rights = rights};
            break;
        }
        case 2:
            assert_int_equal(paging_unmap(&paging, page * K4, count * K4), 0);
            memset(&model[page], 0, count * sizeof(model[0]));
            break;
        case 3:
            assert_int_equal(paging_protect(&paging, page * K4, count * K4, rights), 0);
            for (uint64_t i = 0; i < count; i++)
                model[page + i].rights = model[page + i].rights != 0 ? rights : 0;
            break;
        case 4:
            paging_merge(&paging, page * K4, count * K4);
            break;
        default:
            for (unsigned i = 0; i < 20; i++)
                hardware_write(&paging, (page + i * 977) % MODEL_PAGES);
            if (step % 3 == 0) {
                assert_int_equal(paging_harvest(&paging, page * K4, count * K4, model_found, NULL), 0);
                for (uint64_t i = 0; i < count; i++)
                    assert_int_equal(model[page + i].dirty, 0);
            }
        }
        check_page(&paging, page);
        check_page(&paging, page + count - 1);
        check_page(&paging, page == 0 ? 0 : page - 1);
        check_page(&paging, (page + count) % MODEL_PAGES);
        for (unsigned i = 0; i < 30; i++)
            check_page(&paging, (page + i * 7919) % MODEL_PAGES);
    }
    for (uint64_t page = 0; page < MODEL_PAGES; page += 3)
        check_page(&paging, page);
    /* Nothing that was written is forgotten, and the second harvest is empty. */
    assert_int_equal(paging_harvest(&paging, 0, MODEL_PAGES * K4, model_found, NULL), 0);
    for (uint64_t page = 0; page < MODEL_PAGES; page++)
        assert_int_equal(model[page].dirty, 0);
    found_count = 0;
    assert_int_equal(paging_harvest(&paging, 0, MODEL_PAGES * K4, found, &found_count), 0);
    assert_int_equal(found_count, 0);
    assert_int_equal(paging_unmap(&paging, 0, 1ull << 48), 0);
    assert_int_equal(tables, 1);
    finish(&paging);
}

static void test_random(void **state) {
    (void)state;
    test_time = 1;
    for (unsigned f = 0; f < FORMATS; f++) {
        random_life(formats[f], 30, 500);
        random_life(formats[f], 21, 400);
        random_life(formats[f], 12, 60);
    }
}

/* --- memory that runs out --- */

/* Runs one operation with ever more memory, until it succeeds. */
static void out_of_memory(const struct paging_format *format, unsigned kind) {
    for (unsigned allowed = 0;; allowed++) {
        struct paging paging;
        start(&paging, format, 30);
        assert_int_equal(paging_map(&paging, 0, 8 * G1, 2 * G1, RWX), 0);
        assert_int_equal(paging_map(&paging, 2 * G1, 4 * G1, 2 * M2, RW), 0);
        uint64_t base = M2 + K4, size = 2 * G1 + M2 - 3 * K4; /* cuts two large pages */
        left = allowed;
        int error = kind == 0   ? paging_unmap(&paging, base, size)
                    : kind == 1 ? paging_protect(&paging, base, size, PAGING_READ)
                                : paging_map(&paging, base, 16 * G1 + K4, size, PAGING_READ);
        left = UINT32_MAX;
        for (uint64_t at = 0; at < 2 * G1 + 2 * M2; at += 61 * K4) {
            uint64_t old = at < 2 * G1 ? 8 * G1 + at : 2 * G1 + at, physical = 0;
            unsigned old_rights = at < 2 * G1 ? RWX : RW, rights = 0;
            int looked = paging_lookup(&paging, at, &physical, &rights, NULL);
            bool is_old = looked == 0 && physical == old && rights == old_rights;
            bool inside = at >= base && at < base + size;
            bool is_new = kind == 0   ? looked == -ENOENT
                          : kind == 1 ? looked == 0 && physical == old && rights == PAGING_READ
                                      : physical == 16 * G1 + K4 + (at - base) && rights == PAGING_READ;
            if (!inside || (error != 0 && kind != 2))
                assert_true(is_old);
            else
                assert_true(is_new || (error != 0 && is_old));
        }
        finish(&paging);
        if (error == 0) {
            assert_true(allowed >= 3);
            return;
        }
        assert_int_equal(error, -ENOMEM);
        assert_true(allowed < 600);
    }
}

static void test_out_of_memory(void **state) {
    (void)state;
    struct paging paging;
    left = 0;
    assert_int_equal(paging_init(&paging, &paging_npt_format, &account, 30), -ENOMEM);
    for (unsigned f = 0; f < FORMATS; f++) {
        out_of_memory(formats[f], 0);
        out_of_memory(formats[f], 1);
    }
    /* A map over 2 GiB of 4 KiB pages takes 500 tables: fewer steps. */
    out_of_memory(formats[0], 2);
}

/* --- beside hardware --- */

#define WALK_PAGES 4096u /* 16 MiB */

static pthread_mutex_t in_guest = PTHREAD_MUTEX_INITIALIZER;
static uint32_t walker_stop;
static uint32_t written[WALK_PAGES]; /* 2: dirty was set by the walker, and must be found */
static struct paging *walked;

/* As a CPU does it: walks, and sets accessed and dirty by a locked operation on the entry that it used. The
 * walk starts anew when the entry has changed. A flush waits until the CPU is out of the guest. */
static void *walker(void *argument) {
    uint64_t r = 1;
    (void)argument;
    while (__atomic_load_n(&walker_stop, __ATOMIC_ACQUIRE) == 0) {
        pthread_mutex_lock(&in_guest);
        for (unsigned i = 0; i < 40; i++) {
            r = r * 6364136223846793005ull + 1442695040888963407ull;
            uint64_t page = (r >> 33) % WALK_PAGES;
            for (unsigned attempt = 0; attempt < 100; attempt++) {
                unsigned shift;
                uint64_t *entry = walk(walked, page * K4, &shift);
                if (entry == NULL)
                    break;
                uint64_t old = __atomic_load_n(entry, __ATOMIC_RELAXED);
                if ((old & walked->format->present_mask) == 0 || (shift > 12 && (old & 0x80) == 0) ||
                    (walked->format->rights_decode(old) & PAGING_WRITE) == 0)
                    continue;
                if (__atomic_compare_exchange_n(entry, &old,
                                                old | walked->format->accessed | walked->format->dirty, false,
                                                __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
                    __atomic_store_n(&written[page], 2, __ATOMIC_RELEASE);
                    break;
                }
            }
        }
        pthread_mutex_unlock(&in_guest);
    }
    return NULL;
}

static void wait_flush(struct paging *paging, uint64_t address, uint64_t size) {
    (void)paging;
    (void)address;
    (void)size;
    pthread_mutex_lock(&in_guest);
    pthread_mutex_unlock(&in_guest);
}

static void written_found(void *context, uint64_t address, uint64_t size) {
    (void)context;
    for (uint64_t page = address / K4; page < (address + size) / K4; page++)
        written[page] = 0;
}

static void test_beside_hardware(void **state) {
    (void)state;
    for (unsigned f = 0; f < FORMATS; f++) {
        struct paging paging;
        pthread_t thread;
        start(&paging, formats[f], 21);
        paging.flush = wait_flush;
        walked = &paging;
        assert_int_equal(paging_map(&paging, 0, G1, WALK_PAGES * K4, RWX), 0);
        memset(written, 0, sizeof(written));
        walker_stop = 0;
        assert_int_equal(pthread_create(&thread, NULL, walker, NULL), 0);
        for (unsigned step = 0; step < 3000; step++) {
            uint64_t page = step * 2654435761u % WALK_PAGES;
            assert_int_equal(paging_protect(&paging, page * K4, K4, RX), 0);
            assert_int_equal(paging_protect(&paging, page * K4, K4, RWX), 0);
            paging_merge(&paging, 0, WALK_PAGES * K4);
            if (step % 50 == 0) {
                /* With the guest stopped, every page that it wrote is found. */
                pthread_mutex_lock(&in_guest);
                paging.flush = NULL;
                paging_harvest(&paging, 0, WALK_PAGES * K4, written_found, NULL);
                for (uint64_t i = 0; i < WALK_PAGES; i++)
                    assert_int_equal(written[i], 0);
                paging.flush = wait_flush;
                pthread_mutex_unlock(&in_guest);
            }
        }
        __atomic_store_n(&walker_stop, 1, __ATOMIC_RELEASE);
        pthread_join(thread, NULL);
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encodings),       cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_bad_arguments),   cmocka_unit_test(test_unmap_and_flush),
        cmocka_unit_test(test_protect),         cmocka_unit_test(test_harvest_and_merge),
        cmocka_unit_test(test_random),          cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_beside_hardware), cmocka_unit_test(test_order),
        cmocka_unit_test(test_late_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
