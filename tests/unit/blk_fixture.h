// SPDX-License-Identifier: Apache-2.0
// A virtio block device over a disk that holds its requests until a test lets them go, or passes them to one
// in memory, or fails.
#ifndef SAGUARO_TESTS_BLK_FIXTURE_H
#define SAGUARO_TESTS_BLK_FIXTURE_H

#include "tests/unit/virtio_class_mock.h"
#include <errno.h>
#include "virtio/blk.h"
#include "virtio/bytes.h"
#include "virtio/disk_memory.h"

#define FLUSH        (1ull << 9)
#define WCE          (1ull << 11)
#define DISCARD      (1ull << 13)
#define WRITE_ZEROES (1ull << 14)

enum { IN = 0, OUT = 1, T_FLUSH = 4, GET_ID = 8, T_DISCARD = 11, T_ZEROES = 13 };
enum { OK, IOERR, UNSUPP, NOT_WRITTEN = 0xee };

#define SECTORS 8192u

/* ---- a disk that holds its requests until the test lets them go, or none */

static uint8_t image[SECTORS * DISK_SECTOR + 100];
static struct disk_memory memory;
static struct {
    struct disk disk;
    bool hold;
    int fail;
    struct disk_request *held[64];
    unsigned count;    /* held */
    unsigned requests; /* that came */
    unsigned flushes, discards, zeroes;
    bool unmap;
    uint64_t largest;
} slow;

static void slow_submit(struct disk *disk, struct disk_request *request) {
    assert_ptr_equal(disk, &slow.disk);
    slow.requests++;
    slow.flushes += request->operation == DISK_FLUSH;
    slow.discards += request->operation == DISK_DISCARD;
    slow.zeroes += request->operation == DISK_WRITE_ZEROES;
    slow.unmap = request->unmap;
    if (request->count > slow.largest)
        slow.largest = request->count;
    if (slow.hold)
        slow.held[slow.count++] = request;
    else if (slow.fail)
        request->done(request, slow.fail);
    else
        disk_submit(&memory.disk, request);
}

static const struct disk_operations slow_operations = {.submit = slow_submit};

/* Lets the held request `index` go. */
static inline void release(unsigned index) {
    struct disk_request *request = slow.held[index];
    assert_true(index < slow.count);
    memmove(&slow.held[index], &slow.held[index + 1], (--slow.count - index) * sizeof(slow.held[0]));
    disk_submit(&memory.disk, request);
}

/* ---- the device */

static struct virtio_blk blk;
static unsigned again_count;

static void again(struct virtio_blk *of) {
    assert_ptr_equal(of, &blk);
    again_count++;
}

/* Runs as an event loop would. */
static inline void loop(void) {
    for (unsigned i = 0; again_count && i < 1000; i++) {
        again_count = 0;
        virtio_blk_run(&blk);
    }
    assert_int_equal(again_count, 0);
}

static inline void make(unsigned queues, bool read_only) {
    virtio_blk_init(&blk, &slow.disk, "serial-0123456789-and-more", queues, read_only, again);
}

static inline int set_up(void **state) {
    (void)state;
    mock_power_on();
    again_count = 0;
    for (size_t i = 0; i < sizeof(image); i++)
        image[i] = (uint8_t)(i / DISK_SECTOR * 7 + i);
    assert_int_equal(disk_memory_init(&memory, image, sizeof(image), false), 0);
    assert_int_equal(memory.disk.sectors, SECTORS);
    memset(&slow, 0, sizeof(slow));
    slow.disk = memory.disk;
    slow.disk.operations = &slow_operations;
    slow.disk.discards = true;
    make(1, false);
    mock_start(&blk.device, blk.device.features_offered, 1);
    return 0;
}

/* ---- requests. Header at `at`, data at at + 0x1000, status at at + 0x800. */

#define STATUS 0x800u
#define DATA   0x1000u

static inline void header(uint32_t at, uint32_t type, uint64_t sector) {
    bytes_put32(mock_ram + at, type);
    bytes_put32(mock_ram + at + 4, 0x12345678); /* reserved: to be ignored */
    bytes_put64(mock_ram + at + 8, sector);
    mock_ram[at + STATUS] = NOT_WRITTEN;
}

static inline struct mock_buffer *post_on(unsigned queue, uint32_t at, uint32_t type, uint64_t sector,
                                          uint32_t size) {
    struct mock_buffer *of = mock_buffer(queue);
    header(at, type, sector);
    mock_segment(of, false, at, 16);
    if (size)
        mock_segment(of, type == IN || type == GET_ID, at + DATA, size);
    mock_segment(of, true, at + STATUS, 1);
    mock_post(queue);
    return of;
}

static inline struct mock_buffer *post(uint32_t at, uint32_t type, uint64_t sector, uint32_t size) {
    return post_on(0, at, type, sector, size);
}

static inline void go(void) {
    mock_notify(&blk.device, 0);
    loop();
}

/* Posts one request at 0 and expects this answer. */
static inline void expect(uint32_t type, uint64_t sector, uint32_t size, uint8_t status) {
    const struct mock_buffer *of = post(0, type, sector, size);
    go();
    assert_true(of->used);
    assert_int_equal(mock_ram[STATUS], status);
    assert_int_equal(mock_dirty[STATUS], 1);
}

/* A range of a discard or write zeroes request at 0. */
static inline void range(unsigned index, uint64_t sector, uint32_t count, uint32_t flags) {
    bytes_put64(mock_ram + DATA + index * 16, sector);
    bytes_put32(mock_ram + DATA + index * 16 + 8, count);
    bytes_put32(mock_ram + DATA + index * 16 + 12, flags);
}

#endif
