// SPDX-License-Identifier: Apache-2.0
// The driver for virtio disks, with a virtio disk of our own as its hardware: what the disk is, data through
// it, errors, rings that no device may write, and a disk that does not answer.
// unit-sources: drivers/block/virtio_blk*.c drivers/pci/pci.c lib/pci.c drivers/pci/virtio_pci.c drivers/pci/virtio_ring.c
// unit-sources: virtio/pci.c virtio/device.c virtio/queue*.c virtio/memory.c virtio/blk.c virtio/disk.c
// unit-sources: virtio/disk_memory.c
#include "tests/unit/virtio_card_fixture.h"
#include <stdlib.h>
#include "drivers/block/virtio_blk_internal.h"
#include "virtio/blk.h"
#include "virtio/disk_memory.h"

#define SIZE    (8u << 20)
#define SECTORS (SIZE / DISK_SECTOR)

static struct virtio_blk blk;
static struct disk_memory memory;
static uint8_t *contents, *data;
static bool again;
static int broken; /* what the disk answers, if it is not 0 */
static unsigned flushes, discards, changes;
static struct blk_driver driver;
static struct block *const block = &driver.block;

/* The disk behind the device, which can fail. */
static struct disk inner;
static void inner_submit(struct disk *disk, struct disk_request *request) {
    (void)disk;
    flushes += request->operation == DISK_FLUSH;
    discards += request->operation == DISK_DISCARD;
    if (broken)
        request->done(request, broken);
    else
        memory.disk.operations->submit(&memory.disk, request);
}
static const struct disk_operations inner_operations = {.submit = inner_submit};

static void run_again(struct virtio_blk *device) {
    (void)device;
    again = true;
}
static void work(void) {
    while (again) {
        again = false;
        virtio_blk_run(&blk);
    }
}

static void count_change(struct block *b) {
    assert_ptr_equal(b, block);
    changes++;
}

static int plug(bool read_only, uint64_t without) {
    memset(&driver, 0, sizeof(driver));
    assert_int_equal(disk_memory_init(&memory, contents, SIZE, read_only), 0);
    inner = memory.disk;
    inner.operations = &inner_operations;
    inner.cached = inner.discards = true;
    inner.optimal = 65536;
    inner.physical = 4096;
    memset(&blk, 0, sizeof(blk));
    virtio_blk_init(&blk, &inner, "  SG-17 x\x01  ", 1, read_only, run_again);
    card_prepare(&blk.device, work);
    blk.device.features_offered |= VIRTIO_VERSION_1 | VIRTIO_RING_EVENT;
    blk.device.features_offered &= ~without;
    card.master = true; /* queues of our own devices look at memory when they are enabled */
    assert_int_equal(virtio_pci_init(&card.transport, &blk.device), 0);
    card_plug();
    block->class = &virtio_blk_block;
    block->pci = &card.pci;
    block->changed = count_change;
    return 0;
}

static int setup_with(bool read_only, uint64_t without) {
    again = false;
    broken = 0;
    flushes = discards = changes = 0;
    contents = calloc(1, SIZE);
    data = calloc(1, SIZE);
    return plug(read_only, without);
}
static int setup(void **state) {
    (void)state;
    return setup_with(false, 0);
}
static int setup_plain(void **state) { /* without an event index, flush, discard, write zeroes */
    (void)state;
    return setup_with(false, VIRTIO_RING_EVENT | BLK_F_FLUSH | BLK_F_DISCARD | BLK_F_ZEROES);
}
static int teardown(void **state) {
    (void)state;
    free(contents);
    free(data);
    return 0;
}

static void start(void) {
    card.master = true;
    assert_int_equal(virtio_blk_block.start(block), 0);
    card_take();
}

/* ---- requests */

static struct job {
    struct disk_request request;
    struct virtq_segment segment[2];
    bool done;
    int error;
} jobs[80];
static unsigned order[80], finished;

static void done(struct disk_request *request, int error) {
    struct job *job = (struct job *)(void *)request;
    assert_false(job->done);
    job->done = true;
    job->error = error;
    order[finished++] = (unsigned)(job - jobs);
}

static struct job *submit(unsigned n, enum disk_operation operation, uint64_t sector, uint64_t count,
                          uint8_t *bytes) {
    struct job *job = &jobs[n];
    uint32_t size = (uint32_t)count * DISK_SECTOR;

    if (n == 0)
        finished = 0;
    memset(job, 0, sizeof(*job));
    job->request = (struct disk_request){
        .operation = operation, .sector = sector, .count = count, .done = done, .unmap = true};
    if (bytes) {
        /* Behind three bytes that are not data, in two pieces that end within a sector. */
        job->segment[0] = (struct virtq_segment){.data = bytes - 3, .size = 103};
        job->segment[1] = (struct virtq_segment){.data = bytes + 100, .size = size - 100};
        job->request.segment = job->segment;
        job->request.segments = 2;
        job->request.skip = 3;
    }
    disk_submit(&block->disk, &job->request);
    return job;
}

static void drain(void) {
    for (unsigned i = 0; i < 100; i++) {
        uint32_t vectors = card_take();
        if (!vectors)
            return;
        virtio_blk_block.poll(block, vectors);
    }
    fail_msg("interrupts without an end");
}

static int run(enum disk_operation operation, uint64_t sector, uint64_t count, uint8_t *bytes) {
    struct job *job = submit(0, operation, sector, count, bytes);
    drain();
    assert_true(job->done);
    return job->error;
}

/* ---- what it is */

static void test_start(void **state) {
    (void)state;
    assert_true(virtio_blk_block.matches(&card.pci));
    assert_true(virtio_blk_block.size == sizeof(driver));
    start();
    assert_string_equal(block->serial, "SG-17 x?");
    assert_int_equal(block->disk.sectors, SECTORS);
    assert_int_equal(block->disk.block, 512);
    assert_int_equal(block->disk.physical, 4096);
    assert_int_equal(block->disk.optimal, 65536);
    assert_true(block->disk.cached && block->disk.discards && !block->disk.read_only);
    assert_int_equal(card.pci.vectors, 2);
    card.info.config[2] = 0x41;
    assert_false(virtio_blk_block.matches(&card.pci));
    card.info.config[2] = 0x01, card.info.config[3] = 0x10; /* transitional */
    assert_true(virtio_blk_block.matches(&card.pci));
    card.info.config[0] = 0;
    assert_false(virtio_blk_block.matches(&card.pci));
}

static void test_read_only(void **state) {
    (void)state;
    plug(true, 0);
    start();
    assert_true(block->disk.read_only);
    assert_int_equal(run(DISK_READ, 0, 1, data + 8), 0);
    assert_int_equal(submit(0, DISK_WRITE, 0, 1, data + 8)->error, -EROFS);
}

/* ---- data */

static void test_data(void **state) {
    (void)state;
    start();
    for (unsigned i = 0; i < SIZE; i++)
        data[i] = (uint8_t)(i * 7 + i / 512);
    /* 3 MiB and one sector: more pieces than there are slots for two of them. */
    unsigned count = (3u << 20) / DISK_SECTOR + 1;
    struct job *a = submit(0, DISK_WRITE, 5, count, data + 8);
    struct job *b = submit(1, DISK_WRITE, 5 + count, count, data + 8 + count * DISK_SECTOR);
    drain();
    assert_true(a->done && b->done && !a->error && !b->error);
    assert_memory_equal(contents + 5 * DISK_SECTOR, data + 8, (size_t)2 * count * DISK_SECTOR);
    memset(data, 0, SIZE);
    assert_int_equal(run(DISK_READ, 5, count, data + 8), 0);
    assert_memory_equal(contents + 5 * DISK_SECTOR, data + 8, (size_t)count * DISK_SECTOR);
    assert_true(data[7] == 0 && data[8 + count * DISK_SECTOR] == 0);
    assert_int_equal(run(DISK_WRITE_ZEROES, 6, 4000, NULL), 0);
    for (unsigned i = 6 * DISK_SECTOR; i < 4006 * DISK_SECTOR; i++)
        assert_int_equal(contents[i], 0);
    assert_int_not_equal(contents[6 * DISK_SECTOR - 1], 0);
    assert_int_equal(run(DISK_FLUSH, 0, 0, NULL), 0);
    assert_int_equal(flushes, 1);
    assert_int_equal(run(DISK_DISCARD, 0, SECTORS, NULL), 0);
    assert_true(discards > 0);
    assert_int_equal(block->counters.writes, 4);
    assert_int_equal(block->counters.reads, 1);
    assert_int_equal(block->counters.flushes, 1);
    assert_true(block->counters.interrupts > 0);
    assert_int_equal(submit(0, DISK_READ, SECTORS, 1, data + 8)->error, -EINVAL);
}

static void test_plain(void **state) {
    (void)state;
    start();
    assert_false(block->disk.cached);
    assert_int_equal(run(DISK_FLUSH, 0, 0, NULL), 0);
    assert_int_equal(run(DISK_DISCARD, 0, 8, NULL), 0);
    assert_int_equal(flushes + discards, 0);
    memset(contents, 0x33, SIZE);
    assert_int_equal(run(DISK_WRITE_ZEROES, 1, SECTORS - 2, NULL), 0); /* by writing */
    assert_true(contents[511] == 0x33 && contents[512] == 0 && contents[SIZE - 513] == 0 &&
                contents[SIZE - 512] == 0x33);
    memset(data, 0x44, SIZE);
    for (unsigned i = 0; i < 1000; i++) /* rings go round */
        assert_int_equal(run(DISK_WRITE, i, 1, data + 8), 0);
    assert_int_equal(contents[999 * 512], 0x44);
}

static void test_many(void **state) {
    (void)state;
    start();
    card.deaf = true;
    for (unsigned i = 0; i < 80; i++) {
        memset(data + 4096 * i, (int)i + 1, 4096);
        submit(i, DISK_WRITE, i, 1, data + 4096 * i + 8);
    }
    assert_int_equal(driver.ring.flights, BLK_SLOTS);
    card.deaf = false;
    virtio_device_notify(&blk.device, 0);
    work();
    drain();
    assert_int_equal(finished, 80);
    for (unsigned i = 0; i < 80; i++) {
        assert_int_equal(order[i], i);
        assert_int_equal(jobs[i].error, 0);
        assert_int_equal(contents[i * 512], i + 1);
    }
}

static void test_errors(void **state) {
    (void)state;
    start();
    broken = -EIO;
    assert_int_equal(run(DISK_WRITE, 0, 4000, data + 8), -EIO);
    assert_int_equal(run(DISK_READ, 0, 1, data + 8), -EIO);
    assert_int_equal(run(DISK_FLUSH, 0, 0, NULL), -EIO);
    broken = -EOPNOTSUPP;
    assert_int_equal(run(DISK_WRITE_ZEROES, 0, 8, NULL), -EOPNOTSUPP);
    broken = 0;
    assert_int_equal(run(DISK_READ, 0, 4000, data + 8), 0);
    assert_int_equal(block->counters.errors, 4);
    assert_false(block->failed);
    for (unsigned i = 0; i < BLK_SLOTS + 1; i++)
        assert_null(driver.open[i].request);
}

/* ---- interrupts of other kinds */

static void test_line(void **state) {
    (void)state;
    card.most = 1;
    card.line = true;
    start();
    assert_int_equal(run(DISK_READ, 0, 100, data + 8), 0);
    assert_int_equal(card.unmasks, 1);
    assert_int_equal(card.mine, 1);
    assert_false(card.level);
    block->class->poll(block, 1); /* another's on the line */
    assert_int_equal(card.unmasks, 2);
    assert_int_equal(card.mine, 1);
}

static void test_polled(void **state) {
    (void)state;
    card.most = 0;
    start();
    struct job *job = submit(0, DISK_READ, 0, 4000, data + 8);
    assert_int_equal(card_take(), 0);
    for (unsigned i = 0; i < 4 && !job->done; i++)
        virtio_blk_block.poll(block, 0);
    assert_true(job->done);
    assert_int_equal(block->counters.interrupts, 0);
    job = submit(0, DISK_READ, 0, 8, data + 8);
    block->disk.operations->poll(&block->disk);
    assert_true(job->done);
}

/* ---- devices that break the rules */

static void expect_start(int error) {
    card.master = true;
    assert_int_equal(virtio_blk_block.start(block), error);
    assert_non_null(block->why);
    assert_int_equal(submit(0, DISK_READ, 0, 1, data + 8)->done, true);
}

static void test_refused(void **state) {
    (void)state;
    start(); /* for a disk to submit to */
    virtio_blk_block.stop(block);
    blk.device.features_offered &= ~VIRTIO_VERSION_1;
    expect_start(-ENOTSUP);
    plug(false, 0);
    start();
    card.stuck = true;
    expect_start(-ETIMEDOUT);
    assert_false(card.master);
    card.stuck = false;
    card.gone = true;
    expect_start(-EIO);
    card.gone = false;
    card.no_vectors = true;
    expect_start(-EIO);
    card.no_vectors = false;
    card.deaf = true; /* its serial number never comes */
    expect_start(-ETIMEDOUT);
    assert_false(card.master);
    card.deaf = false;
    inner.block = inner.physical = 1u << 20;
    expect_start(-ENOTSUP);
    inner.block = inner.physical = 512;
    inner.sectors = 0;
    expect_start(-ENOTSUP);
    inner.sectors = SECTORS;
    start(); /* nothing of it has stayed */
    assert_int_equal(run(DISK_READ, 0, 1, data + 8), 0);
    plug(false, 0);
    card.limit = 1u << 20;
    card.master = true;
    assert_int_equal(virtio_blk_block.start(block), -ENOMEM);
}

/* The description of its structures. */
static void test_description(void **state) {
    (void)state;
    for (unsigned at = 0x40; at < 0x80; at++) {
        static const uint8_t values[] = {0, 1, 3, 6, 0x40, 0x80, 0xff};
        for (unsigned i = 0; i < sizeof(values); i++) {
            plug(false, 0);
            card.info.config[at] = values[i];
            card.master = true;
            int error = virtio_blk_block.start(block);
            assert_true(error <= 0);
            if (error) {
                assert_non_null(block->why);
                continue;
            }
            /* Perhaps its interrupts do not come; the request ends anyway. */
            struct job *job = submit(0, DISK_READ, 0, 1, data + 8);
            virtio_blk_block.poll(block, 0);
            virtio_blk_block.stop(block);
            assert_true(job->done);
        }
    }
}

/* Each is found out, the disk is reset, and what it had is repeated. */
static void test_hostile_ring(void **state) {
    static const struct {
        uint32_t id, length;
        unsigned step;
    } lies[] = {{1, 1, 1},   {96, 1, 1},         {128, 1, 1}, {UINT32_MAX, 1, 1}, {3, 514, 1},
                {0, 514, 1}, {0, UINT32_MAX, 1}, {0, 1, 3},   {0, 1, 0x8000},     {0, 1, 0xffff}};
    (void)state;
    start();
    for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        memset(data, (int)i + 1, 4096);
        card.deaf = true;
        struct job *job = submit(0, DISK_READ, 7, 1, data + 8);
        struct job *other = submit(1, DISK_WRITE, 9, 1, data + 2048);
        card_use(0, lies[i].id, lies[i].length, lies[i].step);
        virtio_blk_block.poll(block, 2);
        assert_false(job->done || other->done);
        assert_non_null(driver.trouble);
        card.deaf = false;
        virtio_blk_block.tick(block);
        assert_int_equal(block->counters.resets, i + 1);
        drain();
        assert_true(job->done && other->done && !job->error && !other->error);
        assert_int_equal(contents[9 * 512], i + 1);
        assert_false(driver.tried || block->failed);
    }
    assert_int_equal(changes, 0);
}

/* A buffer is used twice; a status is never written. */
static void test_hostile_answer(void **state) {
    (void)state;
    start();
    card.deaf = true;
    struct job *job = submit(0, DISK_READ, 7, 1, data + 8);
    submit(1, DISK_READ, 8, 1, data + 2048);
    card_use(0, 0, 0, 1);
    virtio_blk_block.poll(block, 2);
    assert_true(job->done);
    assert_int_equal(job->error, -EIO);
    card_use(0, 0, 0, 1);
    virtio_blk_block.poll(block, 2);
    assert_non_null(driver.trouble);
}

static void test_timeout(void **state) {
    (void)state;
    start();
    card.deaf = true;
    struct job *job = submit(0, DISK_WRITE, 3, 1, data + 8);
    virtio_blk_block.tick(block);
    assert_int_equal(block->counters.resets, 0);
    /* It helps. */
    card.now += BLOCK_TIMEOUT;
    card.deaf = false;
    virtio_blk_block.tick(block);
    drain();
    assert_true(job->done && !job->error);
    assert_int_equal(block->counters.resets, 1);
    assert_false(block->failed);
    /* It does not help. */
    card.deaf = true;
    for (unsigned i = 0; i < 50; i++)
        submit(i, DISK_WRITE, i, 1, data + 4096 * i + 8);
    card.now += BLOCK_TIMEOUT;
    virtio_blk_block.tick(block);
    assert_int_equal(finished, 0);
    assert_int_equal(block->counters.resets, 2);
    assert_int_equal(driver.ring.flights, BLK_SLOTS);
    virtio_blk_block.tick(block);
    assert_int_equal(finished, 0);
    card.now += BLOCK_TIMEOUT;
    virtio_blk_block.tick(block);
    assert_int_equal(finished, 50);
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(jobs[i].error, -EIO);
    assert_true(block->failed && changes == 1 && !card.master);
    assert_int_equal(submit(0, DISK_READ, 0, 1, data + 8)->error, -EIO);
    virtio_blk_block.poll(block, 1);
    virtio_blk_block.tick(block);
    assert_int_equal(changes, 1);
    /* The owner may try again. */
    card.deaf = false;
    start();
    assert_int_equal(run(DISK_READ, 0, 1, data + 8), 0);
}

/* One request hangs, before and after the reset, while others are done. */
static void test_one_hangs(void **state) {
    (void)state;
    start();
    card.deaf = true;
    struct job *job = submit(0, DISK_READ, 3, 1, data + 8);
    card.now += BLOCK_TIMEOUT;
    virtio_blk_block.tick(block);
    assert_int_equal(block->counters.resets, 1);
    struct job *other = submit(1, DISK_READ, 4, 1, data + 2048);
    card_use(0, BLK_DESCRIPTORS, 513, 1);
    virtio_blk_block.poll(block, 2);
    assert_true(other->done && !job->done);
    card.now += BLOCK_TIMEOUT;
    virtio_blk_block.tick(block);
    assert_int_equal(block->counters.resets, 1);
    assert_true(job->done && job->error == -EIO && block->failed);
}

static void test_gone(void **state) {
    (void)state;
    start();
    card.deaf = true;
    struct job *job = submit(0, DISK_READ, 3, 1, data + 8);
    card.gone = true;
    virtio_blk_block.tick(block);
    assert_true(job->done && job->error == -EIO && block->failed && !card.master);
    assert_int_equal(changes, 1);
}

static void test_needs_reset(void **state) {
    (void)state;
    start();
    virtio_device_break(&blk.device, "a test");
    struct job *job = submit(0, DISK_READ, 3, 1, data + 8);
    virtio_blk_block.poll(block, card_take());
    assert_non_null(driver.trouble);
    virtio_blk_block.tick(block);
    drain();
    assert_true(job->done && !job->error && !block->failed);
    /* Another disk after a reset is not what the requests were for. */
    card.deaf = true;
    job = submit(0, DISK_WRITE, 3, 1, data + 8);
    inner.sectors /= 2;
    card.now += BLOCK_TIMEOUT;
    virtio_blk_block.tick(block);
    assert_true(job->done && job->error == -EIO && block->failed);
}

static void test_stop(void **state) {
    (void)state;
    start();
    card.deaf = true;
    for (unsigned i = 0; i < 40; i++)
        submit(i, DISK_READ, i, 1, data + 4096 * i + 8);
    virtio_blk_block.stop(block);
    assert_int_equal(finished, 40);
    assert_false(card.master);
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(jobs[i].error, -EIO);
    assert_int_equal(submit(0, DISK_READ, 0, 1, data + 8)->error, -EIO);
    virtio_blk_block.poll(block, 1);
    card.deaf = false;
    start();
    assert_int_equal(run(DISK_READ, 0, 1, data + 8), 0);
}

/* Whatever the device writes into the driver's memory: each request is done once, in the end. */
static void test_noise(void **state) {
    uint64_t seed = 1;
    unsigned restarts = 0;
    (void)state;
    for (unsigned round = 0; round < 300; round++) {
        unsigned count = 0;
        start();
        for (unsigned step = 0; step < 60; step++) {
            uint32_t what = card_random(&seed);
            card.deaf = what & 1;
            if (count < 80)
                submit(count,
                       what & 2   ? DISK_WRITE
                       : what & 4 ? DISK_READ
                                  : DISK_WRITE_ZEROES,
                       count * 300, 1 + what % 600, data + 8 + count * 4096);
            count += count < 80;
            if (what % 8 == 0)
                card_scribble(&seed, driver.ring.dma, 8192);
            if (what % 8 == 1)
                card_scribble(&seed, driver.control_dma, BLK_SLOTS * BLK_CONTROL_SIZE);
            virtio_blk_block.poll(block, card_take());
            if (what % 16 == 2) {
                card.now += BLOCK_TIMEOUT;
                virtio_blk_block.tick(block);
            }
        }
        virtio_blk_block.stop(block);
        restarts += block->counters.resets;
        block->counters.resets = 0;
        assert_int_equal(finished, count);
        card.deaf = false;
    }
    assert_true(restarts > 20);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_start),        T(test_read_only),
        T(test_data),         cmocka_unit_test_setup_teardown(test_plain, setup_plain, teardown),
        T(test_many),         T(test_errors),
        T(test_line),         T(test_polled),
        T(test_refused),      T(test_description),
        T(test_hostile_ring), T(test_hostile_answer),
        T(test_timeout),      T(test_one_hangs),
        T(test_gone),         T(test_needs_reset),
        T(test_stop),         T(test_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
