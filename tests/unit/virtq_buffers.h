// SPDX-License-Identifier: Apache-2.0
// The copy functions of virtio/queue.h, written as plainly as possible, for tests of what is above queues.
#ifndef SAGUARO_TESTS_VIRTQ_BUFFERS_H
#define SAGUARO_TESTS_VIRTQ_BUFFERS_H

#include <string.h>
#include "virtio/queue.h"

static unsigned long virtq_dirtied; /* bytes that were written */

/* The place of byte `offset` of a buffer's readable or writable part; NULL: behind its end. */
static uint8_t *buffer_byte(const struct virtq_buffer *buffer, bool writable, size_t offset) {
    unsigned from = writable ? buffer->readable : 0, count = writable ? buffer->writable : buffer->readable;

    for (unsigned i = from; i < from + count; i++) {
        if (offset < buffer->segment[i].size)
            return buffer->segment[i].data + offset;
        offset -= buffer->segment[i].size;
    }
    return NULL;
}

size_t virtq_read(struct virtq *queue, const struct virtq_buffer *buffer, size_t offset, void *data,
                  size_t size) {
    uint8_t *out = data;
    size_t done = 0;

    (void)queue;
    for (const uint8_t *at; done < size && (at = buffer_byte(buffer, false, offset + done)); done++)
        out[done] = *at;
    return done;
}

size_t virtq_write(struct virtq *queue, const struct virtq_buffer *buffer, size_t offset, const void *data,
                   size_t size) {
    const uint8_t *in = data;
    size_t done = 0;

    (void)queue;
    for (uint8_t *at; done < size && (at = buffer_byte(buffer, true, offset + done)); done++)
        *at = in[done];
    virtq_dirtied += done;
    return done;
}

size_t virtq_copy(struct virtq *to_queue, const struct virtq_buffer *to, size_t to_offset,
                  const struct virtq_buffer *from, size_t from_offset, size_t size) {
    size_t done = 0;
    uint8_t byte;

    while (done < size && virtq_read(NULL, from, from_offset + done, &byte, 1) == 1 &&
           virtq_write(to_queue, to, to_offset + done, &byte, 1) == 1)
        done++;
    return done;
}

/* Adds a piece to a buffer: all readable ones first. */
static inline void buffer_add(struct virtq_buffer *buffer, void *data, uint32_t size, bool writable) {
    buffer->segment[buffer->readable + buffer->writable] = (struct virtq_segment){.data = data, .size = size};
    if (writable) {
        buffer->writable++;
        buffer->write_size += size;
    } else {
        buffer->readable++;
        buffer->read_size += size;
    }
}

#endif
