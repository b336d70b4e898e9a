// SPDX-License-Identifier: Apache-2.0
// The device table of AMD-Vi (specification 3.08, 2.2.2): one entry for each requester ID, which says whose
// tables its DMA and its interrupts go by. Every word is written by one access, and a unit never sees one
// that lets more through than the one before or the one after.
#include <assert.h>
#include <errno.h>
#include "core/arch.h"
#include "drivers/iommu/amdvi.h"

/* No levels and no rights: nothing is reached, whatever the address. */
#define BLOCKED   AMDVI_DEVICE_VALID
#define DOMAIN(d) ((uint64_t)(d)->number)

static_assert(AMDVI_DEVICES * sizeof(uint64_t[4]) == (size_t)PAGE_SIZE << AMDVI_DEVICE_ORDER,
              "an entry for each requester ID");

static void put(uint64_t *entry, unsigned word, uint64_t value) {
    __atomic_store_n(&entry[word], value, __ATOMIC_RELEASE);
    amdvi_written(&entry[word], sizeof(value));
}

/* What the firmware wants to pass of messages that are no plain interrupts (they have no remapping), and of
 * the system management range. */
static uint64_t passing_interrupts(uint8_t settings) {
    return (settings & ACPI_IVRS_INIT_PASS ? AMDVI_DEVICE_INIT : 0) |
           (settings & ACPI_IVRS_EINT_PASS ? AMDVI_DEVICE_EINT : 0) |
           (settings & ACPI_IVRS_NMI_PASS ? AMDVI_DEVICE_NMI : 0) |
           (settings & ACPI_IVRS_LINT0_PASS ? AMDVI_DEVICE_LINT0 : 0) |
           (settings & ACPI_IVRS_LINT1_PASS ? AMDVI_DEVICE_LINT1 : 0);
}

#define PASSING_INTERRUPTS passing_interrupts(UINT8_MAX)

static uint64_t passing_memory(uint8_t settings) {
    return AMDVI_DEVICE_SYSMGT((settings & ACPI_IVRS_SYSMGT) >> 4);
}

int amdvi_table_make(struct amdvi_unit *unit) {
    /* All IDs have an entry: QEMU 7.2 reads beyond a table that is shorter. */
    unit->device = heap_pages(AMDVI_DEVICE_ORDER, NULL);
    if (!unit->device)
        return -ENOMEM;
    for (unsigned i = 0; i < AMDVI_DEVICES; i++) {
        uint8_t settings = amdvi_settings(unit, (uint16_t)i);
        unit->device[i][0] = BLOCKED;
        unit->device[i][1] = passing_memory(settings);
        unit->device[i][2] = AMDVI_DEVICE_INTERRUPTS | passing_interrupts(settings);
    }
    amdvi_written(unit->device, (size_t)PAGE_SIZE << AMDVI_DEVICE_ORDER);
    return 0;
}

int amdvi_table_set(struct iommu_unit *common, uint16_t requester, const struct iommu_domain *from,
                    const struct iommu_domain *to, bool quiet) {
    struct amdvi_unit *unit = amdvi_unit_of(common);
    uint64_t *entry = unit->device[requester];
    uint8_t settings = to ? 0 : amdvi_settings(unit, requester);

    put(entry, 0, BLOCKED);
    put(entry, 1, to ? DOMAIN(to) : passing_memory(settings) | (quiet ? AMDVI_DEVICE_QUIET : 0));
    if (!unit->pass)
        put(entry, 2, (entry[2] & ~PASSING_INTERRUPTS) | passing_interrupts(settings));
    int error = amdvi_forget_device(unit, requester, from ? from->number : 0);
    if (error || !to)
        return error;
    put(entry, 0,
        AMDVI_DEVICE_VALID | AMDVI_DEVICE_LEVELS(to->paging.format->levels) | AMDVI_DEVICE_READ |
            AMDVI_DEVICE_WRITE | arch_heap_physical(to->paging.root));
    return amdvi_forget_device(unit, requester, 0);
}

int amdvi_table_interrupts(struct amdvi_unit *unit, uint16_t requester, const void *interrupts) {
    uint64_t *entry = unit->device[requester];

    put(entry, 2,
        (entry[2] & PASSING_INTERRUPTS) | AMDVI_DEVICE_INTERRUPTS | AMDVI_DEVICE_TABLE_SIZE |
            arch_heap_physical(interrupts) | AMDVI_DEVICE_REMAP);
    return amdvi_forget_device(unit, requester, 0);
}

int amdvi_table_pass(struct amdvi_unit *unit) {
    unit->pass = true;
    for (unsigned i = 0; i < AMDVI_DEVICES; i++)
        unit->device[i][2] = 0;
    amdvi_written(unit->device, (size_t)PAGE_SIZE << AMDVI_DEVICE_ORDER);
    return amdvi_forget_all(unit);
}
