// SPDX-License-Identifier: Apache-2.0
// Mappings on PowerPC: ranges, and the entries of TLB1 that stand for the pages in use, replaced in turn.
// Large pages: a hypervisor fills what it needs of them by itself, where a miss of ours costs it much more.
#include "service/ppc/map.h"

#include "service/arch.h"
#include "service/ppc/layout.h"
#include "service/ppc/ranges.h"
#include "service/ppc/registers.h"

#define PAGE 4096u

#define MTSPR(number, value)                                                                                 \
    __asm__ volatile("mtspr %0, %1" : : "i"(number), "r"((uint32_t)(value)) : "memory")

static struct ranges ranges;
static uint32_t memory_start, memory_size;
static unsigned next = TLB1_FIRST_FREE;                              /* of TLB1, to be replaced */
static uint32_t entry_first[TLB1_ENTRIES], entry_last[TLB1_ENTRIES]; /* addresses; last 0: not in use */

/* The MAS registers are set; MAS0 to 3 and 7 are what counts (e500 core manual, 12.5.1). */
static void entry_write(unsigned entry, uint32_t mas1, uint32_t mas2, uint32_t mas3, uint32_t mas7) {
    MTSPR(SPR_MAS0, MAS0_TLB1(entry));
    MTSPR(SPR_MAS1, mas1);
    MTSPR(SPR_MAS2, mas2);
    MTSPR(SPR_MAS3, mas3);
    MTSPR(SPR_MAS7, mas7);
    __asm__ volatile("isync\n\ttlbwe\n\tmsync\n\tisync" : : : "memory");
}

void map_init(uint32_t memory, uint32_t size) {
    memory_start = memory;
    memory_size = size;
    if (size > IMAGE_END - MEMORY_BASE)
        (void)ranges_add(&ranges, IMAGE_END, memory + (IMAGE_END - MEMORY_BASE),
                         size - (IMAGE_END - MEMORY_BASE), true, false);
}

bool map_fill(uint32_t address) {
    struct range_page page;

    if (!ranges_page(&ranges, address, &page))
        return false;
    entry_first[next] = page.address;
    entry_last[next] = page.address + ((1024u << 2 * page.tsize) - 1);
    entry_write(
        next, MAS1_V | MAS1_TSIZE(page.tsize), page.address | (page.device ? MAS2_I | MAS2_G : MAS2_M),
        (uint32_t)page.physical | MAS3_SR | (page.writable ? MAS3_SW : 0), (uint32_t)(page.physical >> 32));
    next = next + 1 < TLB1_ENTRIES ? next + 1 : TLB1_FIRST_FREE;
    return true;
}

uint32_t arch_physical(const void *address) {
    return (uint32_t)address - MEMORY_BASE + memory_start;
}

static void *map(uint64_t physical, uint64_t size, bool writable, bool device) {
    uint64_t first = physical & ~(uint64_t)(PAGE - 1);
    uint64_t whole = (physical - first + size + PAGE - 1) & ~(uint64_t)(PAGE - 1);
    uint64_t memory_end = (uint64_t)MEMORY_BASE + memory_size;

    if (!size || size > MAP_HIGH)
        return NULL;
    uint32_t at = ranges_place(&ranges, first, whole, MAP_LOW, MEMORY_BASE);
    if (!at && memory_end < MAP_HIGH)
        at = ranges_place(&ranges, first, whole, (uint32_t)memory_end, MAP_HIGH);
    if (!at || !ranges_add(&ranges, at, first, whole, writable, device))
        return NULL;
    return (void *)(at + (uint32_t)(physical - first));
}

void *arch_map(uint64_t physical, uint64_t size, bool writable) {
    return map(physical, size, writable, false);
}

void *arch_map_device(uint64_t physical, uint64_t size) {
    return map(physical, size, true, true);
}

void arch_unmap(void *address, uint64_t size) {
    uint32_t first = (uint32_t)address & ~(PAGE - 1), last = (uint32_t)address + (uint32_t)size - 1;

    ranges_remove(&ranges, first);
    for (unsigned i = TLB1_FIRST_FREE; i < TLB1_ENTRIES; i++)
        if (entry_last[i] && entry_first[i] <= last && entry_last[i] >= first) {
            entry_write(i, 0, 0, 0, 0);
            entry_last[i] = 0;
        }
}
