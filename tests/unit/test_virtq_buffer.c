// SPDX-License-Identifier: Apache-2.0
// Copies from and to buffers of a virtqueue, against a flat model; marks of what was written; pieces of a
// guest's memory.
// unit-sources: virtio/memory.c virtio/queue.c virtio/queue_split.c virtio/queue_packed.c virtio/queue_buffer.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "tests/unit/virtq_driver.h"

#define DATA 0x1f000u /* goes on in the next piece at 0x20000 */

static struct virtq_guest guest;

static uint32_t random_state = 7;
static unsigned random_below(unsigned limit) {
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % limit;
}

static void test_map(void **state) {
    (void)state;
    struct virtio_memory *memory = &guest.memory;
    assert_ptr_equal(virtio_map(memory, 0x10000, 0x10000, 4096), guest.piece[0].data);
    assert_ptr_equal(virtio_map(memory, 0x1fffe, 2, 2), guest.piece[0].data + 0xfffe);
    assert_null(virtio_map(memory, 0x1fffe, 3, 2));
    assert_null(virtio_map(memory, 0x1ffff, 2, 1));
    assert_null(virtio_map(memory, 0x10008, 8, 16));
    assert_null(virtio_map(memory, 0x10000, 0, 1));
    assert_null(virtio_map(memory, 0xffff, 1, 1));
    assert_null(virtio_map(memory, 0x10000, UINT64_MAX, 1));
    assert_ptr_equal(virtio_map(memory, UINT64_MAX, 1, 1), guest.piece[3].data + 0xfff);
    assert_null(virtio_map(memory, UINT64_MAX, 2, 1));
}

/* A queue with one buffer, whose elements, and their bytes in a row, the test knows. */
struct fixture {
    struct virtq_driver driver;
    struct virtq queue;
    struct virtq_buffer buffer;
    uint64_t readable[4096], writable[4096]; /* the address of each byte */
    size_t read_size, write_size;
};

static void make(struct fixture *fixture, uint64_t base, bool overlapping) {
    struct virtq_element element[8];
    unsigned count = 1 + random_below(8), readable = random_below(count + 1);
    uint64_t at = DATA + 0xe00 - (overlapping ? 0 : random_below(0x200));

    fixture->read_size = fixture->write_size = 0;
    for (unsigned i = 0; i < count; i++) {
        element[i] = (struct virtq_element){at, random_below(200), i >= readable};
        for (unsigned n = 0; n < element[i].size; n++)
            if (i < readable)
                fixture->readable[fixture->read_size++] = at + n;
            else
                fixture->writable[fixture->write_size++] = at + n;
        at += overlapping ? random_below(50) : element[i].size + random_below(30);
    }
    virtq_driver_init(&fixture->driver, &guest, 8, VIRTIO_RING_INDIRECT, base);
    assert_int_equal(virtq_driver_enable(&fixture->driver, &fixture->queue, NULL), 0);
    assert_int_equal(virtq_driver_add(&fixture->driver, element, count, random_below(2)), 0);
    assert_int_equal(virtq_take(&fixture->queue, &fixture->buffer), 1);
    assert_int_equal(fixture->buffer.read_size, fixture->read_size);
    assert_int_equal(fixture->buffer.write_size, fixture->write_size);
}

static void scramble(void) {
    for (uint64_t gpa = DATA; gpa < DATA + 0x3000; gpa++)
        *virtq_guest_at(&guest, gpa) = (uint8_t)random_below(256);
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* What can be copied of `size` bytes from `offset` on. */
static size_t room(size_t whole, size_t offset, size_t size) {
    return offset >= whole ? 0 : least(whole - offset, size);
}

static void test_read(void **state) {
    static struct fixture fixture;
    uint8_t data[2048];
    (void)state;
    for (unsigned round = 0; round < 2000; round++) {
        if (round % 100 == 0)
            scramble();
        make(&fixture, 0x10000, false);
        size_t offset = random_below((unsigned)fixture.read_size + 20), size = random_below(sizeof(data));
        size_t expected = room(fixture.read_size, offset, size);
        memset(data, 0x55, sizeof(data));
        assert_int_equal(virtq_read(&fixture.queue, &fixture.buffer, offset, data, size), expected);
        for (size_t i = 0; i < expected; i++)
            assert_int_equal(data[i], *virtq_guest_at(&guest, fixture.readable[offset + i]));
        for (size_t i = expected; i < sizeof(data); i++)
            assert_int_equal(data[i], 0x55);
    }
}

static void test_write(void **state) {
    static struct fixture fixture;
    uint8_t data[2048];
    (void)state;
    for (unsigned i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7 + 1);
    for (unsigned round = 0; round < 300; round++) {
        scramble();
        make(&fixture, 0x10000, false);
        size_t offset = random_below((unsigned)fixture.write_size + 20), size = random_below(sizeof(data));
        size_t expected = room(fixture.write_size, offset, size), changed = 0;
        virtq_guest_snapshot(&guest);
        assert_int_equal(virtq_write(&fixture.queue, &fixture.buffer, offset, data, size), expected);
        assert_true(virtq_guest_marked(&guest));
        for (size_t i = 0; i < expected; i++)
            assert_int_equal(*virtq_guest_at(&guest, fixture.writable[offset + i]), data[i]);
        /* Nothing else is written, or marked. */
        for (unsigned p = 0; p < VIRTQ_GUEST_PIECES; p++)
            for (size_t i = 0; i < guest.piece[p].size; i++)
                changed += guest.piece[p].marked[i];
        assert_int_equal(changed, expected);
    }
}

static void test_copy(void **state) {
    static struct fixture from, to;
    (void)state;
    for (unsigned round = 0; round < 300; round++) {
        scramble();
        make(&from, 0x10000, false);
        make(&to, 0x14000, false);
        /* Sources and targets of their own: shifted by a page. */
        for (unsigned i = 0; i < to.buffer.readable + to.buffer.writable; i++) {
            struct virtq_segment *segment = &to.buffer.segment[i];
            segment->gpa -= 0x3000;
            segment->data = virtq_guest_at(&guest, segment->gpa);
        }
        size_t to_offset = random_below((unsigned)to.write_size + 20);
        size_t from_offset = random_below((unsigned)from.read_size + 20), size = random_below(2048);
        size_t expected =
            least(room(to.write_size, to_offset, size), room(from.read_size, from_offset, size));
        virtq_guest_snapshot(&guest);
        assert_int_equal(virtq_copy(&to.queue, &to.buffer, to_offset, &from.buffer, from_offset, size),
                         expected);
        assert_true(virtq_guest_marked(&guest));
        for (size_t i = 0; i < expected; i++)
            assert_int_equal(*virtq_guest_at(&guest, to.writable[to_offset + i] - 0x3000),
                             *virtq_guest_at(&guest, from.readable[from_offset + i]));
    }
}

/* A guest that offers the same memory to read and to write harms nobody but itself. */
static void test_overlap(void **state) {
    static struct fixture from, to;
    (void)state;
    for (unsigned round = 0; round < 300; round++) {
        make(&from, 0x10000, true);
        make(&to, 0x14000, true);
        size_t expected = least(to.write_size, from.read_size);
        virtq_guest_snapshot(&guest);
        assert_int_equal(virtq_copy(&to.queue, &to.buffer, 0, &from.buffer, 0, 4096), expected);
        assert_true(virtq_guest_marked(&guest));
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
    const struct CMUnitTest tests[] = {
        TEST(test_map), TEST(test_read), TEST(test_write), TEST(test_copy), TEST(test_overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
