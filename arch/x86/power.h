// SPDX-License-Identifier: Apache-2.0
// Power-off and reset of the host (arch_power_off() and arch_reboot() of core/arch.h).
#ifndef SAGUARO_ARCH_X86_POWER_H
#define SAGUARO_ARCH_X86_POWER_H

/* Finds and maps what both need, so that nothing has to be allocated or locked when the machine ends. After
 * host_acpi_init(). */
void power_init(void);

#endif
