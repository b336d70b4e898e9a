// SPDX-License-Identifier: Apache-2.0
// The machine's PCI host bridge (MPC8540 reference manual, ch. 16); what it is used for is in core/arch.h.
#ifndef SAGUARO_ARCH_PPC_HOST_PCI_H
#define SAGUARO_ARCH_PPC_HOST_PCI_H

#include "arch/ppc/machine.h"

/* Sets the bridge up, if the device tree has one: the bus's memory for CPUs, all RAM below 4 GiB for devices.
 * Boot CPU, before host_pci_init(). `machine` is kept. */
void host_pci_bridge_init(const struct machine *machine);

#endif
