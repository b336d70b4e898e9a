// SPDX-License-Identifier: Apache-2.0
// Disks: the checks before each, one in memory, a part, and overlays: against a plain copy under random
// requests, with a base that answers at once or later or fails, and with memory that runs out.
// unit-sources: virtio/disk.c virtio/disk_memory.c virtio/disk_overlay.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/any_moment.h"
#include "virtio/disk_memory.h"
#include "virtio/disk_overlay.h"

#define BLOCK   DISK_OVERLAY_SECTORS
#define SECTORS (BLOCK * 5 + 40) /* the last block is short */

static uint8_t image[SECTORS * DISK_SECTOR];
static uint8_t data[SECTORS * DISK_SECTOR];
static uint8_t model[SECTORS * DISK_SECTOR]; /* what the overlay should show */
static struct disk_memory memory;

static uint32_t seed;

static uint32_t next(uint32_t below) {
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % below;
}

static void fill(uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)next(255) + 1; /* no zeroes */
}

static int set_up(void **state) {
    (void)state;
    seed = 1;
    fill(image, sizeof(image));
    assert_int_equal(disk_memory_init(&memory, image, sizeof(image), false), 0);
    return 0;
}

/* ---- requests */

static int result; /* 1: not done */
static void done(struct disk_request *request, int error) {
    (void)request;
    assert_int_equal(result, 1);
    result = error;
}

static struct virtq_segment segments[300];
static struct disk_request request;

/* Hands on a request for data, that lie in `data` in pieces of `piece` bytes behind `skip` others. */
static int submit(struct disk *disk, enum disk_operation operation, uint64_t sector, uint64_t count,
                  size_t piece, size_t skip) {
    const size_t size = (size_t)count * DISK_SECTOR + skip;
    unsigned used = 0;
    for (size_t at = 0; at < size; used++) {
        if (used == 299 || size - at < piece)
            piece = size - at;
        segments[used] = (struct virtq_segment){.data = data + at, .size = (uint32_t)piece};
        at += piece;
    }
    request = (struct disk_request){.operation = operation,
                                    .sector = sector,
                                    .count = count,
                                    .segment = segments,
                                    .segments = used,
                                    .skip = skip,
                                    .done = done};
    result = 1;
    disk_submit(disk, &request);
    return result;
}

static int submit_plain(struct disk *disk, enum disk_operation operation, uint64_t sector, uint64_t count,
                        bool unmap) {
    request = (struct disk_request){
        .operation = operation, .sector = sector, .count = count, .unmap = unmap, .done = done};
    result = 1;
    disk_submit(disk, &request);
    return result;
}

/* ---- memory, checks, parts */

static void test_checks(void **state) {
    struct disk *disk = &memory.disk;
    (void)state;
    assert_int_equal(submit(disk, DISK_READ, SECTORS - 1, 1, 512, 0), 0);
    assert_int_equal(submit(disk, DISK_READ, SECTORS - 1, 2, 512, 0), -EINVAL);
    assert_int_equal(submit(disk, DISK_READ, SECTORS, 1, 512, 0), -EINVAL);
    assert_int_equal(submit(disk, DISK_READ, UINT64_MAX, 1, 512, 0), -EINVAL);
    assert_int_equal(submit_plain(disk, DISK_WRITE_ZEROES, UINT64_MAX, 2, false), -EINVAL);
    assert_int_equal(submit_plain(disk, DISK_WRITE_ZEROES, 2, UINT64_MAX, false), -EINVAL);
    assert_int_equal(submit_plain(disk, DISK_WRITE_ZEROES, 2, 0, false), -EINVAL);
    assert_int_equal(submit_plain(disk, DISK_READ, 0, 1, false), -EINVAL); /* no data */
    submit(disk, DISK_READ, 0, 2, 512, 0);
    request.skip = 1;
    result = 1;
    disk_submit(disk, &request);
    assert_int_equal(result, -EINVAL);
    request.skip = UINT64_MAX;
    result = 1;
    disk_submit(disk, &request);
    assert_int_equal(result, -EINVAL);
    request.skip = 0;
    request.count = 1ull << 60;
    result = 1;
    disk_submit(disk, &request);
    assert_int_equal(result, -EINVAL);
    /* Blocks of 4 KiB: whole ones only. */
    disk->block = 4096;
    assert_int_equal(submit(disk, DISK_READ, 8, 8, 512, 0), 0);
    assert_int_equal(submit(disk, DISK_READ, 4, 8, 512, 0), -EINVAL);
    assert_int_equal(submit(disk, DISK_READ, 8, 4, 512, 0), -EINVAL);
    disk->block = 512;
    disk->read_only = true;
    assert_int_equal(submit(disk, DISK_WRITE, 0, 1, 512, 0), -EROFS);
    assert_int_equal(submit_plain(disk, DISK_WRITE_ZEROES, 0, 1, false), -EROFS);
    assert_int_equal(submit_plain(disk, DISK_DISCARD, 0, 1, false), -EROFS);
    assert_int_equal(submit_plain(disk, DISK_FLUSH, 0, 0, false), 0);
    assert_int_equal(disk_memory_init(&memory, image, 511, false), -EINVAL);
    assert_int_equal(disk_memory_init(&memory, image, 1023, false), 0);
    assert_int_equal(memory.disk.sectors, 1);
}

static void test_memory(void **state) {
    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        const unsigned count = 1 + next(20), sector = next(SECTORS - 20), piece = 1 + next(3000);
        const unsigned skip = next(2) * next(2000);
        memset(data, 0, 40 * 512);
        assert_int_equal(submit(&memory.disk, DISK_READ, sector, count, piece, skip), 0);
        assert_memory_equal(data + skip, image + sector * 512, count * 512);
        for (unsigned j = 0; j < skip; j++)
            assert_int_equal(data[j], 0);
        assert_int_equal(data[skip + count * 512], 0);
        memcpy(model, image, sizeof(image));
        fill(data, count * 512 + skip);
        memcpy(model + sector * 512, data + skip, count * 512);
        assert_int_equal(submit(&memory.disk, DISK_WRITE, sector, count, piece, skip), 0);
        assert_memory_equal(model, image, sizeof(image));
    }
    assert_int_equal(submit_plain(&memory.disk, DISK_DISCARD, 3, 2, false), 0);
    assert_int_equal(submit_plain(&memory.disk, DISK_WRITE_ZEROES, 3, 2, false), 0);
    memset(model + 3 * 512, 0, 1024);
    assert_memory_equal(model, image, sizeof(image));
}

static void test_part(void **state) {
    struct disk_part part, inner;
    (void)state;
    assert_int_equal(disk_part_init(&part, &memory.disk, 0, SECTORS + 1, false), -EINVAL);
    assert_int_equal(disk_part_init(&part, &memory.disk, SECTORS, 1, false), -EINVAL);
    assert_int_equal(disk_part_init(&part, &memory.disk, UINT64_MAX, 2, false), -EINVAL);
    assert_int_equal(disk_part_init(&part, &memory.disk, 5, 0, false), -EINVAL);
    memory.disk.block = 4096;
    assert_int_equal(disk_part_init(&part, &memory.disk, 4, 8, false), -EINVAL);
    memory.disk.block = 512;
    assert_int_equal(disk_part_init(&part, &memory.disk, 10, 100, false), 0);
    assert_int_equal(disk_part_init(&inner, &part.disk, 20, 80, true), 0);
    assert_int_equal(submit(&inner.disk, DISK_READ, 79, 1, 512, 0), 0);
    assert_memory_equal(data, image + 109 * 512, 512);
    assert_int_equal(submit(&inner.disk, DISK_READ, 79, 2, 512, 0), -EINVAL);
    assert_int_equal(submit(&inner.disk, DISK_READ, 80, 1, 512, 0), -EINVAL);
    assert_int_equal(submit(&inner.disk, DISK_WRITE, 0, 1, 512, 0), -EROFS);
    fill(data, 512);
    assert_int_equal(submit(&part.disk, DISK_WRITE, 0, 1, 512, 0), 0);
    assert_memory_equal(data, image + 10 * 512, 512);
    memory.disk.read_only = true;
    assert_int_equal(disk_part_init(&part, &memory.disk, 10, 100, false), 0);
    assert_true(part.disk.read_only);
    assert_null(part.disk.operations->poll ? NULL : &part);
    part.disk.operations->poll(&part.disk); /* a base without one */
}

/* ---- overlays */

static unsigned blocks_out, blocks_max, log_lines;
static void *next_block; /* that is handed out; NULL: any */
static char log_text[128];

static void *take(void *context) {
    assert_ptr_equal(context, &blocks_out);
    if (blocks_out >= blocks_max)
        return NULL;
    blocks_out++;
    void *block = next_block ? next_block : malloc(DISK_OVERLAY_BLOCK);
    next_block = NULL;
    memset(block, 0xbb, DISK_OVERLAY_BLOCK); /* from somebody else */
    return block;
}

static void give(void *context, void *block) {
    assert_ptr_equal(context, &blocks_out);
    blocks_out--;
    free(block);
}

static unsigned claims, claims_max;

static bool claim(void *context, void *block) {
    assert_ptr_equal(context, &blocks_out);
    assert_non_null(block);
    return claims++ < claims_max;
}

static void note(void *context, const char *text) {
    (void)context;
    log_lines++;
    strncpy(log_text, text, sizeof(log_text) - 1);
}

static const struct disk_overlay_memory overlay_memory = {
    .take = take, .give = give, .claim = claim, .log = note, .context = &blocks_out};

/* A base that holds its requests until poll(), and fails if it is told to. */
static struct {
    struct disk disk;
    struct disk_request *held;
    bool hold;
    int fail;
    unsigned requests;
} base;

static void base_go(struct disk_request *of) {
    assert_int_equal(of->operation, DISK_READ); /* nobody writes to it */
    if (base.fail)
        of->done(of, base.fail);
    else
        disk_submit(&memory.disk, of);
}
static void base_submit(struct disk *disk, struct disk_request *of) {
    (void)disk;
    base.requests++;
    assert_null(base.held);
    if (base.hold)
        base.held = of;
    else
        base_go(of);
}
static void base_poll(struct disk *disk) {
    struct disk_request *of = base.held;
    (void)disk;
    base.held = NULL;
    if (of)
        base_go(of);
}
static const struct disk_operations base_operations = {.submit = base_submit, .poll = base_poll};

static struct disk_overlay overlay, other;

static int set_up_overlay(void **state) {
    set_up(state);
    memset(&base, 0, sizeof(base));
    base.disk = memory.disk;
    base.disk.operations = &base_operations;
    base.disk.read_only = true;
    blocks_out = log_lines = 0;
    blocks_max = UINT32_MAX;
    assert_int_equal(disk_overlay_init(&overlay, &base.disk, &overlay_memory), 0);
    memcpy(model, image, sizeof(image));
    return 0;
}

static int tear_down_overlay(void **state) {
    (void)state;
    assert_int_equal(disk_overlay_destroy(&overlay), 0);
    assert_int_equal(blocks_out, 0);
    return 0;
}

static int wait(int now) {
    for (unsigned i = 0; now == 1 && i < 100; i++) {
        overlay.disk.operations->poll(&overlay.disk);
        now = result;
    }
    return now;
}

static void check_all(void) {
    const size_t piece = 60000;
    memset(data, 0, sizeof(data));
    assert_int_equal(wait(submit(&overlay.disk, DISK_READ, 0, SECTORS, piece, 0)), 0);
    assert_memory_equal(data, model, sizeof(model));
}

static void test_overlay(void **state) {
    static uint8_t untouched[sizeof(image)];
    (void)state;
    assert_false(overlay.disk.read_only);
    assert_int_equal(overlay.disk.sectors, SECTORS);
    memcpy(untouched, image, sizeof(image));
    check_all();
    assert_int_equal(base.requests, 1); /* what lies together is asked for at once */
    assert_int_equal(blocks_out, 1);
    for (unsigned i = 0; i < 600; i++) {
        const unsigned sector = next(SECTORS);
        unsigned count = 1 + next(i % 3 ? 20 : 3 * BLOCK), skip = next(2) * next(1000);
        if (count > SECTORS - sector)
            count = SECTORS - sector;
        base.hold = next(2);
        switch (next(8)) {
        case 0:
        case 1:
        case 2:
            if (count * 512 + skip > sizeof(data))
                skip = 0;
            memset(data, 0, sizeof(data));
            assert_int_equal(wait(submit(&overlay.disk, DISK_READ, sector, count, 1 + next(9000), skip)), 0);
            assert_memory_equal(data + skip, model + sector * 512, count * 512);
            break;
        case 3:
        case 4:
            if (count * 512 + skip > sizeof(data))
                skip = 0;
            fill(data, count * 512 + skip);
            memcpy(model + sector * 512, data + skip, count * 512);
            assert_int_equal(wait(submit(&overlay.disk, DISK_WRITE, sector, count, 1 + next(9000), skip)), 0);
            break;
        case 5:
            memset(model + sector * 512, 0, count * 512);
            assert_int_equal(wait(submit_plain(&overlay.disk, DISK_WRITE_ZEROES, sector, count, next(2))), 0);
            break;
        case 6:
            assert_int_equal(wait(submit_plain(&overlay.disk, DISK_DISCARD, sector, count, false)), 0);
            /* Whole blocks become zeroes, the rest stays. */
            for (unsigned b = (sector + BLOCK - 1) / BLOCK; b < (SECTORS + BLOCK - 1) / BLOCK; b++) {
                const unsigned end = (b + 1) * BLOCK < SECTORS ? (b + 1) * BLOCK : SECTORS;
                if (end <= sector + count)
                    memset(model + b * BLOCK * 512, 0, (end - b * BLOCK) * 512);
            }
            break;
        default:
            assert_int_equal(submit_plain(&overlay.disk, DISK_FLUSH, 0, 0, false), 0);
            break;
        }
        if (i % 20 == 0)
            check_all();
    }
    check_all();
    assert_memory_equal(untouched, image, sizeof(image));
    assert_true(overlay.blocks == blocks_out && blocks_out <= 2 + 6);
    /* Another overlay of the same base knows nothing of all this. */
    base.hold = false;
    assert_int_equal(disk_overlay_init(&other, &base.disk, &overlay_memory), 0);
    assert_int_equal(submit(&other.disk, DISK_READ, 0, SECTORS, 60000, 0), 0);
    assert_memory_equal(data, untouched, sizeof(untouched));
    assert_int_equal(disk_overlay_destroy(&other), 0);
    /* What is discarded is given back: the two tables stay. */
    assert_int_equal(submit_plain(&overlay.disk, DISK_DISCARD, 0, SECTORS, false), 0);
    assert_int_equal(blocks_out, 2);
    memset(model, 0, sizeof(model));
    check_all();
}

/* Space is given back only if that is allowed, and what was written is found again after a start anew. */
static void test_overlay_space(void **state) {
    (void)state;
    fill(data, 3 * BLOCK * 512);
    memcpy(model, data, 3 * BLOCK * 512);
    assert_int_equal(submit(&overlay.disk, DISK_WRITE, 0, 3 * BLOCK, 60000, 0), 0);
    assert_int_equal(blocks_out, 5);
    memset(model, 0, 2 * BLOCK * 512);
    assert_int_equal(submit_plain(&overlay.disk, DISK_WRITE_ZEROES, 0, BLOCK, false), 0);
    assert_int_equal(blocks_out, 5);
    assert_int_equal(submit_plain(&overlay.disk, DISK_WRITE_ZEROES, BLOCK, BLOCK, true), 0);
    assert_int_equal(blocks_out, 4);
    check_all();
    void *table = overlay.table;
    for (claims_max = 0; claims_max < 4; claims_max++) {
        claims = 0;
        assert_int_equal(disk_overlay_resume(&overlay, &base.disk, &overlay_memory, table), -EINVAL);
    }
    claims = 0;
    assert_int_equal(disk_overlay_resume(&overlay, &base.disk, &overlay_memory, table), 0);
    assert_int_equal(claims, 4);
    assert_int_equal(overlay.blocks, 4);
    check_all();
}

static uint64_t written_block;

static void write_whole(void) {
    uint64_t first = written_block * BLOCK;
    assert_int_equal(submit(&overlay.disk, DISK_WRITE, first,
                            first + BLOCK < SECTORS ? BLOCK : SECTORS - first, 1 << 20, 0),
                     0);
}

/* The program ends at any moment of writing a whole block, and the guest with it, so that it is not written
 * again: the block holds what it held before, or all that was written. Watched are its entry, and its end,
 * which is copied last. */
static void test_overlay_any_moment(void **state) {
    static uint8_t before[BLOCK * 512], after[BLOCK * 512];

    (void)state;
    assert_int_equal(submit_plain(&overlay.disk, DISK_WRITE_ZEROES, BLOCK, BLOCK, true), 0);
    for (written_block = 0; written_block <= SECTORS / BLOCK; written_block += written_block ? 4 : 1) {
        const uint64_t first = written_block * BLOCK;
        const uint64_t count = first + BLOCK < SECTORS ? BLOCK : SECTORS - first;
        uint8_t *block = malloc(DISK_OVERLAY_BLOCK);
        assert_int_equal(submit(&overlay.disk, DISK_READ, first, count, 1 << 20, 0), 0);
        memcpy(before, data, count * 512);
        fill(data, count * 512);
        memcpy(after, data, count * 512);
        memset(block, 0xbb, DISK_OVERLAY_BLOCK);
        next_block = block;
        uint8_t **leaf = overlay.table[0];
        unsigned moments_seen =
            moments_of(write_whole, &leaf[written_block], sizeof(*leaf), block + count * 512 - 16, 16);
        assert_ptr_equal(leaf[written_block], block);
        for (unsigned n = 0; n < moments_seen; n++) {
            moment_restore(n);
            claims = 0;
            claims_max = UINT32_MAX;
            assert_int_equal(disk_overlay_resume(&other, &base.disk, &overlay_memory, overlay.table), 0);
            assert_int_equal(submit(&other.disk, DISK_READ, first, count, 1 << 20, 0), 0);
            assert_true(!memcmp(data, before, count * 512) || !memcmp(data, after, count * 512));
        }
        assert_memory_equal(data, after, count * 512);
    }
    /* What lies behind the last sector is nobody else's. */
    uint8_t **leaf = overlay.table[0];
    const uint8_t *last = leaf[SECTORS / BLOCK];
    for (unsigned i = SECTORS % BLOCK * 512; i < DISK_OVERLAY_BLOCK; i++)
        assert_int_equal(last[i], 0);
}

/* Requests wait for one another in order. */
static struct disk_request queued[3];
static struct virtq_segment queued_segment[3];
static unsigned queued_done;

static void queued_is_done(struct disk_request *of, int error) {
    assert_int_equal(error, 0);
    assert_ptr_equal(of, &queued[queued_done]);
    queued_done++;
}

static void test_overlay_queue(void **state) {
    static uint8_t bytes[3][1024];
    (void)state;
    base.hold = true;
    queued_done = 0;
    memset(bytes[0], 1, 1024);
    memset(bytes[2], 3, 1024);
    for (unsigned i = 0; i < 3; i++) {
        queued_segment[i] = (struct virtq_segment){.data = bytes[i], .size = 1024};
        queued[i] = (struct disk_request){.operation = i == 1 ? DISK_READ : DISK_WRITE,
                                          .sector = 7,
                                          .count = 2,
                                          .segment = &queued_segment[i],
                                          .segments = 1,
                                          .done = queued_is_done};
        disk_submit(&overlay.disk, &queued[i]);
    }
    assert_int_equal(queued_done, 0);
    assert_int_equal(disk_overlay_destroy(&overlay), -EBUSY);
    for (unsigned i = 0; i < 10; i++)
        overlay.disk.operations->poll(&overlay.disk);
    assert_int_equal(queued_done, 3);
    assert_memory_equal(bytes[1], bytes[0], 1024);
    memset(model + 7 * 512, 3, 1024);
    check_all();
}

static void test_overlay_errors(void **state) {
    (void)state;
    base.fail = -EIO;
    assert_int_equal(submit(&overlay.disk, DISK_READ, 3, 2, 512, 0), -EIO);
    assert_int_equal(submit(&overlay.disk, DISK_WRITE, 3, 2, 512, 0), -EIO);
    assert_int_equal(submit_plain(&overlay.disk, DISK_WRITE_ZEROES, 3, 2, false), -EIO);
    assert_int_equal(blocks_out, 2); /* the block that was to be filled is given back */
    base.hold = true;
    assert_int_equal(wait(submit(&overlay.disk, DISK_WRITE, 3, 2, 512, 0)), -EIO);
    base.hold = false;
    base.fail = 0;
    check_all();
    /* A whole block needs nothing of the base. */
    base.fail = -EIO;
    fill(data, BLOCK * 512);
    memcpy(model + BLOCK * 512, data, BLOCK * 512);
    assert_int_equal(submit(&overlay.disk, DISK_WRITE, BLOCK, BLOCK, 60000, 0), 0);
    base.fail = 0;
    check_all();
}

static void test_overlay_memory(void **state) {
    (void)state;
    blocks_max = 1; /* no table of the second level */
    assert_int_equal(submit(&overlay.disk, DISK_WRITE, 0, 1, 512, 0), -ENOSPC);
    assert_string_equal(log_text, "disk overlay: no memory left after 64 KiB, writes fail");
    assert_int_equal(submit_plain(&overlay.disk, DISK_WRITE_ZEROES, 0, BLOCK, true), -ENOSPC);
    assert_int_equal(submit_plain(&overlay.disk, DISK_DISCARD, 0, BLOCK, true), 0); /* advice */
    check_all();
    blocks_max = 3;
    fill(data, 512);
    memcpy(model, data, 512);
    assert_int_equal(submit(&overlay.disk, DISK_WRITE, 0, 1, 512, 0), 0);
    assert_int_equal(submit(&overlay.disk, DISK_WRITE, BLOCK, 1, 512, 0), -ENOSPC);
    assert_int_equal(submit(&overlay.disk, DISK_WRITE, BLOCK, BLOCK, 60000, 0), -ENOSPC);
    check_all();
    /* Space that was given back is used again. A block of zeroes needs none. */
    assert_int_equal(submit_plain(&overlay.disk, DISK_WRITE_ZEROES, BLOCK, BLOCK, false), 0);
    memset(model + BLOCK * 512, 0, BLOCK * 512);
    assert_int_equal(submit_plain(&overlay.disk, DISK_WRITE_ZEROES, 0, BLOCK, true), 0);
    memset(model, 0, BLOCK * 512);
    fill(data, 512);
    memcpy(model + BLOCK * 512 + 512, data, 512);
    assert_int_equal(submit(&overlay.disk, DISK_WRITE, BLOCK + 1, 1, 512, 0), 0);
    check_all(); /* around what was written there are zeroes, not another's data */
    assert_int_equal(log_lines, 1);
    blocks_max = 0;
    assert_int_equal(disk_overlay_init(&other, &base.disk, &overlay_memory), -ENOMEM);
    blocks_max = UINT32_MAX;
    base.disk.sectors = UINT64_MAX / 512;
    assert_int_equal(disk_overlay_init(&other, &base.disk, &overlay_memory), -EFBIG);
    base.disk.sectors = SECTORS;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_checks, set_up),
        cmocka_unit_test_setup(test_memory, set_up),
        cmocka_unit_test_setup(test_part, set_up),
        cmocka_unit_test_setup_teardown(test_overlay, set_up_overlay, tear_down_overlay),
        cmocka_unit_test_setup_teardown(test_overlay_space, set_up_overlay, tear_down_overlay),
        cmocka_unit_test_setup_teardown(test_overlay_any_moment, set_up_overlay, tear_down_overlay),
        cmocka_unit_test_setup_teardown(test_overlay_queue, set_up_overlay, tear_down_overlay),
        cmocka_unit_test_setup_teardown(test_overlay_errors, set_up_overlay, tear_down_overlay),
        cmocka_unit_test_setup_teardown(test_overlay_memory, set_up_overlay, tear_down_overlay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
