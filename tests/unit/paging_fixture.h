// SPDX-License-Identifier: Apache-2.0
// For unit tests of the paging engine: tables in the host's heap, hooks that count, a walk as hardware does
// it.
#ifndef SAGUARO_TESTS_PAGING_FIXTURE_H
#define SAGUARO_TESTS_PAGING_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
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
    if (account != NULL)
        account->overhead += PAGE_SIZE;
    void *page = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
    memset(page, 0, PAGE_SIZE);
    return page;
}

void heap_pages_free(void *page, unsigned order, struct memory_account *account) {
    assert_int_equal(order, 0);
    assert_false(flush_due);
    tables--;
    if (account != NULL)
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

static inline void count_flush(struct paging *paging, uint64_t address, uint64_t size) {
    (void)paging;
    if (flushes++ == 0) {
        flush_low = address;
        flush_high = address + size;
    } else {
        flush_low = address < flush_low ? address : flush_low;
        flush_high = address + size > flush_high ? address + size : flush_high;
    }
}

static inline void start(struct paging *paging, const struct paging_format *format, unsigned largest) {
    left = UINT32_MAX;
    assert_int_equal(paging_init(paging, format, &account, largest), 0);
    paging->flush = count_flush;
    flushes = 0;
}

static inline void finish(struct paging *paging) {
    paging_destroy(paging);
    assert_int_equal(tables, 0);
    assert_int_equal(account.overhead, 0);
}

static inline void expect(struct paging *paging, uint64_t address, uint64_t physical, unsigned rights,
                          unsigned shift) {
    uint64_t p;
    unsigned r, s;
    assert_int_equal(paging_lookup(paging, address, &p, &r, &s), 0);
    assert_int_equal(p, physical);
    assert_int_equal(r, rights);
    assert_int_equal(s, shift);
}

static inline void expect_none(struct paging *paging, uint64_t address) {
    assert_int_equal(paging_lookup(paging, address, NULL, NULL, NULL), -ENOENT);
}

/* The entry that maps an address, as hardware would find it; NULL: none. */
static inline uint64_t *walk(const struct paging *paging, uint64_t address, unsigned *shift) {
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

static unsigned found_count;
static uint64_t found_address, found_size;

static inline void found(void *context, uint64_t address, uint64_t size) {
    assert_ptr_equal(context, &found_count);
    found_count++;
    found_address = address;
    found_size = size;
}

#endif
