// SPDX-License-Identifier: Apache-2.0
// Reports of what went wrong on a host CPU, on every console; and the end of the machine.
#ifndef SAGUARO_ARCH_X86_REPORT_H
#define SAGUARO_ARCH_X86_REPORT_H

#include "arch/x86/traps.h"

/* An exception that nobody expected: full report, all CPUs stop. */
__attribute__((noreturn)) void report_exception(struct trap_frame *frame);

/* An NMI: the machine stops (this CPU halts), the hardware reports an error (full report, all CPUs stop), or
 * nobody knows (a report in the log, and on it goes). */
void report_nmi(struct trap_frame *frame);

/* Stops every other CPU where it is, for good, be it for a report or for power-off. An NMI does not disturb
 * this one any more. */
void machine_stop_others(void);

#endif
