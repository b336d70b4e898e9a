// SPDX-License-Identifier: Apache-2.0
// The spin table of a guest's board (ePAPR 1.1, 5.5.2): where the boot processor says at which address
// another one begins. It is a page of registers, not RAM: nobody spins, the vCPU is held.
#ifndef SAGUARO_ARCH_PPC_GUEST_SPIN_TABLE_H
#define SAGUARO_ARCH_PPC_GUEST_SPIN_TABLE_H

#include "core/part.h"

#define SPIN_TABLE_ENTRY 32u /* bytes; that of vCPU n is at BOARD_SPIN + n * SPIN_TABLE_ENTRY */

extern const struct part spin_table_part; /* "ppc.spin-table" */

/* The vCPU was reset: its entry is as at power-on, and releases it again. */
void spin_table_hold(struct vm *vm, unsigned index);

#endif
