// SPDX-License-Identifier: Apache-2.0
// The interrupt controller of a guest's board: an OpenPIC as Freescale builds it (MPIC 4.0; MPC8544E and
// P2020 reference manuals, "Programmable Interrupt Controller"). vm.h has what the vCPUs call of it.
#ifndef SAGUARO_ARCH_PPC_GUEST_MPIC_H
#define SAGUARO_ARCH_PPC_GUEST_MPIC_H

#include <stdbool.h>
#include "core/part.h"

/*
 * 256 sources: 0-15 are the external pins, from 16 on those of the chip's own devices, and 224-231 the
 * registers of shared message-signalled interrupts: each collects 32 messages of PCI functions until it is
 * read. IPIs and the eight global timers have vectors of their own. Not built: critical and machine-check
 * destinations, registers for messages between CPUs, error registers, cascaded timers, the real-time clock as
 * a timer's clock; their bits read 0.
 */
#define MPIC_SIZE            0x40000u /* bytes of registers, at BOARD_MPIC in CCSR */
#define MPIC_SOURCES         256u
#define MPIC_INTERNAL        16u  /* the first source of the chip's own */
#define MPIC_MSI             224u /* the first of MPIC_MSI_COUNT */
#define MPIC_MSI_COUNT       8u
#define MPIC_MSIIR           0x1740u   /* its register for messages */
#define MPIC_TIMER_FREQUENCY 50000000u /* Hz: the platform's clock by 8, as the timers count after reset */

extern const struct part mpic_part; /* "ppc.mpic" */

/*
 * A device drives its line to source 0-223. Whether the source is asserted is what counts: polarity bits are
 * kept and have no effect. Any CPU, also with the device locked.
 */
void mpic_set_line(struct vm *vm, unsigned source, bool asserted);

/* A write to MSIIR by a device: the message register in the three uppermost bits, its bit in the five below.
 * Any CPU, also with the device locked. */
void mpic_message(struct vm *vm, uint32_t value);

#endif
