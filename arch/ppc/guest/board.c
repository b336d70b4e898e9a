// SPDX-License-Identifier: Apache-2.0
// The board that a guest sees, as a whole: the table of its parts, its memory, its serial port, the places of
// devices that are on no bus.
#include "arch/ppc/guest/board.h"

#include <assert.h>
#include <errno.h>

#include "abi/service.h"
#include "arch/ppc/guest/gpio.h"
#include "arch/ppc/guest/guts.h"
#include "arch/ppc/guest/mpic.h"
#include "arch/ppc/guest/pci.h"
#include "arch/ppc/guest/spin_table.h"
#include "arch/ppc/guest/vcpu_state.h"
#include "arch/ppc/vm.h"
#include "core/log.h"
#include "devices/uart16550.h"
#include "lib/config.h"

/* ---- the serial port: a DUART's half, without a PC's OUT2 gate (MPC8544E reference manual, ch. 12) ---- */

static void uart_line(struct vm *vm, bool level) {
    mpic_set_line(vm, BOARD_UART_IRQ, level);
}

static const struct uart16550_wiring uart_wiring = {
    .space = BUS_MEMORY,
    .base = BOARD_CCSR + BOARD_UART,
    .name = "UART0",
    .out2_gates = false,
    .set_line = uart_line,
};

static int uart_create(struct vm *vm, unsigned index) {
    (void)index;
    int error;
    ppc_vm(vm)->board->uart = uart16550_create(vm, &uart_wiring, &error);
    return error;
}

static void uart_destroy(struct vm *vm, unsigned index) {
    (void)index;
    uart16550_destroy(ppc_vm(vm)->board->uart);
    ppc_vm(vm)->board->uart = NULL;
}

static void uart_reset(struct vm *vm, unsigned index) {
    (void)index;
    uart16550_reset(ppc_vm(vm)->board->uart);
}

static void uart_save(struct vm *vm, unsigned index, struct state_writer *writer) {
    (void)index;
    uart16550_save(ppc_vm(vm)->board->uart, writer);
}

static int uart_load(struct vm *vm, unsigned index, struct state_reader *reader, uint16_t version) {
    (void)index;
    (void)version;
    return uart16550_load(ppc_vm(vm)->board->uart, reader);
}

static const struct part uart_part = {
    .name = "ppc.uart",
    .version = UART16550_STATE_VERSION,
    .create = uart_create,
    .destroy = uart_destroy,
    .reset = uart_reset,
    .save = uart_save,
    .load = uart_load,
};

/* ---- devices that are on no bus ---- */

static_assert(BOARD_MMIO_IRQ + SERVICE_MMIO_PLACES <= MPIC_MSI, "each place has a source");

uint64_t arch_mmio_place(unsigned place) {
    return BOARD_MMIO + (uint64_t)place * SERVICE_MMIO_SIZE;
}

void arch_mmio_line(struct vm *vm, unsigned place, bool level) {
    mpic_set_line(vm, BOARD_MMIO_IRQ + place, level);
}

/* ---- the parts ---- */

/* The interrupt controller comes before what drives its lines, and after the vCPUs whose inputs it drives. */
static const struct part *const parts[] = {
    &ppc_cpu_part, &mpic_part, &uart_part, &guts_part, &gpio_part, &pci_part, &spin_table_part,
};

const struct platform board_platform = {
    .name = "ppce500",
    .part = parts,
    .part_count = array_count(parts),
};

void board_reset_vcpu(struct vm *vm, unsigned index) {
    if (index == 0) {
        vm_end(vm, VM_END_RESET, 0, "the guest reset its first CPU");
        return;
    }
    spin_table_hold(vm, index);
    /* A release that it has not come to yet is off. */
    __atomic_and_fetch(&vm->vcpu[index]->requests, ~PPC_REQUEST_START, __ATOMIC_RELEASE);
    vcpu_request(vm->vcpu[index], PPC_REQUEST_RESET);
}

/* ---- memory ---- */

int board_create(struct vm *vm) {
    uint64_t size = vm->config->memory;
    if (size > BOARD_RAM_MAX) {
        log_error("guest %s: memory of %llu MiB; this board has room for %llu MiB", vm->name,
                  (unsigned long long)(size >> 20), BOARD_RAM_MAX >> 20);
        return -EINVAL;
    }
    struct board *board = heap_allocate(sizeof(*board), &vm->memory.account);
    if (!board)
        return -ENOMEM;
    ppc_vm(vm)->board = board;
    vm->platform = &board_platform;
    int error = guest_memory_create(vm, size);
    if (error)
        goto free_board;
    error = guest_memory_place(vm, 0, size, 0, GUEST_RAM);
    if (error)
        goto free_memory;
    return 0;

free_memory:
    guest_memory_destroy(vm);
free_board:
    heap_free(board, sizeof(*board), &vm->memory.account);
    ppc_vm(vm)->board = NULL;
    return error;
}

void board_destroy(struct vm *vm) {
    guest_memory_destroy(vm);
    heap_free(ppc_vm(vm)->board, sizeof(struct board), &vm->memory.account);
    ppc_vm(vm)->board = NULL;
}
