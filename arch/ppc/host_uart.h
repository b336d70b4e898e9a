// SPDX-License-Identifier: Apache-2.0
// The host's serial port, a 16550 in CCSR, as a console.
#ifndef SAGUARO_ARCH_PPC_HOST_UART_H
#define SAGUARO_ARCH_PPC_HOST_UART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sets the port at `offset` in CCSR to 115200 baud and makes it a console device: each byte is waited for.
 * `clock` is its input in Hz; 0: the firmware's rate is kept. False: no port there. */
bool host_uart_init(uint32_t offset, uint32_t clock);
/* The config wants no serial console. */
void host_uart_disable(void);
/* From now on by interrupt (VECTOR_UART), or by a timer where it has none. */
void host_uart_start(bool interrupt);
/* For the last words: past everything, byte by byte. */
void host_uart_emergency(const char *text, size_t length);

#endif
