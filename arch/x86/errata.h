// SPDX-License-Identifier: Apache-2.0
// Faults of CPUs that a guest can use against the machine or another guest, and that an MSR's bit mends.
#ifndef SAGUARO_ARCH_X86_ERRATA_H
#define SAGUARO_ARCH_X86_ERRATA_H

/* Each CPU calls it before it runs a guest. Nothing is done in a virtual machine, whose host has to. */
void errata_cpu_init(void);

#endif
