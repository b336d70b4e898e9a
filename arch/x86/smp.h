// SPDX-License-Identifier: Apache-2.0
// Starting the other CPUs.
#ifndef SAGUARO_ARCH_X86_SMP_H
#define SAGUARO_ARCH_X86_SMP_H

/* Starts every CPU that the hand-over block (else the MADT) lists, one after the other; those that do not
 * answer get a warning. They go on to sched_loop() by themselves. Boot CPU, with its APIC and the clock
 * running. */
void smp_start(void);

/* NMI pins of this CPU as the MADT tells. */
void smp_nmi_pins(void);

#endif
