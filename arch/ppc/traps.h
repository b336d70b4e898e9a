// SPDX-License-Identifier: Apache-2.0
// Interrupts of Book E that are taken while the hypervisor runs: the frame that the entry code leaves, the
// handlers. (Those of a guest come back from ppc_enter(), see arch/ppc/vm.h.)
#ifndef SAGUARO_ARCH_PPC_TRAPS_H
#define SAGUARO_ARCH_PPC_TRAPS_H

#include <stdint.h>
#include "arch/ppc/registers.h"

/* What traps.S saves. 16-byte multiple: it lies on the stack. */
struct trap_frame {
    uint32_t link[4]; /* the stack's back chain */
    uint32_t gpr[32];
    uint32_t cr;
    uint32_t lr;
    uint32_t ctr;
    uint32_t xer;
    uint32_t pc;
    uint32_t msr;
    uint32_t esr;
    uint32_t dear;
    uint32_t vector; /* IVOR_* */
    uint32_t reserved[3];
};

/* Sets this CPU's IVPR and IVORs. */
void traps_load(void);

/* From traps.S: interrupts of the normal class. */
void trap_dispatch(struct trap_frame *frame);
/* Critical interrupts and machine checks; nothing comes back from them. */
__attribute__((noreturn)) void trap_critical(struct trap_frame *frame);

#endif
