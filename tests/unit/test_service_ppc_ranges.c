// SPDX-License-Identifier: Apache-2.0
// Ranges of the service VM's address space on PowerPC: the pages of TLB1 that map them are the largest, cover
// each range and never overlap; where another one finds room.
// unit-sources: service/ppc/ranges.c
#include "tests/unit/service_fixture.h"
#include "service/ppc/ranges.h"

#define MIB  (1ull << 20)
#define LOW  0x10000000u
#define HIGH 0xc0000000u

static struct ranges ranges;

static uint64_t size_of(const struct range_page *page) {
    return 1024ull << 2 * page->tsize;
}

/* Walks a range page by page; how many there are. */
static unsigned walk(uint32_t first, uint64_t physical, uint64_t size) {
    unsigned count = 0;
    uint64_t at = first;

    while (at < first + size) {
        struct range_page page, same;
        assert_true(ranges_page(&ranges, (uint32_t)at, &page));
        assert_true(page.address == at); /* the next one begins where the last one ended */
        assert_true(page.physical == physical + (at - first));
        assert_true(page.address % size_of(&page) == 0 && page.physical % size_of(&page) == 0);
        assert_true(at + size_of(&page) <= first + size);
        /* Whatever address is asked for: the same page. */
        assert_true(ranges_page(&ranges, (uint32_t)(at + size_of(&page) - 1), &same));
        assert_true(same.address == page.address && same.physical == page.physical);
        assert_true(same.tsize == page.tsize && same.writable == page.writable);
        at += size_of(&page);
        count++;
    }
    return count;
}

static int setup(void **state) {
    (void)state;
    memset(&ranges, 0, sizeof(ranges));
    return 0;
}

static void test_pages(void **state) {
    struct range_page page;

    (void)state;
    assert_false(ranges_page(&ranges, 0, &page));
    assert_true(ranges_add(&ranges, 0xc0400000, 0x8400000, 12 * MIB, true, false));
    assert_int_equal(walk(0xc0400000, 0x8400000, 12 * MIB), 3);
    assert_true(ranges_page(&ranges, 0xc0400000, &page) && page.writable && page.tsize == 6);
    assert_false(ranges_page(&ranges, 0xc03fffff, &page));
    assert_false(ranges_page(&ranges, 0xc1000000, &page));
    /* Above 4 GiB, read-only, up to the end of the address space. */
    assert_true(ranges_add(&ranges, 0xfffff000, 0xfedcba000ull, 4096, false, false));
    assert_int_equal(walk(0xfffff000, 0xfedcba000ull, 4096), 1);
    assert_true(ranges_page(&ranges, 0xffffffff, &page) && !page.writable);
    /* Registers. */
    assert_true(ranges_add(&ranges, 0x30000000, 0xfe0000000ull, 0x20000, true, true));
    assert_int_equal(walk(0x30000000, 0xfe0000000ull, 0x20000), 2);
    assert_true(ranges_page(&ranges, 0x30012345, &page) && page.device && page.writable);
    assert_true(ranges_page(&ranges, 0xc0400000, &page) && !page.device);
    /* Not congruent: small pages. */
    assert_true(ranges_add(&ranges, 0x20001000, 0x40000000, MIB, true, false));
    assert_int_equal(walk(0x20001000, 0x40000000, MIB), 256);
    ranges_remove(&ranges, 0x20001000);
    assert_false(ranges_page(&ranges, 0x20001000, &page));
}

static void test_place(void **state) {
    uint32_t at = ranges_place(&ranges, 0x124000000ull, 256 * MIB, LOW, HIGH);

    (void)state;

    assert_true(at >= LOW && ranges_add(&ranges, at, 0x124000000ull, 256 * MIB, true, false));
    assert_int_equal(walk(at, 0x124000000ull, 256 * MIB), 4); /* 0x124000000 is no multiple of 256 MiB */
    at = ranges_place(&ranges, 0x30000000, 256 * MIB, LOW, HIGH);
    assert_true(ranges_add(&ranges, at, 0x30000000, 256 * MIB, true, false));
    assert_int_equal(walk(at, 0x30000000, 256 * MIB), 1);
    /* Until it is full, without overlap. */
    unsigned count = 0;
    while ((at = ranges_place(&ranges, 0x40200000 + count * 128 * MIB, 126 * MIB, LOW, HIGH))) {
        struct range_page page;
        assert_false(ranges_page(&ranges, at, &page));
        assert_false(ranges_page(&ranges, at + 126 * (uint32_t)MIB - 1, &page));
        assert_true(ranges_add(&ranges, at, 0x40200000 + count * 128 * MIB, 126 * MIB, true, false));
        walk(at, 0x40200000 + count * 128 * MIB, 126 * MIB);
        count++;
    }
    assert_in_range(count, 14, 18); /* 2816 - 512 MiB */
    assert_int_equal(ranges_place(&ranges, 0, 2 * 1024 * MIB, LOW, HIGH), 0);
    assert_int_equal(ranges_place(&ranges, 0, UINT32_MAX, LOW, HIGH), 0);
    /* A small one fits between. */
    at = ranges_place(&ranges, 0x7654000, 0x3000, LOW, HIGH);
    assert_true(at != 0 && ranges_add(&ranges, at, 0x7654000, 0x3000, false, false));
    walk(at, 0x7654000, 0x3000);
}

static void test_many(void **state) {
    (void)state;
    for (unsigned i = 0; i < MAX_RANGES; i++)
        assert_true(ranges_add(&ranges, LOW + i * 4096, 0, 4096, true, false));
    assert_false(ranges_add(&ranges, HIGH, 0, 4096, true, false));
    ranges_remove(&ranges, LOW + 4096);
    assert_true(ranges_add(&ranges, HIGH, 0, 4096, true, false));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_pages, setup),
        cmocka_unit_test_setup(test_place, setup),
        cmocka_unit_test_setup(test_many, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
