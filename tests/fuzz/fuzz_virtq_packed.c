// SPDX-License-Identifier: Apache-2.0
// Any driver at a packed virtqueue.
// fuzz-sources: virtio/memory.c virtio/queue.c virtio/queue_split.c virtio/queue_packed.c virtio/queue_buffer.c
#include "tests/fuzz/virtq_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    target_run(data, size, true);
    return 0;
}
