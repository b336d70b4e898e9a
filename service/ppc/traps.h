// SPDX-License-Identifier: Apache-2.0
// Interrupts of the service VM's program on PowerPC: a TLB miss is filled; all else ends this run, with a
// report.
#ifndef SAGUARO_SERVICE_PPC_TRAPS_H
#define SAGUARO_SERVICE_PPC_TRAPS_H

#include <stdint.h>

/* As traps.S saves it; layout.h has the offsets. */
struct trap_frame {
    uint32_t gpr[32];
    uint32_t cr, lr, ctr, xer, pc, msr, vector, esr, dear;
};

/* Called by traps.S. Returns where the program goes on. */
void trap_c(const struct trap_frame *frame);

#endif
