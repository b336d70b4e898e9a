// SPDX-License-Identifier: Apache-2.0
// The PCI host of a guest's PC: configuration access by 0xCF8/0xCFC and ECAM, functions of bus 0, interrupt
// pins, and the two bridges that a q35 always has (00:00.0 and 00:1f.0).
#ifndef SAGUARO_ARCH_X86_GUEST_PCI_H
#define SAGUARO_ARCH_X86_GUEST_PCI_H

#include <stdbool.h>
#include <stdint.h>
#include "core/atomic.h"
#include "core/part.h"

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

/* One function of bus 0. Its owner fills it in before pci_add() and keeps it until pci_remove(). */
struct pci_function {
    uint8_t devfn;
    bool intx; /* the level of its interrupt pin, by pci_line_set() */
    const struct pci_ops *ops;
    void *device;                      /* the owner's */
    uint8_t config[PCI_CONFIG_SIZE];   /* what is read */
    uint8_t writable[PCI_CONFIG_SIZE]; /* bits that a plain write changes */
};

extern const struct part pci_part; /* "x86.pci" */

/* Adds a function. 0, or -EEXIST. Removes it again. */
int pci_add(struct vm *vm, struct pci_function *function);
void pci_remove(struct vm *vm, struct pci_function *function);

/* Access to the plain configuration space, for the ops of functions that have some: all ones, or nothing
 * done, beyond its 256 bytes. */
uint32_t pci_config_read(const struct pci_function *function, unsigned offset, unsigned size);
void pci_config_write(struct pci_function *function, unsigned offset, unsigned size, uint32_t value);
/* Little-endian values into the space, whatever is writable. */
void pci_config_set16(struct pci_function *function, unsigned offset, uint16_t value);
void pci_config_set32(struct pci_function *function, unsigned offset, uint32_t value);

/*
 * Drives the interrupt pin that offset 0x3d names (1 = INTA, ...; 0: none, nothing happens). Pins reach GSI
 * 16-19 as pci_pin_gsi() says, and by the LPC bridge's PIRQ registers also the ISA lines 3, 5-7, 10, 11, 14
 * and 15; the others have a source of their own here.
 */
void pci_line_set(struct vm *vm, struct pci_function *function, bool level);
/* The GSI of a slot's pin (0 = INTA): the DSDT's _PRT says the same. */
static inline unsigned pci_pin_gsi(unsigned slot, unsigned pin) {
    return 16 + ((slot + pin) & 3);
}

#endif
