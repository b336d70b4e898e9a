// SPDX-License-Identifier: Apache-2.0
// The host's serial port, a 16550 in CCSR: a console, and its input.
#ifndef SAGUARO_ARCH_PPC_HOST_UART_H
#define SAGUARO_ARCH_PPC_HOST_UART_H

#include <stdbool.h>
#include <stdint.h>

/* The port at `offset` in CCSR; `clock` is its input in Hz, 0: the firmware's rate is kept. See
 * ns16550_init(). */
bool host_uart_init(uint32_t offset, uint32_t clock);

/* See ns16550_start(). `interrupt`: the port's arrives as VECTOR_UART. */
void host_uart_start(bool interrupt);

#endif
