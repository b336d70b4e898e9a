// SPDX-License-Identifier: Apache-2.0
// The functions that the attack guest has to itself: found on bus 0 through ECAM, their first BAR put where
// nothing else is.
#include "tests/guests/attack/attack.h"

#define ECAM           0xb0000000u
#define BARS           0xd0000000u
#define BAR_STEP       0x1000000u /* larger than any BAR of a device that is known here */

#define PCI_COMMAND    0x04
#define PCI_BAR0       0x10
#define COMMAND_MEMORY 2u
#define COMMAND_MASTER 4u
#define BAR_WIDE       4u

uint64_t pci_claim(unsigned offset, uint32_t mask, uint32_t value) {
    for (unsigned slot = 0; slot < 32; slot++) {
        uint64_t config = ECAM + (slot << 15), bar = BARS + slot * BAR_STEP;
        if (*mmio32(config) == 0xffffffff || (*mmio32(config + offset) & mask) != value)
            continue;
        *mmio32(config + PCI_COMMAND) = 0;
        *mmio32(config + PCI_BAR0) = (uint32_t)bar;
        if (*mmio32(config + PCI_BAR0) & BAR_WIDE)
            *mmio32(config + PCI_BAR0 + 4) = 0;
        *mmio32(config + PCI_COMMAND) = COMMAND_MEMORY | COMMAND_MASTER;
        return bar;
    }
    return 0;
}
