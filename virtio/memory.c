// SPDX-License-Identifier: Apache-2.0
// Pieces of a guest's memory that a device wants to reach, behind an IOMMU or not.
#include "virtio/memory.h"

#include <stddef.h>

/* Mappings that follow each other on both sides are as good as one. */
void *virtio_reach_all(struct virtio_memory *memory, uint64_t address, uint64_t size, uint64_t alignment,
                       unsigned access, uint64_t *gpa) {
    uint64_t contiguous = 0;

    if (size == 0 || (address & (alignment - 1)) != 0)
        return NULL;
    uint8_t *data = virtio_reach(memory, address, access, gpa, &contiguous);
    for (uint64_t done = contiguous, next; data && done < size; done += contiguous) {
        if (!memory->translate || address + done < address ||
            virtio_reach(memory, address + done, access, &next, &contiguous) != data + done ||
            next != *gpa + done)
            return NULL;
    }
    return data;
}

void *virtio_map(struct virtio_memory *memory, uint64_t address, uint64_t size, uint64_t alignment) {
    uint64_t gpa;

    return virtio_reach_all(memory, address, size, alignment, VIRTIO_ACCESS_READ, &gpa);
}
