// SPDX-License-Identifier: Apache-2.0
// The host's serial port, a 16550 at the place of COM1: a console, and its input.
#ifndef SAGUARO_ARCH_X86_HOST_UART_H
#define SAGUARO_ARCH_X86_HOST_UART_H

#include <stdbool.h>

/* See ns16550_init(). */
bool host_uart_init(void);

/* See ns16550_start(). `interrupt`: the port's arrives as VECTOR_UART. */
void host_uart_start(bool interrupt);

#endif
