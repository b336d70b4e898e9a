// SPDX-License-Identifier: Apache-2.0
// COM1 as the loader uses it when the firmware's console does not: write only, 115200 8N1 (16550 data sheet).
#include "boot/serial.h"

#include <stdint.h>
#include <string.h>

#define COM1 0x3f8u

enum { /* registers, as offsets from the base */
       DATA = 0,
       INTERRUPT_ENABLE = 1,
       FIFO_CONTROL = 2,
       LINE_CONTROL = 3,
       MODEM_CONTROL = 4,
       LINE_STATUS = 5,
       MODEM_STATUS = 6,
       SCRATCH = 7,
};

#define LINE_8N1        0x03u
#define LINE_DLAB       0x80u
#define MODEM_DTR_RTS   0x03u
#define MODEM_LOOPBACK  0x10u
#define STATUS_CAN_SEND 0x20u

static bool present;

static void write_register(unsigned int offset, uint8_t value) {
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"((uint16_t)(COM1 + offset)));
}

static uint8_t read_register(unsigned int offset) {
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"((uint16_t)(COM1 + offset)));
    return value;
}

/* A UART keeps its scratch register, and in loop-back its modem outputs come back as modem inputs. */
static bool probe(void) {
    static const uint8_t patterns[2] = {0x5a, 0xa5};
    uint8_t modem = read_register(MODEM_CONTROL);
    bool found = true;

    for (size_t i = 0; i < 2; i++) {
        write_register(SCRATCH, patterns[i]);
        found = found && read_register(SCRATCH) == patterns[i];
    }
    if (!found) {
        return false;
    }
    write_register(MODEM_CONTROL, MODEM_LOOPBACK | 0x0a); /* OUT2 and RTS return as DCD and CTS */
    found = (read_register(MODEM_STATUS) & 0xf0) == 0x90;
    write_register(MODEM_CONTROL, modem);
    return found;
}

bool serial_open(void) {
    present = probe();
    if (present) {
        write_register(INTERRUPT_ENABLE, 0);
        write_register(LINE_CONTROL, LINE_DLAB | LINE_8N1);
        write_register(DATA, 1); /* divisor 1: 115200 */
        write_register(INTERRUPT_ENABLE, 0);
        write_register(LINE_CONTROL, LINE_8N1);
        write_register(FIFO_CONTROL, 0x07); /* on, both sides cleared */
        write_register(MODEM_CONTROL, MODEM_DTR_RTS);
    }
    return present;
}

void serial_write(char byte) {
    /* A byte takes 87 us, a port read on any machine well over 0.1 us: this is at least ten bytes' time. */
    for (unsigned int i = 0; present && i < 10000; i++) {
        if (read_register(LINE_STATUS) & STATUS_CAN_SEND) {
            write_register(DATA, (uint8_t)byte);
            return;
        }
    }
    present = false;
}

bool serial_in_device_path(const void *path, size_t size) {
    const uint8_t *bytes = path;
    bool uart = false;
    bool other_port = false;
    size_t at = 0;

    while (size - at >= 4) {
        uint8_t type = bytes[at] & 0x7f;
        uint8_t subtype = bytes[at + 1];
        size_t length = (size_t)bytes[at + 2] | (size_t)bytes[at + 3] << 8;

        if (length < 4 || length > size - at) {
            return false;
        }
        if (type == 3 && subtype == 14) {
            uart = true;
        } else if (type == 2 && subtype == 1 && length >= 12) {
            uint32_t hid;
            uint32_t uid;

            memcpy(&hid, bytes + at + 4, sizeof(hid));
            memcpy(&uid, bytes + at + 8, sizeof(uid));
            other_port = other_port || (hid == 0x050141d0 && uid != 0); /* PNP0501 */
        } else if (type == 0x7f) {                                      /* end of an instance, or of all */
            if (uart && !other_port) {
                return true;
            }
            if (subtype == 0xff) {
                return false;
            }
            uart = other_port = false;
        }
        at += length;
    }
    return false;
}
