// SPDX-License-Identifier: Apache-2.0
// The host's I/O APICs (82093AA data sheet; Intel ICH9 data sheet, 13.5).
#include "arch/x86/host_ioapic.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include "arch/x86/host_acpi.h"
#include "arch/x86/host_apic.h"
#include "arch/x86/host_map.h"
#include "core/atomic.h"
#include "core/log.h"
#include "drivers/iommu/iommu.h"

#define SELECT              0x00u
#define WINDOW              0x10u
#define REG_VERSION         0x01u
#define REG_REDIRECT        0x10u

#define REDIRECT_VECTOR     0x000ffu
#define REDIRECT_MASKED     0x10000u
#define REDIRECT_LEVEL      0x08000u
#define REDIRECT_WAITS      0x04000u /* remote IRR: a level-triggered interrupt's end has not come */
#define REDIRECT_ACTIVE_LOW 0x02000u

struct ioapic {
    volatile uint8_t *registers;
    uint32_t gsi_base;
    uint32_t lines;
    uint8_t id; /* as the firmware's tables name it */
};

static struct ioapic ioapics[ACPI_MAX_IOAPICS];
static unsigned ioapic_count;
static struct spinlock ioapic_lock; /* the registers are reached in two steps */

static uint32_t ioapic_read(struct ioapic *ioapic, uint32_t index) {
    *(volatile uint32_t *)(ioapic->registers + SELECT) = index;
    return *(volatile uint32_t *)(ioapic->registers + WINDOW);
}

static void ioapic_write(struct ioapic *ioapic, uint32_t index, uint32_t value) {
    *(volatile uint32_t *)(ioapic->registers + SELECT) = index;
    *(volatile uint32_t *)(ioapic->registers + WINDOW) = value;
}

void host_ioapic_init(void) {
    const struct acpi_madt *madt = host_acpi_madt();

    for (unsigned i = 0; madt && i < madt->ioapic_count; i++) {
        struct ioapic *ioapic = &ioapics[ioapic_count];
        ioapic->registers = map_device(madt->ioapic[i].address, 0x20);
        if (!ioapic->registers)
            continue;
        uint32_t version = ioapic_read(ioapic, REG_VERSION);
        if (version == UINT32_MAX) {
            log_warning("I/O APIC %u at 0x%lx does not answer", madt->ioapic[i].id,
                        (unsigned long)madt->ioapic[i].address);
            continue;
        }
        ioapic->gsi_base = madt->ioapic[i].gsi_base;
        ioapic->id = madt->ioapic[i].id;
        ioapic->lines = (version >> 16 & 0xff) + 1;
        for (uint32_t line = 0; line < ioapic->lines; line++)
            ioapic_write(ioapic, REG_REDIRECT + 2 * line, REDIRECT_MASKED);
        ioapic_count++;
    }
}

/* The I/O APIC that has a line, and the line's entry; NULL: none. */
static struct ioapic *find(uint32_t gsi, uint32_t *entry) {
    for (unsigned i = 0; i < ioapic_count; i++) {
        struct ioapic *ioapic = &ioapics[i];
        if (gsi < ioapic->gsi_base || gsi - ioapic->gsi_base >= ioapic->lines)
            continue;
        *entry = REG_REDIRECT + 2 * (gsi - ioapic->gsi_base);
        return ioapic;
    }
    return NULL;
}

/* What the line's entry has to be: the APIC ID and the vector, or what an IOMMU knows them by. Routed once,
 * a line stays so. 0, -ENOSPC or -ENOENT. */
static int redirection(const struct ioapic *ioapic, uint32_t id, uint32_t low, uint64_t *value) {
    static struct log_limit limit = {.burst = 4};
    int interrupt = iommu_interrupt_allocate_ioapic(ioapic->id);

    *value = (uint64_t)id << 56 | low;
    if (interrupt == -ENODEV)
        return 0;
    if (interrupt == -ENOENT && log_allowed(&limit))
        log_warning("I/O APIC %u is not named by the firmware's table of IOMMUs, which would block its "
                    "interrupts: its lines are not used",
                    ioapic->id);
    if (interrupt < 0)
        return interrupt;
    int error = iommu_interrupt_set(interrupt, id, low & REDIRECT_VECTOR, low & REDIRECT_LEVEL);
    if (error)
        iommu_interrupt_free(interrupt);
    else
        *value = iommu_interrupt_line(interrupt, low);
    return error;
}

static int route(uint32_t gsi, uint32_t low) {
    uint32_t id = host_apic_id(), entry;
    struct ioapic *ioapic = find(gsi, &entry);
    uint64_t value;

    if (!ioapic)
        return -ENODEV;
    if (id > 254)
        return -ENOTSUP;
    int error = redirection(ioapic, id, low, &value);
    if (error)
        return error;
    spin_lock(&ioapic_lock);
    ioapic_write(ioapic, entry + 1, (uint32_t)(value >> 32));
    ioapic_write(ioapic, entry, (uint32_t)value);
    spin_unlock(&ioapic_lock);
    return 0;
}

int host_ioapic_route_isa(unsigned irq, unsigned vector) {
    const struct acpi_madt *madt = host_acpi_madt();
    uint32_t gsi = irq;
    uint32_t low = vector;

    if (!madt)
        return -ENODEV;
    for (unsigned i = 0; i < madt->override_count; i++) {
        if (madt->override[i].irq != irq)
            continue;
        gsi = madt->override[i].gsi;
        low = vector | (madt->override[i].level ? REDIRECT_LEVEL : 0) |
              (madt->override[i].active_low ? REDIRECT_ACTIVE_LOW : 0);
    }
    return route(gsi, low);
}

int host_ioapic_route_level(unsigned gsi, unsigned vector) {
    return route(gsi, vector | REDIRECT_LEVEL | REDIRECT_ACTIVE_LOW | REDIRECT_MASKED);
}

void host_ioapic_mask(unsigned gsi, bool masked) {
    uint32_t entry;
    struct ioapic *ioapic = find(gsi, &entry);

    if (!ioapic)
        return;
    spin_lock(&ioapic_lock);
    uint32_t low = ioapic_read(ioapic, entry) & ~REDIRECT_MASKED;
    /* Of an interrupt that reached the CPU as an edge-triggered one (QEMU 7.2's AMD IOMMU makes them all so)
     * the I/O APIC is told no end, for which it would wait for ever. An entry that is written as
     * edge-triggered waits no more; where the end is yet to come this is one interrupt too many at most. */
    if (!masked && (low & REDIRECT_LEVEL) && (low & REDIRECT_WAITS))
        ioapic_write(ioapic, entry, (low & ~REDIRECT_LEVEL) | REDIRECT_MASKED);
    ioapic_write(ioapic, entry, low | (masked ? REDIRECT_MASKED : 0));
    spin_unlock(&ioapic_lock);
}
