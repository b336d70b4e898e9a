// SPDX-License-Identifier: Apache-2.0
// Starting the other CPUs.
#ifndef SAGUARO_ARCH_PPC_SMP_H
#define SAGUARO_ARCH_PPC_SMP_H

/* Starts every CPU that the device tree gives a place in the spin table, one after the other; those that do
 * not answer get a warning. They go on to sched_loop() by themselves. Boot CPU, with the MPIC and the clock
 * running. */
void smp_start(void);

#endif
