// SPDX-License-Identifier: Apache-2.0
// A program that ends while it gives buffers to the driver: at any store, the next run completes what was
// begun, and does nothing twice. Journals of all kinds that it may find.
// unit-sources: virtio/memory.c virtio/queue.c virtio/queue_split.c virtio/queue_packed.c virtio/queue_buffer.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "tests/unit/virtq_driver.h"

#define BASE    0x10000u
#define DATA    0x1c000u
#define SIZE    8u
#define RINGS   0x2000u /* bytes, from BASE on */
#define NUMBER  3u
#define BUFFERS 3u

static struct virtq_guest guest;
static struct virtq_driver driver, driver_before;
static struct virtq queue;
static struct virtq_buffer buffer[BUFFERS];
static struct virtq_journal journal, written;
static struct virtq_position position, behind;
static uint8_t before[RINGS], after[RINGS];
static int id[BUFFERS];

static const struct virtq_element element[2] = {
    {.gpa = DATA, .size = 100},
    {.gpa = DATA + 0x100, .size = 50, .writable = true},
};

/* Three buffers of 2, 1, and 2 descriptors are given back at once, from `at` on: what memory held before and
 * afterwards. */
static void give_back(uint64_t features, uint16_t at) {
    memset(&journal, 0, sizeof(journal));
    virtq_driver_init(&driver, &guest, SIZE, features, BASE);
    position = virtq_driver_start_at(&driver, at);
    assert_int_equal(virtq_driver_enable(&driver, &queue, &position), 0);
    virtq_keep(&queue, &journal, NUMBER);
    assert_int_equal(virtq_position(&queue).used, at);
    for (unsigned i = 0; i < BUFFERS; i++) {
        id[i] = virtq_driver_add(&driver, element, i == 1 ? 1 : 2, false);
        assert_int_equal(virtq_take(&queue, &buffer[i]), 1);
    }
    driver_before = driver;
    memcpy(before, virtq_guest_at(&guest, BASE), RINGS);
    virtq_finish_behind(&queue, buffer[1].slot, 0);
    virtq_finish_behind(&queue, buffer[2].slot, 8);
    virtq_finish(&queue, &buffer[0], 7);
    memcpy(after, virtq_guest_at(&guest, BASE), RINGS);
    written = journal;
    behind = virtq_position(&queue);
}

/* Our program is started again, with these rings; the position that was kept is the one from before. */
static void start_again(const uint8_t *rings) {
    driver = driver_before;
    memcpy(virtq_guest_at(&guest, BASE), rings, RINGS);
    memset(&queue, 0xa5, sizeof(queue));
    assert_int_equal(virtq_driver_enable(&driver, &queue, &position), 0);
    virtq_keep(&queue, &journal, NUMBER);
}

static void collect(unsigned expected_id, uint32_t expected_written) {
    unsigned found;
    uint32_t size;
    assert_true(virtq_driver_used(&driver, &found, &size));
    assert_int_equal(found, expected_id);
    assert_int_equal(size, expected_written);
}

/* The driver has all three, and the queue goes on. */
static void all_given(void) {
    unsigned none;
    uint32_t size;
    static const uint32_t sizes[BUFFERS] = {7, 0, 8};
    assert_int_equal(virtq_position(&queue).used, behind.used);
    assert_int_equal(virtq_take(&queue, &buffer[0]), 0);
    for (unsigned i = 0; i < BUFFERS; i++)
        collect((unsigned)id[i], sizes[i]);
    assert_false(virtq_driver_used(&driver, &none, &size));
    unsigned next = (unsigned)virtq_driver_add(&driver, element, 2, false);
    assert_true(virtq_driver_notifies(&driver));
    assert_int_equal(virtq_take(&queue, &buffer[0]), 1);
    virtq_finish(&queue, &buffer[0], 1);
    collect(next, 1);
}

/* The driver has none of them, and all are taken again. */
static void none_given(void) {
    assert_int_equal(virtq_position(&queue).used, position.used);
    for (unsigned i = 0; i < BUFFERS; i++) {
        assert_int_equal(virtq_take(&queue, &buffer[i]), 1);
        assert_int_equal(buffer[i].id, id[i]);
        assert_int_equal(buffer[i].read_size, 100);
    }
}

/* The stores of one run after the other; what the driver looks at is the last one. */
static void each_store(uint64_t features, uint16_t at) {
    uint64_t flag =
        features & VIRTIO_RING_PACKED ? driver.descriptors + 16 * (at & 0x7fff) + 14 : driver.device + 2;
    unsigned last = (unsigned)(flag - BASE);
    uint8_t rings[RINGS];

    memcpy(rings, before, RINGS);
    for (unsigned i = 0; i <= RINGS; i++) {
        if (i < RINGS && (rings[i] == after[i] || i == last || i == last + 1))
            continue;
        journal = written;
        start_again(rings);
        all_given();
        if (i < RINGS)
            rings[i] = after[i];
    }
    journal = written;
    start_again(after);
    all_given();
}

static void try_all(uint64_t features, uint16_t at) {
    give_back(features, at);
    each_store(features, at);
    /* It says nothing, or something of another queue or time: the ring was not touched then. */
    journal = written;
    journal.count = 0;
    start_again(before);
    none_given();
    journal = written;
    journal.place += 0x10000;
    start_again(before);
    none_given();
    journal = written;
    journal.place ^= 1;
    start_again(before);
    none_given();
}

static void test_split(void **state) {
    (void)state;
    for (uint16_t at = 0xfff8; at != 8; at++) {
        try_all(0, at);
        try_all(VIRTIO_RING_EVENT, at);
    }
}

static void test_packed(void **state) {
    (void)state;
    for (unsigned at = 0; at < SIZE; at++) {
        try_all(VIRTIO_RING_PACKED, (uint16_t)at);
        try_all(VIRTIO_RING_PACKED | VIRTIO_RING_EVENT, (uint16_t)(0x8000 | at));
    }
}

/* What cannot be is ignored. */
static void test_damaged(void **state) {
    (void)state;
    for (unsigned packed = 0; packed < 2; packed++) {
        give_back(packed ? VIRTIO_RING_PACKED : 0, packed ? 0x8000 : 0);
        const struct {
            uint16_t count, descriptors;
        } wrong[] = {{SIZE + 1, 1}, {UINT16_MAX, 1}, {3, 0}, {3, SIZE}, {1, SIZE + 1}, {2, UINT16_MAX}};
        for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
            journal = written;
            journal.count = wrong[i].count;
            for (unsigned n = 0; n < BUFFERS; n++)
                journal.buffer[n].descriptors = wrong[i].descriptors;
            start_again(before);
            none_given();
        }
    }
}

static int set_up(void **state) {
    (void)state;
    virtq_guest_init(&guest);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    bool stray = guest.stray;
    virtq_guest_free(&guest);
    return stray;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {TEST(test_split), TEST(test_packed), TEST(test_damaged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
