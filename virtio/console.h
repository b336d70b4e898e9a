// SPDX-License-Identifier: Apache-2.0
// virtio console (virtio 1.2, 5.3) with one port. Output that nobody takes stays in the queue; input that
// finds no buffer is kept in a small ring.
#ifndef SAGUARO_VIRTIO_CONSOLE_H
#define SAGUARO_VIRTIO_CONSOLE_H

#include "virtio/device.h"

#define VIRTIO_CONSOLE_INPUT 1024u /* bytes of input that are kept; a power of two */

struct virtio_console {
    struct virtio_device device;
    /* Is handed output and returns how much of it was taken: if not all, the rest is offered again by
     * virtio_console_run(), which must not be called from here. */
    size_t (*output)(void *context, const uint8_t *bytes, size_t size);
    void *context;
    /* Has more to do than it may do at once: call virtio_console_run() soon, not from here. */
    void (*again)(struct virtio_console *console);
    /* The driver has opened the port, or is gone. Set after virtio_console_init(); NULL: nobody wants to
     * know.
     */
    void (*opened)(void *context, bool open);
    uint16_t columns, rows;
    uint32_t input_first, input_count; /* in `input`, a ring */
    uint8_t input[VIRTIO_CONSOLE_INPUT];
    bool sending; /* `sent` is a buffer of which not all was taken */
    struct virtq_buffer sent;
};

/* Sets the device's class, features without the ring's, queues and configuration; the caller sets the other
 * fields of `device`, adds the ring's features, and calls virtio_device_init(). */
void virtio_console_init(struct virtio_console *console,
                         size_t (*output)(void *context, const uint8_t *bytes, size_t size), void *context,
                         void (*again)(struct virtio_console *console));
/* Hands over output that waits, up to a limit (then again() is called), and input that is kept. To be called
 * when output() may take more. */
void virtio_console_run(struct virtio_console *console);
/* Gives input to the guest: how much was taken, less than `size` if the ring is full. A reset of the device
 * forgets what the guest has not fetched. */
size_t virtio_console_input(struct virtio_console *console, const uint8_t *bytes, size_t size);
/* The size in characters; 0 by 0 if it is not known. */
void virtio_console_resize(struct virtio_console *console, uint16_t columns, uint16_t rows);

#endif
