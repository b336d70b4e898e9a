// SPDX-License-Identifier: Apache-2.0
// Packed virtqueues (virtio 1.2, 2.8): wrap counters, chains and indirect tables, every rule that a driver
// may break, how used descriptors are written, event suppression, going on after a restart.
// unit-sources: virtio/memory.c virtio/queue.c virtio/queue_split.c virtio/queue_packed.c virtio/queue_buffer.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "tests/unit/virtq_random.h"

#define BASE  0x10000u
#define DATA  0x1c000u
#define TABLE 0x13000u
#define SIZE  6u /* no power of two */

static struct virtq_guest guest;
static struct virtq_driver driver;
static struct virtq queue;
static struct virtq_buffer buffer, other, third;

static const struct virtq_element out = {.gpa = DATA, .size = 100};
static const struct virtq_element in = {.gpa = DATA + 0x100, .size = 50, .writable = true};

static void begin(uint64_t features) {
    virtq_driver_init(&driver, &guest, SIZE, features | VIRTIO_RING_PACKED, BASE);
    assert_int_equal(virtq_driver_enable(&driver, &queue, NULL), 0);
}

static void begin_at(uint64_t features, uint16_t at) {
    virtq_driver_init(&driver, &guest, SIZE, features | VIRTIO_RING_PACKED, BASE);
    struct virtq_position position = virtq_driver_start_at(&driver, at);
    assert_int_equal(virtq_driver_enable(&driver, &queue, &position), 0);
}

static uint64_t descriptor(unsigned index) {
    return driver.descriptors + 16 * index;
}

static unsigned flags(unsigned index) {
    return (unsigned)virtq_guest_get(&guest, descriptor(index) + 14, 2);
}

static void broken(const char *text) {
    assert_int_equal(virtq_take(&queue, &buffer), -EPROTO);
    assert_non_null(queue.broken);
    assert_non_null(strstr(queue.broken, text));
    assert_int_equal(virtq_take(&queue, &buffer), -EPROTO);
    assert_false(virtq_interrupt(&queue));
    assert_false(virtq_listen(&queue, true));
}

static void collect(unsigned expected_id, uint32_t expected_written) {
    unsigned id;
    uint32_t written;
    assert_true(virtq_driver_used(&driver, &id, &written));
    assert_int_equal(id, expected_id);
    assert_int_equal(written, expected_written);
}

static void test_enable(void **state) {
    (void)state;
    struct virtio_memory *memory = &guest.memory;
    const uint64_t d = 0x10000, a = 0x11000, u = 0x12000, packed = VIRTIO_RING_PACKED;
    const struct {
        uint64_t d, a, u;
        uint16_t size, at;
    } wrong[] = {
        {d, a, u, 0, 0x8000},      {d, a, u, 257, 0x8000},    {d + 8, a, u, 7, 0x8000},
        {d, a + 2, u, 7, 0x8000},  {d, a, u + 2, 7, 0x8000},  {0x1fff0, a, u, 2, 0x8000},
        {d, 0x4000, u, 7, 0x8000}, {d, a, 0x4000, 7, 0x8000}, {d, a, u, 7, 0x8007},
        {d, a, u, 7, 7},           {d, a, u, 256, 0x7fff},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct virtq_position position = {.used = wrong[i].at};
        assert_int_equal(virtq_enable(&queue, memory, wrong[i].size, wrong[i].d, wrong[i].a, wrong[i].u,
                                      packed, &position),
                         -EINVAL);
        assert_int_equal(queue.size, 0);
        assert_int_equal(virtq_take(&queue, &buffer), 0);
    }
    struct virtq_position position = {.used = 6};
    assert_int_equal(virtq_enable(&queue, memory, 7, d, 0x1fffc, 0x20000, packed, &position), 0);
    assert_int_equal(virtq_position(&queue).used, 6);
    assert_int_equal(virtq_enable(&queue, memory, 256, 0x1f000, a, u, packed, NULL), 0);
    assert_int_equal(virtq_position(&queue).used, 0x8000);
}

static void test_one(void **state) {
    (void)state;
    begin(0);
    assert_int_equal(virtq_take(&queue, &buffer), 0);
    /* The ID counts that stands in the last descriptor; any number will do. */
    virtq_driver_describe(&driver, descriptor(0), DATA, 100, 0, 0x81);
    virtq_driver_describe(&driver, descriptor(1), DATA + 0x100, 50, 0xabcd, 0x82);
    assert_int_equal(virtq_take(&queue, &buffer), 1);
    assert_int_equal(buffer.id, 0xabcd);
    assert_int_equal(buffer.readable, 1);
    assert_int_equal(buffer.writable, 1);
    assert_int_equal(buffer.read_size, 100);
    assert_int_equal(buffer.write_size, 50);
    assert_ptr_equal(buffer.segment[1].data, virtq_guest_at(&guest, DATA + 0x100));
    assert_int_equal(virtq_take(&queue, &other), 0);
    virtq_guest_snapshot(&guest);
    virtq_finish(&queue, &buffer, 0x12345);
    assert_true(virtq_guest_marked(&guest));
    assert_int_equal(virtq_position(&queue).used, 0x8002);
    assert_int_equal(virtq_guest_get(&guest, descriptor(0), 8), DATA); /* nobody looks at it */
    assert_int_equal(virtq_guest_get(&guest, descriptor(0) + 8, 4), 0x12345);
    assert_int_equal(virtq_guest_get(&guest, descriptor(0) + 12, 2), 0xabcd);
    assert_int_equal(flags(0), 0x8082);
    assert_int_equal(flags(1), 0x82); /* skipped */
    virtq_finish(&queue, &buffer, 1); /* it is finished already */
    assert_int_equal(virtq_position(&queue).used, 0x8002);
    /* Nothing written: no WRITE (2.8.3). */
    virtq_driver_describe(&driver, descriptor(2), DATA, 100, 5, 0x80);
    assert_int_equal(virtq_take(&queue, &buffer), 1);
    virtq_finish(&queue, &buffer, 0);
    assert_int_equal(flags(2), 0x8080);
}

static void test_wrap(void **state) {
    (void)state;
    /* Three laps of chains of four in a ring of six: each goes round the end elsewhere. */
    struct virtq_element element[4] = {out, out, in, in};
    begin(0);
    for (unsigned i = 0; i < 9; i++) {
        uint16_t at = driver.available;
        int id = virtq_driver_add(&driver, element, 4, false);
        assert_true(id >= 0);
        assert_int_equal(virtq_take(&queue, &buffer), 1);
        assert_int_equal(buffer.readable, 2);
        assert_int_equal(buffer.writable, 2);
        assert_int_equal(virtq_position(&queue).used, at);
        virtq_guest_snapshot(&guest);
        virtq_finish(&queue, &buffer, i);
        assert_true(virtq_guest_marked(&guest));
        assert_int_equal(flags(at & 0x7fff) & 0x8080, at & 0x8000 ? 0x8080 : 0);
        collect((unsigned)id, i);
        assert_int_equal(virtq_position(&queue).used, driver.used);
        assert_int_equal(virtq_take(&queue, &buffer), 0);
    }
}

/* What the driver sees at the mark: flags of the first entry come last. */
static unsigned seen;
static void look_meanwhile(struct virtq_guest *at) {
    seen = (unsigned)virtq_guest_get(at, descriptor(0) + 14, 2);
    at->meanwhile = NULL;
}

static void test_order(void **state) {
    (void)state;
    begin(0);
    int id[3];
    for (unsigned i = 0; i < 3; i++)
        id[i] = virtq_driver_add(&driver, (struct virtq_element[]){out, in}, 1 + (i == 1), false);
    assert_int_equal(virtq_take(&queue, &buffer), 1);
    assert_int_equal(virtq_take(&queue, &other), 1);
    assert_int_equal(virtq_take(&queue, &third), 1);
    virtq_finish(&queue, &third, 3);
    virtq_finish(&queue, &other, 2);
    assert_int_equal(virtq_position(&queue).used, 0x8000);
    assert_int_equal(flags(1) & 0x8080, 0x80);
    assert_int_equal(flags(3) & 0x8080, 0x80);
    unsigned marks = guest.marks;
    guest.meanwhile = look_meanwhile;
    virtq_finish(&queue, &buffer, 1);
    assert_int_equal(guest.marks, marks + 1); /* in one go */
    assert_int_equal(seen, 0x8082);
    assert_int_equal(virtq_position(&queue).used, 0x8004);
    collect((unsigned)id[0], 1);
    collect((unsigned)id[1], 2);
    collect((unsigned)id[2], 3);
}

static void test_untake(void **state) {
    (void)state;
    for (unsigned start = 0; start < SIZE; start++) {
        begin_at(0, (uint16_t)(0x8000 | start));
        virtq_driver_add(&driver, &out, 1, false);
        int second = virtq_driver_add(&driver, (struct virtq_element[]){out, out, in}, 3, false);
        assert_int_equal(virtq_take(&queue, &buffer), 1);
        uint16_t before = queue.available;
        assert_int_equal(virtq_take(&queue, &other), 1);
        virtq_untake(&queue, 1);
        assert_int_equal(queue.available, before);
        assert_true(virtq_listen(&queue, true));
        assert_int_equal(virtq_take(&queue, &other), 1);
        assert_int_equal(other.id, second);
        virtq_finish(&queue, &other, 0);
        virtq_finish(&queue, &buffer, 0);
        assert_int_equal(virtq_position(&queue).used, driver.available);
    }
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
    assert_int_equal(virtq_position(&queue).used, 0x8000);
    buffer.slot = first;
    virtq_finish(&queue, &buffer, 1);
    assert_int_equal(virtq_position(&queue).used, 0x8000 + 3);
    for (unsigned i = 0; i < 3; i++) {
        collect((unsigned)id[i], i + 1);
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

static void test_indirect(void **state) {
    (void)state;
    begin(VIRTIO_RING_INDIRECT);
    /* Only WRITE means anything in a table; NEXT, INDIRECT and the ID do not (2.8.7). */
    virtq_driver_describe(&driver, TABLE + 1, DATA, 10, 9, 5);
    virtq_driver_describe(&driver, TABLE + 17, DATA, 0, 9, 0);
    virtq_driver_describe(&driver, TABLE + 33, DATA + 0x20, 20, 9, 0x8082);
    virtq_driver_describe(&driver, descriptor(0), TABLE + 1, 48, 3, 0x80 | 4 | 2);
    assert_int_equal(virtq_take(&queue, &buffer), 1);
    assert_int_equal(buffer.id, 3);
    assert_int_equal(buffer.readable, 1);
    assert_int_equal(buffer.writable, 1);
    assert_int_equal(buffer.write_size, 20);
    virtq_finish(&queue, &buffer, 20);
    assert_int_equal(virtq_position(&queue).used, 0x8001);
    /* A table may be longer than the ring. */
    for (unsigned i = 0; i < 256; i++)
        virtq_driver_describe(&driver, TABLE + 16 * i, DATA + i, 1, 0, 0);
    virtq_driver_describe(&driver, descriptor(1), TABLE, 256 * 16, 3, 0x80 | 4);
    assert_int_equal(virtq_take(&queue, &buffer), 1);
    assert_int_equal(buffer.readable, 256);
}

/* ---- what a driver may do wrong; the first descriptor is available */

static const struct {
    const char *text;
    bool indirect;
    struct {
        uint64_t at; /* below 16: an index in the ring; else in a table */
        uint64_t gpa;
        uint32_t size;
        unsigned flags;
    } descriptor[6];
} wrong[] = {
    {"that is not available", false, {{0, DATA, 1, 0x81}}},
    {"that is not available", false, {{0, DATA, 1, 0x81}, {1, DATA, 1, 0x8080}}},
    {"more descriptors",
     false,
     {{0, DATA, 0, 0x81},
      {1, DATA, 0, 0x81},
      {2, DATA, 0, 0x81},
      {3, DATA, 0, 0x81},
      {4, DATA, 0, 0x81},
      {5, DATA, 0, 0x81}}},
    {"not negotiated", false, {{0, TABLE, 16, 0x84}}},
    {"in a chain", true, {{0, TABLE, 16, 0x85}}},
    {"in a chain", true, {{0, DATA, 1, 0x81}, {1, TABLE, 16, 0x84}}},
    {"multiple of 16", true, {{0, TABLE, 0, 0x84}}},
    {"multiple of 16", true, {{0, TABLE, 15, 0x84}}},
    {"too long", true, {{0, TABLE, 257 * 16, 0x84}}},
    {"table is outside RAM", true, {{0, 0x4000, 16, 0x84}}},
    {"table is outside RAM", true, {{0, 0x1fff8, 16, 0x84}}},
    {"after a writable one", false, {{0, DATA, 1, 0x83}, {1, DATA, 1, 0x80}}},
    {"after a writable one", true, {{0, TABLE, 32, 0x84}, {TABLE, DATA, 1, 2}, {TABLE + 16, DATA, 1, 0}}},
    {"memory is outside RAM", false, {{0, 0x24000, 1, 0x80}}},
    {"memory is outside RAM", false, {{0, 0xffffffffffffffff, 2, 0x80}}},
    {"memory is outside RAM", true, {{0, TABLE, 16, 0x84}, {TABLE, 0x23fff, 2, 2}}},
};

static void test_wrong(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        begin(wrong[i].indirect ? VIRTIO_RING_INDIRECT : 0);
        for (unsigned n = 0; n < 6; n++) {
            uint64_t at = wrong[i].descriptor[n].at;
            if (n == 0 || at != 0)
                virtq_driver_describe(&driver, at < 16 ? descriptor((unsigned)at) : at,
                                      wrong[i].descriptor[n].gpa, wrong[i].descriptor[n].size, 7,
                                      wrong[i].descriptor[n].flags);
        }
        broken(wrong[i].text);
    }
}

static void test_too_many(void **state) {
    (void)state;
    /* The driver makes the next lap available while all of this one is in flight. */
    begin(0);
    for (unsigned i = 0; i < SIZE; i++)
        virtq_driver_describe(&driver, descriptor(i), DATA, 1, i, 0x80);
    for (unsigned i = 0; i < SIZE; i++)
        assert_int_equal(virtq_take(&queue, &buffer), 1);
    assert_int_equal(virtq_take(&queue, &other), 0);
    virtq_driver_describe(&driver, descriptor(0), DATA, 1, 0, 0x8000);
    broken("more buffers");
    /* Fewer buffers, but of more descriptors. */
    begin(0);
    virtq_driver_add(&driver, (struct virtq_element[]){out, out, out, out}, 4, false);
    assert_int_equal(virtq_take(&queue, &buffer), 1);
    virtq_driver_describe(&driver, descriptor(4), DATA, 1, 0, 0x81);
    virtq_driver_describe(&driver, descriptor(5), DATA, 1, 0, 0x81);
    virtq_driver_describe(&driver, descriptor(0), DATA, 1, 0, 0x8000);
    broken("more descriptors");
    virtq_finish(&queue, &buffer, 0); /* nothing more is given */
    assert_int_equal(flags(0), 0x8000);
}

/* ---- suppression */

static void finish_one(unsigned descriptors) {
    struct virtq_element element[SIZE];
    for (unsigned i = 0; i < descriptors; i++)
        element[i] = out;
    int id = virtq_driver_add(&driver, element, descriptors, false);
    assert_int_equal(virtq_take(&queue, &buffer), 1);
    virtq_finish(&queue, &buffer, 0);
    collect((unsigned)id, 0);
}

static void test_interrupt_flags(void **state) {
    (void)state;
    begin(0);
    assert_false(virtq_interrupt(&queue));
    finish_one(1);
    assert_true(virtq_interrupt(&queue));
    assert_false(virtq_interrupt(&queue));
    virtq_driver_interrupts(&driver, false, 0);
    finish_one(1);
    assert_false(virtq_interrupt(&queue));
    virtq_driver_interrupts(&driver, true, 0);
    finish_one(1);
    assert_true(virtq_interrupt(&queue));
    /* Values that the driver must not use: one interrupt too many rather than too few. */
    virtq_guest_put(&guest, driver.driver, 4, 0x00028002); /* no event index was negotiated */
    finish_one(1);
    assert_true(virtq_interrupt(&queue));
    virtq_guest_put(&guest, driver.driver, 4, 0x00030000);
    finish_one(1);
    assert_true(virtq_interrupt(&queue));
    begin(VIRTIO_RING_EVENT);
    virtq_guest_put(&guest, driver.driver, 4, 0x00028000 | SIZE);
    finish_one(1);
    assert_true(virtq_interrupt(&queue));
}

static void test_interrupt_event(void **state) {
    (void)state;
    /* From each position, after 1 to 5 buffers of 1 or 2 descriptors, for each event position. */
    for (unsigned start = 0; start < 2 * SIZE; start++)
        for (unsigned count = 1; count <= 5; count++)
            for (unsigned event = 0; event < 2 * SIZE; event++) {
                unsigned steps = 0;
                uint16_t from = (uint16_t)(start % SIZE | (start < SIZE ? 0x8000 : 0));
                uint16_t at = (uint16_t)(event % SIZE | (event < SIZE ? 0x8000 : 0));
                begin_at(VIRTIO_RING_EVENT, from);
                assert_true(virtq_interrupt(&queue)); /* after a restart: to be sure */
                for (unsigned i = 0; i < count; i++) {
                    finish_one(1 + i % 2);
                    steps += 1 + i % 2;
                }
                virtq_guest_put(&guest, driver.driver, 4, 0x20000u | at);
                bool wanted = virtq_driver_passes(&driver, from, virtq_driver_step(&driver, from, steps), at);
                assert_int_equal(virtq_owed(&queue), wanted ? steps : 0);
                assert_int_equal(virtq_interrupt(&queue), wanted);
                assert_false(virtq_interrupt(&queue));
            }
}

static void test_interrupt_far(void **state) {
    (void)state;
    /* Two laps and one more without a look: all positions were passed. Two laps exactly: likewise. */
    for (unsigned more = 0; more < 2; more++) {
        begin(VIRTIO_RING_EVENT);
        for (unsigned i = 0; i < 2 * SIZE + more; i++)
            finish_one(1);
        virtq_driver_interrupts(&driver, true, 4);
        assert_true(virtq_interrupt(&queue));
        virtq_driver_interrupts(&driver, true, 4);
        finish_one(1);
        assert_false(virtq_interrupt(&queue));
    }
}

static void test_notify(void **state) {
    (void)state;
    for (unsigned event = 0; event < 2; event++) {
        begin(event ? VIRTIO_RING_EVENT : 0);
        virtq_driver_add(&driver, &out, 1, false);
        assert_true(virtq_driver_notifies(&driver));
        virtq_driver_add(&driver, &out, 1, false);
        assert_int_equal(virtq_driver_notifies(&driver), !event); /* once is enough */
        virtq_guest_snapshot(&guest);
        assert_int_equal(virtq_take(&queue, &buffer), 1);
        assert_int_equal(virtq_take(&queue, &buffer), 1);
        assert_int_equal(virtq_take(&queue, &buffer), 0); /* asks anew */
        assert_true(virtq_guest_marked(&guest));
        virtq_driver_add(&driver, &out, 1, false);
        assert_true(virtq_driver_notifies(&driver));
        virtq_guest_snapshot(&guest);
        assert_false(virtq_listen(&queue, false));
        assert_true(virtq_guest_marked(&guest));
        assert_int_equal(virtq_guest_get(&guest, driver.device + 2, 2), 1);
        virtq_driver_add(&driver, &out, 1, false);
        assert_false(virtq_driver_notifies(&driver));
        assert_true(virtq_listen(&queue, true));
        assert_int_equal(virtq_guest_get(&guest, driver.device + 2, 2), event ? 2 : 0);
        assert_int_equal(virtq_guest_get(&guest, driver.device, 2), event ? 0x8002 : 0);
    }
}

static void add_meanwhile(struct virtq_guest *at) {
    at->meanwhile = NULL;
    virtq_driver_add(&driver, &out, 1, false);
}

static void test_notify_race(void **state) {
    (void)state;
    begin(VIRTIO_RING_EVENT);
    virtq_driver_add(&driver, &out, 1, false);
    assert_int_equal(virtq_take(&queue, &buffer), 1);
    guest.meanwhile = add_meanwhile; /* at the mark of the event structure */
    assert_int_equal(virtq_take(&queue, &buffer), 1);
    assert_null(guest.meanwhile);
    virtq_listen(&queue, false);
    guest.meanwhile = add_meanwhile;
    assert_true(virtq_listen(&queue, true));
}

static void test_restart(void **state) {
    (void)state;
    for (unsigned start = 0; start < 2 * SIZE; start++) {
        int id[3];
        begin_at(0, (uint16_t)(start % SIZE | (start < SIZE ? 0x8000 : 0)));
        for (unsigned i = 0; i < 3; i++)
            id[i] = virtq_driver_add(&driver, (struct virtq_element[]){out, in}, 2, false);
        assert_int_equal(virtq_take(&queue, &buffer), 1);
        assert_int_equal(virtq_take(&queue, &other), 1);
        assert_int_equal(virtq_take(&queue, &third), 1);
        virtq_finish(&queue, &buffer, 0);
        virtq_finish(&queue, &third, 0); /* done, but the driver does not know */
        virtq_listen(&queue, false);
        struct virtq_position position = virtq_position(&queue);
        memset(&queue, 0xa5, sizeof(queue));
        assert_int_equal(virtq_driver_enable(&driver, &queue, &position), 0);
        assert_int_equal(virtq_guest_get(&guest, driver.device + 2, 2), 0); /* listens again */
        assert_int_equal(virtq_take(&queue, &buffer), 1);
        assert_int_equal(buffer.id, id[1]);
        assert_int_equal(virtq_take(&queue, &other), 1);
        assert_int_equal(other.id, id[2]);
        assert_int_equal(virtq_take(&queue, &third), 0);
        assert_true(virtq_interrupt(&queue));
        assert_false(virtq_interrupt(&queue));
        virtq_finish(&queue, &buffer, 5);
        virtq_finish(&queue, &other, 6);
        collect((unsigned)id[0], 0);
        collect((unsigned)id[1], 5);
        collect((unsigned)id[2], 6);
    }
}

static void test_random(void **state) {
    (void)state;
    random_state = 1;
    random_run(8, VIRTIO_RING_PACKED, 0x8000, 6000);
    random_run(48, VIRTIO_RING_PACKED | VIRTIO_RING_EVENT, 47, 6000);
    random_run(13, VIRTIO_RING_PACKED | VIRTIO_RING_INDIRECT, 0x800c, 6000);
    random_run(32, VIRTIO_RING_PACKED | VIRTIO_RING_EVENT | VIRTIO_RING_INDIRECT, 0x8000, 40000);
    random_run(2, VIRTIO_RING_PACKED | VIRTIO_RING_EVENT | VIRTIO_RING_INDIRECT, 0, 6000);
    random_run(1, VIRTIO_RING_PACKED | VIRTIO_RING_EVENT, 0x8000, 6000);
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
        TEST(test_enable),
        TEST(test_one),
        TEST(test_wrap),
        TEST(test_order),
        TEST(test_untake),
        TEST(test_take_more),
        TEST(test_take_more_broken),
        TEST(test_indirect),
        TEST(test_wrong),
        TEST(test_too_many),
        TEST(test_interrupt_flags),
        TEST(test_interrupt_event),
        TEST(test_interrupt_far),
        TEST(test_notify),
        TEST(test_notify_race),
        TEST(test_restart),
        TEST(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
