// SPDX-License-Identifier: Apache-2.0
// The PCI host of a guest's board (MPC8544E reference manual, ch. 17 "PCI Bus Interface"): configuration
// access to the functions of bus 0, of which the bridge itself, 00:00.0, is the first.
#ifndef SAGUARO_ARCH_PPC_GUEST_PCI_H
#define SAGUARO_ARCH_PPC_GUEST_PCI_H

#include "core/part.h"
#include "devices/pci_function.h"

extern const struct part pci_part; /* "ppc.pci" */

/* Adds a function. 0, or -EEXIST. */
int pci_add(struct vm *vm, struct pci_function *function);

#endif
