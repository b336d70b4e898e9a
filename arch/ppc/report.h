// SPDX-License-Identifier: Apache-2.0
// Reports of what went wrong on a host CPU, on every console; and the end of the machine.
#ifndef SAGUARO_ARCH_PPC_REPORT_H
#define SAGUARO_ARCH_PPC_REPORT_H

#include "arch/ppc/traps.h"

/* A trap that nobody expected: full report, all CPUs stop. */
__attribute__((noreturn)) void report_exception(const struct trap_frame *frame);

/* Stops every other CPU, for good, where it next takes interrupts: at the latest when its guest or its sleep
 * ends. */
void machine_stop_others(void);
/* Another CPU has asked for it: the handler of VECTOR_STOP. */
void machine_stop_self(void);

#endif
