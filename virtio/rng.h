// SPDX-License-Identifier: Apache-2.0
// virtio entropy device (virtio 1.2, 5.4): random bytes for a guest.
#ifndef SAGUARO_VIRTIO_RNG_H
#define SAGUARO_VIRTIO_RNG_H

#include "virtio/device.h"

#define VIRTIO_RNG_MAX_BUFFER 4096u /* bytes that a buffer gets; the device may use less of it (5.4.6.2) */

struct virtio_rng {
    struct virtio_device device;
    /* Fills in up to `size` random bytes, and returns how many: fewer, or 0, if there are no more now. Then
     * virtio_rng_run() is to be called when there are. */
    size_t (*entropy)(void *context, uint8_t *bytes, size_t size);
    void *context;
    /* Has more to do than it may do at once: call virtio_rng_run() soon, not from here. */
    void (*again)(struct virtio_rng *rng);
};

/* Sets the device's class, features without the ring's, and queue; the caller sets the other fields of
 * `device`, adds the ring's features, and calls virtio_device_init(). */
void virtio_rng_init(struct virtio_rng *rng, size_t (*entropy)(void *context, uint8_t *bytes, size_t size),
                     void *context, void (*again)(struct virtio_rng *rng));
/* Fills the buffers that wait, up to a limit (then again() is called). */
void virtio_rng_run(struct virtio_rng *rng);

#endif
