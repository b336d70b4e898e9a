// SPDX-License-Identifier: Apache-2.0
// Power-off and reset of the host.
#ifndef SAGUARO_ARCH_PPC_POWER_H
#define SAGUARO_ARCH_PPC_POWER_H

#include <stdint.h>

/* Offsets in CCSR of the GPIO port whose pin `pin` (from the most significant bit) switches the power off,
 * and of the global utilities; 0: none. */
void power_init(uint32_t gpio, uint32_t pin, uint32_t guts);

#endif
