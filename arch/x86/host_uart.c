// SPDX-License-Identifier: Apache-2.0
// The host's serial port where a PC has its first one.
#include "arch/x86/host_uart.h"

#include "arch/x86/interrupts.h"
#include "arch/x86/registers.h"
#include "drivers/serial/ns16550.h"

#define UART_PORT 0x3f8u

static uint8_t uart_read(unsigned reg) {
    return port_read8((uint16_t)(UART_PORT + reg));
}

static void uart_write(unsigned reg, uint8_t value) {
    port_write8((uint16_t)(UART_PORT + reg), value);
}

static const struct ns16550 com1 = {.read = uart_read, .write = uart_write, .divisor = 1};

bool host_uart_init(void) {
    return ns16550_init(&com1, "COM1");
}

void host_uart_start(bool interrupt) {
    if (interrupt && ns16550_present())
        interrupt_install(VECTOR_UART, ns16550_interrupt);
    ns16550_start(interrupt);
}
