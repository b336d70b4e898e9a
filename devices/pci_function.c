// SPDX-License-Identifier: Apache-2.0
// The plain configuration space of a guest's PCI function: little-endian bytes, and which bits of them a
// guest changes.
#include "devices/pci_function.h"

uint32_t pci_config_read(const struct pci_function *function, unsigned offset, unsigned size) {
    uint32_t value = 0;
    for (unsigned i = 0; i < size; i++) {
        uint8_t byte = offset + i < PCI_CONFIG_SIZE ? function->config[offset + i] : 0xff;
        value |= (uint32_t)byte << 8 * i;
    }
    return value;
}

void pci_config_write(struct pci_function *function, unsigned offset, unsigned size, uint32_t value) {
    for (unsigned i = 0; i < size && offset + i < PCI_CONFIG_SIZE; i++) {
        uint8_t mask = function->writable[offset + i];
        uint8_t *at = &function->config[offset + i];
        *at = (uint8_t)((*at & ~mask) | ((value >> 8 * i) & mask));
    }
}

void pci_config_set16(struct pci_function *function, unsigned offset, uint16_t value) {
    function->config[offset] = (uint8_t)value;
    function->config[offset + 1] = (uint8_t)(value >> 8);
}

void pci_config_set32(struct pci_function *function, unsigned offset, uint32_t value) {
    pci_config_set16(function, offset, (uint16_t)value);
    pci_config_set16(function, offset + 2, (uint16_t)(value >> 16));
}
