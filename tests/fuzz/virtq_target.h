// SPDX-License-Identifier: Apache-2.0
// Fuzzing of virtqueues, for either ring format: the input says how the queue is set up, what the guest
// writes into its memory between our calls and, at each look of ours at its memory, in the middle of them;
// and which calls we make. Whatever comes: no access outside, bounded work, buffers that lie in RAM and add
// up.
#ifndef SAGUARO_TESTS_VIRTQ_TARGET_H
#define SAGUARO_TESTS_VIRTQ_TARGET_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include "tests/unit/virtq_driver.h"

#define TARGET_BASE 0x10000u
#define TARGET_HELD 16u /* buffers that we hold at a time */

struct target_input {
    const uint8_t *data;
    size_t size;
};

static void require(bool holds) {
    if (!holds)
        abort();
}

static unsigned next_byte(struct target_input *input) {
    if (input->size == 0)
        return 0;
    input->size--;
    return *input->data++;
}

static struct virtq_driver target_driver;

/* An address that is interesting: in RAM, at its borders, or in a table that can be written below. */
static uint64_t target_address(struct target_input *input) {
    static const uint64_t near[8] = {
        0x10000, 0x12000, 0x12000, 0x1ff80, 0x23f80, 0x100000000, 0xffffffffffffff80, 0x24000};
    unsigned byte = next_byte(input);
    return near[byte & 7] + (uint64_t)(byte >> 3) * 8;
}

/* The guest writes something: a descriptor of the ring or of a table, an index, or bytes anywhere. */
static void target_guest_writes(struct target_input *input) {
    static const uint32_t size[8] = {1, 16, 32, 64, 0, 0x1000, 0x20000, 0xfffffff0};
    struct virtq_driver *driver = &target_driver;
    unsigned what = next_byte(input), index = next_byte(input);

    switch (what & 7) {
    case 0:
    case 1:
    case 2: {
        uint64_t table = what & 8 ? TARGET_BASE + 0x2000 : driver->descriptors;
        uint64_t gpa = target_address(input);
        unsigned flags = next_byte(input), next = next_byte(input) % driver->size;
        unsigned full = flags | (flags & 0x40 ? 0x8000u : 0); /* packed: the bit for "used" */
        virtq_driver_describe(driver, table + 16 * (index % driver->size), gpa, size[what >> 5],
                              driver->packed ? next : flags, driver->packed ? full : next);
        break;
    }
    case 3: /* split: one more available; packed: the event structure */
        virtq_guest_put(driver->guest, driver->driver + 4 + 2 * (driver->available++ % driver->size), 2,
                        index % driver->size);
        virtq_guest_put(driver->guest, driver->driver + 2, 2, driver->available);
        break;
    case 4:
        virtq_guest_put(driver->guest, driver->driver + index % 64, 1, next_byte(input));
        break;
    case 5: { /* flags of an entry: available, whatever else is in it */
        uint64_t at = driver->descriptors + 16 * (index % driver->size) + (driver->packed ? 14 : 12);
        virtq_guest_put(driver->guest, at, 2, what & 8 ? 0x80 : 0x8000);
        break;
    }
    case 6:
        if (virtq_guest_piece(driver->guest, driver->device + index))
            virtq_guest_put(driver->guest, driver->device + index, 1, next_byte(input));
        break;
    default:
        virtq_guest_put(driver->guest, TARGET_BASE + index * 64, 1, next_byte(input));
        break;
    }
}

static void target_meanwhile(struct virtq_guest *guest) {
    struct target_input *input = guest->context;
    if (input->size > 0 && (next_byte(input) & 3) == 0)
        target_guest_writes(input);
}

static void target_check(struct virtq_guest *guest, const struct virtq_buffer *buffer) {
    unsigned count = buffer->readable + buffer->writable;
    uint64_t read_size = 0, write_size = 0;

    require(count <= VIRTQ_MAX_SEGMENTS);
    for (unsigned i = 0; i < count; i++) {
        const struct virtq_segment *segment = &buffer->segment[i];
        struct virtq_piece *piece = virtq_guest_piece(guest, segment->gpa);
        require(piece && segment->size > 0);
        require(segment->data == piece->data + (segment->gpa - piece->base));
        require(segment->size <= piece->size - (segment->gpa - piece->base));
        *(i < buffer->readable ? &read_size : &write_size) += segment->size;
    }
    require(read_size == buffer->read_size && write_size == buffer->write_size);
}

static void target_run(const uint8_t *data, size_t size, bool packed) {
    static struct virtq_buffer held[TARGET_HELD], joined;
    static uint8_t bytes[0x3000];
    static struct virtq queue;
    struct target_input input = {data, size};
    static struct virtq_guest guest;
    unsigned held_count = 0, finished = 0, published = 0;

    unsigned form = next_byte(&input);
    uint16_t entries = (uint16_t)(1u << form % 6);
    if (packed)
        entries = (uint16_t)(1 + form % 40);
    unsigned chosen = next_byte(&input);
    uint64_t features = (chosen & 1 ? VIRTIO_RING_EVENT : 0) | (chosen & 2 ? VIRTIO_RING_INDIRECT : 0) |
                        (packed ? VIRTIO_RING_PACKED : 0);
    struct virtq_position position = {.used = (uint16_t)(chosen & 0x80 ? 0xfffe : 0)};
    if (packed)
        position.used = (uint16_t)((chosen >> 2) % entries | (chosen & 0x80) << 8);
    if (!guest.piece[0].data)
        virtq_guest_init(&guest);
    for (unsigned i = 0; i < VIRTQ_GUEST_PIECES; i++)
        memset(guest.piece[i].data, 0, guest.piece[i].size);
    guest.context = &input;
    guest.meanwhile = NULL;
    virtq_driver_init(&target_driver, &guest, entries, features, TARGET_BASE);
    virtq_driver_start_at(&target_driver, position.used);
    if ((form & 0xc0) == 0xc0) /* areas anywhere */
        target_driver.device = target_address(&input);
    int error = virtq_driver_enable(&target_driver, &queue, &position);
    require((error == 0) == (queue.size != 0));
    if (error)
        target_driver.device = TARGET_BASE + 0x1400;
    guest.meanwhile = target_meanwhile;
    while (input.size > 0) {
        unsigned call = next_byte(&input), maps = guest.maps;
        struct virtq_buffer *last = &held[held_count ? held_count - 1 : 0];
        bool was_broken = queue.broken != NULL;
        switch (call & 15) {
        case 0:
        case 1:
        case 2:
            if (held_count == TARGET_HELD)
                break;
            int taken = virtq_take(&queue, &held[held_count]);
            require((taken < 0) == (queue.broken != NULL));
            require(!was_broken || taken < 0);
            require(taken <= 0 || queue.flight_count <= queue.size);
            require(guest.maps - maps <= VIRTQ_MAX_SEGMENTS + 2); /* a table, and one too many */
            if (taken == 1)
                target_check(&guest, &held[held_count++]);
            break;
        case 3:
        case 4:
            if (held_count > 0) {
                uint16_t before = virtq_position(&queue).used;
                unsigned which = (call >> 4) % held_count;
                virtq_finish(&queue, &held[which], next_byte(&input));
                held[which] = *last;
                held_count--;
                finished++;
                published += before != virtq_position(&queue).used;
                require(published <= finished);
                require(!was_broken || before == virtq_position(&queue).used);
            }
            break;
        case 5:
            if (held_count > 0 &&
                last->slot == (queue.flight_first + queue.flight_count - 1) % VIRTQ_MAX_SIZE) {
                virtq_untake(&queue, 1);
                held_count--;
            }
            break;
        case 6:
            require(!virtq_interrupt(&queue) || !was_broken);
            break;
        case 7:
            virtq_listen(&queue, (call & 16) != 0);
            break;
        case 8:
            if (held_count > 0)
                require(virtq_read(&queue, last, next_byte(&input), bytes, call * 16) <= call * 16);
            break;
        case 9:
            if (held_count > 0)
                require(virtq_write(&queue, last, next_byte(&input), bytes, call * 16) <= call * 16);
            break;
        case 10:
            if (held_count > 0)
                virtq_copy(&queue, last, next_byte(&input), &held[0], call >> 4, call * 16);
            break;
        case 11: /* our program starts anew */
            if (call & 16) {
                position = virtq_position(&queue);
                memset(&queue, 0xff, sizeof(queue));
                held_count = 0;
                virtq_driver_enable(&target_driver, &queue, &position);
            }
            break;
        case 12: /* some together, and back */
            virtq_empty(&joined);
            for (unsigned taken_more = 0;; taken_more++) {
                int result = taken_more > call >> 4 ? 0 : virtq_take_more(&queue, &joined);
                require((result == -EPROTO) == (queue.broken != NULL));
                target_check(&guest, &joined);
                if (result != 1) {
                    virtq_untake(&queue, taken_more);
                    break;
                }
            }
            break;
        default:
            target_guest_writes(&input);
            break;
        }
    }
    require(!guest.stray);
}

#endif
