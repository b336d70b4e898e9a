// SPDX-License-Identifier: Apache-2.0
// The GPIO block of a guest's board (P2020 reference manual, ch. 22 "General-Purpose I/O"): nothing is
// connected to its pins but the machine's power switch, on pin BOARD_PIN_OFF.
#ifndef SAGUARO_ARCH_PPC_GUEST_GPIO_H
#define SAGUARO_ARCH_PPC_GUEST_GPIO_H

#include "core/part.h"

extern const struct part gpio_part; /* "ppc.gpio" */

#endif
