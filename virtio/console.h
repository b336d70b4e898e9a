// SPDX-License-Identifier: Apache-2.0
// virtio console (virtio 1.2, 5.3) with one port. Output that nobody takes stays in the queue, input that
// finds no buffer with who has it: nothing is kept here.
#ifndef SAGUARO_VIRTIO_CONSOLE_H
#define SAGUARO_VIRTIO_CONSOLE_H

#include "virtio/device.h"

#define VIRTIO_CONSOLE_PIECE 256u /* bytes that are handed over at once */

struct virtio_console {
    struct virtio_device device;
    /* Is handed output and returns how much of it was taken: if not all, the rest is offered again by
     * virtio_console_run(), which must not be called from here. */
    size_t (*output)(void *context, const uint8_t *bytes, size_t size);
    /* Fetches input into `bytes`, up to `size` (0 to VIRTIO_CONSOLE_PIECE): the bytes from number `from` on,
     * counted from the last reset of the device (modulo 2^32). The guest has all those before and they may be
     * forgotten; the others stay. Returns how many there were. */
    size_t (*input)(void *context, uint32_t from, uint8_t *bytes, size_t size);
    void *context;
    /* Has more to do than it may do at once: call virtio_console_run() soon, not from here. */
    void (*again)(struct virtio_console *console);
    /* The driver has opened the port, or is gone. Set after virtio_console_init(); NULL: nobody wants to
     * know.
     */
    void (*opened)(void *context, bool open);
    uint16_t columns, rows;
    bool typed;   /* there may be input */
    bool sending; /* `sent` is a buffer of which not all was taken */
    struct virtq_buffer sent;
};

/* Sets the device's class, features without the ring's, queues and configuration; the caller sets the other
 * fields of `device`, adds the ring's features, and calls virtio_device_init(). */
void virtio_console_init(struct virtio_console *console,
                         size_t (*output)(void *context, const uint8_t *bytes, size_t size),
                         size_t (*input)(void *context, uint32_t from, uint8_t *bytes, size_t size),
                         void *context, void (*again)(struct virtio_console *console));
/* Hands over output that waits, and input, up to a limit (then again() is called). To be called when output()
 * may take more. */
void virtio_console_run(struct virtio_console *console);
/* input() has something, from the next virtio_console_run() on. */
static inline void virtio_console_typed(struct virtio_console *console) {
    console->typed = true;
}
/* The size in characters; 0 by 0 if it is not known. */
void virtio_console_resize(struct virtio_console *console, uint16_t columns, uint16_t rows);

#endif
