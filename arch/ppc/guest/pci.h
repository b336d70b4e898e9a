// SPDX-License-Identifier: Apache-2.0
// The PCI host of a guest's board (MPC8544E reference manual, ch. 17 "PCI Bus Interface"): configuration
// access to the functions of bus 0, of which the bridge itself, 00:00.0, is the first.
#ifndef SAGUARO_ARCH_PPC_GUEST_PCI_H
#define SAGUARO_ARCH_PPC_GUEST_PCI_H

#include "arch/ppc/guest/board.h"
#include "core/part.h"
#include "devices/pci_function.h"

extern const struct part pci_part; /* "ppc.pci" */

#define PCI_PINS 4u /* of a slot: INTA# to INTD# */

/* Adds a function. 0, or -EEXIST. Removes it again. */
int pci_add(struct vm *vm, struct pci_function *function);
void pci_remove(struct vm *vm, struct pci_function *function);

/* Drives the interrupt pin that offset 0x3d names (1 = INTA, ...; 0: none, nothing happens). */
void pci_line_set(struct vm *vm, struct pci_function *function, bool level);
/* The MPIC source of a slot's pin (0 = INTA): the device tree's interrupt-map says the same. */
static inline unsigned pci_pin_source(unsigned slot, unsigned pin) {
    return BOARD_PCI_PINS + (slot + pin) % PCI_PINS;
}

/* A message of a function (PCI Local Bus 3.0, 6.8): reaches the MPIC's MSIIR through the bridge's window onto
 * CCSR. 0, or -EINVAL: it goes elsewhere, or the bridge takes no accesses. */
int pci_msi(struct vm *vm, uint64_t address, uint32_t data);

#endif
