// SPDX-License-Identifier: Apache-2.0
// The host's one-shot timer, one per CPU: the local APIC's, by TSC deadline where it has that.
#ifndef SAGUARO_ARCH_X86_HOST_TIMER_H
#define SAGUARO_ARCH_X86_HOST_TIMER_H

/* Chooses the mode and, where needed, measures the APIC's clock against the TSC. Boot CPU, with its APIC
 * enabled and the clock calibrated. 0; -ENODEV: the timer does not count. */
int host_timer_init(void);
/* Prepares this CPU's timer; off. */
void host_timer_enable(void);

#endif
