// SPDX-License-Identifier: Apache-2.0
// A guest's memory as a virtio device reaches it: the guest's own addresses, checked each time.
#ifndef SAGUARO_VIRTIO_MEMORY_H
#define SAGUARO_VIRTIO_MEMORY_H

#include <stdint.h>

struct virtio_memory {
    /* Our address of guest-physical `gpa`; *contiguous: how many bytes from there on lie together, at least 1
     * (up to the end of that piece of RAM). NULL: there is no RAM. What is there may change at any time. */
    void *(*map)(struct virtio_memory *memory, uint64_t gpa, uint64_t *contiguous);
    /* [gpa, gpa + size) was written. Called after the write. */
    void (*dirty)(struct virtio_memory *memory, uint64_t gpa, uint64_t size);
};

/* As map(), but all `size` bytes (1 or more) have to lie together, and be aligned to `alignment`, a power of
 * two. NULL: they do not. */
void *virtio_map(struct virtio_memory *memory, uint64_t gpa, uint64_t size, uint64_t alignment);

#endif
