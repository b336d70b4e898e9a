// SPDX-License-Identifier: Apache-2.0
// Interrupt remapping of AMD-Vi (specification 3.08, 2.2.5): a table for each requester that sends some, with
// entries of 32 bits. What names an entry are the lower bits of a message's data. APIC IDs have eight bits
// here: x2APIC mode is not used.
#include <assert.h>
#include <errno.h>
#include "core/arch.h"
#include "drivers/iommu/amdvi.h"

/* An entry; what is not named here is 0: fixed delivery to one physical APIC ID, tries are reported. */
#define ENTRY_LIVE      (1u << 0)
#define ENTRY_END       (1u << 5) /* the end of interrupt is asked for */
#define ENTRY_CPU(id)   ((uint32_t)(id) << 8)
#define ENTRY_VECTOR(v) ((uint32_t)(v) << 16)

/* An I/O APIC compares the vector of an end of interrupt with that in its own entry, where the entry's number
 * is: lines have the entries of their vectors, which no other line has. Messages have those above, by the
 * number that their unit has for them, in the table of each requester that may send them. An entry that a
 * requester's table does not have is not live there. (QEMU 7.2 does not compare with the table's size: all
 * that a message can name there lies in the page.) */
#define MESSAGE_SLOTS   256u
#define MESSAGE         0xfee00000u

/* What is kept of an I/O APIC's entry: mask, trigger mode, polarity. */
#define LINE_KEPT       0x1a000ull

static_assert(AMDVI_SLOTS == MESSAGE_SLOTS + IOMMU_MAX_INTERRUPTS, "each has its place");
static_assert(AMDVI_SLOTS * sizeof(uint32_t) <= PAGE_SIZE, "a table is a page");

int amdvi_interrupts_start(struct amdvi_unit *unit) {
    unit->unit.interrupt = heap_allocate(IOMMU_MAX_INTERRUPTS * sizeof(*unit->unit.interrupt), NULL);
    return unit->unit.interrupt ? 0 : -ENOMEM;
}

/* A requester's table. NULL: it has none. */
static uint32_t *table_of(const struct amdvi_unit *unit, uint16_t requester) {
    uint64_t physical = unit->device[requester][2] & AMDVI_TABLE;
    return physical ? arch_heap_virtual(physical) : NULL;
}

/* Makes those that are missing. They stay: most functions that had an interrupt have one again. 0, -ENOMEM,
 * -EIO. */
static int make_tables(struct amdvi_unit *unit, const struct iommu_interrupt *entry) {
    for (unsigned i = 0; i < entry->count; i++) {
        if (table_of(unit, entry->id[i]))
            continue;
        void *table = heap_pages(0, NULL);
        if (!table)
            return -ENOMEM;
        amdvi_written(table, PAGE_SIZE);
        int error = amdvi_table_interrupts(unit, entry->id[i], table);
        if (error)
            return error;
    }
    return 0;
}

static void put(const struct amdvi_unit *unit, uint16_t requester, unsigned slot, uint32_t value) {
    uint32_t *at = table_of(unit, requester) + slot;

    __atomic_store_n(at, value, __ATOMIC_RELEASE);
    amdvi_written(at, sizeof(*at));
}

int amdvi_interrupt_write(struct iommu_unit *common, unsigned index, const struct iommu_interrupt *entry) {
    struct amdvi_unit *unit = amdvi_unit_of(common);
    unsigned before = unit->slot[index];
    unsigned slot = !entry->live ? 0 : entry->line ? entry->vector : MESSAGE_SLOTS + index;
    uint32_t value =
        ENTRY_LIVE | (entry->level ? ENTRY_END : 0) | ENTRY_CPU(entry->cpu) | ENTRY_VECTOR(entry->vector);
    int error = entry->live ? make_tables(unit, entry) : 0;

    for (unsigned i = 0; i < entry->count && !error; i++) {
        if (before && before != slot)
            put(unit, entry->id[i], before, 0);
        if (slot)
            put(unit, entry->id[i], slot, value);
        if (before || slot)
            error = amdvi_forget_interrupts(unit, entry->id[i]);
    }
    if (!error)
        unit->slot[index] = (uint16_t)slot;
    return error;
}

void amdvi_interrupt_message(const struct iommu_unit *unit, unsigned index, uint64_t *address,
                             uint32_t *data) {
    (void)unit;
    *address = MESSAGE;
    *data = MESSAGE_SLOTS + index;
}

uint64_t amdvi_interrupt_line(const struct iommu_unit *unit, unsigned index, uint64_t entry) {
    return (entry & LINE_KEPT) | unit->interrupt[index].vector;
}
