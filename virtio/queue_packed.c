// SPDX-License-Identifier: Apache-2.0
// Packed rings (virtio 1.2, 2.8): one ring of descriptors that both sides write, and an event suppression
// structure for each side.
#include "virtio/queue_internal.h"

/* Fields of a descriptor in the ring (2.8.13). */
#define DESCRIPTOR_SIZE  8u
#define DESCRIPTOR_ID    12u

/* An event suppression structure: position in the low half, flags in the high one (2.8.14). */
#define EVENT_SIZE       4u
#define EVENT_FLAGS(x)   ((x) >> 16 & 3u)
#define EVENT_ENABLE     0u
#define EVENT_DISABLE    1u
#define EVENT_DESCRIPTOR 2u /* for the descriptor at that position */

bool virtq_packed_enable(struct virtq *queue) {
    struct virtio_memory *memory = queue->memory;
    uint64_t driver_gpa;

    if ((queue->used & ~VIRTQ_WRAP) >= queue->size)
        return false;
    queue->descriptor_area =
        virtio_reach_all(memory, queue->descriptors, (uint64_t)queue->size * VIRTQ_DESCRIPTOR_SIZE, 16,
                         VIRTIO_ACCESS_READ | VIRTIO_ACCESS_WRITE, &queue->descriptor_gpa);
    if (!queue->descriptor_area)
        return false;
    queue->driver_area =
        virtio_reach_all(memory, queue->driver, EVENT_SIZE, 4, VIRTIO_ACCESS_READ, &driver_gpa);
    if (!queue->driver_area)
        return false;
    queue->device_area =
        virtio_reach_all(memory, queue->device, EVENT_SIZE, 4, VIRTIO_ACCESS_WRITE, &queue->device_gpa);
    return queue->device_area != NULL;
}

/* An indirect table: one descriptor after the other, of whose flags only WRITE means anything (2.8.7). */
static const char *walk_table(struct virtq *queue, struct virtq_buffer *buffer, uint64_t address,
                              uint32_t size) {
    const uint8_t *table;
    unsigned entries;
    const char *problem = virtq_table(queue, address, size, VIRTQ_MAX_SIZE, &table, &entries);

    for (unsigned i = 0; !problem && i < entries; i++) {
        const struct virtq_descriptor descriptor = virtq_fetch(table + i * VIRTQ_DESCRIPTOR_SIZE);
        problem = virtq_add(queue, buffer, descriptor.address, descriptor.size,
                            (descriptor.fourth & VIRTQ_WRITE) != 0);
    }
    return problem;
}

const char *virtq_packed_walk(struct virtq *queue, struct virtq_buffer *buffer, uint16_t *descriptors) {
    unsigned room = queue->size - virtq_packed_distance(queue, queue->used, queue->available);
    uint16_t at = queue->available;

    for (unsigned count = 1; count <= room; count++) {
        const struct virtq_descriptor descriptor = virtq_fetch(virtq_packed_entry(queue, at));
        unsigned flags = descriptor.fourth;
        const char *problem;
        /* The first one is made available last, so all others are (2.8.6). */
        if (count > 1 && !virtq_packed_available(descriptor.fourth, at))
            return "a chain goes on in a descriptor that is not available";
        if (flags & VIRTQ_INDIRECT) {
            if ((flags & VIRTQ_NEXT) || count > 1)
                return "an indirect descriptor in a chain"; /* 2.8.19 */
            problem = walk_table(queue, buffer, descriptor.address, descriptor.size);
        } else {
            problem =
                virtq_add(queue, buffer, descriptor.address, descriptor.size, (flags & VIRTQ_WRITE) != 0);
        }
        if (problem)
            return problem;
        if (!(flags & VIRTQ_NEXT)) {
            buffer->id = descriptor.third; /* the last one's counts (2.8.6) */
            *descriptors = (uint16_t)count;
            return NULL;
        }
        at = virtq_packed_forward(queue, at, 1);
    }
    return "more descriptors are available than the ring has";
}

/* The driver looks at the first entry alone before it goes on: so its flags are written last (2.8.2). */
void virtq_packed_publish(struct virtq *queue, unsigned count, unsigned descriptors) {
    uint8_t *first = virtq_packed_entry(queue, queue->used);
    uint16_t first_flags = 0, at = queue->used;

    for (unsigned i = 0; i < count; i++) {
        const struct virtq_flight *flight = &queue->flight[(queue->flight_first + i) % VIRTQ_MAX_SIZE];
        uint8_t *descriptor = virtq_packed_entry(queue, at);
        uint16_t flags = (uint16_t)((at & VIRTQ_WRAP ? VIRTQ_AVAILABLE | VIRTQ_USED : 0) |
                                    (flight->written ? VIRTQ_WRITE : 0));
        virtq_store32(descriptor + DESCRIPTOR_SIZE, flight->written);
        virtq_store16(descriptor + DESCRIPTOR_ID, flight->id);
        if (i == 0)
            first_flags = flags;
        else
            virtq_store16(descriptor + VIRTQ_DESCRIPTOR_FLAGS, flags);
        at = virtq_packed_forward(queue, at, flight->descriptors);
    }
    virtq_store16_release(first + VIRTQ_DESCRIPTOR_FLAGS, first_flags);
    unsigned offset = queue->used & ~VIRTQ_WRAP;
    if (offset + descriptors > queue->size) { /* round the end: the whole ring, at most two pages */
        offset = 0;
        descriptors = queue->size;
    }
    queue->memory->dirty(queue->memory, queue->descriptor_gpa + offset * VIRTQ_DESCRIPTOR_SIZE,
                         descriptors * VIRTQ_DESCRIPTOR_SIZE);
    queue->used = at;
}

bool virtq_packed_wanted(const struct virtq *queue, uint16_t since, bool sure) {
    uint32_t event = virtq_load32(queue->driver_area);
    unsigned flags = EVENT_FLAGS(event);

    if (flags == EVENT_DISABLE)
        return false;
    /* What is reserved (2.8.10) counts as EVENT_ENABLE: one interrupt too many does no harm. */
    if (flags != EVENT_DESCRIPTOR || !queue->event || !sure || (event & 0x7fffu) >= queue->size)
        return true;
    return virtq_packed_distance(queue, since, (uint16_t)event) <
           virtq_packed_distance(queue, since, queue->used);
}

void virtq_packed_ask(struct virtq *queue, bool notify) {
    uint32_t flags = !notify ? EVENT_DISABLE : queue->event ? EVENT_DESCRIPTOR : EVENT_ENABLE;

    virtq_store32(queue->device_area, flags << 16 | (flags == EVENT_DESCRIPTOR ? queue->available : 0));
    if (notify)
        queue->asked = queue->available;
    queue->memory->dirty(queue->memory, queue->device_gpa, EVENT_SIZE);
}
