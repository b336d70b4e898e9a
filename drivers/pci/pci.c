// SPDX-License-Identifier: Apache-2.0
// PCI functions as drivers see them: identity and capabilities from configuration space as it was found,
// registers behind BARs, interrupts and mastering by the host's functions.
#include "drivers/pci/pci.h"

#include <errno.h>
#include <string.h>
#include "lib/pci.h"
#include "virtio/bytes.h"

#define PAGE 4096ull

/* ---- configuration space */

uint32_t pci_config(const struct pci_device *device, unsigned offset, unsigned size) {
    if (size > 4 || offset > sizeof(device->info->config) || size > sizeof(device->info->config) - offset)
        return 0;
    return bytes_get(device->info->config + offset, size);
}

uint16_t pci_vendor(const struct pci_device *device) {
    return (uint16_t)pci_config(device, PCI_VENDOR, 2);
}

uint16_t pci_id(const struct pci_device *device) {
    return (uint16_t)pci_config(device, PCI_VENDOR + 2, 2);
}

uint32_t pci_class(const struct pci_device *device) {
    return pci_config(device, PCI_CLASS, 4) >> 8;
}

unsigned pci_capability(const struct pci_device *device, uint8_t id, unsigned after) {
    return pci_space_capability(device->info->config, id, after);
}

/* ---- the function itself */

int pci_claim(struct pci_device *device, const struct pci_host *host, const struct service_pci *info,
              unsigned number) {
    *device = (struct pci_device){.host = host, .info = info, .number = number};
    return host->claim(number);
}

/* Whether [offset, offset + size) of a BAR touches a page of the MSI-X table, which is not ours. */
static bool in_msix_table(const struct pci_device *device, unsigned bar, uint64_t offset, uint64_t size) {
    struct pci_range range[PCI_BARS] = {0};
    struct pci_msix msix;

    for (unsigned i = 0; i < PCI_BARS; i++) {
        range[i].size = device->info->bar[i].size;
        range[i].kind = range[i].size ? PCI_RANGE_MEMORY : PCI_RANGE_NONE;
    }
    if (!pci_msix_read(device->info->config, range, &msix) || msix.bar != bar)
        return false;
    uint64_t end = (msix.table + msix.count * PCI_MSIX_ENTRY + PAGE - 1) & ~(PAGE - 1);
    return offset < end && (msix.table & ~(PAGE - 1)) < offset + size;
}

volatile void *pci_map(struct pci_device *device, unsigned bar, uint64_t offset, uint64_t size) {
    if (bar >= sizeof(device->bar) / sizeof(device->bar[0]) || size == 0)
        return NULL;
    uint64_t address = device->info->bar[bar].address, all = device->info->bar[bar].size;
    if (all > SIZE_MAX || address > UINT64_MAX - all || offset > all || size > all - offset ||
        in_msix_table(device, bar, offset, size))
        return NULL;
    if (!device->bar[bar])
        device->bar[bar] = device->host->map(address, all);
    return device->bar[bar] ? (uint8_t *)device->bar[bar] + offset : NULL;
}

int pci_set_vectors(struct pci_device *device, unsigned wanted) {
    int result = device->host->vectors(device->number, wanted);

    device->vectors = result < 0 ? 0 : (unsigned)result;
    return result < 0 ? result : 0;
}

int pci_set_master(struct pci_device *device, bool on) {
    return device->host->master(device->number, on);
}

void pci_unmask(struct pci_device *device) {
    const bool mine = device->mine;

    device->mine = false;
    if (device->host->unmask(device->number, mine) == -ENXIO)
        device->vectors = 0;
}
