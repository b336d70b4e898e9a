// SPDX-License-Identifier: Apache-2.0
// TLB1 entries of the hypervisor's own, written by the boot CPU; arch_heap_*() over the one region of the
// heap.
#include "arch/ppc/host_map.h"

#include <errno.h>
#include <stddef.h>
#include "arch/ppc/instructions.h"
#include "arch/ppc/layout.h"
#include "core/arch.h"
#include "core/log.h"
#include "core/memory.h"

#define UNCACHED (MAS2_I | MAS2_G)

struct ppc_tlb_entry host_tlb1[2];
static uint64_t heap_physical;
static uint32_t heap_size;

static void entry_write(unsigned number, const struct ppc_tlb_entry *entry) {
    spr_write(SPR_MAS0, MAS0_TLBSEL(1) | MAS0_ESEL(number));
    spr_write(SPR_MAS1, entry->mas1);
    spr_write(SPR_MAS2, entry->mas2);
    spr_write(SPR_MAS3, entry->mas3);
    spr_write(SPR_MAS7, entry->mas7);
    tlb_write();
}

/* Size of the TLB page: 4^tsize KiB. */
static uint64_t page_size(unsigned tsize) {
    return 1024ull << (2 * tsize);
}

static struct ppc_tlb_entry entry_make(uint32_t address, uint64_t physical, unsigned tsize,
                                       uint32_t attributes, uint32_t rights) {
    return (struct ppc_tlb_entry){.mas1 = MAS1_V | MAS1_IPROT | MAS1_TSIZE(tsize),
                                  .mas2 = address | attributes,
                                  .mas3 = (uint32_t)physical | rights,
                                  .mas7 = (uint32_t)(physical >> 32)};
}

static void entry_clear(unsigned number) {
    static const struct ppc_tlb_entry none = {.mas1 = MAS1_TSIZE(TSIZE_4K)};
    entry_write(number, &none);
}

void host_map_heap(uint64_t physical, uint32_t size) {
    unsigned tsize = size == HEAP_SIZE_SMALL ? TSIZE_4M : size == HEAP_SIZE_MIDDLE ? TSIZE_16M : TSIZE_64M;

    bug_if(page_size(tsize) != size || physical % size != 0);
    host_tlb1[0] = entry_make(HEAP_BASE, physical, tsize, MAS2_M, MAS3_SR | MAS3_SW);
    entry_write(TLB1_HEAP, &host_tlb1[0]);
    heap_physical = physical;
    heap_size = size;
}

void host_map_ccsr(uint64_t physical) {
    host_tlb1[1] = entry_make(CCSR_BASE, physical, TSIZE_1M, UNCACHED, MAS3_SR | MAS3_SW);
    entry_write(TLB1_CCSR, &host_tlb1[1]);
}

const void *host_map_boot(uint64_t physical, uint64_t size) {
    const unsigned entries = TLB1_ENTRIES - TLB1_FIRST_GUEST;

    host_map_boot_end();
    if (size == 0 || physical + size < physical || physical + size > 1ull << 36)
        return NULL;
    for (unsigned tsize = TSIZE_1M; tsize <= TSIZE_256M; tsize++) {
        uint64_t page = page_size(tsize);
        uint64_t first = physical & ~(page - 1);
        uint64_t count = (physical + size - first + page - 1) / page;
        if (count > entries || count * page > BOOT_MAP_END - BOOT_MAP_BASE)
            continue;
        for (unsigned i = 0; i < count; i++) {
            struct ppc_tlb_entry entry =
                entry_make(BOOT_MAP_BASE + (uint32_t)(i * page), first + i * page, tsize, MAS2_M, MAS3_SR);
            entry_write(TLB1_FIRST_GUEST + i, &entry);
        }
        return (const void *)(BOOT_MAP_BASE + (uint32_t)(physical - first));
    }
    return NULL;
}

void host_map_boot_end(void) {
    for (unsigned i = TLB1_FIRST_GUEST; i < TLB1_ENTRIES; i++)
        entry_clear(i);
}

void *host_map_spare(uint64_t physical) {
    if (physical == UINT64_MAX) {
        entry_clear(TLB1_SPARE);
        return NULL;
    }
    uint32_t within = (uint32_t)physical & (uint32_t)(PAGE_SIZE - 1);
    struct ppc_tlb_entry entry =
        entry_make(SPARE_BASE, physical - within, TSIZE_4K, UNCACHED, MAS3_SR | MAS3_SW);
    entry_write(TLB1_SPARE, &entry);
    return (void *)(SPARE_BASE + within);
}

int arch_heap_map(uint64_t physical) {
    return physical >= heap_physical && physical - heap_physical < heap_size ? 0 : -ENOMEM;
}

uint64_t arch_heap_physical(const void *virtual_address) {
    uint32_t offset = (uint32_t)virtual_address - HEAP_BASE;
    bug_if(offset >= heap_size);
    return heap_physical + offset;
}

void *arch_heap_virtual(uint64_t physical) {
    bug_if(physical < heap_physical || physical - heap_physical >= heap_size);
    return (void *)(HEAP_BASE + (uint32_t)(physical - heap_physical));
}
