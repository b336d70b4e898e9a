// SPDX-License-Identifier: Apache-2.0
// What whoever has a function of the machine does with it at the begin and the end of a run: interrupts off,
// reset, and back to what the firmware had set up (PCI Express Base 3.0, 6.6.1 and 6.6.2).
#include "core/arch.h"
#include "devices/host_pci.h"

#define EXPRESS_FLAGS    2u /* in the capability: port type in bits 7..4 */
#define PORT_ROOT        4u
#define PORT_DOWN        6u

#define BRIDGE_CONTROL   0x3eu
#define BRIDGE_BUS_RESET 0x40u

#define RESET_HELD       1000000ull /* ns that a bus is held in reset at least (Trst) */
#define RESET_HELD_LOOKS 100000000u /* a clock that stands does not hold us for ever */

void host_pci_interrupts_off(const struct host_pci *pci) {
    if (pci->msix.count)
        host_pci_write(pci, pci->msix.offset + PCI_MSIX_CONTROL, 2, PCI_MSIX_MASK_ALL);
    if (pci->msi.count)
        host_pci_write(pci, pci->msi.offset + PCI_MSI_CONTROL, 2, 0);
}

bool host_pci_msi_on(const struct host_pci *pci, uint64_t address, uint32_t data) {
    const struct pci_msi *msi = &pci->msi;

    if (!msi->wide && address >> 32)
        return false;
    host_pci_write(pci, msi->offset + PCI_MSI_ADDRESS, 4, (uint32_t)address);
    if (msi->wide)
        host_pci_write(pci, msi->offset + PCI_MSI_ADDRESS + 4, 4, (uint32_t)(address >> 32));
    host_pci_write(pci, msi->data, 2, data);
    if (msi->masking)
        host_pci_write(pci, msi->masking, 4, 0);
    host_pci_write(pci, msi->offset + PCI_MSI_CONTROL, 2, PCI_MSI_ENABLE);
    return true;
}

bool host_pci_restore(const struct host_pci *pci) {
    if (host_pci_read(pci, PCI_VENDOR, 4) != pci_space32(pci->config, PCI_VENDOR))
        return false;
    host_pci_write(pci, PCI_COMMAND, 2, PCI_COMMAND_NO_INTX);
    for (unsigned offset = PCI_BAR; offset < PCI_BAR + 4 * PCI_BARS; offset += 4) {
        host_pci_write(pci, offset, 4, pci_space32(pci->config, offset));
        if (host_pci_read(pci, offset, 4) != pci_space32(pci->config, offset))
            return false;
    }
    host_pci_write(pci, PCI_CACHE_LINE, 2, pci_space16(pci->config, PCI_CACHE_LINE));
    host_pci_write(pci, PCI_INTERRUPT_LINE, 1, pci->config[PCI_INTERRUPT_LINE]);
    if (pci->express)
        host_pci_write(pci, pci->express + PCI_EXPRESS_CONTROL, 2,
                       pci_space16(pci->config, pci->express + PCI_EXPRESS_CONTROL) &
                           ~(unsigned)PCI_EXPRESS_RESET);
    return true;
}

/* Whether its bus leads from a port of PCI Express to it and to nothing else. */
static bool is_alone(const struct host_pci *pci) {
    const struct host_pci *bridge = pci->bridge;

    if (!bridge)
        return false;
    unsigned express = pci_space_capability(bridge->config, PCI_CAPABILITY_EXPRESS, 0);
    unsigned type = express && express + 4 <= PCI_SPACE ? bridge->config[express + EXPRESS_FLAGS] >> 4 : 0;
    if (type != PORT_ROOT && type != PORT_DOWN)
        return false;
    for (unsigned i = 0; i < host_pci_count(); i++)
        if (host_pci_get(i) != pci && host_pci_get(i)->bridge == bridge)
            return false;
    return true;
}

bool host_pci_can_reset(const struct host_pci *pci) {
    return pci->reset || is_alone(pci);
}

void host_pci_reset(const struct host_pci *pci) {
    if (pci->reset) {
        unsigned control = pci->express + PCI_EXPRESS_CONTROL;
        host_pci_write(pci, control, 2, host_pci_read(pci, control, 2) | PCI_EXPRESS_RESET);
        return;
    }
    uint32_t control = host_pci_read(pci->bridge, BRIDGE_CONTROL, 2);
    host_pci_write(pci->bridge, BRIDGE_CONTROL, 2, control | BRIDGE_BUS_RESET);
    uint64_t end = time_now() + RESET_HELD;
    for (unsigned i = 0; i < RESET_HELD_LOOKS && time_now() < end; i++)
        cpu_relax();
    host_pci_write(pci->bridge, BRIDGE_CONTROL, 2, control & ~BRIDGE_BUS_RESET);
}
