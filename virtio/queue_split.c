// SPDX-License-Identifier: Apache-2.0
// Split rings (virtio 1.2, 2.7): descriptor table, available ring, used ring.
#include "virtio/queue_internal.h"

/* Both rings: flags, index, entries, and behind these the event index of the other side (2.7.6, 2.7.8). */
#define RING_FLAGS      0u
#define RING_ENTRIES    4u
#define AVAILABLE_ENTRY 2u
#define USED_ENTRY      8u /* index of the head, bytes written */

#define NO_INTERRUPT    1u /* of the available ring's flags */
#define NO_NOTIFY       1u /* of the used ring's */

static unsigned used_event(const struct virtq *queue) {
    return RING_ENTRIES + queue->size * AVAILABLE_ENTRY;
}

static unsigned avail_event(const struct virtq *queue) {
    return RING_ENTRIES + queue->size * USED_ENTRY;
}

bool virtq_split_enable(struct virtq *queue) {
    struct virtio_memory *memory = queue->memory;
    uint64_t driver_gpa;

    queue->descriptor_area =
        virtio_reach_all(memory, queue->descriptors, (uint64_t)queue->size * VIRTQ_DESCRIPTOR_SIZE, 16,
                         VIRTIO_ACCESS_READ, &queue->descriptor_gpa);
    if (!queue->descriptor_area)
        return false;
    queue->driver_area =
        virtio_reach_all(memory, queue->driver, used_event(queue) + 2, 2, VIRTIO_ACCESS_READ, &driver_gpa);
    if (!queue->driver_area)
        return false;
    queue->device_area = virtio_reach_all(memory, queue->device, avail_event(queue) + 2, 4,
                                          VIRTIO_ACCESS_WRITE, &queue->device_gpa);
    return queue->device_area != NULL;
}

const char *virtq_split_walk(struct virtq *queue, struct virtq_buffer *buffer) {
    const uint8_t *table = queue->descriptor_area;
    unsigned entries = queue->size;
    bool indirect = false;
    unsigned at = virtq_load16(queue->driver_area + RING_ENTRIES +
                               (queue->available & (queue->size - 1u)) * AVAILABLE_ENTRY);

    buffer->id = (uint16_t)at;
    /* No chain is longer than the queue, with what is in an indirect table (2.7.5.3.1): so a loop ends here.
     */
    for (unsigned left = queue->size; left > 0;) {
        if (at >= entries)
            return "a descriptor's index is beyond the table";
        const struct virtq_descriptor descriptor = virtq_fetch(table + at * VIRTQ_DESCRIPTOR_SIZE);
        unsigned flags = descriptor.third;
        const char *problem;
        if (flags & VIRTQ_INDIRECT) {
            if (indirect)
                return "an indirect descriptor in an indirect table";
            if (flags & VIRTQ_NEXT)
                return "an indirect descriptor with a next one";
            problem = virtq_table(queue, descriptor.address, descriptor.size, queue->size, &table, &entries);
            if (problem)
                return problem;
            indirect = true;
            at = 0;
            continue;
        }
        problem = virtq_add(queue, buffer, descriptor.address, descriptor.size, (flags & VIRTQ_WRITE) != 0);
        if (problem)
            return problem;
        if (!(flags & VIRTQ_NEXT))
            return NULL;
        at = descriptor.fourth;
        left--;
    }
    return "a chain of descriptors is longer than the queue, or a loop";
}

void virtq_split_publish(struct virtq *queue, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        const struct virtq_flight *flight = &queue->flight[(queue->flight_first + i) % VIRTQ_MAX_SIZE];
        uint8_t *entry =
            queue->device_area + RING_ENTRIES + ((queue->used + i) & (queue->size - 1u)) * USED_ENTRY;
        virtq_store32(entry, flight->id);
        virtq_store32(entry + 4, flight->written);
    }
    queue->used = (uint16_t)(queue->used + count);
    virtq_store16_release(queue->device_area + VIRTQ_RING_INDEX, queue->used);
    /* The ring has at most two pages: to mark it as a whole costs less than to be exact. */
    queue->memory->dirty(queue->memory, queue->device_gpa, avail_event(queue));
}

bool virtq_split_wanted(const struct virtq *queue, uint16_t since, bool sure) {
    if (!queue->event)
        return !(virtq_load16(queue->driver_area + RING_FLAGS) & NO_INTERRUPT);
    /* Wanted when the entry of this index was written: one from `since` up to `used` (2.7.7.2). */
    uint16_t event = virtq_load16(queue->driver_area + used_event(queue));
    return !sure || (uint16_t)(event - since) < (uint16_t)(queue->used - since);
}

void virtq_split_ask(struct virtq *queue, bool notify) {
    unsigned field = RING_FLAGS;
    uint16_t value = notify ? 0 : NO_NOTIFY;

    if (queue->event) {
        if (!notify)
            return; /* the event index stays behind, and the flags are 0 (2.7.10.2) */
        queue->asked = queue->available;
        field = avail_event(queue);
        value = queue->asked;
    }
    virtq_store16(queue->device_area + field, value);
    queue->memory->dirty(queue->memory, queue->device_gpa + field, 2);
}
