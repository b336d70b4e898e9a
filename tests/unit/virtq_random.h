// SPDX-License-Identifier: Apache-2.0
// A long run of a virtqueue between the driver of virtq_driver.h and the library, for either ring format:
// many buffers of any form, finished in any order, with suppression of notifications and interrupts and
// restarts of the device in between. What has to hold: each buffer arrives once, whole and in order, and
// comes back in that order; who sleeps is woken.
#ifndef SAGUARO_TESTS_VIRTQ_RANDOM_H
#define SAGUARO_TESTS_VIRTQ_RANDOM_H

#include "tests/unit/virtq_driver.h"

#define RANDOM_BASE 0x10000u /* of the queue */
#define RANDOM_DATA 0x20000u /* of buffers */

static uint32_t random_state;

static unsigned random_below(unsigned limit) {
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % limit;
}

/* A buffer that the driver made available. */
struct random_buffer {
    unsigned id;
    unsigned count;
    struct virtq_element element[6];
    uint32_t written; /* reported by the device */
};

static struct random_buffer random_queue[VIRTQ_MAX_SIZE]; /* those under way, oldest first */
static unsigned random_count, random_taken;               /* all of them; and of these, taken by the device */

/* Up to six elements, or as many as the ring has, readable ones first, some of them empty. */
static void random_elements(struct random_buffer *buffer, unsigned size) {
    buffer->count = 1 + random_below(size < 6 ? size : 6);
    unsigned readable = random_below(buffer->count + 1);
    for (unsigned i = 0; i < buffer->count; i++)
        buffer->element[i] = (struct virtq_element){.gpa = RANDOM_DATA - 0x100 + random_below(0x1000),
                                                    .size = random_below(8) ? random_below(300) : 0,
                                                    .writable = i >= readable};
}

static void random_check_taken(const struct virtq_buffer *taken, const struct random_buffer *buffer) {
    unsigned at = 0;
    uint32_t done = 0;

    assert_int_equal(taken->id, buffer->id);
    for (unsigned i = 0; i < buffer->count; i++) {
        const struct virtq_element *element = &buffer->element[i];
        for (done = 0; done < element->size; at++) {
            assert_true(at < taken->readable + taken->writable);
            assert_int_equal(at >= taken->readable, element->writable);
            assert_int_equal(taken->segment[at].gpa, element->gpa + done);
            assert_true(taken->segment[at].size > 0);
            done += taken->segment[at].size;
        }
        assert_int_equal(done, element->size);
    }
    assert_int_equal(at, taken->readable + taken->writable);
}

static void random_run(uint16_t size, uint64_t features, uint16_t start, unsigned rounds) {
    static struct virtq_buffer held[VIRTQ_MAX_SIZE];
    static struct virtq_driver driver;
    static struct virtq queue;
    unsigned slot_of[VIRTQ_MAX_SIZE]; /* in `held`, of those taken and not finished */
    unsigned held_count = 0, passed = 0, restarts = 0;
    bool doorbell = true, interrupted = false, asleep = false;
    struct virtq_guest guest;
    uint32_t stamp = 1;

    virtq_guest_init(&guest);
    virtq_driver_init(&driver, &guest, size, features, RANDOM_BASE);
    struct virtq_position position = virtq_driver_start_at(&driver, start);
    assert_int_equal(virtq_driver_enable(&driver, &queue, &position), 0);
    random_count = random_taken = 0;
    for (unsigned round = 0; round < rounds; round++) {
        /* The driver: new buffers, then used ones; it may sleep until it is interrupted. */
        for (unsigned i = random_below(4); i > 0; i--) {
            struct random_buffer *buffer = &random_queue[random_count];
            random_elements(buffer, size);
            bool indirect = (features & VIRTIO_RING_INDIRECT) && random_below(2);
            int id = virtq_driver_place(&driver, buffer->element, buffer->count, indirect);
            if (id < 0)
                break;
            buffer->id = (unsigned)id;
            buffer->written = 0;
            random_count++;
        }
        virtq_driver_publish(&driver);
        doorbell |= virtq_driver_notifies(&driver);
        assert_true(doorbell || random_taken == random_count);
        if (interrupted || !asleep) {
            unsigned id;
            uint32_t written;
            interrupted = asleep = false;
            virtq_driver_interrupts(&driver, false, 0);
            while (virtq_driver_used(&driver, &id, &written)) {
                assert_true(random_taken > held_count);
                assert_int_equal(id, random_queue[0].id);
                assert_int_equal(written, random_queue[0].written);
                memmove(random_queue, random_queue + 1, --random_count * sizeof(random_queue[0]));
                random_taken--;
                passed++;
                for (unsigned i = 0; i < held_count; i++)
                    slot_of[i]--;
            }
            if (random_below(3)) {
                virtq_driver_interrupts(&driver, true, 0);
                asleep = true;
            }
        }
        /* The device: it looks only when the doorbell has rung. */
        bool watched = random_below(50) == 0;
        if (watched)
            virtq_guest_snapshot(&guest);
        if (doorbell) {
            doorbell = false;
            virtq_listen(&queue, false);
            unsigned wish = random_below(size) + 1u;
            while (wish > 0 && held_count < size && virtq_take(&queue, &held[held_count]) == 1) {
                assert_true(random_taken < random_count);
                random_check_taken(&held[held_count], &random_queue[random_taken]);
                if (random_below(10) == 0) {
                    virtq_untake(&queue, 1);
                    wish--;
                    continue;
                }
                slot_of[held_count++] = random_taken++;
                wish--;
            }
            doorbell = virtq_listen(&queue, true);
        }
        assert_null(queue.broken);
        for (unsigned i = random_below(4); i > 0 && held_count > 0; i--) {
            unsigned at = random_below(held_count);
            /* `written` stands for what the driver gets back; it need not be true here. */
            random_queue[slot_of[at]].written = random_below(3) ? stamp++ : 0;
            virtq_finish(&queue, &held[at], random_queue[slot_of[at]].written);
            held_count--;
            held[at] = held[held_count];
            slot_of[at] = slot_of[held_count];
        }
        interrupted |= virtq_interrupt(&queue);
        assert_true(interrupted || !asleep || driver.used == virtq_position(&queue).used);
        assert_true(!watched || virtq_guest_marked(&guest));
        if (random_below(200) == 0) { /* what was not used is taken again */
            position = virtq_position(&queue);
            unsigned used = 0;
            for (uint16_t at = driver.used; at != position.used; used++)
                at = virtq_driver_step(&driver, at, driver.packed ? driver.count[random_queue[used].id] : 1);
            memset(&queue, 0x5a, sizeof(queue));
            assert_int_equal(virtq_driver_enable(&driver, &queue, &position), 0);
            random_taken = used;
            held_count = 0;
            doorbell = true;
            interrupted |= virtq_interrupt(&queue);
            restarts++;
        }
    }
    assert_true(passed > rounds / 8);
    assert_true(restarts > 0);
    virtq_guest_free(&guest);
}

#endif
