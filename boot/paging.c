// SPDX-License-Identifier: Apache-2.0
// The page tables that the loader jumps with: physical memory as it is, and the hypervisor at its linked
// addresses.
#include "boot/paging.h"

#include <errno.h>

#define PAGE_SIZE    4096ull
#define ENTRIES      512u
#define PRESENT      (1ull << 0)
#define WRITABLE     (1ull << 1)
#define ACCESSED     (1ull << 5)
#define DIRTY        (1ull << 6)
#define LARGE        (1ull << 7)
#define NO_EXECUTE   (1ull << 63)
#define ADDRESS_MASK 0x000ffffffffff000ull

/* Levels as the number of index fields below: 1 = page table, 2 = page directory (2M), 3 = PDPT (1G), 4 =
 * PML4. */
static uint64_t level_size(unsigned int level) {
    return 1ull << (12 + 9 * (level - 1));
}

static unsigned int level_index(uint64_t address, unsigned int level) {
    return (unsigned int)(address >> (12 + 9 * (level - 1))) & (ENTRIES - 1);
}

/* The loader's memory is mapped as it is: a table's address is its physical one. */
static uint64_t *table_at(uint64_t entry) {
    return (uint64_t *)(uintptr_t)(entry & ADDRESS_MASK);
}

/*
 * The entry for `address` in the table of `level`; missing tables on the way are added. -EEXIST: a large page
 * of a higher level is in the way.
 */
static int walk(struct paging *paging, uint64_t address, unsigned int level, uint64_t **entry) {
    uint64_t *table = paging->root;

    for (unsigned int at = 4; at > level; at--) {
        uint64_t *e = &table[level_index(address, at)];

        if (*e & LARGE) {
            return -EEXIST;
        }
        if (!(*e & PRESENT)) {
            void *page = paging->page(paging->context);

            if (page == NULL) {
                return -ENOMEM;
            }
            *e = (uint64_t)(uintptr_t)page | PRESENT | WRITABLE | ACCESSED;
        }
        table = table_at(*e);
    }
    *entry = &table[level_index(address, level)];
    return 0;
}

int paging_start(struct paging *paging) {
    paging->root = paging->page(paging->context);
    return paging->root != NULL ? 0 : -ENOMEM;
}

int paging_map_identity(struct paging *paging, uint64_t base, uint64_t size) {
    const unsigned int level = paging->large_1g ? 3 : 2;
    const uint64_t step = level_size(level);
    const uint64_t limit = 1ull << 47;
    uint64_t end;

    if (base >= limit || size > limit - base) {
        return -EINVAL;
    }
    end = base + size;
    for (uint64_t at = base & ~(step - 1); at < end; at += step) {
        uint64_t *entry;
        int error = walk(paging, at, level, &entry);

        if (error) {
            return error;
        }
        *entry = at | PRESENT | WRITABLE | ACCESSED | DIRTY | LARGE;
    }
    return 0;
}

int paging_map_pages(struct paging *paging, uint64_t virtual_address, uint64_t physical, uint64_t size,
                     bool writable, bool executable) {
    uint64_t flags = PRESENT | ACCESSED | (writable ? WRITABLE | DIRTY : 0) | (executable ? 0 : NO_EXECUTE);

    for (uint64_t at = 0; at < size; at += PAGE_SIZE) {
        uint64_t *entry;
        int error = walk(paging, virtual_address + at, 1, &entry);

        if (error) {
            return error;
        }
        if (*entry & PRESENT) {
            return -EEXIST;
        }
        *entry = (physical + at) | flags;
    }
    return 0;
}
