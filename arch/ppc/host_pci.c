// SPDX-License-Identifier: Apache-2.0
// The machine's PCI on PowerPC: none is known here, so that the service VM is offered no functions.
#include <errno.h>
#include <stddef.h>

#include "core/arch.h"

int arch_host_pci_buses(unsigned index, struct host_pci_buses *buses) {
    (void)index;
    (void)buses;
    return -ENOENT;
}

uint32_t arch_host_pci_read(uint16_t segment, uint8_t bus, uint8_t devfn, unsigned offset, unsigned size) {
    (void)segment;
    (void)bus;
    (void)devfn;
    (void)offset;
    (void)size;
    return UINT32_MAX;
}

void arch_host_pci_write(uint16_t segment, uint8_t bus, uint8_t devfn, unsigned offset, unsigned size,
                         uint32_t value) {
    (void)segment;
    (void)bus;
    (void)devfn;
    (void)offset;
    (void)size;
    (void)value;
}

bool arch_host_pci_memory(uint64_t physical, uint64_t size) {
    (void)physical;
    (void)size;
    return false;
}

void *arch_device_map(uint64_t physical, uint64_t size) {
    (void)physical;
    (void)size;
    return NULL;
}

int arch_host_message(void (*handler)(void *context), void *context, uint64_t *address, uint32_t *data) {
    (void)handler;
    (void)context;
    (void)address;
    (void)data;
    return -ENOTSUP;
}

int arch_host_pin(uint16_t segment, uint8_t bus, uint8_t devfn, unsigned pin, void (*handler)(void *context),
                  void *context) {
    (void)segment;
    (void)bus;
    (void)devfn;
    (void)pin;
    (void)handler;
    (void)context;
    return -ENOTSUP;
}

void arch_host_pin_unmask(int line) {
    (void)line;
}
