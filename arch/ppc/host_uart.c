// SPDX-License-Identifier: Apache-2.0
// The host's serial port, in CCSR.
#include "arch/ppc/host_uart.h"

#include "arch/ppc/instructions.h"
#include "arch/ppc/interrupts.h"
#include "arch/ppc/layout.h"
#include "drivers/serial/ns16550.h"

#define BAUD 115200u

static volatile uint8_t *registers;

static uint8_t uart_read(unsigned reg) {
    uint8_t value = registers[reg];
    io_sync();
    return value;
}

static void uart_write(unsigned reg, uint8_t value) {
    registers[reg] = value;
    io_sync();
}

static struct ns16550 uart = {.read = uart_read, .write = uart_write};

bool host_uart_init(uint32_t offset, uint32_t clock) {
    uint32_t divisor = (clock + 8 * BAUD) / (16 * BAUD);

    registers = (volatile uint8_t *)(CCSR_BASE + offset);
    uart.divisor = divisor <= UINT16_MAX ? (uint16_t)divisor : 0;
    return ns16550_init(&uart, "serial");
}

static void uart_interrupt(void *context) {
    (void)context;
    ns16550_interrupt();
}

void host_uart_start(bool interrupt) {
    if (interrupt && ns16550_present())
        interrupt_install(VECTOR_UART, uart_interrupt, NULL);
    ns16550_start(interrupt);
}
