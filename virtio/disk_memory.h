// SPDX-License-Identifier: Apache-2.0
// A disk whose contents lie in memory: a file that the loader read, or nothing but zeroes at first.
#ifndef SAGUARO_VIRTIO_DISK_MEMORY_H
#define SAGUARO_VIRTIO_DISK_MEMORY_H

#include "virtio/disk.h"

struct disk_memory {
    struct disk disk;
    uint8_t *data;
};

/* `size` bytes at `data`; what is more than a whole number of sectors is not shown. 0, or -EINVAL: there is
 * not one sector. */
int disk_memory_init(struct disk_memory *memory, void *data, uint64_t size, bool read_only);

#endif
