// SPDX-License-Identifier: Apache-2.0
// Ranges of memory less ranges that are taken.
#include "arch/ppc/memory_map.h"

#include <string.h>

#define WORK_RANGES 64u
#define MIB         0x100000ull

struct list {
    struct memory_range range[WORK_RANGES];
    unsigned count;
};

/* Keeps the list sorted; what has no room is left out. */
static void add(struct list *list, uint64_t base, uint64_t end) {
    base = (base + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
    end &= ~(PAGE_SIZE - 1);
    if (base >= end || list->count == WORK_RANGES)
        return;
    unsigned at = list->count++;
    for (; at > 0 && list->range[at - 1].base > base; at--)
        list->range[at] = list->range[at - 1];
    list->range[at] = (struct memory_range){.base = base, .size = end - base};
}

/* Takes [base, end) out, to whole pages. */
static void subtract(struct list *list, uint64_t base, uint64_t end) {
    struct list old = *list;

    if (base >= end)
        return;
    base &= ~(PAGE_SIZE - 1);
    end = (end + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
    list->count = 0;
    for (unsigned i = 0; i < old.count; i++) {
        uint64_t first = old.range[i].base, last = first + old.range[i].size;
        add(list, first, last < base ? last : base);
        add(list, first > end ? first : end, last);
    }
}

unsigned memory_map_usable(const struct machine *machine, uint64_t image_end, struct memory_range *ranges,
                           unsigned limit) {
    struct list list = {.count = 0};

    for (unsigned i = 0; i < machine->memory_count; i++) {
        const struct memory_range *range = &machine->memory[i];
        subtract(&list, range->base, range->base + range->size); /* told twice, it counts once */
        add(&list, range->base, range->base + range->size);
    }
    subtract(&list, 0, image_end);
    for (unsigned i = 0; i < machine->reserved_count; i++)
        subtract(&list, machine->reserved[i].base, machine->reserved[i].base + machine->reserved[i].size);
    subtract(&list, machine->bundle, machine->bundle + machine->bundle_size);
    if (list.count > limit)
        list.count = limit;
    memcpy(ranges, list.range, list.count * sizeof(ranges[0]));
    return list.count;
}

bool memory_map_heap(const struct memory_range *ranges, unsigned count, struct memory_range *heap) {
    uint64_t total = 0;

    for (unsigned i = 0; i < count; i++)
        total += ranges[i].size;
    uint64_t size = total >= 768 * MIB ? 64 * MIB : total >= 96 * MIB ? 16 * MIB : 4 * MIB;
    for (; size >= 4 * MIB; size /= 4) {
        for (unsigned i = count; i-- > 0;) {
            uint64_t end = ranges[i].base + ranges[i].size;
            uint64_t base = (end & ~(size - 1)) - size;
            if (end < size || base < ranges[i].base)
                continue;
            *heap = (struct memory_range){.base = base, .size = size};
            return true;
        }
    }
    return false;
}
