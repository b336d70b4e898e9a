// SPDX-License-Identifier: Apache-2.0
// Consoles: the host's output devices and input, and each guest's console with its ring and its prefix.
#ifndef SAGUARO_CORE_CONSOLE_H
#define SAGUARO_CORE_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/list.h"

struct vm;

/* A host output device (UART, frame buffer). write() must not block for longer than the device takes and must
 * work in a panic. */
struct console_device {
    struct list link;
    const char *name;
    void (*write)(struct console_device *device, const char *text, size_t length);
    void (*flush)(struct console_device
                      *device); /* waits until all is out; used before the machine stops. May be NULL */
};
void console_add_device(struct console_device *device);

/* Writes to every host device; '\n' becomes CR LF. Any CPU. */
void console_write(const char *text, size_t length);
void console_flush(void);
/* From now on no lock is taken: the machine is stopping. */
void console_panic(void);

/* A byte from the host's serial port or keyboard (interrupt context). The monitor's work runs on the boot
 * CPU. */
void console_host_input(uint8_t byte);

/* The guest's side. A console device of the guest's machine (its UART, later virtio) attaches itself as the
 * input's receiver. */
struct console_receiver {
    /* Takes bytes typed by the user; returns how many it could take now. It calls console_guest_ready() when
     * it can take more. */
    size_t (*input)(void *device, const uint8_t *bytes, size_t count);
    void *device;
};
void console_guest_attach(struct vm *vm, const struct console_receiver *receiver);
void console_guest_ready(struct vm *vm);
/* Bytes that the guest printed. */
void console_guest_output(struct vm *vm, const uint8_t *bytes, size_t count);

#endif
