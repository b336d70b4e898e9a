// SPDX-License-Identifier: Apache-2.0
// What the parts of machine_read() share.
#ifndef SAGUARO_ARCH_PPC_MACHINE_INTERNAL_H
#define SAGUARO_ARCH_PPC_MACHINE_INTERNAL_H

#include <libfdt.h>
#include "arch/ppc/machine.h"

/* Reads `cells` 32-bit cells from property value `at`. */
static inline uint64_t machine_cells(const fdt32_t *at, int cells) {
    uint64_t value = 0;
    for (int i = 0; i < cells; i++)
        value = value << 32 | fdt32_to_cpu(at[i]);
    return value;
}

/* Fills in machine->pci; memory and CCSR have been read. `mpic`: the interrupt controller's node. */
void machine_pci_read(const void *tree, int mpic, struct machine *machine);

#endif
