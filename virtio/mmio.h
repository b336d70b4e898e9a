// SPDX-License-Identifier: Apache-2.0
// Virtio over MMIO, version 2 (virtio 1.2, 4.2): a device's registers and its interrupt line.
#ifndef SAGUARO_VIRTIO_MMIO_H
#define SAGUARO_VIRTIO_MMIO_H

#include "virtio/device.h"

#define VIRTIO_MMIO_SIZE   0x200u /* bytes of the register region */
#define VIRTIO_MMIO_NOTIFY 0x050u /* QueueNotify: the value that is written is a queue's index */
#define VIRTIO_MMIO_CONFIG 0x100u /* the device's configuration, up to the end of the region */

struct virtio_mmio {
    void (*line)(struct virtio_mmio *mmio, bool level); /* of its interrupt */
    void *owner;                                        /* of that function */
    bool raised;                                        /* the line, as it was last set */
};

/* Makes `mmio`, whose function is filled in, the transport of `device`, and starts it: virtio_device_init(),
 * whose result it has. The device's config_size is up to VIRTIO_MMIO_SIZE - VIRTIO_MMIO_CONFIG. */
int virtio_mmio_init(struct virtio_mmio *mmio, struct virtio_device *device);

/* The guest's access to such a device, of 1, 2, 4 or 8 bytes; values are little-endian in a register's sense.
 * Registers below the configuration are of 32 bits: other accesses to them read as 0 and write nothing. */
uint64_t virtio_mmio_read(struct virtio_device *device, unsigned offset, unsigned size);
void virtio_mmio_write(struct virtio_device *device, unsigned offset, unsigned size, uint64_t value);

/* The guest was started anew: as after power-on, the line low. */
void virtio_mmio_reset(struct virtio_device *device);

#endif
