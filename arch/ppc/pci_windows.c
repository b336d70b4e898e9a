// SPDX-License-Identifier: Apache-2.0
// Windows of a PCI host bridge onto memory: the largest first, the last one rounded up.
#include "arch/ppc/pci_windows.h"

#define LEAST 4096ull

unsigned pci_windows(uint64_t end, uint64_t limit, struct pci_window window[PCI_WINDOWS_INBOUND]) {
    uint64_t at = 0;
    unsigned count = 0;

    for (; at < end && count < PCI_WINDOWS_INBOUND; count++) {
        uint64_t left = end - at, size = LEAST;
        while (size <= left / 2)
            size *= 2;
        if (size < left && count + 1 == PCI_WINDOWS_INBOUND)
            size *= 2; /* it is not more than the one before */
        window[count] = (struct pci_window){.base = at, .size = size};
        at += size;
    }
    return at <= limit ? count : 0;
}
