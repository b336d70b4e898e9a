// SPDX-License-Identifier: Apache-2.0
// Reading and copying of frames, and what their first bytes say.
#include "virtio/frame.h"

#include <string.h>

void frame_from_buffer(struct frame *frame, uint8_t *head, struct virtq *queue,
                       const struct virtq_buffer *buffer, uint32_t offset, uint32_t size) {
    uint32_t wanted = size < FRAME_HEAD ? size : FRAME_HEAD;

    frame_from_head(frame, head, (uint32_t)virtq_read(queue, buffer, offset, head, wanted), queue, buffer,
                    offset, size);
}

void frame_from_head(struct frame *frame, const uint8_t *head, uint32_t got, struct virtq *queue,
                     const struct virtq_buffer *buffer, uint32_t offset, uint32_t size) {
    uint32_t wanted = size < FRAME_HEAD ? size : FRAME_HEAD;

    memset(frame, 0, sizeof(*frame));
    frame->head_size = got < wanted ? got : wanted;
    frame->size = frame->head_size < wanted ? frame->head_size : size;
    frame->head = head;
    frame->queue = queue;
    frame->buffer = buffer;
    frame->rest = offset + frame->head_size;
}

void frame_from_memory(struct frame *frame, const uint8_t *data, uint32_t size) {
    memset(frame, 0, sizeof(*frame));
    frame->size = size;
    frame->head_size = size < FRAME_HEAD ? size : FRAME_HEAD;
    frame->head = data;
    frame->memory = data;
    frame->rest = frame->head_size;
}

/* Clips what is asked for to the frame's end. */
static uint32_t clip(const struct frame *frame, uint32_t offset, uint32_t size) {
    if (offset >= frame->size)
        return 0;
    return size < frame->size - offset ? size : frame->size - offset;
}

uint32_t frame_read(const struct frame *frame, uint32_t offset, uint8_t *data, uint32_t size) {
    uint32_t done = 0;

    size = clip(frame, offset, size);
    if (offset < frame->head_size) {
        done = frame->head_size - offset;
        done = done < size ? done : size;
        memcpy(data, frame->head + offset, done);
    }
    if (done == size)
        return done;
    uint32_t from = frame->rest + (offset + done - frame->head_size);
    if (frame->buffer)
        return done + (uint32_t)virtq_read(frame->queue, frame->buffer, from, data + done, size - done);
    memcpy(data + done, frame->memory + from, size - done);
    return size;
}

uint32_t frame_piece(const struct frame *frame, uint32_t offset, const uint8_t **data) {
    uint32_t left = frame->size - offset;

    if (offset < frame->head_size) {
        *data = frame->head + offset;
        return left < frame->head_size - offset ? left : frame->head_size - offset;
    }
    uint32_t from = frame->rest + (offset - frame->head_size);
    if (!frame->buffer) {
        *data = frame->memory + from;
        return left;
    }
    for (unsigned i = 0; i < frame->buffer->readable; i++) {
        const struct virtq_segment *segment = &frame->buffer->segment[i];
        if (from < segment->size) {
            *data = segment->data + from;
            return left < segment->size - from ? left : segment->size - from;
        }
        from -= segment->size;
    }
    return 0;
}

uint32_t frame_write(const struct frame *frame, uint32_t offset, uint32_t size, struct virtq *to_queue,
                     const struct virtq_buffer *to, uint32_t to_offset) {
    uint32_t done = 0;

    size = clip(frame, offset, size);
    if (offset < frame->head_size) {
        uint32_t part = frame->head_size - offset;
        part = part < size ? part : size;
        done = (uint32_t)virtq_write(to_queue, to, to_offset, frame->head + offset, part);
        if (done < part)
            return done;
    }
    if (done == size)
        return done;
    uint32_t from = frame->rest + (offset + done - frame->head_size);
    if (frame->buffer)
        return done + (uint32_t)virtq_copy(to_queue, to, to_offset + done, frame->buffer, from, size - done);
    return done + (uint32_t)virtq_write(to_queue, to, to_offset + done, frame->memory + from, size - done);
}

static bool is_tag(uint16_t type) {
    return type == FRAME_TYPE_VLAN || type == FRAME_TYPE_PROVIDER;
}

uint16_t frame_type(const struct frame *frame, uint32_t *network) {
    uint32_t at = FRAME_HEADER;
    uint16_t type = frame_get16(frame->head + at - 2);

    for (unsigned i = 0; i < FRAME_MAX_TAGS && is_tag(type) && at + 4 <= frame->head_size; i++) {
        at += 4;
        type = frame_get16(frame->head + at - 2);
    }
    *network = at;
    return type;
}

int frame_vlan(const struct frame *frame) {
    if (!is_tag(frame_get16(frame->head + 12)) || frame->head_size < FRAME_HEADER + 4)
        return -1;
    return frame_get16(frame->head + FRAME_HEADER) & 0xfff;
}

bool frame_is_tcp(const struct frame *frame) {
    uint32_t network;
    uint16_t type = frame_type(frame, &network);

    if (type == FRAME_TYPE_IPV4 && network + 20 <= frame->head_size)
        return frame->head[network + 9] == 6 && !(frame_get16(frame->head + network + 6) & 0x3fff);
    return type == FRAME_TYPE_IPV6 && network + 40 <= frame->head_size && frame->head[network + 6] == 6;
}

/* The sum of numbers at two places is the same whichever is the sender's; so is the flow's number. */
static uint32_t pair_sum(const uint8_t *a, const uint8_t *b, uint32_t size) {
    uint32_t sum = 0;

    for (uint32_t i = 0; i + 4 <= size; i += 4)
        sum = sum * 31 + (frame_get32(a + i) + frame_get32(b + i));
    return sum;
}

uint32_t frame_flow(const struct frame *frame) {
    const uint8_t *head = frame->head;
    uint32_t network, ports = 0, flow;
    uint16_t type = frame_type(frame, &network);
    uint8_t protocol = 0;

    if (type == FRAME_TYPE_IPV4 && network + 20 <= frame->head_size) {
        protocol = head[network + 9];
        flow = pair_sum(head + network + 12, head + network + 16, 4);
        if (!(frame_get16(head + network + 6) & 0x3fff)) /* a fragment shows no ports */
            ports = network + (head[network] & 15) * 4u;
    } else if (type == FRAME_TYPE_IPV6 && network + 40 <= frame->head_size) {
        protocol = head[network + 6];
        flow = pair_sum(head + network + 8, head + network + 24, 16);
        ports = network + 40;
    } else {
        flow = pair_sum(head + 2, head + 8, 4);
    }
    if (ports && (protocol == 6 || protocol == 17) && ports + 4 <= frame->head_size)
        flow = flow * 31 + frame_get16(head + ports) + frame_get16(head + ports + 2);
    flow += protocol;
    flow *= 0x9e3779b1u; /* spreads it: the upper bits depend on all */
    return flow ^ flow >> 16;
}
