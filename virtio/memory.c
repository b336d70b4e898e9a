// SPDX-License-Identifier: Apache-2.0
// Pieces of a guest's memory that a device wants to reach as a whole.
#include "virtio/memory.h"

#include <stddef.h>

void *virtio_map(struct virtio_memory *memory, uint64_t gpa, uint64_t size, uint64_t alignment) {
    uint64_t contiguous = 0;

    if (size == 0 || (gpa & (alignment - 1)) != 0)
        return NULL;
    void *data = memory->map(memory, gpa, &contiguous);
    return data && contiguous >= size ? data : NULL;
}
