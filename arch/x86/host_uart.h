// SPDX-License-Identifier: Apache-2.0
// The host's serial port, a 16550 at the place of COM1: a console, and the monitor's input.
#ifndef SAGUARO_ARCH_X86_HOST_UART_H
#define SAGUARO_ARCH_X86_HOST_UART_H

#include <stdbool.h>
#include <stddef.h>

/* Looks for the port, sets it to 115200 8N1 and adds it to the consoles. Until host_uart_start() it is
 * written to directly. False: there is none. */
bool host_uart_init(void);

/* From now on output goes through a ring that interrupts drain. `interrupt`: its interrupt arrives
 * (VECTOR_UART is routed here); else a timer of this CPU looks after the port. */
void host_uart_start(bool interrupt);

/* The config does not want the port as a console: from now on it is left alone. */
void host_uart_disable(void);

/* Writes at once, without ring, lock or anything else that could fail. */
void host_uart_emergency(const char *text, size_t length);

#endif
