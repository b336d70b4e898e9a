// SPDX-License-Identifier: Apache-2.0
// virtio entropy device (virtio 1.2, 5.4).
#include "virtio/rng.h"

#include <string.h>

#define QUEUE_SIZE 64u
#define BUDGET     16384u /* bytes of one run; a buffer counts EACH bytes more */
#define EACH       64u
#define PIECE      256u /* bytes that are fetched at once */

static struct virtio_rng *rng_of(struct virtio_device *device) {
    return (struct virtio_rng *)((char *)device - offsetof(struct virtio_rng, device));
}

/* Fills a buffer. The number of bytes, 0: there are none now. */
static size_t fill(struct virtio_rng *rng, const struct virtq_buffer *buffer) {
    const size_t size =
        buffer->write_size < VIRTIO_RNG_MAX_BUFFER ? (size_t)buffer->write_size : VIRTIO_RNG_MAX_BUFFER;
    size_t done = 0;
    while (done < size) {
        uint8_t bytes[PIECE];
        const size_t wanted = size - done < PIECE ? size - done : PIECE;
        const size_t got = rng->entropy(rng->context, bytes, wanted);
        if (got == 0)
            break;
        virtq_write(&rng->device.queue[0], buffer, done, bytes, got);
        done += got;
    }
    return done;
}

void virtio_rng_run(struct virtio_rng *rng) {
    struct virtio_device *device = &rng->device;
    struct virtq *queue = &device->queue[0];
    struct virtq_buffer buffer;
    size_t spent = 0;

    while (virtio_running(device) && queue->size && spent < BUDGET) {
        if (!virtio_device_take(device, 0, &buffer)) {
            if (virtio_running(device) && virtq_listen(queue, true))
                continue;
            break;
        }
        if (buffer.readable || !buffer.writable) {
            virtio_device_break(device, "a buffer for random bytes is not writable");
            break;
        }
        const size_t size = fill(rng, &buffer);
        if (size == 0) {
            virtq_untake(queue, 1);
            break;
        }
        virtio_device_finish(device, 0, &buffer, (uint32_t)size);
        spent += size + EACH;
    }
    virtio_device_flush(device, 0);
    if (spent >= BUDGET)
        rng->again(rng);
}

static void start(struct virtio_device *device) {
    virtio_rng_run(rng_of(device));
}

static void notify(struct virtio_device *device, unsigned index) {
    (void)index;
    virtio_rng_run(rng_of(device));
}

static const struct virtio_class class = {
    .id = VIRTIO_ID_ENTROPY, .name = "entropy device", .start = start, .notify = notify};

void virtio_rng_init(struct virtio_rng *rng, size_t (*entropy)(void *context, uint8_t *bytes, size_t size),
                     void *context, void (*again)(struct virtio_rng *rng)) {
    memset(rng, 0, sizeof(*rng));
    rng->entropy = entropy;
    rng->context = context;
    rng->again = again;
    rng->device.class = &class;
    rng->device.features_offered = VIRTIO_VERSION_1;
    rng->device.queue_count = 1;
    rng->device.queue_size[0] = QUEUE_SIZE;
}
