// SPDX-License-Identifier: Apache-2.0
// External interrupts of the host: who handles which vector.
#ifndef SAGUARO_ARCH_X86_INTERRUPTS_H
#define SAGUARO_ARCH_X86_INTERRUPTS_H

#include "arch/x86/traps.h"

/* Installs the handler of a vector (32-254), once, before the interrupt can come. It runs with interrupts
 * off; the local APIC is told the end of interrupt before it is called. */
void interrupt_install(unsigned vector, void (*handler)(void));

/* A vector of its own for `handler`, for good. The local APIC is told the end of interrupt after the call: a
 * level-triggered one can be masked by it. The vector, or -ENOSPC. */
int interrupt_allocate(void (*handler)(void *context), void *context);

/* From trap_dispatch(). */
void interrupt_dispatch(unsigned vector);

/* Moves the 8259 pair out of the exceptions' vectors and masks it. */
void pic_disable(void);

#endif
