// SPDX-License-Identifier: Apache-2.0
// The memory of overlays: fresh, taken up again after a run that ended anywhere, running out, and damaged in
// its header, its owners and its tables.
// unit-sources: service/overlays.c service/log.c virtio/disk.c virtio/disk_memory.c virtio/disk_overlay.c
#include <errno.h>
#include "tests/unit/service_fixture.h"
#include "service/overlays.h"
#include "virtio/disk_memory.h"

#define BLOCK   DISK_OVERLAY_BLOCK
#define BLOCKS  16u /* of the memory; the first one is the header's */
#define SECTORS (8u * DISK_OVERLAY_SECTORS)
#define OWNERS  4096u /* as in service/overlays.c */
#define TABLES  16u

static uint8_t *memory;
static uint8_t image[SECTORS * DISK_SECTOR];
static struct disk_memory base;
static struct overlay overlay[2];
static struct disk *disk[2];

static uint16_t *owner(unsigned block) {
    return (uint16_t *)(void *)(memory + OWNERS) + block;
}
static uint32_t *table(unsigned number) {
    return (uint32_t *)(void *)(memory + TABLES) + number;
}
static unsigned blocks_free(void) {
    unsigned count = 0;
    for (unsigned i = 1; i < BLOCKS; i++)
        count += *owner(i) == 0;
    return count;
}
static const char *last_line(void) {
    return call_count ? calls[call_count - 1].text : "";
}

/* ---- requests */

static int result;
static void done(struct disk_request *request, int error) {
    (void)request;
    result = error;
}
static uint8_t sector[DISK_SECTOR];
static int request(unsigned which, enum disk_operation operation, uint64_t at) {
    struct virtq_segment segment = {.data = sector, .size = sizeof(sector)};
    struct disk_request of = {.operation = operation,
                              .sector = at,
                              .count = operation == DISK_DISCARD ? DISK_OVERLAY_SECTORS : 1,
                              .segment = &segment,
                              .segments = operation == DISK_DISCARD ? 0 : 1,
                              .done = done};
    result = 1;
    disk_submit(disk[which], &of);
    assert_int_not_equal(result, 1);
    return result;
}
static int put(unsigned which, unsigned block, uint8_t value) {
    memset(sector, value, sizeof(sector));
    return request(which, DISK_WRITE, (uint64_t)block * DISK_OVERLAY_SECTORS + 3);
}
/* The value that is read there; negative: it cannot be read. */
static int get(unsigned which, unsigned block) {
    memset(sector, 0x77, sizeof(sector));
    int error = request(which, DISK_READ, (uint64_t)block * DISK_OVERLAY_SECTORS + 3);
    return error ? error : sector[5];
}

/* ---- runs */

/* A run begins, whose own memory holds nothing. */
static void begin(void) {
    calls_reset();
    memset(overlay, 0x55, sizeof(overlay));
    overlays_init(memory, BLOCKS * BLOCK + 4096);
}
static void open_one(unsigned which) {
    disk[which] = overlays_open(&overlay[which], which ? OVERLAYS_MAX - 1 : 0, which, "disk3", &base.disk);
}
static void start(void) {
    begin();
    open_one(0);
    open_one(1);
    overlays_settle();
}

static int setup(void **state) {
    (void)state;
    memory = aligned_alloc(BLOCK, (BLOCKS + 1) * BLOCK);
    memset(memory, 0, (BLOCKS + 1) * BLOCK);
    for (unsigned i = 0; i < SECTORS; i++)
        memset(image + (size_t)i * DISK_SECTOR, (int)(i / DISK_OVERLAY_SECTORS + 1), DISK_SECTOR);
    assert_int_equal(disk_memory_init(&base, image, sizeof(image), true), 0);
    start();
    assert_int_equal(call_count, 0);
    return 0;
}
static int teardown(void **state) {
    (void)state;
    free(memory);
    return 0;
}

/* ---- tests */

static void test_kept(void **state) {
    (void)state;
    assert_int_equal(blocks_free(), BLOCKS - 1 - 2); /* their tables */
    assert_int_equal(put(0, 1, 0xa1), 0);
    assert_int_equal(put(1, 1, 0xb1), 0);
    assert_int_equal(put(1, 7, 0xb7), 0);
    assert_int_equal(request(1, DISK_DISCARD, 2 * DISK_OVERLAY_SECTORS), 0); /* zeroes */
    for (unsigned run = 0; run < 3; run++) {
        assert_int_equal(blocks_free(), BLOCKS - 1 - 2 - 2 - 3);
        assert_int_equal(get(0, 1), 0xa1);
        assert_int_equal(get(0, 7), 8);
        assert_int_equal(get(1, 1), 0xb1);
        assert_int_equal(get(1, 2), 0);
        assert_int_equal(get(1, 3), 4);
        assert_int_equal(get(1, 7), 0xb7);
        start();
        assert_int_equal(call_count, 0);
    }
    /* What is given back is there for the other one, also in a later run. */
    assert_int_equal(request(1, DISK_DISCARD, 7 * DISK_OVERLAY_SECTORS), 0);
    assert_int_equal(blocks_free(), BLOCKS - 1 - 2 - 2 - 2);
    assert_int_equal(get(1, 7), 0);
    start();
    assert_int_equal(blocks_free(), BLOCKS - 1 - 2 - 2 - 2);
    assert_int_equal(put(0, 6, 0xa6), 0);
    assert_int_equal(get(1, 7), 0);
    assert_int_equal(get(1, 1), 0xb1);
}

static void test_runs_out(void **state) {
    (void)state;
    unsigned written = 0;
    for (unsigned i = 0; i < 16; i++)
        if (put(i / 8, i % 8, 0xc0) == 0)
            written++;
        else
            assert_int_equal(result, -ENOSPC);
    assert_int_equal(written, BLOCKS - 1 - 2 - 2);
    assert_int_equal(blocks_free(), 0);
    assert_int_equal(call_count, 1); /* said once */
    assert_int_equal(calls[0].number, SERVICE_CALL_NOTE);
    assert_int_equal(calls[0].a, 1);
    assert_non_null(strstr(last_line(), "disk3: disk overlay: no memory left"));
    assert_int_equal(get(0, 7), 0xc0);
    assert_int_equal(get(1, 7), 8);       /* as in the base */
    assert_int_equal(put(1, 0, 0xc1), 0); /* it has this one */
    start();
    assert_int_equal(get(1, 0), 0xc1);
    assert_int_equal(put(1, 7, 0xc2), -ENOSPC);
    assert_int_equal(request(0, DISK_DISCARD, 0), 0);
    assert_int_equal(put(1, 7, 0xc2), 0);
    assert_int_equal(get(1, 7), 0xc2);
}

/* A run that ended between two writes. */
static void test_ends(void **state) {
    (void)state;
    assert_int_equal(put(0, 1, 0xa1), 0);
    unsigned before = blocks_free();
    *owner(BLOCKS - 1) = 1; /* taken, and in no table yet */
    *owner(BLOCKS - 2) = OVERLAYS_MAX;
    *owner(BLOCKS - 3) = OVERLAYS_MAX + 1; /* nobody's at all */
    start();
    assert_int_equal(call_count, 0);
    assert_int_equal(blocks_free(), before);
    /* It ends again while it takes up what was there. */
    begin();
    assert_int_equal(blocks_free(), before);
    open_one(0);
    start();
    assert_int_equal(call_count, 0);
    assert_int_equal(get(0, 1), 0xa1);
    assert_int_equal(blocks_free(), before);
    /* A table that nobody knows yet: the overlay is fresh, and its blocks are free. */
    *table(OVERLAYS_MAX - 1) = 0;
    start();
    assert_int_equal(call_count, 0);
    assert_int_equal(blocks_free(), before);
    assert_int_equal(get(1, 1), 2);
    /* The first run of all ends in the middle of its header. */
    memset(memory, 0, BLOCKS * BLOCK);
    memory[8] = 1;
    start();
    assert_int_equal(call_count, 0);
    assert_int_equal(get(0, 1), 2);
}

/* A run that cannot open one of them leaves it to the next. */
static void test_not_opened(void **state) {
    (void)state;
    assert_int_equal(put(0, 1, 0xa1), 0);
    assert_int_equal(put(1, 1, 0xb1), 0);
    unsigned before = blocks_free();
    begin();
    open_one(0);
    overlays_settle();
    assert_int_equal(blocks_free(), before);
    unsigned written = 0;
    for (unsigned i = 0; i < 8; i++)
        written += put(0, i, 0xa2) == 0;
    assert_int_equal(written, 8);
    start();
    assert_int_equal(call_count, 0);
    assert_int_equal(get(1, 1), 0xb1);
    assert_int_equal(get(0, 7), 0xa2);
}

static void *other_take(void *context) {
    static uint64_t block[BLOCK / 8];
    (void)context;
    return block;
}
static const struct disk_overlay_memory other_memory = {.take = other_take};

static void check_broken(unsigned which) {
    assert_int_equal(get(which, 1), -EIO);
    assert_int_equal(put(which, 1, 1), -EIO);
    assert_int_equal(request(which, DISK_DISCARD, 0), -EIO);
    assert_int_equal(disk[which]->sectors, SECTORS);
    /* The guest sees no other disk than before. */
    struct disk_overlay other;
    assert_int_equal(disk_overlay_init(&other, &base.disk, &other_memory), 0);
    assert_true(disk[which]->block == other.disk.block && disk[which]->physical == other.disk.physical &&
                disk[which]->optimal == other.disk.optimal &&
                disk[which]->read_only == other.disk.read_only && disk[which]->cached == other.disk.cached &&
                disk[which]->discards == other.disk.discards && disk[which]->sectors == other.disk.sectors);
}

static void test_damaged_header(void **state) {
    (void)state;
    assert_int_equal(put(0, 1, 0xa1), 0);
    for (unsigned at = 0; at < TABLES; at++) {
        memory[at] ^= 0x10;
        start();
        assert_int_equal(calls[0].number, SERVICE_CALL_LOG);
        assert_non_null(strstr(calls[0].text, "overlays: their memory was damaged"));
        check_broken(0);
        check_broken(1);
        memory[at] ^= 0x10;
        start(); /* nothing was changed */
        assert_int_equal(get(0, 1), 0xa1);
    }
    memset(memory, 0, 4); /* no magic, but tables */
    start();
    check_broken(0);
}

/* One of its blocks: the overlay is lost, for good; the other one is not, and gets the memory. */
static void check_lost(const char *why) {
    start();
    if (call_count != 1 || !strstr(last_line(), "disk3: its overlay was damaged"))
        fail_msg("%s: %u: %s", why, call_count, last_line());
    check_broken(0);
    assert_int_equal(get(1, 2), 0xb2);
    assert_int_equal(blocks_free(), BLOCKS - 1 - 3);
    start();
    check_broken(0);
    assert_int_equal(call_count, 1);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(put(1, i, 0xb3), 0);
}

static void test_damaged_tables(void **state) {
    static const char *const what[] = {
        "table of the other",  "table outside",       "table in the header", "owner",
        "leaf nowhere",        "block of the other",  "block twice",         "block not aligned",
        "block in the header", "block behind the end"};
    for (unsigned i = 0; i < array_count(what); i++) {
        assert_int_equal(put(0, 1, 0xa1), 0);
        assert_int_equal(put(0, 2, 0xa2), 0);
        assert_int_equal(put(1, 2, 0xb2), 0);
        uint8_t ***own = overlay[0].disk.table, ***other = overlay[1].disk.table;
        switch (i) {
        case 0:
            *table(0) = *table(OVERLAYS_MAX - 1);
            break;
        case 1:
            *table(0) = BLOCKS;
            break;
        case 2:
            *table(0) = UINT32_MAX - 1;
            break;
        case 3:
            *owner(*table(0)) = 7;
            break;
        case 4:
            own[3] = (uint8_t **)(uintptr_t)0x1000;
            break;
        case 5:
            own[0][1] = other[0][2];
            break;
        case 6:
            own[0][1] = own[0][2];
            break;
        case 7:
            own[0][1] += 8;
            break;
        case 8:
            own[0][1] = memory;
            break;
        default:
            own[0][1] = memory + BLOCKS * BLOCK;
            *owner(BLOCKS) = 1 | 0x8000;
            break;
        }
        check_lost(what[i]);
        teardown(state);
        setup(state);
    }
}

/* An owner that was changed while a run goes on: what is given back is not its own. */
static void test_damaged_meanwhile(void **state) {
    (void)state;
    assert_int_equal(put(0, 1, 0xa1), 0);
    for (unsigned i = 1; i < BLOCKS; i++)
        if (*owner(i) == 1)
            *owner(i) = 2;
    assert_crash((void)request(0, DISK_DISCARD, DISK_OVERLAY_SECTORS), "is given back that is not its own");
}

static void test_no_memory(void **state) {
    (void)state;
    static const uint64_t sizes[] = {0, BLOCK, 2 * BLOCK - 1};
    for (unsigned i = 0; i <= array_count(sizes); i++) {
        calls_reset();
        memset(memory, 0, BLOCKS * BLOCK);
        if (i < array_count(sizes))
            overlays_init(memory, sizes[i]);
        else
            overlays_init(NULL, 64u << 20);
        open_one(0);
        overlays_settle();
        assert_int_equal(call_count, 2);
        assert_non_null(strstr(calls[0].text, "cannot be used"));
        assert_non_null(strstr(calls[1].text, "disk3: its overlay has no memory"));
        check_broken(0);
    }
    /* One block: the first overlay has its table, and no more. */
    calls_reset();
    overlays_init(memory, 2 * BLOCK);
    open_one(0);
    open_one(1);
    overlays_settle();
    assert_int_equal(get(0, 1), 2);
    assert_int_equal(put(0, 1, 1), -ENOSPC);
    check_broken(1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_kept),
        TEST(test_runs_out),
        TEST(test_ends),
        TEST(test_not_opened),
        TEST(test_damaged_header),
        TEST(test_damaged_tables),
        TEST(test_damaged_meanwhile),
        TEST(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
