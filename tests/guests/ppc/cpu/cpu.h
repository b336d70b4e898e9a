// SPDX-License-Identifier: Apache-2.0
// The parts of the CPU test, one a file.
#ifndef SAGUARO_TESTS_GUESTS_PPC_CPU_CPU_H
#define SAGUARO_TESTS_GUESTS_PPC_CPU_CPU_H

#include <stdbool.h>

/* The option "exact": also what the machine of QEMU 7.2 itself does not pass. There a DEC that runs reads as
 * 0 and one that rests does not, neither fixed-interval timer nor watchdog ever come, and rfmci is illegal.
 * The option "shared": the machine's time base is not the guest's alone, so that writing it does nothing, and
 * it has no SPE.
 * The option "magic", under a hypervisor alone: the registers of KVM's magic page are there first. */
extern bool exact, shared;

void test_privileged(void); /* what user mode may not do */
void test_registers(void);  /* special-purpose registers */
void test_moves(void);      /* the kernel's common instructions, with every register */
void test_interrupts(void); /* synchronous interrupts and returns from them */
void test_timers(void);     /* decrementer, fixed-interval timer, watchdog, time base */

#endif
