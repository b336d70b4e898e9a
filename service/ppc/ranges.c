// SPDX-License-Identifier: Apache-2.0
// Ranges of a 32-bit address space (see service/ppc/ranges.h).
#include "service/ppc/ranges.h"

#include <stddef.h>
#include "service/ppc/registers.h"

static uint64_t page_size(unsigned tsize) {
    return 1024ull << 2 * tsize;
}

static const struct range *find(const struct ranges *ranges, uint32_t first, uint32_t last) {
    for (unsigned i = 0; i < MAX_RANGES; i++) {
        const struct range *range = &ranges->range[i];
        if (range->last && first <= range->last && last >= range->first)
            return range;
    }
    return NULL;
}

bool ranges_add(struct ranges *ranges, uint32_t first, uint64_t physical, uint64_t size, bool writable,
                bool device) {
    for (unsigned i = 0; i < MAX_RANGES; i++) {
        struct range *range = &ranges->range[i];
        if (range->last)
            continue;
        range->first = first;
        range->last = (uint32_t)(first + size - 1);
        range->physical = physical;
        range->writable = writable;
        range->device = device;
        return true;
    }
    return false;
}

void ranges_remove(struct ranges *ranges, uint32_t first) {
    for (unsigned i = 0; i < MAX_RANGES; i++)
        if (ranges->range[i].last && ranges->range[i].first == first)
            ranges->range[i].last = 0;
}

/* The first place that is congruent to `physical` modulo `step`. */
static uint32_t place(const struct ranges *ranges, uint64_t physical, uint64_t size, uint32_t low,
                      uint32_t high, uint64_t step) {
    uint64_t at = (low & ~(step - 1)) + (physical & (step - 1));

    if (at < low)
        at += step;
    while (at + size <= high) {
        const struct range *other = find(ranges, (uint32_t)at, (uint32_t)(at + size - 1));
        if (!other)
            return (uint32_t)at;
        /* Behind it, in step. */
        at += ((uint64_t)other->last + 1 - at + step - 1) & ~(step - 1);
    }
    return 0;
}

uint32_t ranges_place(const struct ranges *ranges, uint64_t physical, uint64_t size, uint32_t low,
                      uint32_t high) {
    unsigned tsize = TSIZE_1G;

    while (tsize > TSIZE_4K && page_size(tsize) > size)
        tsize--;
    for (; tsize >= TSIZE_4K; tsize--) {
        uint32_t at = place(ranges, physical, size, low, high, page_size(tsize));
        if (at)
            return at;
    }
    return 0;
}

bool ranges_page(const struct ranges *ranges, uint32_t address, struct range_page *page) {
    const struct range *range = find(ranges, address, address);

    if (!range)
        return false;
    for (unsigned tsize = TSIZE_1G; tsize >= TSIZE_4K; tsize--) {
        uint32_t mask = (uint32_t)page_size(tsize) - 1, first = address & ~mask;
        uint64_t physical = range->physical + (first - range->first);
        if (first < range->first || (first | mask) > range->last || physical & mask)
            continue;
        page->address = first;
        page->physical = physical;
        page->tsize = tsize;
        page->writable = range->writable;
        page->device = range->device;
        return true;
    }
    return false;
}
