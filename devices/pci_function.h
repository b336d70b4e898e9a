// SPDX-License-Identifier: Apache-2.0
// A function on a guest's PCI bus: its configuration space, and who answers there. A machine's PCI host keeps
// them and passes accesses on.
#ifndef SAGUARO_DEVICES_PCI_FUNCTION_H
#define SAGUARO_DEVICES_PCI_FUNCTION_H

#include <stdbool.h>
#include <stdint.h>

struct vm;

#define PCI_CONFIG_SIZE           256
#define PCI_DEVFN(slot, function) ((slot) << 3 | (function))

/* Offsets in configuration space that more than one file uses. */
#define PCI_HEADER_TYPE           0x0e
#define PCI_INTERRUPT_PIN         0x3d

struct pci_function;

/*
 * A function's handlers; NULL: the plain configuration space below. They run under the host's lock. Accesses
 * do not cross a 4-byte boundary; `offset` is up to 4095.
 */
struct pci_ops {
    uint32_t (*read)(struct vm *vm, struct pci_function *function, unsigned offset, unsigned size);
    void (*write)(struct vm *vm, struct pci_function *function, unsigned offset, unsigned size,
                  uint32_t value);
};

/* One function of bus 0. Its owner fills it in before it gives it to the host, and keeps it until it takes it
 * away again. */
struct pci_function {
    uint8_t devfn;
    bool intx; /* the level of its interrupt pin, by pci_line_set() */
    const struct pci_ops *ops;
    void *device;                      /* the owner's */
    uint8_t config[PCI_CONFIG_SIZE];   /* what is read */
    uint8_t writable[PCI_CONFIG_SIZE]; /* bits that a plain write changes */
};

/* Access to the plain configuration space, for the ops of functions that have some: all ones, or nothing
 * done, beyond its 256 bytes. */
uint32_t pci_config_read(const struct pci_function *function, unsigned offset, unsigned size);
void pci_config_write(struct pci_function *function, unsigned offset, unsigned size, uint32_t value);
/* Little-endian values into the space, whatever is writable. */
void pci_config_set16(struct pci_function *function, unsigned offset, uint16_t value);
void pci_config_set32(struct pci_function *function, unsigned offset, uint32_t value);

#endif
