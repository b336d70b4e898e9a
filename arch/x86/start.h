// SPDX-License-Identifier: Apache-2.0
// Where the platform's start-up ends.
#ifndef SAGUARO_ARCH_X86_START_H
#define SAGUARO_ARCH_X86_START_H

/* Creates the VMs and ends in sched_loop(); the boot CPU, everything in arch/x86 is up,
 * other CPUs are in sched_loop() or on the way there. boot_cpu.engine_status tells whether guests can run. */
__attribute__((noreturn)) void hypervisor_main(void);

#endif
