// SPDX-License-Identifier: Apache-2.0
// PCI functions as drivers see them: identity and capabilities from configuration space as it was found,
// registers behind BARs, interrupts and mastering by the host's functions.
#include "drivers/pci/pci.h"

#include <string.h>
#include "virtio/bytes.h"

#define VENDOR              0x00u
#define DEVICE              0x02u
#define STATUS              0x06u
#define CLASS               0x08u /* the revision in the lowest byte */
#define CAPABILITIES        0x34u
#define FIRST_CAPABILITY    0x40u

#define STATUS_CAPABILITIES 0x10u
#define CAPABILITY_MSIX     0x11u
#define MSIX_CONTROL        2u
#define MSIX_TABLE          4u
#define MSIX_ENTRIES        0x7ffu /* of the control word: one less than there are */
#define MSIX_ENTRY          16u    /* bytes */
#define MSIX_BAR            7u     /* in the table's place, the rest is the offset */
#define PAGE                4096ull

/* ---- configuration space */

uint32_t pci_config(const struct pci_device *device, unsigned offset, unsigned size) {
    if (size > 4 || offset > sizeof(device->info->config) || size > sizeof(device->info->config) - offset)
        return 0;
    return bytes_get(device->info->config + offset, size);
}

uint16_t pci_vendor(const struct pci_device *device) {
    return (uint16_t)pci_config(device, VENDOR, 2);
}

uint16_t pci_id(const struct pci_device *device) {
    return (uint16_t)pci_config(device, DEVICE, 2);
}

uint32_t pci_class(const struct pci_device *device) {
    return pci_config(device, CLASS, 4) >> 8;
}

unsigned pci_capability(const struct pci_device *device, uint8_t id, unsigned after) {
    uint64_t seen = 0; /* bit n: the capability at 4 * n was passed: so even the caller's walk ends */
    bool found = after == 0;

    if (!(pci_config(device, STATUS, 2) & STATUS_CAPABILITIES))
        return 0;
    unsigned at = pci_config(device, CAPABILITIES, 1) & ~3u;
    while (at >= FIRST_CAPABILITY && !(seen & 1ull << at / 4)) {
        seen |= 1ull << at / 4;
        if (found && pci_config(device, at, 1) == id)
            return at;
        found = found || at == after;
        at = pci_config(device, at + 1, 1) & ~3u;
    }
    return 0;
}

/* ---- the function itself */

int pci_claim(struct pci_device *device, const struct pci_host *host, const struct service_pci *info,
              unsigned number) {
    *device = (struct pci_device){.host = host, .info = info, .number = number};
    return host->claim(number);
}

/* Whether [offset, offset + size) of a BAR touches a page of the MSI-X table, which is not ours. */
static bool in_msix_table(const struct pci_device *device, unsigned bar, uint64_t offset, uint64_t size) {
    unsigned at = pci_capability(device, CAPABILITY_MSIX, 0);
    uint32_t place = pci_config(device, at + MSIX_TABLE, 4);

    if (!at || (place & MSIX_BAR) != bar)
        return false;
    uint64_t entries = (pci_config(device, at + MSIX_CONTROL, 2) & MSIX_ENTRIES) + 1ull;
    uint64_t first = place & ~MSIX_BAR;
    uint64_t end = (first + entries * MSIX_ENTRY + PAGE - 1) & ~(PAGE - 1);
    return offset < end && (first & ~(PAGE - 1)) < offset + size;
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
    /* It can only fail for a function that is not claimed. */
    device->host->unmask(device->number);
}
