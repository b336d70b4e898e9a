// SPDX-License-Identifier: Apache-2.0
// A guest's serial port: a 16550A whose line is the guest's console (core/console.h). The machine that it
// belongs to says where its registers are and where its interrupt goes.
#ifndef SAGUARO_DEVICES_UART16550_H
#define SAGUARO_DEVICES_UART16550_H

#include <stdbool.h>
#include "core/bus.h"

#define UART16550_SIZE          8 /* registers, of one byte each */
#define UART16550_STATE_VERSION 1 /* of what is saved */

struct vm;
struct state_writer;
struct state_reader;
struct uart16550;

struct uart16550_wiring {
    enum bus_space space;
    uint64_t base;
    const char *name; /* for reports */
    bool out2_gates;  /* MCR's OUT2 gates the interrupt, as on a PC's serial port */
    /* Drives the interrupt line; called when its level changes, with the port locked. */
    void (*set_line)(struct vm *vm, bool level);
};

/*
 * A transmitted byte goes to the console at once, so the transmitter is always empty; a received one that
 * does not reach the trigger level raises the character-timeout interrupt at once. The baud rate has no
 * effect. A guest with `console = "none"` has no UART: nobody answers at its addresses. `wiring` has to stay.
 * NULL: *error says why (-ENOMEM, or bus_add()'s).
 */
struct uart16550 *uart16550_create(struct vm *vm, const struct uart16550_wiring *wiring, int *error);
void uart16550_destroy(struct uart16550 *uart);
void uart16550_reset(struct uart16550 *uart);
/* The fields of one record. Loading: 0, or -EINVAL and the port is reset. */
void uart16550_save(struct uart16550 *uart, struct state_writer *writer);
int uart16550_load(struct uart16550 *uart, struct state_reader *reader);

#endif
