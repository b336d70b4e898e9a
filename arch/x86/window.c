// SPDX-License-Identifier: Apache-2.0
// A CPU's windows onto memory that the hypervisor does not keep mapped. The slots are a ring: each miss takes
// the next one. A hint table finds a page's slot again; a slot is reused as long as WINDOW_SLOTS more misses
// would not reach it, which is what core/arch.h promises.
#include "arch/x86/host_map.h"

#include <errno.h>
#include "arch/x86/paging_host.h"
#include "arch/x86/registers.h"
#include "core/arch.h"
#include "core/log.h"

#define WINDOW_CPU_SIZE (2 * LARGE_PAGE_SIZE)
#define ENTRY_BITS      (PTE_PRESENT | PTE_WRITE | PTE_ACCESSED | PTE_DIRTY | PTE_NO_EXECUTE)
#define NOTHING         1ull

_Static_assert(WINDOW_RING > 2 * WINDOW_SLOTS, "the ring has to leave room for reuse");

int window_init(struct x86_cpu *cpu) {
    uint64_t *table = heap_pages(0, NULL);
    uint64_t *directory = host_map_window_directory() + 2 * cpu->core.number;

    if (!table)
        return -ENOMEM;
    directory[0] = arch_heap_physical(table) | PTE_PRESENT | PTE_WRITE | PTE_ACCESSED;
    cpu->window_entry = table;
    cpu->window_large_entry = &directory[1];
    cpu->window_large_page = NOTHING;
    cpu->window_base = WINDOW_BASE + cpu->core.number * WINDOW_CPU_SIZE;
    for (unsigned i = 0; i < WINDOW_RING; i++)
        cpu->window_hint[i].page = NOTHING;
    return 0;
}

static struct window_hint *hint_of(struct x86_cpu *cpu, uint64_t physical) {
    return &cpu->window_hint[physical / PAGE_SIZE % WINDOW_RING];
}

static void *map_page(struct x86_cpu *cpu, struct window_hint *hint, uint64_t physical) {
    uint64_t page = physical & ~(PAGE_SIZE - 1);
    uint64_t slot = cpu->window_sequence % WINDOW_RING;
    uint64_t address = cpu->window_base + slot * PAGE_SIZE;

    cpu->window_entry[slot] = page | ENTRY_BITS;
    tlb_forget(address);
    hint->page = page;
    hint->sequence = cpu->window_sequence++;
    return (void *)(address + (physical - page));
}

void *arch_window_map(uint64_t physical) {
    struct x86_cpu *cpu = x86_cpu_this();
    struct window_hint *hint = hint_of(cpu, physical);

    if (hint->page == (physical & ~(PAGE_SIZE - 1)) &&
        cpu->window_sequence - hint->sequence <= WINDOW_RING - WINDOW_SLOTS)
        return (void *)(cpu->window_base + hint->sequence % WINDOW_RING * PAGE_SIZE + physical % PAGE_SIZE);
    return map_page(cpu, hint, physical);
}

void *arch_window_map_large(uint64_t physical) {
    struct x86_cpu *cpu = x86_cpu_this();
    uint64_t address = cpu->window_base + LARGE_PAGE_SIZE;

    bug_if(physical % LARGE_PAGE_SIZE);
    if (cpu->window_large_page != physical) {
        *cpu->window_large_entry = physical | ENTRY_BITS | PTE_LARGE;
        tlb_forget(address);
        cpu->window_large_page = physical;
    }
    return (void *)address;
}

void window_forget(void) {
    struct x86_cpu *cpu = x86_cpu_this();
    uint64_t used = cpu->window_sequence - cpu->window_forgotten;

    if (used > WINDOW_RING)
        used = WINDOW_RING;
    for (uint64_t i = 1; i <= used; i++) {
        uint64_t slot = (cpu->window_sequence - i) % WINDOW_RING;
        /* The hint of that page, or of a newer one in its place, whose slot is among these as well. One whose
         * slot another page has had since is too old to be used, for good. */
        hint_of(cpu, cpu->window_entry[slot])->page = NOTHING;
        cpu->window_entry[slot] = 0;
        tlb_forget(cpu->window_base + slot * PAGE_SIZE);
    }
    cpu->window_forgotten = cpu->window_sequence;
    if (cpu->window_large_page != NOTHING) {
        *cpu->window_large_entry = 0;
        tlb_forget(cpu->window_base + LARGE_PAGE_SIZE);
        cpu->window_large_page = NOTHING;
    }
}
