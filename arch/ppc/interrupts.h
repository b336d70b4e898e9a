// SPDX-License-Identifier: Apache-2.0
// External interrupts of the host: who handles which vector of the interrupt controller; kicks; the idle
// sleep.
#ifndef SAGUARO_ARCH_PPC_INTERRUPTS_H
#define SAGUARO_ARCH_PPC_INTERRUPTS_H

#include <stdint.h>

/* Vectors, as the MPIC is told them. */
#define VECTOR_UART     1u
#define VECTOR_KICK     2u /* an inter-processor interrupt that is all by itself: the guest or the sleep ends */
#define VECTOR_STOP     3u /* the same, by which the machine is stopped */
#define VECTOR_PCI      4u /* and on: interrupt pins of the machine's PCI */
#define VECTOR_PCI_LAST 11u
#define VECTOR_COUNT    16u
#define VECTOR_SPURIOUS 0xffu

/* Installs the handler of a vector (1..VECTOR_COUNT - 1), once, before the interrupt can come. It runs with
 * interrupts off, and gets `context`; the MPIC is told the end of the interrupt after it. */
void interrupt_install(unsigned vector, void (*handler)(void *context), void *context);

/* From trap_dispatch(): the external input is asserted; the decrementer has come to 0. */
void interrupt_dispatch(void);
void interrupt_timer(void);

#endif
