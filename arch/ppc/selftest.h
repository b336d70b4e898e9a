// SPDX-License-Identifier: Apache-2.0
// Deliberate faults, asked for in the boot arguments, so that a boot test can see the reports.
#ifndef SAGUARO_ARCH_PPC_SELFTEST_H
#define SAGUARO_ARCH_PPC_SELFTEST_H

/* Does what selftest=NAME in /chosen's bootargs asks for: text (write to code), data (run data), null (read
 * address 0), stack (overflow the stack), nested (a fault inside a report), panic, safe (fixups, windows, the
 * clock), poweroff, reboot. Nothing without it. */
void selftest_run(void);

#endif
