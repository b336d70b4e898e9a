// SPDX-License-Identifier: Apache-2.0
// COM1 of a guest: where a PC has its first serial port, and how that port's state travels.
#include "arch/x86/guest/uart.h"

#include "arch/x86/vm.h"
#include "devices/uart16550.h"

#define UART_BASE 0x3f8
#define UART_GSI  4

static void set_line(struct vm *vm, bool level) {
    pc_line_set(vm, UART_GSI, level);
}

static const struct uart16550_wiring wiring = {
    .space = BUS_PORT,
    .base = UART_BASE,
    .name = "COM1",
    .out2_gates = true,
    .set_line = set_line,
};

static int uart_create(struct vm *vm, unsigned index) {
    (void)index;
    int error;
    x86_vm(vm)->pc.uart = uart16550_create(vm, &wiring, &error);
    return error;
}

static void uart_destroy(struct vm *vm, unsigned index) {
    (void)index;
    uart16550_destroy(x86_vm(vm)->pc.uart);
    x86_vm(vm)->pc.uart = NULL;
}

static void uart_reset(struct vm *vm, unsigned index) {
    (void)index;
    uart16550_reset(x86_vm(vm)->pc.uart);
}

static void uart_save(struct vm *vm, unsigned index, struct state_writer *writer) {
    (void)index;
    uart16550_save(x86_vm(vm)->pc.uart, writer);
}

static int uart_load(struct vm *vm, unsigned index, struct state_reader *reader, uint16_t version) {
    (void)index;
    (void)version;
    return uart16550_load(x86_vm(vm)->pc.uart, reader);
}

const struct part uart_part = {
    .name = "x86.uart",
    .version = UART16550_STATE_VERSION,
    .create = uart_create,
    .destroy = uart_destroy,
    .reset = uart_reset,
    .save = uart_save,
    .load = uart_load,
};
