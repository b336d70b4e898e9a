// SPDX-License-Identifier: Apache-2.0
// A guest's memory as a virtio device reaches it: by the guest's own addresses, or by those that the guest's
// IOMMU translates; checked each time.
#ifndef SAGUARO_VIRTIO_MEMORY_H
#define SAGUARO_VIRTIO_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VIRTIO_ACCESS_READ  1u
#define VIRTIO_ACCESS_WRITE 2u

struct virtio_memory {
    /* Our address of guest-physical `gpa`; *contiguous: how many bytes from there on lie together, at least 1
     * (up to the end of that piece of RAM). NULL: there is no RAM. What is there may change at any time. */
    void *(*map)(struct virtio_memory *memory, uint64_t gpa, uint64_t *contiguous);
    /* [gpa, gpa + size) was written. Called after the write. */
    void (*dirty)(struct virtio_memory *memory, uint64_t gpa, uint64_t size);
    /* Behind an IOMMU: where the device's address leads, for all of VIRTIO_ACCESS_* in `access`; *room: how
     * many bytes from there on it does so, at least 1. False: nowhere, which was told to the driver. NULL:
     * the device's addresses are guest-physical. */
    bool (*translate)(struct virtio_memory *memory, uint64_t address, unsigned access, uint64_t *gpa,
                      uint64_t *room);
};

/* Our address of what the device calls `address`; *gpa: the guest-physical one, for dirty(); *contiguous as
 * map() has it. NULL: there is no RAM, or the device may not reach it. */
static inline void *virtio_reach(struct virtio_memory *memory, uint64_t address, unsigned access,
                                 uint64_t *gpa, uint64_t *contiguous) {
    uint64_t room = UINT64_MAX;

    *gpa = address;
    if (memory->translate && !memory->translate(memory, address, access, gpa, &room))
        return NULL;
    void *data = memory->map(memory, *gpa, contiguous);
    if (data && *contiguous > room)
        *contiguous = room;
    return data;
}
/* As virtio_reach(), but all `size` bytes (1 or more) have to lie together, and be aligned to `alignment`, a
 * power of two. NULL: they do not. */
void *virtio_reach_all(struct virtio_memory *memory, uint64_t address, uint64_t size, uint64_t alignment,
                       unsigned access, uint64_t *gpa);
/* The same for reading. */
void *virtio_map(struct virtio_memory *memory, uint64_t address, uint64_t size, uint64_t alignment);

#endif
