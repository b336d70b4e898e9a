// SPDX-License-Identifier: Apache-2.0
// Split virtqueues (virtio 1.2, 2.7): the areas, chains and indirect tables, every rule that a driver may
// break, order of use, suppression of notifications and interrupts, going on after a restart.
// unit-sources: virtio/memory.c virtio/queue.c virtio/queue_split.c virtio/queue_packed.c virtio/queue_buffer.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "tests/unit/virtq_random.h"

#define BASE 0x10000u
#define DATA 0x1c000u
#define SIZE 8u

static struct virtq_guest guest;
static struct virtq_driver driver;
static struct virtq queue;
static struct virtq_buffer buffer, other, third;

static void begin(uint64_t features) {
    virtq_driver_init(&driver, &guest, SIZE, features, BASE);
    assert_int_equal(virtq_driver_enable(&driver, &queue, NULL), 0);
}

static uint64_t descriptor(unsigned index) {
    return driver.descriptors + 16 * index;
}

static unsigned used_index(void) {
    return (unsigned)virtq_guest_get(&guest, driver.device + 2, 2);
}

static void offer(unsigned head) { /* as a driver that does not care */
    uint16_t index = (uint16_t)virtq_guest_get(&guest, driver.driver + 2, 2);
    virtq_guest_put(&guest, driver.driver + 4 + 2 * (index % SIZE), 2, head);
    virtq_guest_put(&guest, driver.driver + 2, 2, index + 1u);
}

static void broken(const char *text) {
    assert_int_equal(virtq_take(&queue, &buffer), -EPROTO);
    assert_non_null(queue.broken);
    assert_non_null(strstr(queue.broken, text));
    assert_int_equal(virtq_take(&queue, &buffer), -EPROTO); /* and it stays so */
    assert_false(virtq_interrupt(&queue));
    assert_false(virtq_listen(&queue, true));
}

static const struct virtq_element out = {.gpa = DATA, .size = 100};
static const struct virtq_element in = {.gpa = DATA + 0x100, .size = 50, .writable = true};

static void test_enable(void **state) {
    (void)state;
    struct virtio_memory *memory = &guest.memory;
    const uint64_t d = 0x10000, a = 0x11000, u = 0x12000;
    assert_int_equal(virtq_enable(&queue, memory, 256, d, a, u, 0, NULL), 0);
    assert_int_equal(queue.size, 256);
    assert_int_equal(virtq_enable(&queue, memory, 1, d, a, u, 0, NULL), 0);
    const struct {
        uint64_t d, a, u;
        uint16_t size;
    } wrong[] = {
        {d, a, u, 0},
        {d, a, u, 3},
        {d, a, u, 512},
        {d + 8, a, u, 8},
        {d, a + 1, u, 8},
        {d, a, u + 2, 8},
        {0x4000, a, u, 8},
        {d, 0x4000, u, 8},
        {d, a, 0x4000, 8},
        {0x1fff0, a, u, 2},               /* over the border of two pieces */
        {d, 0x1fff0, u, 8},               /* the last two bytes: the event index */
        {d, a, 0x20000 - 4 - 64, 8},      /* likewise */
        {0xfffffffffffffff0ull, a, u, 2}, /* round the end */
        {d, 0xfffffffffffffffeull, u, 8},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(
            virtq_enable(&queue, memory, wrong[i].size, wrong[i].d, wrong[i].a, wrong[i].u, 0, NULL),
            -EINVAL);
        assert_int_equal(queue.size, 0);
        assert_int_equal(virtq_take(&queue, &buffer), 0);
    }
    /* As near to the borders as may be. */
    assert_int_equal(virtq_enable(&queue, memory, 8, d, 0x20000 - 22, 0x24000 - 72, 0, NULL), 0);
    virtq_disable(&queue);
    assert_int_equal(virtq_take(&queue, &buffer), 0);
    assert_false(virtq_listen(&queue, true));
    assert_false(virtq_interrupt(&queue));
}

static void test_one(void **state) {
    (void)state;
    begin(0);
    assert_int_equal(virtq_take(&queue, &buffer), 0);
    int id = virtq_driver_add(&driver, (struct virtq_element[]){out, in}, 2, false);
    assert_int_equal(virtq_take(&queue, &buffer), 1);
    assert_int_equal(buffer.readable, 1);
    assert_int_equal(buffer.writable, 1);
    assert_int_equal(buffer.read_size, 100);
    assert_int_equal(buffer.write_size, 50);
    assert_int_equal(buffer.segment[0].gpa, DATA);
    assert_ptr_equal(buffer.segment[0].data, virtq_guest_at(&guest, DATA));
    assert_int_equal(buffer.segment[1].size, 50);
    assert_int_equal(virtq_take(&queue, &other), 0);
    assert_int_equal(virtq_position(&queue).used, 0);
    virtq_guest_snapshot(&guest);
    virtq_finish(&queue, &buffer, 0x12345);
    assert_true(virtq_guest_marked(&guest));
    assert_int_equal(virtq_position(&queue).used, 1);
    assert_int_equal(used_index(), 1);
    assert_int_equal(virtq_guest_get(&guest, driver.device + 4, 4), id);
    assert_int_equal(virtq_guest_get(&guest, driver.device + 8, 4), 0x12345);
    virtq_finish(&queue, &buffer, 1); /* it is finished already */
    assert_int_equal(used_index(), 1);
}

static void test_order(void **state) {
    (void)state;
    begin(0);
    for (unsigned i = 0; i < 3; i++)
        virtq_driver_add(&driver, &out, 1, false);
    assert_int_equal(virtq_take(&queue, &buffer), 1);
    assert_int_equal(virtq_take(&queue, &other), 1);
    assert_int_equal(virtq_take(&queue, &third), 1);
    virtq_finish(&queue, &third, 3);
    virtq_finish(&queue, &other, 2);
    assert_int_equal(used_index(), 0);
    assert_int_equal(virtq_position(&queue).used, 0);
    unsigned marks = guest.marks;
    virtq_finish(&queue, &buffer, 1);
    assert_int_equal(guest.marks, marks + 1); /* in one go */
    assert_int_equal(used_index(), 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(virtq_guest_get(&guest, driver.device + 4 + 8 * i, 4), i);
        assert_int_equal(virtq_guest_get(&guest, driver.device + 8 + 8 * i, 4), i + 1);
    }
}

static void test_untake(void **state) {
    (void)state;
    begin(0);
    virtq_driver_add(&driver, &out, 1, false);
    int second = virtq_driver_add(&driver, &in, 1, false);
    assert_int_equal(virtq_take(&queue, &buffer), 1);
    assert_int_equal(virtq_take(&queue, &other), 1);
    virtq_untake(&queue, 1);
    assert_true(virtq_listen(&queue, true));
    assert_int_equal(virtq_take(&queue, &other), 1);
    assert_int_equal(other.id, second);
    assert_int_equal(other.write_size, 50);
    virtq_finish(&queue, &other, 0);
    virtq_finish(&queue, &buffer, 0);
    assert_int_equal(used_index(), 2);
}

/* Several together, as far as they go together; given back, they come again. */
static void test_take_more(void **state) {
    (void)state;
    begin(0);
    int id[4];
    for (unsigned i = 0; i < 3; i++)
        id[i] = virtq_driver_add(&driver, &in, 1, false);
    virtq_empty(&buffer);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(virtq_take_more(&queue, &buffer), 1);
        assert_int_equal(buffer.id, id[i]);
        assert_int_equal(buffer.writable, i + 1);
        assert_int_equal(buffer.write_size, 50 * (i + 1));
    }
    assert_int_equal(virtq_take_more(&queue, &buffer), 0);
    assert_int_equal(buffer.write_size, 150);
    virtq_untake(&queue, 2);
    uint16_t first = queue.flight_first;
    assert_int_equal(virtq_take(&queue, &other), 1);
    assert_int_equal(other.id, id[1]);
    /* What has something to read does not go behind what is written: nothing is taken, nothing is broken. */
    id[3] = virtq_driver_add(&driver, (struct virtq_element[]){out, in}, 2, false);
    assert_int_equal(virtq_take_more(&queue, &other), 1);
    assert_int_equal(other.id, id[2]);
    assert_int_equal(virtq_take_more(&queue, &other), -ENOSPC);
    assert_null(queue.broken);
    assert_int_equal(other.readable, 0);
    assert_int_equal(other.writable, 2);
    assert_int_equal(other.write_size, 100);
    assert_int_equal(virtq_take(&queue, &third), 1);
    assert_int_equal(third.id, id[3]);
    assert_int_equal(third.read_size, 100);
    /* The driver sees those behind the first one with it, in order. */
    virtq_finish_behind(&queue, (uint16_t)((first + 1) % VIRTQ_MAX_SIZE), 2);
    virtq_finish_behind(&queue, (uint16_t)((first + 2) % VIRTQ_MAX_SIZE), 3);
    assert_int_equal(virtq_position(&queue).used, 0);
    buffer.slot = first;
    virtq_finish(&queue, &buffer, 1);
    assert_int_equal(virtq_position(&queue).used, 0 + 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(virtq_guest_get(&guest, driver.device + 4 + 8 * i, 4), id[i]);
        assert_int_equal(virtq_guest_get(&guest, driver.device + 8 + 8 * i, 4), i + 1);
    }
}

/* What was walked of a buffer that breaks the rules is not left behind. */
static void test_take_more_broken(void **state) {
    (void)state;
    begin(0);
    struct virtq_element outside = {.gpa = 0x30000, .size = 50, .writable = true};
    assert_true(virtq_driver_add(&driver, (struct virtq_element[]){in, outside}, 2, false) >= 0);
    virtq_empty(&buffer);
    assert_int_equal(virtq_take_more(&queue, &buffer), -EPROTO);
    assert_non_null(queue.broken);
    assert_int_equal(buffer.readable + buffer.writable, 0);
    assert_int_equal(buffer.read_size + buffer.write_size, 0);
}

static void test_empty(void **state) {
    (void)state;
    begin(VIRTIO_RING_INDIRECT);
    /* No bytes: no memory is looked at, and nothing is out of order. */
    struct virtq_element nothing = {.gpa = 0, .size = 0}, nothing_in = {.gpa = 1, .writable = true};
    virtq_driver_add(&driver, (struct virtq_element[]){nothing_in, out, nothing, in, nothing}, 5, false);
    assert_int_equal(virtq_take(&queue, &buffer), 1);
    assert_int_equal(buffer.readable, 1);
    assert_int_equal(buffer.writable, 1);
    virtq_driver_add(&driver, &nothing, 1, true);
    assert_int_equal(virtq_take(&queue, &other), 1);
    assert_int_equal(other.readable + other.writable, 0);
    assert_int_equal(other.read_size + other.write_size, 0);
}

static void test_pieces(void **state) {
    (void)state;
    begin(0);
    struct virtq_element across = {.gpa = 0x1fff0, .size = 0x20, .writable = true};
    struct virtq_element last = {.gpa = 0xfffffffffffffff0, .size = 0x10};
    virtq_driver_add(&driver, (struct virtq_element[]){last, across}, 2, false);
    assert_int_equal(virtq_take(&queue, &buffer), 1);
    assert_int_equal(buffer.readable, 1);
    assert_int_equal(buffer.writable, 2);
    assert_int_equal(buffer.segment[1].size, 0x10);
    assert_int_equal(buffer.segment[2].gpa, 0x20000);
    assert_ptr_equal(buffer.segment[2].data, guest.piece[1].data);
    assert_int_equal(buffer.write_size, 0x20);
}

static void test_indirect(void **state) {
    (void)state;
    begin(VIRTIO_RING_INDIRECT);
    /* A direct descriptor, then one that refers to a table; WRITE in it means nothing (2.7.5.3.2). The table
     * is at an odd address. */
    uint64_t table = 0x13001;
    virtq_driver_describe(&driver, descriptor(5), DATA, 10, 1, 2);
    virtq_driver_describe(&driver, descriptor(2), table, 48, 4 | 2, 7);
    virtq_driver_describe(&driver, table, DATA + 0x10, 20, 1, 2);
    virtq_driver_describe(&driver, table + 32, DATA + 0x30, 30, 2, 0);
    offer(5);
    assert_int_equal(virtq_take(&queue, &buffer), 1);
    assert_int_equal(buffer.id, 5);
    assert_int_equal(buffer.readable, 2);
    assert_int_equal(buffer.writable, 1);
    assert_int_equal(buffer.segment[1].gpa, DATA + 0x10);
    assert_int_equal(buffer.segment[2].gpa, DATA + 0x30);
}

static void test_longest(void **state) {
    (void)state;
    struct virtq_element element[SIZE];
    begin(VIRTIO_RING_INDIRECT);
    for (unsigned i = 0; i < SIZE; i++)
        element[i] = out;
    virtq_driver_add(&driver, element, SIZE, false);
    assert_int_equal(virtq_take(&queue, &buffer), 1);
    assert_int_equal(buffer.readable, SIZE);
    begin(VIRTIO_RING_INDIRECT);
    virtq_driver_add(&driver, element, SIZE, true);
    assert_int_equal(virtq_take(&queue, &buffer), 1);
    assert_int_equal(buffer.readable, SIZE);
    /* 256 descriptors over a border each: too many pieces. */
    virtq_driver_init(&driver, &guest, 256, 0, BASE);
    assert_int_equal(virtq_driver_enable(&driver, &queue, NULL), 0);
    for (unsigned i = 0; i < 256; i++)
        virtq_driver_describe(&driver, descriptor(i), 0x1ffff, 2, i < 255, i + 1);
    virtq_guest_put(&guest, driver.driver + 2, 2, 1);
    broken("too many pieces");
}

/* ---- what a driver may do wrong: descriptors 0 to 3 and a table at TABLE; head 0 is offered. */

#define TABLE 0x13000u

static const struct {
    const char *text;
    bool indirect;
    unsigned head;
    struct {
        uint64_t at; /* below 16: an index in the ring; else in the table */
        uint64_t gpa;
        uint32_t size;
        unsigned flags, next;
    } descriptor[4];
} wrong[] = {
    {"beyond the table", false, SIZE, {{0}}},
    {"beyond the table", false, 0xffff, {{0}}},
    {"beyond the table", false, 0, {{0, DATA, 1, 1, SIZE}}},
    {"beyond the table", true, 0, {{0, TABLE, 32, 4, 0}, {TABLE, DATA, 1, 1, 2}}},
    {"a loop", false, 0, {{0, DATA, 1, 1, 0}}},
    {"a loop", false, 0, {{0, DATA, 0, 1, 1}, {1, DATA, 0, 1, 0}}},
    {"a loop", true, 0, {{0, TABLE, 32, 4, 0}, {TABLE, DATA, 0, 1, 1}, {TABLE + 16, DATA, 0, 1, 0}}},
    {"not negotiated", false, 0, {{0, TABLE, 16, 4, 0}, {TABLE, DATA, 1, 0, 0}}},
    {"in an indirect table", true, 0, {{0, TABLE, 16, 4, 0}, {TABLE, TABLE, 16, 4, 0}}},
    {"with a next one", true, 0, {{0, TABLE, 16, 5, 1}, {TABLE, DATA, 1, 0, 0}, {1, DATA, 1, 0, 0}}},
    {"multiple of 16", true, 0, {{0, TABLE, 0, 4, 0}}},
    {"multiple of 16", true, 0, {{0, TABLE, 24, 4, 0}}},
    {"too long", true, 0, {{0, TABLE, 16 * (SIZE + 1), 4, 0}}},
    {"too long", true, 0, {{0, TABLE, 0xfffffff0, 4, 0}}},
    {"table is outside RAM", true, 0, {{0, 0x4000, 16, 4, 0}}},
    {"table is outside RAM", true, 0, {{0, 0x23ff8, 16, 4, 0}}},
    {"table is outside RAM", true, 0, {{0, 0xfffffffffffffff8, 16, 4, 0}}},
    {"after a writable one", false, 0, {{0, DATA, 1, 3, 1}, {1, DATA, 1, 0, 0}}},
    {"memory is outside RAM", false, 0, {{0, 0xffff, 1, 0, 0}}},
    {"memory is outside RAM", false, 0, {{0, 0x23fff, 2, 0, 0}}},
    {"memory is outside RAM", false, 0, {{0, 0xfffffffffffffff0, 0x11, 0, 0}}},
    {"memory is outside RAM", false, 0, {{0, DATA, 0xffffffff, 2, 0}}},
};

static void test_wrong(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        begin(wrong[i].indirect ? VIRTIO_RING_INDIRECT : 0);
        for (unsigned n = 0; n < 4; n++) {
            uint64_t at = wrong[i].descriptor[n].at;
            if (n == 0 || at != 0)
                virtq_driver_describe(&driver, at < 16 ? descriptor((unsigned)at) : at,
                                      wrong[i].descriptor[n].gpa, wrong[i].descriptor[n].size,
                                      wrong[i].descriptor[n].flags, wrong[i].descriptor[n].next);
        }
        offer(wrong[i].head);
        broken(wrong[i].text);
    }
}

static void test_too_many(void **state) {
    (void)state;
    begin(0);
    virtq_guest_put(&guest, driver.driver + 2, 2, SIZE + 1);
    broken("more buffers");
    begin(0);
    virtq_guest_put(&guest, driver.driver + 2, 2, 0xffff); /* taken back */
    broken("more buffers");
    /* With those in flight they are too many. */
    begin(0);
    for (unsigned i = 0; i < SIZE; i++)
        virtq_driver_describe(&driver, descriptor(i), DATA, 1, 0, 0);
    virtq_guest_put(&guest, driver.driver + 2, 2, SIZE);
    for (unsigned i = 0; i < SIZE; i++)
        assert_int_equal(virtq_take(&queue, &buffer), 1);
    assert_int_equal(virtq_take(&queue, &other), 0);
    virtq_guest_put(&guest, driver.driver + 2, 2, SIZE + 1);
    broken("more buffers");
    virtq_finish(&queue, &buffer, 0); /* nothing more is given */
    assert_int_equal(used_index(), 0);
}

/* A chain of more than 4 GiB in a guest that has so much: every address is RAM here. */
static void *map_all(struct virtio_memory *memory, uint64_t gpa, uint64_t *contiguous) {
    (void)memory;
    *contiguous = gpa ? 0 - gpa : UINT64_MAX;
    return (void *)(uintptr_t)0x1000;
}

static void test_too_long(void **state) {
    (void)state;
    for (unsigned extra = 0; extra < 2; extra++) {
        begin(0);
        virtq_driver_describe(&driver, descriptor(0), 0, 0x80000000, 1, 1);
        virtq_driver_describe(&driver, descriptor(1), 0, 0x80000000, extra, 2);
        virtq_driver_describe(&driver, descriptor(2), 0, 1, 2, 0);
        offer(0);
        guest.memory.map = map_all;
        if (extra) {
            broken("more than 4 GiB");
        } else {
            assert_int_equal(virtq_take(&queue, &buffer), 1);
            assert_int_equal(buffer.read_size >> 32, 1);
        }
        guest.memory.map = virtq_guest_map;
    }
}

static void test_round(void **state) {
    (void)state;
    /* The same guest: behind its last byte there is no first one. */
    begin(0);
    virtq_driver_describe(&driver, descriptor(0), 0xffffffffffffff00, 0x200, 0, 0);
    offer(0);
    guest.memory.map = map_all;
    broken("memory is outside RAM");
    guest.memory.map = virtq_guest_map;
}

/* ---- suppression */

static void finish_one(void) {
    virtq_driver_add(&driver, &out, 1, false);
    assert_int_equal(virtq_take(&queue, &buffer), 1);
    virtq_finish(&queue, &buffer, 0);
    unsigned id;
    uint32_t written;
    assert_true(virtq_driver_used(&driver, &id, &written));
}

static void test_interrupt_flag(void **state) {
    (void)state;
    begin(0);
    assert_false(virtq_interrupt(&queue)); /* nothing was used */
    finish_one();
    assert_true(virtq_interrupt(&queue));
    assert_false(virtq_interrupt(&queue));
    virtq_driver_interrupts(&driver, false, 0);
    finish_one();
    assert_false(virtq_interrupt(&queue));
    virtq_driver_interrupts(&driver, true, 0);
    finish_one();
    assert_true(virtq_interrupt(&queue));
}

static void test_interrupt_event(void **state) {
    (void)state;
    /* From each start near the wrap, after 1 to 8 buffers, for each event index near by. */
    for (uint16_t start = 0xfffa; start != 4; start++)
        for (unsigned count = 1; count <= SIZE; count++)
            for (uint16_t event = (uint16_t)(start - 10); event != (uint16_t)(start + 20); event++) {
                virtq_driver_init(&driver, &guest, SIZE, VIRTIO_RING_EVENT, BASE);
                struct virtq_position position = virtq_driver_start_at(&driver, start);
                assert_int_equal(virtq_driver_enable(&driver, &queue, &position), 0);
                assert_true(virtq_interrupt(&queue)); /* after a restart: to be sure */
                for (unsigned i = 0; i < count; i++)
                    finish_one();
                virtq_guest_put(&guest, driver.driver + 4 + 2 * SIZE, 2, event);
                virtq_guest_put(&guest, driver.driver, 2, 1); /* ignored (2.7.7.2) */
                bool wanted = virtq_driver_passes(&driver, start, (uint16_t)(start + count), event);
                assert_int_equal(virtq_owed(&queue), wanted ? count : 0);
                assert_int_equal(virtq_interrupt(&queue), wanted);
                assert_false(virtq_interrupt(&queue));
            }
}

static void test_interrupt_far(void **state) {
    (void)state;
    /* 65536 buffers and one more without a look: the event index lies among them. */
    begin(VIRTIO_RING_EVENT);
    finish_one();
    virtq_interrupt(&queue);
    virtq_driver_interrupts(&driver, true, 5);
    for (unsigned i = 0; i < 0x10001; i++)
        finish_one();
    assert_true(virtq_interrupt(&queue));
    virtq_driver_interrupts(&driver, true, 5);
    for (unsigned i = 0; i < 0x10000; i++)
        finish_one();
    assert_true(virtq_interrupt(&queue));
    virtq_driver_interrupts(&driver, true, 5);
    finish_one();
    assert_false(virtq_interrupt(&queue));
}

static void test_notify_flag(void **state) {
    (void)state;
    begin(0);
    assert_int_equal(virtq_guest_get(&guest, driver.device, 2), 0);
    assert_false(virtq_listen(&queue, false));
    assert_int_equal(virtq_guest_get(&guest, driver.device, 2), 1);
    virtq_driver_add(&driver, &out, 1, false);
    assert_false(virtq_driver_notifies(&driver));
    virtq_guest_snapshot(&guest);
    assert_true(virtq_listen(&queue, true));
    assert_true(virtq_guest_marked(&guest));
    assert_int_equal(virtq_guest_get(&guest, driver.device, 2), 0);
    assert_int_equal(virtq_take(&queue, &buffer), 1);
    assert_false(virtq_listen(&queue, true));
    virtq_driver_add(&driver, &out, 1, false);
    assert_true(virtq_driver_notifies(&driver));
}

static void test_notify_event(void **state) {
    (void)state;
    begin(VIRTIO_RING_EVENT);
    virtq_driver_add(&driver, &out, 1, false);
    assert_true(virtq_driver_notifies(&driver));
    virtq_driver_add(&driver, &out, 1, false);
    assert_false(virtq_driver_notifies(&driver)); /* once is enough */
    virtq_guest_snapshot(&guest);
    assert_int_equal(virtq_take(&queue, &buffer), 1);
    assert_int_equal(virtq_take(&queue, &buffer), 1);
    assert_int_equal(virtq_take(&queue, &buffer), 0); /* asks anew */
    assert_true(virtq_guest_marked(&guest));
    virtq_driver_add(&driver, &out, 1, false);
    assert_true(virtq_driver_notifies(&driver));
    assert_false(virtq_listen(&queue, false));
    assert_int_equal(virtq_take(&queue, &buffer), 1);
    assert_int_equal(virtq_take(&queue, &buffer), 0);
    virtq_driver_add(&driver, &out, 1, false);
    assert_false(virtq_driver_notifies(&driver));
    assert_true(virtq_listen(&queue, true));
    assert_int_equal(virtq_take(&queue, &buffer), 1);
    /* All is taken, the event index lies behind: not to listen leaves it there. */
    virtq_driver_add(&driver, &out, 1, false);
    assert_false(virtq_driver_notifies(&driver));
    assert_int_equal(virtq_take(&queue, &buffer), 1);
    assert_false(virtq_listen(&queue, false));
    virtq_driver_add(&driver, &out, 1, false);
    assert_false(virtq_driver_notifies(&driver));
    assert_int_equal(virtq_guest_get(&guest, driver.device, 2), 0); /* the flags stay 0 (2.7.10.2) */
}

static void add_meanwhile(struct virtq_guest *at) {
    at->meanwhile = NULL;
    virtq_driver_add(&driver, &out, 1, false);
    assert_true(virtq_driver_notifies(&driver) || driver.event);
}

static void test_notify_race(void **state) {
    (void)state;
    /* The driver adds one after we saw none: we see it, whether it rings or not. */
    begin(VIRTIO_RING_EVENT);
    virtq_driver_add(&driver, &out, 1, false);
    assert_int_equal(virtq_take(&queue, &buffer), 1);
    guest.meanwhile = add_meanwhile; /* at the mark of the event index */
    assert_int_equal(virtq_take(&queue, &buffer), 1);
    assert_null(guest.meanwhile);
    begin(0);
    virtq_listen(&queue, false);
    guest.meanwhile = add_meanwhile;
    assert_true(virtq_listen(&queue, true));
}

/* Between two reads of the index the driver takes back what it gave. */
static void retract_meanwhile(struct virtq_guest *at) {
    at->meanwhile = NULL;
    virtq_guest_put(at, driver.driver + 2, 2, 0);
}

static void test_retract(void **state) {
    (void)state;
    begin(0);
    virtq_driver_add(&driver, (struct virtq_element[]){out, in}, 2, false);
    guest.meanwhile = retract_meanwhile;
    assert_int_equal(virtq_take(&queue, &buffer), 1);
    broken("more buffers");
}

static void test_restart(void **state) {
    (void)state;
    for (uint16_t start = 0xfffd; start != 2; start++) {
        virtq_driver_init(&driver, &guest, SIZE, 0, BASE);
        struct virtq_position position = virtq_driver_start_at(&driver, start);
        assert_int_equal(virtq_driver_enable(&driver, &queue, &position), 0);
        int id[3];
        for (unsigned i = 0; i < 3; i++)
            id[i] = virtq_driver_add(&driver, &out, 1, false);
        assert_int_equal(virtq_take(&queue, &buffer), 1);
        assert_int_equal(virtq_take(&queue, &other), 1);
        assert_int_equal(virtq_take(&queue, &third), 1);
        virtq_finish(&queue, &buffer, 0);
        virtq_finish(&queue, &third, 0); /* done, but the driver does not know */
        virtq_listen(&queue, false);
        position = virtq_position(&queue);
        assert_int_equal(position.used, (uint16_t)(start + 1));
        memset(&queue, 0xa5, sizeof(queue));
        assert_int_equal(virtq_driver_enable(&driver, &queue, &position), 0);
        assert_int_equal(virtq_guest_get(&guest, driver.device, 2), 0); /* listens again */
        virtq_finish(&queue, &other, 0);                                /* from before */
        assert_int_equal(virtq_take(&queue, &buffer), 1);
        assert_int_equal(buffer.id, id[1]);
        assert_int_equal(virtq_take(&queue, &buffer), 1);
        assert_int_equal(buffer.id, id[2]);
        assert_int_equal(virtq_take(&queue, &buffer), 0);
        assert_true(virtq_interrupt(&queue));
        assert_false(virtq_interrupt(&queue));
    }
}

static void test_random(void **state) {
    (void)state;
    random_state = 1;
    random_run(8, 0, 0xff00, 6000);
    random_run(16, VIRTIO_RING_EVENT, 0xff00, 6000);
    random_run(64, VIRTIO_RING_INDIRECT, 0xff00, 6000);
    random_run(32, VIRTIO_RING_EVENT | VIRTIO_RING_INDIRECT, 0, 70000);
    random_run(2, VIRTIO_RING_EVENT | VIRTIO_RING_INDIRECT, 0, 6000);
    random_run(1, VIRTIO_RING_EVENT, 0xffff, 6000);
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
    const struct CMUnitTest tests[] = {
        TEST(test_enable),          TEST(test_one),           TEST(test_order),
        TEST(test_untake),          TEST(test_take_more),     TEST(test_take_more_broken),
        TEST(test_empty),           TEST(test_pieces),        TEST(test_indirect),
        TEST(test_longest),         TEST(test_wrong),         TEST(test_too_many),
        TEST(test_too_long),        TEST(test_round),         TEST(test_interrupt_flag),
        TEST(test_interrupt_event), TEST(test_interrupt_far), TEST(test_notify_flag),
        TEST(test_notify_event),    TEST(test_notify_race),   TEST(test_retract),
        TEST(test_restart),         TEST(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
