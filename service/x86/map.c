// SPDX-License-Identifier: Apache-2.0
// Mappings on x86: the image at its own place, all else at its guest-physical address. 4-level tables
// (Intel SDM vol. 3, 4.5), 2 MiB a page where that fits. Tables come from the heap, which is mapped from the
// start.
#include "service/x86/map.h"

#include <stdbool.h>
#include "service/arch.h"
#include "service/heap.h"
#include "service/x86/layout.h"

#define SMALL                 0x1000ull
#define LARGE                 0x200000ull
#define FRAME                 0x000ffffffffff000ull
#define NX                    (1ull << 63)
#define LEVELS                4u
#define LIMIT                 (1ull << 47) /* above are no addresses of ours */
#define INDEX(address, level) ((address) >> (12 + 9 * (level)) & 511)

extern uint64_t boot_pml4[512], boot_pd_memory[2 * 512];
extern const uint8_t image_end[];

static uint32_t memory_start;

static void drop(uint64_t address) {
    __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

void *map_init(uint32_t memory, uint32_t memory_size, size_t *size) {
    uint64_t image = ((uint64_t)image_end - IMAGE_BASE + LARGE - 1) & ~(LARGE - 1);

    memory_start = memory;
    for (uint64_t at = 0; at < image; at += LARGE) {
        boot_pd_memory[INDEX(memory + at, 1)] = 0;
        drop(memory + at);
    }
    *size = memory_size - image;
    return (void *)(memory + image);
}

uint32_t arch_physical(const void *address) {
    uint64_t virtual = (uint64_t)address;

    return virtual >= IMAGE_BASE ? (uint32_t)(virtual - IMAGE_BASE) + memory_start : (uint32_t) virtual;
}

/* A table: those made by start.S lie in the image, those from the heap at their own address. */
static uint64_t *table_of(uint64_t entry) {
    uint64_t physical = entry & FRAME, within = physical - memory_start;

    return (uint64_t *)(within < IMAGE_MAX && within < (uint64_t)image_end - IMAGE_BASE ? IMAGE_BASE + within
                                                                                        : physical);
}

/* The entry for `address` at `level` (0: 4 KiB, 1: 2 MiB), or a large page's on the way there. NULL: there is
 * none, or, with `make`, no memory for a table. */
static uint64_t *entry_of(uint64_t address, unsigned level, bool make) {
    uint64_t *table = boot_pml4;

    for (unsigned i = LEVELS - 1; i > level; i--) {
        uint64_t *entry = &table[INDEX(address, i)];
        if (!(*entry & PAGE_PRESENT)) {
            void *fresh = make ? heap_pages(1) : NULL;
            if (!fresh)
                return NULL;
            *entry = arch_physical(fresh) | PAGE_PRESENT | PAGE_WRITE;
        }
        if (*entry & PAGE_LARGE)
            return entry;
        table = table_of(*entry);
    }
    return &table[INDEX(address, level)];
}

/* `rights`: PAGE_WRITE, PAGE_UNCACHED. */
static void *map(uint64_t physical, uint64_t size, uint64_t rights) {
    uint64_t first = physical & ~(SMALL - 1), end = (physical + size + SMALL - 1) & ~(SMALL - 1);

    if (!size || !physical || size > LIMIT || physical > LIMIT - size - SMALL)
        return NULL;
    for (uint64_t at = first; at < end;) {
        bool large = at % LARGE == 0 && end - at >= LARGE;
        uint64_t *entry = entry_of(at, large ? 1 : 0, true);
        if (!entry)
            return NULL;
        /* A page that is there already, shared with a neighbour, gets the rights of both. A table is not
         * replaced by a large page: its pages are mapped one by one. */
        if (large && (*entry & PAGE_PRESENT) && !(*entry & PAGE_LARGE)) {
            large = false;
            entry = entry_of(at, 0, true);
        }
        if (*entry & PAGE_PRESENT)
            *entry |= rights;
        else
            *entry = at | PAGE_PRESENT | NX | rights | (large ? PAGE_LARGE : 0u);
        drop(at);
        at += large ? LARGE : SMALL;
    }
    return (void *)physical;
}

void *arch_map(uint64_t physical, uint64_t size, bool writable) {
    return map(physical, size, writable ? PAGE_WRITE : 0u);
}

void *arch_map_device(uint64_t physical, uint64_t size) {
    return map(physical, size, PAGE_WRITE | PAGE_UNCACHED);
}

void arch_unmap(void *address, uint64_t size) {
    uint64_t first = (uint64_t)address & ~(SMALL - 1), end = (uint64_t)address + size;

    for (uint64_t at = first; at < end;) {
        uint64_t *entry = entry_of(at, 0, false);
        bool large = entry && (*entry & PAGE_LARGE);
        if (entry)
            *entry = 0;
        drop(at);
        at += large ? LARGE : SMALL;
    }
}
