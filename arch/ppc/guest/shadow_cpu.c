// SPDX-License-Identifier: Apache-2.0
// The real TLB's part for guests: entries of TLB0 and entries 8-15 of TLB1, with a record of each, so that
// they are found again without reading the TLB.
#include "arch/ppc/guest/shadow_cpu.h"
#include "arch/ppc/instructions.h"
#include "core/memory.h"

#include <string.h>

#define CROWDED_FILLS 64u /* after so many small fills for want of a large entry, one is displaced */

static struct shadow_cpu *cpus[MAX_CPUS];

struct shadow_cpu *shadow_cpu_this(void) {
    unsigned number = cpu_this()->number;

    if (!cpus[number]) {
        cpus[number] = heap_allocate(sizeof(*cpus[number]), NULL);
        if (cpus[number])
            cpus[number]->next_pid = 1;
    }
    return cpus[number];
}

/* ---- real entries */

static void write_small(unsigned set, unsigned way, uint32_t mas1, uint32_t address, uint32_t attributes,
                        uint64_t physical, uint32_t rights) {
    (void)set; /* it is a part of the address */
    spr_write(SPR_MAS0, MAS0_ESEL(way) | ((way + 1) & (PPC_TLB0_WAYS - 1)));
    spr_write(SPR_MAS1, mas1);
    spr_write(SPR_MAS2, address | attributes);
    spr_write(SPR_MAS3, (uint32_t)physical | rights);
    spr_write(SPR_MAS7, (uint32_t)(physical >> 32));
    tlb_write();
}

static void write_large(unsigned number, uint32_t mas1, uint32_t address, uint32_t attributes,
                        uint64_t physical, uint32_t rights) {
    spr_write(SPR_MAS0, MAS0_TLBSEL(1) | MAS0_ESEL(TLB1_FIRST_GUEST + number));
    spr_write(SPR_MAS1, mas1);
    spr_write(SPR_MAS2, address | attributes);
    spr_write(SPR_MAS3, (uint32_t)physical | rights);
    spr_write(SPR_MAS7, (uint32_t)(physical >> 32));
    tlb_write();
}

static void clear_small(struct shadow_cpu *cpu, unsigned set, unsigned way) {
    struct shadow_slot *slot = &cpu->small[set][way];
    write_small(set, way, MAS1_TSIZE(TSIZE_4K), slot->first, 0, 0, 0);
    slot->pid = 0;
}

static void clear_large(struct shadow_cpu *cpu, unsigned number) {
    write_large(number, MAS1_TSIZE(TSIZE_4K), 0, 0, 0, 0);
    cpu->large[number].pid = 0;
}

/* ---- host PIDs */

static void take_all_back(struct shadow_cpu *cpu) {
    tlb_flash(MMUCSR0_TLB0_FI);
    memset(cpu->small, 0, sizeof(cpu->small));
    for (unsigned i = 0; i < SHADOW_LARGE; i++)
        if (cpu->large[i].pid)
            clear_large(cpu, i);
    memset(cpu->pid, 0, sizeof(cpu->pid));
    cpu->next_pid = 1;
    cpu->epoch++;
}

uint8_t shadow_cpu_pid(struct shadow_cpu *cpu, uint64_t life, uint32_t key) {
    for (unsigned i = 1; i < cpu->next_pid; i++)
        if (cpu->pid[i].key == key && cpu->pid[i].life == life)
            return (uint8_t)i;
    if (cpu->next_pid == SHADOW_PIDS)
        take_all_back(cpu);
    unsigned pid = cpu->next_pid++;
    cpu->pid[pid] = (struct shadow_pid){.life = life, .key = key};
    return (uint8_t)pid;
}

/* ---- filling */

static uint32_t last_of(uint32_t first, unsigned tsize) {
    unsigned shift = 10 + 2 * tsize;
    return first | (shift >= 32 ? UINT32_MAX : (1u << shift) - 1);
}

/* True if both may match in one context: the same one, or a process's and the global one of its mode. */
static bool contexts_meet(const struct shadow_cpu *cpu, uint8_t a, uint8_t b) {
    const struct shadow_pid *x = &cpu->pid[a], *y = &cpu->pid[b];

    if (a == b)
        return true;
    return x->life == y->life && SHADOW_KEY_MODE(x->key) == SHADOW_KEY_MODE(y->key) &&
           (SHADOW_KEY_IS_GLOBAL(x->key) || SHADOW_KEY_IS_GLOBAL(y->key));
}

static bool in_the_way(const struct shadow_cpu *cpu, const struct shadow_slot *slot,
                       const struct shadow_entry *entry) {
    return slot->pid && slot->first <= last_of(entry->address, entry->tsize) &&
           last_of(slot->first, slot->tsize) >= entry->address && contexts_meet(cpu, slot->pid, entry->pid);
}

static void clear_set(struct shadow_cpu *cpu, unsigned set, const struct shadow_entry *entry) {
    for (unsigned way = 0; way < PPC_TLB0_WAYS; way++)
        if (in_the_way(cpu, &cpu->small[set][way], entry))
            clear_small(cpu, set, way);
}

static uint32_t mas1_of(const struct shadow_entry *entry) {
    return MAS1_V | MAS1_TID((uint32_t)entry->pid) | MAS1_TS | MAS1_TSIZE((uint32_t)entry->tsize);
}

static void fill_small(struct shadow_cpu *cpu, const struct shadow_entry *entry,
                       const struct shadow_slot *slot) {
    unsigned set = entry->address >> 12 & (PPC_TLB0_SETS - 1);
    unsigned way;

    clear_set(cpu, set, entry);
    for (way = 0; way < PPC_TLB0_WAYS; way++)
        if (!cpu->small[set][way].pid)
            break;
    if (way == PPC_TLB0_WAYS) {
        way = cpu->small_next[set];
        cpu->small_next[set] = (way + 1) & (PPC_TLB0_WAYS - 1);
    }
    write_small(set, way, mas1_of(entry), entry->address, entry->attributes, entry->physical, entry->rights);
    cpu->small[set][way] = *slot;
}

static void fill_large(struct shadow_cpu *cpu, const struct shadow_entry *entry,
                       const struct shadow_slot *slot) {
    unsigned number;

    for (unsigned set = 0; set < PPC_TLB0_SETS; set++)
        clear_set(cpu, set, entry);
    for (number = 0; number < SHADOW_LARGE; number++)
        if (!cpu->large[number].pid)
            break;
    if (number == SHADOW_LARGE) {
        number = cpu->large_next;
        cpu->large_next = (number + 1) % SHADOW_LARGE;
    }
    write_large(number, mas1_of(entry), entry->address, entry->attributes, entry->physical, entry->rights);
    cpu->large[number] = *slot;
}

void shadow_cpu_write(struct shadow_cpu *cpu, const struct shadow_entry *entry) {
    struct shadow_slot slot = {
        .first = entry->address, .pid = entry->pid, .tsize = entry->tsize, .tlb1 = entry->tlb1};

    for (unsigned i = 0; i < SHADOW_LARGE; i++)
        if (in_the_way(cpu, &cpu->large[i], entry))
            clear_large(cpu, i);
    if (entry->tsize == TSIZE_4K)
        fill_small(cpu, entry, &slot);
    else
        fill_large(cpu, entry, &slot);
}

bool shadow_cpu_large_room(struct shadow_cpu *cpu) {
    for (unsigned i = 0; i < SHADOW_LARGE; i++)
        if (!cpu->large[i].pid)
            return true;
    /* Eight that are in use are better than any eight in turn; but what is used changes. */
    if (++cpu->crowded < CROWDED_FILLS)
        return false;
    cpu->crowded = 0;
    return true;
}

/* ---- taking away */

static bool of_life(const struct shadow_cpu *cpu, const struct shadow_slot *slot, uint64_t life) {
    return slot->pid && cpu->pid[slot->pid].life == life;
}

void shadow_cpu_drop(struct shadow_cpu *cpu, uint64_t life, uint32_t first, uint32_t last) {
    uint32_t pages = (last - first) >> 12; /* less one */
    unsigned sets = pages < PPC_TLB0_SETS ? pages + 1 : PPC_TLB0_SETS;

    for (unsigned i = 0; i < SHADOW_LARGE; i++) {
        const struct shadow_slot *slot = &cpu->large[i];
        if (of_life(cpu, slot, life) && slot->first <= last && last_of(slot->first, slot->tsize) >= first)
            clear_large(cpu, i);
    }
    for (unsigned i = 0; i < sets; i++) {
        unsigned set = ((first >> 12) + i) & (PPC_TLB0_SETS - 1);
        for (unsigned way = 0; way < PPC_TLB0_WAYS; way++) {
            const struct shadow_slot *slot = &cpu->small[set][way];
            if (of_life(cpu, slot, life) && slot->first >= first && slot->first <= last)
                clear_small(cpu, set, way);
        }
    }
}

void shadow_cpu_drop_tlb0(struct shadow_cpu *cpu, uint64_t life) {
    for (unsigned set = 0; set < PPC_TLB0_SETS; set++)
        for (unsigned way = 0; way < PPC_TLB0_WAYS; way++) {
            const struct shadow_slot *slot = &cpu->small[set][way];
            if (slot->pid && !slot->tlb1 && cpu->pid[slot->pid].life == life)
                clear_small(cpu, set, way);
        }
}

void shadow_cpu_end(struct shadow_cpu *cpu, uint64_t life) {
    for (unsigned i = 0; i < SHADOW_LARGE; i++)
        if (of_life(cpu, &cpu->large[i], life))
            clear_large(cpu, i);
}
