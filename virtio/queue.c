// SPDX-License-Identifier: Apache-2.0
// A virtqueue, the device's side, apart from the ring's format: which buffers are in flight, their order, and
// when one side tells the other.
#include "virtio/queue.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include "virtio/queue_internal.h"

static_assert((VIRTQ_MAX_SIZE & (VIRTQ_MAX_SIZE - 1)) == 0, "the ring of flights wraps at 16 bits");
static_assert(offsetof(struct virtq_flight, id) == offsetof(struct virtq_published, id) &&
                  offsetof(struct virtq_flight, descriptors) ==
                      offsetof(struct virtq_published, descriptors) &&
                  offsetof(struct virtq_flight, written) == offsetof(struct virtq_published, written),
              "one begins like the other");

static bool usable(const struct virtq *queue) {
    return queue->size != 0 && !queue->broken;
}

static inline unsigned waiting(const struct virtq *queue) {
    return queue->packed ? virtq_packed_waiting(queue) : virtq_split_waiting(queue);
}

static void ask(struct virtq *queue, bool notify) {
    queue->notify = notify;
    if (queue->packed)
        virtq_packed_ask(queue, notify);
    else
        virtq_split_ask(queue, notify);
}

static bool map_areas(struct virtq *queue) {
    return queue->packed ? virtq_packed_enable(queue) : virtq_split_enable(queue);
}

int virtq_enable(struct virtq *queue, struct virtio_memory *memory, uint16_t size, uint64_t descriptors,
                 uint64_t driver, uint64_t device, uint64_t features, const struct virtq_position *position) {
    bool packed = (features & VIRTIO_RING_PACKED) != 0;

    virtq_disable(queue);
    if (size == 0 || size > VIRTQ_MAX_SIZE || (!packed && (size & (size - 1)) != 0))
        return -EINVAL;
    queue->memory = memory;
    queue->size = size;
    queue->packed = packed;
    queue->event = (features & VIRTIO_RING_EVENT) != 0;
    queue->indirect = (features & VIRTIO_RING_INDIRECT) != 0;
    queue->descriptors = descriptors;
    queue->driver = driver;
    queue->device = device;
    /* What was in flight is taken again. The wrap counters begin at 1 (2.8.1). */
    queue->used = position ? position->used : packed ? VIRTQ_WRAP : 0;
    queue->available = queue->used;
    queue->signalled = queue->used;
    queue->signalled_valid = !position;
    queue->journal = NULL;
    if (!map_areas(queue)) {
        virtq_disable(queue);
        return -EINVAL;
    }
    ask(queue, true);
    return 0;
}

/* Gives the first `count` buffers in flight, which have so many ring entries, to the driver. */
static void publish(struct virtq *queue, unsigned count, unsigned descriptors) {
    if (queue->packed)
        virtq_packed_publish(queue, count, descriptors);
    else
        virtq_split_publish(queue, count);
}

/* Whether the driver can see what was to be given to it from `used` on. */
static bool is_published(const struct virtq *queue) {
    if (!queue->packed)
        return virtq_load16(queue->device_area + VIRTQ_RING_INDEX) != queue->used;
    const uint8_t *entry = virtq_packed_entry(queue, queue->used);
    return !virtq_packed_available(virtq_load16(entry + VIRTQ_DESCRIPTOR_FLAGS), queue->used);
}

static uint32_t place_of(const struct virtq *queue) {
    return (uint32_t)queue->number << 16 | queue->used;
}

/* Completes what the journal says. Nothing, if that cannot be. */
static void complete(struct virtq *queue) {
    const struct virtq_journal *journal = queue->journal;
    unsigned descriptors = 0;

    if (journal->place != place_of(queue) || journal->count == 0 || journal->count > queue->size)
        return;
    for (unsigned i = 0; i < journal->count; i++) {
        const struct virtq_published *buffer = &journal->buffer[i];
        queue->flight[i] = (struct virtq_flight){
            .id = buffer->id, .descriptors = buffer->descriptors, .written = buffer->written};
        descriptors += buffer->descriptors;
    }
    if (descriptors < journal->count || descriptors > queue->size)
        return;
    if (!is_published(queue))
        publish(queue, journal->count, descriptors);
    else if (queue->packed)
        queue->used = virtq_packed_forward(queue, queue->used, descriptors);
    else
        queue->used = (uint16_t)(queue->used + journal->count);
    queue->available = queue->signalled = queue->used;
    ask(queue, true);
}

void virtq_keep(struct virtq *queue, struct virtq_journal *journal, uint16_t number) {
    queue->journal = journal;
    queue->number = number;
    if (usable(queue))
        complete(queue);
}

/* Our program may end at any instruction. What stands in the journal before is no longer valid, for its queue
 * has gone on. */
static inline void note(const struct virtq *queue, unsigned count) {
    struct virtq_journal *journal = queue->journal;

    for (unsigned i = 0; i < count; i++)
        memcpy(&journal->buffer[i], &queue->flight[(queue->flight_first + i) % VIRTQ_MAX_SIZE],
               sizeof(journal->buffer[i]));
    journal->count = (uint16_t)count;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    journal->place = place_of(queue);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

void virtq_disable(struct virtq *queue) {
    queue->size = 0;
    queue->broken = NULL;
    queue->flight_first = 0;
    queue->flight_count = 0;
}

int virtq_remap(struct virtq *queue) {
    if (!usable(queue) || map_areas(queue))
        return 0;
    queue->broken = "one of its areas is not mapped any more";
    return -EFAULT;
}

struct virtq_position virtq_position(const struct virtq *queue) {
    return (struct virtq_position){.used = queue->used};
}

static int give_up(struct virtq *queue, const char *problem) {
    queue->broken = problem;
    return -EPROTO;
}

/* Adds the next available buffer to *buffer, which has `before` segments. */
static inline int take(struct virtq *queue, struct virtq_buffer *buffer, unsigned before) {
    uint16_t descriptors = 1;

    if (queue->broken)
        return -EPROTO;
    if (queue->size == 0)
        return 0;
    unsigned known = waiting(queue);
    if (known == 0 && queue->notify && virtq_listen(queue, true))
        known = waiting(queue);
    if (known == 0)
        return 0;
    if (known + queue->flight_count > queue->size)
        return give_up(queue, "more buffers are available than the ring has entries");
    const char *problem =
        queue->packed ? virtq_packed_walk(queue, buffer, &descriptors) : virtq_split_walk(queue, buffer);
    if (problem)
        return before ? -ENOSPC : give_up(queue, problem);
    buffer->slot = (uint16_t)((queue->flight_first + queue->flight_count++) % VIRTQ_MAX_SIZE);
    queue->flight[buffer->slot] = (struct virtq_flight){.id = buffer->id, .descriptors = descriptors};
    queue->available = queue->packed ? virtq_packed_forward(queue, queue->available, descriptors)
                                     : (uint16_t)(queue->available + 1);
    return 1;
}

int virtq_take(struct virtq *queue, struct virtq_buffer *buffer) {
    virtq_empty(buffer);
    return take(queue, buffer, 0);
}

int virtq_take_more(struct virtq *queue, struct virtq_buffer *buffer) {
    uint16_t readable = buffer->readable, writable = buffer->writable;
    uint64_t read_size = buffer->read_size, write_size = buffer->write_size;
    int result = take(queue, buffer, (unsigned)readable + writable);

    if (result < 0) { /* half walked, perhaps */
        buffer->readable = readable;
        buffer->writable = writable;
        buffer->read_size = read_size;
        buffer->write_size = write_size;
    }
    return result;
}

void virtq_untake(struct virtq *queue, unsigned count) {
    if (!usable(queue))
        return;
    for (; count > 0 && queue->flight_count > 0; count--) {
        unsigned last = (queue->flight_first + --queue->flight_count) % VIRTQ_MAX_SIZE;
        queue->available = queue->packed
                               ? virtq_packed_back(queue, queue->available, queue->flight[last].descriptors)
                               : (uint16_t)(queue->available - 1);
    }
}

static unsigned since_signalled(const struct virtq *queue) {
    return queue->packed ? virtq_packed_distance(queue, queue->signalled, queue->used)
                         : (uint16_t)(queue->used - queue->signalled);
}

/* `used` went on by `steps`. If it has come round to where it was last signalled, that no longer tells what
 * the driver knows of. */
static void note_progress(struct virtq *queue, unsigned steps) {
    if (since_signalled(queue) < steps)
        queue->signalled_valid = false;
}

void virtq_finish_behind(struct virtq *queue, uint16_t slot, uint32_t written) {
    queue->flight[slot].written = written;
    queue->flight[slot].done = true;
}

void virtq_finish(struct virtq *queue, const struct virtq_buffer *buffer, uint32_t written) {
    unsigned count = 0, descriptors = 0;

    if (!usable(queue))
        return;
    queue->flight[buffer->slot].written = written;
    queue->flight[buffer->slot].done = true;
    while (count < queue->flight_count) {
        const struct virtq_flight *flight = &queue->flight[(queue->flight_first + count) % VIRTQ_MAX_SIZE];
        if (!flight->done)
            break;
        descriptors += flight->descriptors;
        count++;
    }
    if (count == 0)
        return;
    if (queue->journal)
        note(queue, count);
    publish(queue, count, descriptors);
    queue->flight_first = (uint16_t)((queue->flight_first + count) % VIRTQ_MAX_SIZE);
    queue->flight_count = (uint16_t)(queue->flight_count - count);
    note_progress(queue, queue->packed ? descriptors : count);
}

uint32_t virtq_owed(const struct virtq *queue) {
    uint16_t since = queue->signalled;
    bool sure = queue->signalled_valid;

    if (!usable(queue) || (sure && since == queue->used))
        return 0;
    /* What was used is seen before we look at what the driver wants; it does these in the other order
     * (2.7.14, 2.8.22). */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    bool wanted =
        queue->packed ? virtq_packed_wanted(queue, since, sure) : virtq_split_wanted(queue, since, sure);
    if (!wanted)
        return 0;
    return sure ? since_signalled(queue) : UINT32_MAX;
}

bool virtq_interrupt(struct virtq *queue) {
    bool owed = virtq_owed(queue) != 0;

    queue->signalled = queue->used;
    queue->signalled_valid = true;
    return owed;
}

bool virtq_listen(struct virtq *queue, bool notify) {
    if (!usable(queue))
        return false;
    if (notify != queue->notify || (notify && queue->event && queue->asked != queue->available)) {
        ask(queue, notify);
        /* The driver makes a buffer available, then looks whether we want to know; we do these in the other
         * order (2.7.13.4.1, 2.8.21.3.1). */
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    }
    return notify && waiting(queue) != 0;
}
