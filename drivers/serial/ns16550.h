// SPDX-License-Identifier: Apache-2.0
// The host's serial port, a 16550 wherever an architecture has it: a console, and its input. There
// is one.
#ifndef SAGUARO_DRIVERS_SERIAL_NS16550_H
#define SAGUARO_DRIVERS_SERIAL_NS16550_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How its eight registers are reached (reg: 0 to 7), and what 115200 baud takes. */
struct ns16550 {
    uint8_t (*read)(unsigned reg);
    void (*write)(unsigned reg, uint8_t value);
    uint16_t divisor; /* of its clock; 0: the rate that it has is kept */
};

/* Looks for the port, sets it to 8N1 and adds it to the consoles by this name. Until ns16550_start() it is
 * written to directly. `hardware` is used from now on. False: there is none. */
bool ns16550_init(const struct ns16550 *hardware, const char *name);

/* From now on output goes through a ring. `interrupt`: each interrupt of the port leads to
 * ns16550_interrupt(), on one and the same CPU, which drains it; else a timer of this CPU looks after the
 * port. */
void ns16550_start(bool interrupt);
void ns16550_interrupt(void);

/* The config does not want the port as a console: from now on it is left alone. */
void ns16550_disable(void);
/* Found, and not disabled. */
bool ns16550_present(void);

/* Writes at once, without ring, lock or anything else that could fail. */
void ns16550_emergency(const char *text, size_t length);

#endif
