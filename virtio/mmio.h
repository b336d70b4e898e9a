// SPDX-License-Identifier: Apache-2.0
// Virtio over MMIO, version 2 (virtio 1.2, 4.2): what the device looks like, its registers, its interrupts.
#ifndef SAGUARO_VIRTIO_MMIO_H
#define SAGUARO_VIRTIO_MMIO_H

#include "abi/service.h"
#include "virtio/device.h"

#define VIRTIO_MMIO_SIZE   0x200u /* bytes of the registers */
#define VIRTIO_MMIO_NOTIFY 0x050u /* QueueNotify: the value that is written is a queue's index */
#define VIRTIO_MMIO_STATUS 0x060u /* InterruptStatus, and InterruptACK behind it */
#define VIRTIO_MMIO_CONFIG 0x100u /* the device's configuration, up to the end */

struct virtio_mmio {
    /* The interrupt status: bits of `clear` go, then those of `set` come (VIRTIO_ISR_*). The hypervisor keeps
     * it, with its two registers and the line. */
    void (*status)(struct virtio_mmio *mmio, uint32_t clear, uint32_t set);
    void *owner; /* of that function */
};

/* Fills in what SERVICE_CALL_DEVICE wants to know of `device`, whose class, queue_count and config_size are
 * set: config_size is up to VIRTIO_MMIO_SIZE - VIRTIO_MMIO_CONFIG. vm, place and token: see struct
 * service_device. */
void virtio_mmio_describe(const struct virtio_device *device, unsigned vm, unsigned place, uint32_t token,
                          struct service_device *out);

/* Makes `mmio`, whose function is filled in, the transport of `device`, and starts it: virtio_device_init(),
 * whose result it has. The function may be called from here on: so the device exists already. */
int virtio_mmio_init(struct virtio_mmio *mmio, struct virtio_device *device);

/* The guest's access to such a device, of 1, 2, 4 or 8 bytes, but to QueueNotify, InterruptStatus and
 * InterruptACK, which the hypervisor answers; values are little-endian in a register's sense. Registers below
 * the configuration are of 32 bits: other accesses to them read as 0 and write nothing. */
uint64_t virtio_mmio_read(struct virtio_device *device, unsigned offset, unsigned size);
void virtio_mmio_write(struct virtio_device *device, unsigned offset, unsigned size, uint64_t value);

/* The guest was started anew: as after power-on, no interrupt. */
void virtio_mmio_reset(struct virtio_device *device);

#endif
