// SPDX-License-Identifier: Apache-2.0
// Windows: entries of TLB0 in address space 0, refilled from the CPU's slots when guests' entries displace
// them (traps.S). The slots are a ring: each miss takes the next one. A hint table finds a page's slot again;
// a slot is reused as long as WINDOW_SLOTS more misses would not reach it, which is what core/arch.h
// promises.
#include "arch/ppc/window.h"

#include <assert.h>
#include "arch/ppc/instructions.h"
#include "core/log.h"
#include "core/memory.h"

#define NOTHING        1ull
#define LARGE_PART     0x100000u /* the large window's pages */
#define WINDOW_RIGHTS  (MAS3_SR | MAS3_SW)
#define PHYSICAL_LIMIT (1ull << 36)

static_assert(WINDOW_RING > 2 * WINDOW_SLOTS, "the ring has to leave room for reuse");

void window_init(struct ppc_cpu *cpu) {
    cpu->window_large_page = NOTHING;
    for (unsigned i = 0; i < WINDOW_RING; i++)
        cpu->window_hint[i].page = NOTHING;
}

/* Puts a slot's entry into TLB0, in place of the one that is there for its address. */
static void entry_write(uint32_t address, const struct window_slot *slot) {
    spr_write(SPR_MAS6, 0);
    tlb_search(address); /* MAS0: where it is, else where a new one may go (MAS4 says TLB0) */
    spr_write(SPR_MAS1, slot->mas3 != 0 ? MAS1_V | MAS1_TSIZE(TSIZE_4K) : MAS1_TSIZE(TSIZE_4K));
    spr_write(SPR_MAS2, address | MAS2_M);
    spr_write(SPR_MAS3, slot->mas3);
    spr_write(SPR_MAS7, slot->mas7);
    tlb_write();
}

static void *map_page(struct ppc_cpu *cpu, struct window_hint *hint, uint64_t page) {
    uint32_t number = (uint32_t)cpu->window_sequence % WINDOW_RING;
    struct window_slot *slot = &cpu->window[number];
    uint32_t address = WINDOW_BASE + number * (uint32_t)PAGE_SIZE;

    bug_if(page >= PHYSICAL_LIMIT);
    slot->mas3 = (uint32_t)page | WINDOW_RIGHTS;
    slot->mas7 = (uint32_t)(page >> 32);
    entry_write(address, slot);
    hint->page = page;
    hint->sequence = cpu->window_sequence++;
    return (void *)address;
}

void *arch_window_map(uint64_t physical) {
    struct ppc_cpu *cpu = ppc_cpu_this();
    uint32_t within = (uint32_t)physical & (uint32_t)(PAGE_SIZE - 1);
    uint64_t page = physical - within;
    struct window_hint *hint = &cpu->window_hint[(uint32_t)(page >> PAGE_SHIFT) % WINDOW_RING];

    if (hint->page == page && cpu->window_sequence - hint->sequence <= WINDOW_RING - WINDOW_SLOTS)
        return (void *)(WINDOW_BASE + (uint32_t)hint->sequence % WINDOW_RING * (uint32_t)PAGE_SIZE + within);
    return (char *)map_page(cpu, hint, page) + within;
}

static void large_write(uint32_t part, uint64_t physical, bool valid) {
    spr_write(SPR_MAS0, MAS0_TLBSEL(1) | MAS0_ESEL(TLB1_LARGE_WINDOW + part));
    spr_write(SPR_MAS1, (valid ? MAS1_V : 0) | MAS1_IPROT | MAS1_TSIZE(TSIZE_1M));
    spr_write(SPR_MAS2, (LARGE_WINDOW_BASE + part * LARGE_PART) | MAS2_M);
    spr_write(SPR_MAS3, (uint32_t)(physical + part * LARGE_PART) | WINDOW_RIGHTS);
    spr_write(SPR_MAS7, (uint32_t)(physical >> 32));
    tlb_write();
}

void *arch_window_map_large(uint64_t physical) {
    struct ppc_cpu *cpu = ppc_cpu_this();

    bug_if(physical % LARGE_PAGE_SIZE != 0 || physical >= PHYSICAL_LIMIT);
    if (cpu->window_large_page != physical) {
        large_write(0, physical, true);
        large_write(1, physical, true);
        cpu->window_large_page = physical;
    }
    return (void *)LARGE_WINDOW_BASE;
}

void window_forget(void) {
    struct ppc_cpu *cpu = ppc_cpu_this();

    for (unsigned i = 0; i < WINDOW_RING; i++) {
        cpu->window_hint[i].page = NOTHING;
        if (cpu->window[i].mas3 == 0)
            continue;
        cpu->window[i].mas3 = 0;
        entry_write(WINDOW_BASE + i * (uint32_t)PAGE_SIZE, &cpu->window[i]);
    }
    if (cpu->window_large_page != NOTHING) {
        large_write(0, 0, false);
        large_write(1, 0, false);
        cpu->window_large_page = NOTHING;
    }
}
