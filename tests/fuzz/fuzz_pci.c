// SPDX-License-Identifier: Apache-2.0
// Configuration space out of arbitrary bytes: nothing may be read outside of it, nothing may loop, and what
// is found lies where it says. The input: 256 bytes of the space, then what its six BARs hold after all ones.
// fuzz-sources: lib/pci.c
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "lib/pci.h"

static void check(bool good) {
    if (!good)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint32_t value[PCI_BARS], mask[PCI_BARS];
    struct pci_range range[PCI_BARS] = {0};
    struct pci_msi msi;
    struct pci_msix msix;
    struct pci_bridge bridge;
    bool reset;

    if (size < PCI_SPACE + sizeof(mask))
        return 0;
    uint8_t *space = malloc(PCI_SPACE);
    if (!space)
        return 0;
    memcpy(space, data, PCI_SPACE);
    memcpy(mask, data + PCI_SPACE, sizeof(mask));
    for (unsigned i = 0; i < PCI_BARS; i++)
        value[i] = pci_space32(space, PCI_BAR + 4 * i);
    for (unsigned i = 0; i < PCI_BARS;) {
        unsigned taken = pci_range_decode(value, mask, PCI_BARS, i, &range[i]);
        check(taken == 1 || (taken == 2 && i + 2 <= PCI_BARS));
        const struct pci_range *r = &range[i];
        check(r->kind == PCI_RANGE_NONE ||
              (r->size && !(r->size & (r->size - 1)) && !(r->address & (r->size - 1))));
        check(r->kind == PCI_RANGE_NONE || r->address + (r->size - 1) >= r->address);
        i += taken;
    }
    for (unsigned id = 0; id < 256; id++) {
        unsigned at = 0, count = 0;
        while ((at = pci_space_capability(space, (uint8_t)id, at)) && count++ < 64)
            check(at >= 0x40 && at <= 0xfc && space[at] == id);
    }
    if (pci_msi_read(space, &msi))
        check(msi.count >= 1 && msi.count <= 32 && msi.data + 2 <= PCI_SPACE &&
              (!msi.masking || msi.masking + 8 <= PCI_SPACE));
    if (pci_msix_read(space, range, &msix))
        check(msix.bar < PCI_BARS && msix.count <= 2048 && range[msix.bar].kind == PCI_RANGE_MEMORY &&
              (uint64_t)msix.table + msix.count * PCI_MSIX_ENTRY <= range[msix.bar].size);
    unsigned express = pci_express_read(space, &reset);
    check(express + PCI_EXPRESS_CONTROL + 4 <= PCI_SPACE);
    if (pci_bridge_read(space, space[0], &bridge))
        check(bridge.secondary > space[0] && bridge.subordinate >= bridge.secondary);
    pci_class_name(pci_space32(space, PCI_CLASS) >> 8);
    free(space);
    return 0;
}
