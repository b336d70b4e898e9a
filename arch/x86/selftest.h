// SPDX-License-Identifier: Apache-2.0
// Deliberate faults, asked for on the loader's command line, so that a boot test can see the reports.
#ifndef SAGUARO_ARCH_X86_SELFTEST_H
#define SAGUARO_ARCH_X86_SELFTEST_H

/* Does what the option selftest=NAME asks for: text (write to code), data (run data), null (read address 0),
 * guard (overflow the stack), nmi (an NMI of unknown origin), nested (a fault inside a report), panic, safe
 * (fixups), poweroff, reboot. Nothing without the option. */
void selftest_run(void);

#endif
