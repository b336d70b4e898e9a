// SPDX-License-Identifier: Apache-2.0
// Entries of units' interrupt-remapping tables: who has which, and where it leads.
#include <errno.h>
#include <string.h>
#include "core/log.h"
#include "drivers/iommu/iommu_internal.h"

/* A number for callers: the unit's, and the entry's in its table. */
#define NUMBER(unit, index)  ((int)((unit)->number * IOMMU_MAX_INTERRUPTS + (index)))

#define VECTORS_BEGIN        0x20u /* those below are exceptions */
#define VECTORS_END          0x100u
#define CPUS                 0xffu /* APIC IDs that an entry has room for; the last one is for all CPUs */

/* Of a plain message. */
#define MESSAGE_CPU(address) ((uint32_t)((address) >> 12 & 0xff))
#define MESSAGE_VECTOR(data) ((data)&0xff)

static struct iommu_unit *unit_of(int interrupt) {
    unsigned unit = (unsigned)interrupt / IOMMU_MAX_INTERRUPTS;

    bug_if(interrupt < 0 || unit >= iommu.unit_count || !iommu.unit[unit]->interrupt);
    return iommu.unit[unit];
}

static unsigned index_of(int interrupt) {
    return (unsigned)interrupt % IOMMU_MAX_INTERRUPTS;
}

static struct iommu_interrupt *entry_of(int interrupt) {
    struct iommu_interrupt *entry = &unit_of(interrupt)->interrupt[index_of(interrupt)];

    bug_if(!entry->used);
    return entry;
}

/* With the lock. */
static int take(struct iommu_unit *unit, const struct iommu_interrupt *like) {
    if (!unit || !unit->interrupt)
        return -ENODEV;
    for (unsigned i = 0; i < IOMMU_MAX_INTERRUPTS; i++)
        if (!unit->interrupt[i].used) {
            unit->interrupt[i] = *like;
            return NUMBER(unit, i);
        }
    return -ENOSPC;
}

int iommu_interrupt_allocate(const struct iommu_device *device) {
    struct iommu_interrupt entry = {.used = true};
    struct iommu_device all;

    if (!iommu.driver)
        return -ENODEV;
    if (!iommu_add_aliases(device, &all))
        return -ENOSPC;
    device = &all;
    entry.first = entry.last = device->id[0];
    entry.count = device->count;
    memcpy(entry.id, device->id, sizeof(entry.id));
    /* Behind a bridge it is not sure under which ID a message comes: any of the buses on its way may be. */
    for (unsigned i = 1; i < device->count; i++) {
        entry.buses = true;
        if (device->id[i] < entry.first)
            entry.first = device->id[i];
        if (device->id[i] > entry.last)
            entry.last = device->id[i];
    }
    spin_lock(&iommu.lock);
    int interrupt = take(iommu.driver->find(device->segment, device->id[0]), &entry);
    spin_unlock(&iommu.lock);
    return interrupt;
}

/* With the lock. */
static bool some_remap(void) {
    for (unsigned i = 0; i < iommu.unit_count; i++)
        if (iommu.unit[i]->interrupt)
            return true;
    return false;
}

int iommu_interrupt_allocate_ioapic(uint8_t ioapic) {
    struct iommu_interrupt entry = {.used = true, .line = true, .count = 1};

    if (!iommu.driver)
        return -ENODEV;
    spin_lock(&iommu.lock);
    struct iommu_unit *unit = iommu.driver->find_ioapic(ioapic, &entry.first);
    entry.last = entry.id[0] = entry.first;
    /* One that the firmware's table leaves out is behind some unit all the same. */
    int interrupt = unit || !some_remap() ? take(unit, &entry) : -ENOENT;
    spin_unlock(&iommu.lock);
    return interrupt;
}

/* With the lock. A unit that does not answer might go on with the entry as it was. 0 or -ENOMEM. */
static int write(int interrupt) {
    struct iommu_unit *unit = unit_of(interrupt);
    int error = iommu.driver->interrupt_write(unit, index_of(interrupt), entry_of(interrupt));

    if (error && error != -ENOMEM)
        panic("IOMMU %s does not answer: interrupts might go where they should not", unit->name);
    return error;
}

int iommu_interrupt_set(int interrupt, uint32_t cpu, unsigned vector, bool level) {
    if (cpu >= CPUS || vector < VECTORS_BEGIN || vector >= VECTORS_END)
        return -EINVAL;
    spin_lock(&iommu.lock);
    struct iommu_interrupt *entry = entry_of(interrupt);
    entry->live = true;
    entry->level = level;
    entry->vector = (uint8_t)vector;
    entry->cpu = cpu;
    int error = write(interrupt);
    if (error)
        entry->live = false;
    spin_unlock(&iommu.lock);
    return error;
}

int iommu_interrupt_remap(const struct iommu_device *device, uint64_t *address, uint32_t *data) {
    int interrupt = iommu_interrupt_allocate(device);

    if (interrupt < 0)
        return interrupt;
    int error = iommu_interrupt_set(interrupt, MESSAGE_CPU(*address), MESSAGE_VECTOR(*data), false);
    if (error) {
        iommu_interrupt_free(interrupt);
        return error;
    }
    iommu_interrupt_message(interrupt, address, data);
    return interrupt;
}

void iommu_interrupt_message(int interrupt, uint64_t *address, uint32_t *data) {
    iommu.driver->interrupt_message(unit_of(interrupt), index_of(interrupt), address, data);
}

uint64_t iommu_interrupt_line(int interrupt, uint64_t entry) {
    return iommu.driver->interrupt_line(unit_of(interrupt), index_of(interrupt), entry);
}

void iommu_interrupt_free(int interrupt) {
    spin_lock(&iommu.lock);
    struct iommu_interrupt *entry = entry_of(interrupt);
    if (entry->live) {
        entry->live = false;
        write(interrupt);
    }
    *entry = (struct iommu_interrupt){0};
    spin_unlock(&iommu.lock);
}
