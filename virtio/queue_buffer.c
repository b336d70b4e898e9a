// SPDX-License-Identifier: Apache-2.0
// Buffers of a virtqueue: how descriptors become segments, and copies from and to these.
#include "virtio/queue_internal.h"

#include <string.h>

/* "Drivers MUST NOT add a descriptor chain longer than 2^32 bytes in total" (2.7.5.2). */
#define MAX_BYTES (1ull << 32)

static const char outside[] = "a descriptor's memory is outside RAM";
static const char too_many[] = "a buffer of too many pieces";

static inline void append(struct virtq_buffer *buffer, const struct virtq_segment *segment, bool writable) {
    buffer->segment[buffer->readable + buffer->writable] = *segment;
    if (writable)
        buffer->writable++;
    else
        buffer->readable++;
}

/* What does not lie together for us. */
__attribute__((noinline)) static const char *add_pieces(struct virtio_memory *memory,
                                                        struct virtq_buffer *buffer, uint64_t address,
                                                        uint32_t size, bool writable) {
    for (;;) {
        struct virtq_segment segment = {.address = address};
        uint64_t contiguous;
        segment.data = virtio_reach(memory, address, writable ? VIRTIO_ACCESS_WRITE : VIRTIO_ACCESS_READ,
                                    &segment.gpa, &contiguous);
        if (!segment.data)
            return outside;
        if (buffer->readable + buffer->writable == VIRTQ_MAX_SEGMENTS)
            return too_many;
        segment.size = contiguous < size ? (uint32_t)contiguous : size;
        append(buffer, &segment, writable);
        if (segment.size == size)
            return NULL;
        address += segment.size;
        size -= segment.size;
    }
}

/* The usual case: no IOMMU, and all of it lies together. */
static inline const char *add_piece(struct virtio_memory *memory, struct virtq_buffer *buffer,
                                    uint64_t address, uint32_t size, bool writable) {
    uint64_t contiguous;
    uint8_t *data = memory->map(memory, address, &contiguous);

    if (!data)
        return outside;
    if (buffer->readable + buffer->writable == VIRTQ_MAX_SEGMENTS)
        return too_many;
    uint32_t part = contiguous < size ? (uint32_t)contiguous : size;
    append(buffer, &(struct virtq_segment){.data = data, .gpa = address, .address = address, .size = part},
           writable);
    return part == size ? NULL : add_pieces(memory, buffer, address + part, size - part, writable);
}

const char *virtq_add(struct virtq *queue, struct virtq_buffer *buffer, uint64_t address, uint32_t size,
                      bool writable) {
    struct virtio_memory *memory = queue->memory;

    if (size == 0)
        return NULL;
    if (!writable && buffer->writable > 0)
        return "a readable descriptor after a writable one"; /* 2.7.4.2, 2.8.17 */
    if (buffer->read_size + buffer->write_size + size > MAX_BYTES)
        return "a buffer of more than 4 GiB";
    if (address + (size - 1) < address)
        return outside;
    *(writable ? &buffer->write_size : &buffer->read_size) += size;
    return memory->translate ? add_pieces(memory, buffer, address, size, writable)
                             : add_piece(memory, buffer, address, size, writable);
}

const char *virtq_table(struct virtq *queue, uint64_t address, uint32_t size, unsigned limit,
                        const uint8_t **table, unsigned *count) {
    if (!queue->indirect)
        return "an indirect descriptor, which was not negotiated";
    if (size == 0 || size % VIRTQ_DESCRIPTOR_SIZE != 0)
        return "an indirect table's size is no multiple of 16";
    if (size / VIRTQ_DESCRIPTOR_SIZE > limit)
        return "an indirect table is too long";
    *count = size / VIRTQ_DESCRIPTOR_SIZE;
    *table = virtio_map(queue->memory, address, size, 1);
    return *table ? NULL : "an indirect table is outside RAM";
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

size_t virtq_read(struct virtq *queue, const struct virtq_buffer *buffer, size_t offset, void *data,
                  size_t size) {
    size_t done = 0;

    (void)queue;
    for (unsigned i = 0; i < buffer->readable && done < size; i++) {
        const struct virtq_segment *segment = &buffer->segment[i];
        if (offset >= segment->size) {
            offset -= segment->size;
            continue;
        }
        size_t part = least(segment->size - offset, size - done);
        memcpy((uint8_t *)data + done, segment->data + offset, part);
        done += part;
        offset = 0;
    }
    return done;
}

size_t virtq_write(struct virtq *queue, const struct virtq_buffer *buffer, size_t offset, const void *data,
                   size_t size) {
    unsigned end = buffer->readable + buffer->writable;
    size_t done = 0;

    for (unsigned i = buffer->readable; i < end && done < size; i++) {
        const struct virtq_segment *segment = &buffer->segment[i];
        if (offset >= segment->size) {
            offset -= segment->size;
            continue;
        }
        size_t part = least(segment->size - offset, size - done);
        memcpy(segment->data + offset, (const uint8_t *)data + done, part);
        queue->memory->dirty(queue->memory, segment->gpa + offset, part);
        done += part;
        offset = 0;
    }
    return done;
}

size_t virtq_copy(struct virtq *to_queue, const struct virtq_buffer *to, size_t to_offset,
                  const struct virtq_buffer *from, size_t from_offset, size_t size) {
    unsigned source = 0, target = to->readable;
    unsigned source_end = from->readable, target_end = target + to->writable;
    size_t done = 0;

    while (done < size && source < source_end && target < target_end) {
        const struct virtq_segment *in = &from->segment[source], *out = &to->segment[target];
        if (from_offset >= in->size) {
            from_offset -= in->size;
            source++;
        } else if (to_offset >= out->size) {
            to_offset -= out->size;
            target++;
        } else {
            size_t part = least(least(in->size - from_offset, out->size - to_offset), size - done);
            /* One guest may offer the same memory on both sides. */
            memmove(out->data + to_offset, in->data + from_offset, part);
            to_queue->memory->dirty(to_queue->memory, out->gpa + to_offset, part);
            done += part;
            from_offset += part;
            to_offset += part;
        }
    }
    return done;
}
