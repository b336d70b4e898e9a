// SPDX-License-Identifier: Apache-2.0
// Finds the machine's PCI functions: buses in the order of their numbers, as the firmware has numbered them,
// each slot, each function; the size of each BAR. What functions answer is believed nowhere.
#include "devices/host_pci.h"

#include <stdio.h>
#include <string.h>

#include "core/arch.h"
#include "core/control.h"
#include "core/log.h"
#include "core/memory.h"
#include "drivers/iommu/iommu.h"

#define SLOTS        32u
#define FUNCTIONS    8u
#define BUSES        256u

#define CLASS_BRIDGE 0x06u
#define CLASS_SYSTEM 0x08u

static struct host_pci *found[HOST_PCI_MAX];
static unsigned found_count;
static bool left_out;

unsigned host_pci_count(void) {
    return found_count;
}

struct host_pci *host_pci_get(unsigned index) {
    bug_if(index >= found_count);
    return found[index];
}

uint32_t host_pci_read(const struct host_pci *pci, unsigned offset, unsigned size) {
    return arch_host_pci_read(pci->segment, pci->bus, pci->devfn, offset, size);
}

void host_pci_write(const struct host_pci *pci, unsigned offset, unsigned size, uint32_t value) {
    arch_host_pci_write(pci->segment, pci->bus, pci->devfn, offset, size, value);
}

uint32_t host_pci_class(const struct host_pci *pci) {
    return pci_space32(pci->config, PCI_CLASS) >> 8;
}

void host_pci_name(const struct host_pci *pci, char name[HOST_PCI_NAME]) {
    snprintf(name, HOST_PCI_NAME, "%04x:%02x:%02x.%x", pci->segment, pci->bus, pci->devfn >> 3,
             pci->devfn & 7u);
}

unsigned host_pci_pin(const struct host_pci *pci, const struct host_pci **root) {
    unsigned pin = pci->config[PCI_INTERRUPT_PIN];

    *root = pci;
    if (pin < 1 || pin > 4)
        return 0;
    /* A bridge's bus is above its own: the way up ends. */
    for (const struct host_pci *at = pci; at->bridge; at = at->bridge) {
        pin = (pin - 1 + (at->devfn >> 3)) % 4 + 1;
        *root = at->bridge;
    }
    return pin;
}

const struct host_pci *host_pci_sharer(const struct host_pci *pci, uint64_t base, uint64_t end) {
    for (unsigned i = 0; i < found_count; i++)
        for (unsigned bar = 0; bar < PCI_BARS; bar++) {
            const struct pci_range *range = &found[i]->range[bar];
            if (found[i] != pci && range->kind == PCI_RANGE_MEMORY && range->address < end &&
                base < range->address + range->size)
                return found[i];
        }
    return NULL;
}

/* ---- finding them */

/* Reads [offset, end) of its space into the copy. */
static void copy_space(struct host_pci *pci, unsigned offset, unsigned end) {
    for (; offset < end; offset += 4) {
        uint32_t value = host_pci_read(pci, offset, 4);
        for (unsigned i = 0; i < 4; i++)
            pci->config[offset + i] = (uint8_t)(value >> 8 * i);
    }
}

/* Gives its memory BARs addresses, each in pages of its own, and brings the copy of the space up to date. One
 * that there is no room for stays at 0. It decodes nothing until it is claimed. */
static void place_ranges(struct host_pci *pci, struct host_pci_buses *buses) {
    for (unsigned i = 0; i < PCI_BARS; i++) {
        struct pci_range *range = &pci->range[i];
        uint64_t size = range->size < PAGE_SIZE ? PAGE_SIZE : range->size;
        uint64_t skip = (0 - buses->free) & (size - 1);
        if (range->kind != PCI_RANGE_MEMORY)
            continue;
        range->address = 0;
        if (skip <= buses->free_size && size <= buses->free_size - skip) {
            range->address = buses->free + skip;
            buses->free += skip + size;
            buses->free_size -= skip + size;
        } else {
            char name[HOST_PCI_NAME];
            host_pci_name(pci, name);
            log_warning("PCI %s: there is no room for its registers: it cannot be used", name);
        }
        host_pci_write(pci, PCI_BAR + 4 * i, 4, (uint32_t)range->address);
        if (range->wide)
            host_pci_write(pci, PCI_BAR + 4 * i + 4, 4, (uint32_t)(range->address >> 32));
    }
    host_pci_write(pci, PCI_COMMAND, 2, 0);
    copy_space(pci, 0, PCI_BAR + 4 * PCI_BARS);
}

/* What its BARs ask for, and where they are. It neither decodes addresses nor does DMA meanwhile. */
static void find_ranges(struct host_pci *pci, struct host_pci_buses *buses) {
    uint32_t value[PCI_BARS], mask[PCI_BARS];
    uint16_t command = pci_space16(pci->config, PCI_COMMAND);

    host_pci_write(pci, PCI_COMMAND, 2,
                   command & ~(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER));
    for (unsigned i = 0; i < PCI_BARS; i++) {
        value[i] = host_pci_read(pci, PCI_BAR + 4 * i, 4);
        host_pci_write(pci, PCI_BAR + 4 * i, 4, UINT32_MAX);
        mask[i] = host_pci_read(pci, PCI_BAR + 4 * i, 4);
        host_pci_write(pci, PCI_BAR + 4 * i, 4, value[i]);
    }
    for (unsigned i = 0; i < PCI_BARS;)
        i += pci_range_decode(value, mask, PCI_BARS, i, &pci->range[i]);
    if (buses->unplaced)
        place_ranges(pci, buses);
    else
        host_pci_write(pci, PCI_COMMAND, 2, command);
    for (unsigned i = 0; i < PCI_BARS; i++)
        if (pci->range[i].kind == PCI_RANGE_MEMORY)
            pci->range[i].address += buses->offset;
}

static bool is_ours(uint32_t class) {
    return class >> 16 == CLASS_BRIDGE || class >> 16 == CLASS_SYSTEM;
}

bool host_pci_is_ours(const struct host_pci *pci) {
    return is_ours(host_pci_class(pci));
}

static void look_into(struct host_pci *pci, struct host_pci_buses *buses) {
    copy_space(pci, 0, PCI_SPACE);
    /* The machine needs bridges, interrupt controllers and the like: they are left alone. */
    if (pci_space_layout(pci->config) != 0 || is_ours(host_pci_class(pci)))
        return;
    find_ranges(pci, buses);
    if (!pci_msix_read(pci->config, pci->range, &pci->msix))
        pci->msix.count = 0;
    if (!pci_msi_read(pci->config, &pci->msi))
        pci->msi.count = 0;
    pci->express = pci_express_read(pci->config, &pci->reset);
}

/* The function, if there is one and it can be kept; NULL. */
static struct host_pci *look_at(struct host_pci_buses *buses, uint8_t bus, uint8_t devfn,
                                const struct host_pci *bridge) {
    uint16_t vendor = (uint16_t)arch_host_pci_read(buses->segment, bus, devfn, PCI_VENDOR, 2);

    if (vendor == 0 || vendor == 0xffff)
        return NULL;
    struct host_pci *pci = found_count < HOST_PCI_MAX ? heap_allocate(sizeof(*pci), NULL) : NULL;
    if (!pci) {
        left_out = true;
        return NULL;
    }
    pci->segment = buses->segment;
    pci->bus = bus;
    pci->devfn = devfn;
    pci->bridge = bridge;
    look_into(pci, buses);
    found[found_count++] = pci;
    return pci;
}

/* behind[]: for each bus of the segment the bridge that leads there, as far as it is known yet. */
static void look_at_bus(struct host_pci_buses *buses, uint8_t bus, const struct host_pci *behind[BUSES]) {
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        unsigned functions = 1;
        for (unsigned function = 0; function < functions && !left_out; function++) {
            struct pci_bridge bridge;
            const struct host_pci *pci = look_at(buses, bus, (uint8_t)(slot << 3 | function), behind[bus]);
            if (!pci)
                continue;
            if (function == 0 && pci_space_multi(pci->config))
                functions = FUNCTIONS;
            if (pci_bridge_read(pci->config, bus, &bridge) && !behind[bridge.secondary])
                behind[bridge.secondary] = pci;
        }
    }
}

void host_pci_init(void) {
    static const struct host_pci *behind[BUSES];
    struct host_pci_buses buses;

    /* A bridge leads to a higher bus: its own comes first. Buses that none leads to are roots. */
    for (unsigned i = 0; !arch_host_pci_buses(i, &buses); i++) {
        memset(behind, 0, sizeof(behind));
        for (unsigned bus = buses.first; bus <= buses.last && !left_out; bus++)
            look_at_bus(&buses, (uint8_t)bus, behind);
    }
    if (left_out)
        log_warning("PCI: not all functions are looked at: there are more than %u, or no memory for them",
                    found_count);
    if (found_count)
        log_debug("PCI: %u functions", found_count);
}

/* ---- for who manages the machine */

unsigned control_device_count(void) {
    return found_count;
}

void control_device(unsigned number, struct control_device *out) {
    const struct host_pci *pci = found[number];
    unsigned pin = pci->config[PCI_INTERRUPT_PIN];

    out->segment = pci->segment;
    out->bus = pci->bus;
    out->devfn = pci->devfn;
    out->vendor = pci_space16(pci->config, PCI_VENDOR);
    out->device = pci_space16(pci->config, PCI_VENDOR + 2);
    out->class = host_pci_class(pci);
    out->owner = pci->guest            ? CONTROL_OWNER_GUEST
                 : pci->claimed        ? CONTROL_OWNER_SERVICE
                 : is_ours(out->class) ? CONTROL_OWNER_HYPERVISOR
                                       : CONTROL_OWNER_NONE;
    if (pci->guest)
        snprintf(out->guest, sizeof(out->guest), "%s", pci->guest);
    out->msix = (uint16_t)pci->msix.count;
    out->msi = (uint16_t)pci->msi.count;
    out->pin = (uint8_t)(pin <= 4 ? pin : 0);
    struct iommu_device device;
    out->grouped = iommu_present() && host_pci_dma(pci, &device);
    if (out->grouped)
        out->group = device.group;
}
