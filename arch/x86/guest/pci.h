// SPDX-License-Identifier: Apache-2.0
// The PCI host of a guest's PC: configuration access by 0xCF8/0xCFC and ECAM, functions of bus 0, interrupt
// pins, and the two bridges that a q35 always has (00:00.0 and 00:1f.0).
#ifndef SAGUARO_ARCH_X86_GUEST_PCI_H
#define SAGUARO_ARCH_X86_GUEST_PCI_H

#include <stdbool.h>
#include <stdint.h>
#include "core/atomic.h"
#include "core/part.h"
#include "devices/pci_function.h"

extern const struct part pci_part; /* "x86.pci" */

/* Adds a function. 0, or -EEXIST. Removes it again. */
int pci_add(struct vm *vm, struct pci_function *function);
void pci_remove(struct vm *vm, struct pci_function *function);

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
