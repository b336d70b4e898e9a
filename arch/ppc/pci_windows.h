// SPDX-License-Identifier: Apache-2.0
// Which windows of a PCI host bridge show memory to the devices behind it.
#ifndef SAGUARO_ARCH_PPC_PCI_WINDOWS_H
#define SAGUARO_ARCH_PPC_PCI_WINDOWS_H

#include <stdint.h>

#define PCI_WINDOWS_INBOUND 3u /* that an MPC8540's bridge has */

struct pci_window {
    uint64_t base; /* of memory and of the bus alike; a multiple of the size */
    uint64_t size; /* a power of two, 4 KiB at least */
};

/* Windows that together show [0, end), and as little as possible beyond it. Their number; 0: `end` is 0, or
 * they would reach beyond `limit`. */
unsigned pci_windows(uint64_t end, uint64_t limit, struct pci_window window[PCI_WINDOWS_INBOUND]);

#endif
