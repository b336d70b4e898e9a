// SPDX-License-Identifier: Apache-2.0
// COM1 of a guest: a 16550A (devices/uart16550.h) at ports 0x3f8-0x3ff, interrupt 4 behind the OUT2 gate.
#ifndef SAGUARO_ARCH_X86_GUEST_UART_H
#define SAGUARO_ARCH_X86_GUEST_UART_H

#include "core/part.h"

extern const struct part uart_part; /* "x86.uart" */

#endif
