// SPDX-License-Identifier: Apache-2.0
// Interrupt remapping of VT-d (specification 4.1, ch. 5): the table's entries, and what names them. APIC IDs
// have eight bits here: x2APIC mode is not used.
#include <assert.h>
#include <errno.h>
#include "core/arch.h"
#include "drivers/iommu/vtd.h"

/* An entry (9.10); what is not named here is 0: fixed delivery to one physical APIC ID. */
#define ENTRY_LEVEL       (1ull << 4)
#define ENTRY_VECTOR(v)   ((uint64_t)(v) << 16)
#define ENTRY_CPU(id)     ((uint64_t)(id) << 40)
#define ENTRY_EXACT       (1ull << 18) /* of the second half: that requester alone */
#define ENTRY_BUSES       (2ull << 18)
#define ENTRY_RANGE(f, l) ((uint64_t)((f)&0xff00u) | (uint64_t)(l) >> 8)

/* IRTA: the table has 2^(n + 1) entries. */
#define TABLE_SIZE        7u

/* A message (5.1.2.2) without a subhandle. */
#define MESSAGE           0xfee00010u
#define MESSAGE_INDEX(i)  (((i)&0x7fffu) << 5 | (i) >> 15 << 2)

/* A redirection entry (5.1.5.1). */
#define LINE_KEPT         0x1a000ull /* mask, trigger mode, polarity */
#define LINE_REMAPPED     (1ull << 48)
#define LINE_INDEX(i)     ((uint64_t)((i)&0x7fffu) << 49 | (uint64_t)((i) >> 15) << 11)

static_assert(VTD_ENTRIES == IOMMU_MAX_INTERRUPTS && 1u << (TABLE_SIZE + 1) == VTD_ENTRIES,
              "a page of entries");

int vtd_interrupts_start(struct vtd_unit *unit) {
    if (!(unit->ecap & VTD_ECAP_IR) || !unit->queue)
        return -ENOTSUP;
    struct iommu_interrupt *interrupts = heap_allocate(IOMMU_MAX_INTERRUPTS * sizeof(*interrupts), NULL);
    unit->remap = heap_pages(0, NULL);
    if (!interrupts || !unit->remap)
        return -ENOMEM;
    vtd_written(unit->remap, PAGE_SIZE);
    vtd_write64(unit, VTD_IRTA, arch_heap_physical(unit->remap) | TABLE_SIZE);
    int error = vtd_command(unit, VTD_SIRTP, true);
    if (!error)
        error = vtd_forget_interrupts(unit);
    if (!error && (vtd_read32(unit, VTD_GSTS) & VTD_CFI))
        error = vtd_command(unit, VTD_CFI, false); /* no plain ones beside them */
    if (!error)
        error = vtd_command(unit, VTD_IRE, true);
    if (!error)
        unit->unit.interrupt = interrupts;
    return error;
}

int vtd_interrupt_write(struct iommu_unit *common, unsigned index, const struct iommu_interrupt *entry) {
    struct vtd_unit *unit = vtd_unit_of(common);
    uint64_t *to = unit->remap[index];
    uint64_t who =
        entry->buses ? ENTRY_BUSES | ENTRY_RANGE(entry->first, entry->last) : ENTRY_EXACT | entry->first;
    uint64_t where =
        VTD_PRESENT | (entry->level ? ENTRY_LEVEL : 0) | ENTRY_VECTOR(entry->vector) | ENTRY_CPU(entry->cpu);

    /* Who may send it does not change while it is present. */
    if (entry->live && !(to[0] & VTD_PRESENT))
        __atomic_store_n(&to[1], who, __ATOMIC_RELEASE);
    __atomic_store_n(&to[0], entry->live ? where : 0, __ATOMIC_RELEASE);
    vtd_written(to, sizeof(*unit->remap));
    int error = vtd_flush_writes(unit);
    return error ? error : vtd_forget_interrupt(unit, index);
}

void vtd_interrupt_message(const struct iommu_unit *unit, unsigned index, uint64_t *address, uint32_t *data) {
    (void)unit;
    *address = MESSAGE | MESSAGE_INDEX(index);
    *data = 0;
}

uint64_t vtd_interrupt_line(const struct iommu_unit *unit, unsigned index, uint64_t entry) {
    /* The vector is what the local APIC's end of interrupt is compared with. */
    return (entry & LINE_KEPT) | unit->interrupt[index].vector | LINE_REMAPPED | LINE_INDEX(index);
}
