// SPDX-License-Identifier: Apache-2.0
// Under which requester IDs a function of the machine does DMA, and which functions it cannot be kept apart
// from: what lies between it and the root bus decides (PCI Express to PCI/PCI-X Bridge 1.0, 2.3; PCI Express
// Base 3.0, 6.12 and 7.8.2).
#include "devices/host_pci.h"
#include "drivers/iommu/iommu.h"

#define EXPRESS_FLAGS      2u /* in the capability: port type in bits 7..4 */
#define PORT_TYPE(flags)   ((flags) >> 4 & 15u)
#define PORT_ROOT          4u
#define PORT_UP            5u
#define PORT_DOWN          6u
#define PORT_TO_PCI        7u

#define BRIDGE_SECONDARY   0x19u

#define REQUESTER(bus, fn) ((uint16_t)((bus) << 8 | (fn)))

/* The ID that a bridge may put in the place of the one that a request came with; false: it leaves that. */
static bool bridge_id(const struct host_pci *bridge, uint16_t *id) {
    unsigned express = pci_space_capability(bridge->config, PCI_CAPABILITY_EXPRESS, 0);
    unsigned type =
        express && express + 4 <= PCI_SPACE ? PORT_TYPE(bridge->config[express + EXPRESS_FLAGS]) : 0;

    if (express && (type == PORT_ROOT || type == PORT_UP || type == PORT_DOWN))
        return false;
    *id = express && type == PORT_TO_PCI ? REQUESTER(bridge->config[BRIDGE_SECONDARY], 0)
                                         : REQUESTER(bridge->bus, bridge->devfn);
    return true;
}

static bool add(struct iommu_device *device, uint16_t id) {
    for (unsigned i = 0; i < device->count; i++)
        if (device->id[i] == id)
            return true;
    if (device->count == IOMMU_MAX_IDS)
        return false;
    device->id[device->count++] = id;
    return true;
}

bool host_pci_dma(const struct host_pci *pci, struct iommu_device *device) {
    const struct host_pci *root = pci;
    uint16_t id;

    *device =
        (struct iommu_device){.segment = pci->segment, .count = 1, .id = {REQUESTER(pci->bus, pci->devfn)}};
    for (const struct host_pci *bridge = pci->bridge; bridge; bridge = bridge->bridge) {
        if (bridge_id(bridge, &id) && !add(device, id))
            return false;
        root = bridge;
    }
    /* Access control services, which may keep functions below one slot of the root apart, lie in the extended
     * configuration space, which is not looked at: all of them are one group. */
    device->group = REQUESTER(root->bus, root->devfn & ~7u);
    return true;
}
