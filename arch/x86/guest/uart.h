// SPDX-License-Identifier: Apache-2.0
// COM1 of a guest: a 16550A at ports 0x3f8-0x3ff, interrupt 4. Its line is the guest's console
// (core/console.h).
#ifndef SAGUARO_ARCH_X86_GUEST_UART_H
#define SAGUARO_ARCH_X86_GUEST_UART_H

#include "core/part.h"

/*
 * A transmitted byte goes to the console at once, so the transmitter is always empty; a received one that
 * does not reach the trigger level raises the character-timeout interrupt at once. The baud rate has no
 * effect. The interrupt passes the OUT2 gate of a PC's serial port. A guest with `console = "none"` has no
 * UART: nobody answers at its ports.
 */
extern const struct part uart_part; /* "x86.uart" */

#endif
