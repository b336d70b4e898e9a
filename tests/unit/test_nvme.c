// SPDX-License-Identifier: Apache-2.0
// The NVM Express driver with a model of a controller: what it makes of a disk, and its requests.
// unit-sources: drivers/block/nvme.c drivers/block/nvme_start.c drivers/block/nvme_identify.c
// unit-sources: drivers/block/nvme_queue.c drivers/block/nvme_request.c virtio/disk.c
#include "tests/unit/nvme_fixture.h"

static void start(void) {
    assert_true(nvme_block.matches(&pci));
    assert_int_equal(block->class->start(block), 0);
}

static void expect_refusal(int error, const char *why) {
    assert_int_equal(block->class->start(block), error);
    assert_non_null(block->why);
    assert_string_equal(block->why, why);
    assert_false(model.master);
}

static void test_start(void **state) {
    (void)state;
    start();
    assert_int_equal(block->disk.sectors, IMAGE_SIZE / 512);
    assert_int_equal(block->disk.block, 512);
    assert_int_equal(block->disk.physical, 512);
    assert_int_equal(block->disk.optimal, 0);
    assert_true(block->disk.cached && block->disk.discards && !block->disk.read_only);
    assert_string_equal(block->serial, "SG-12?  x");
    assert_false(block->failed);
    assert_int_equal(nvme->identity.zeroes, 65536 * 512); /* there is no MDTS, but a count of 16 bits */
    assert_int_equal(pci.vectors, 1);
    block->class->stop(block);
    assert_false(model.master);
    assert_false(model.cc & 1);
    assert_int_equal(model.shutdowns, 1);
    assert_int_equal(submit(0, DISK_READ, 0, 1, 0)->result, -EIO);
}

/* As firmware may leave it: running, or half enabled. */
static void test_start_again(void **state) {
    (void)state;
    model.cc = 1;
    model.csts = 1;
    start();
    assert_int_equal(model.enables, 1);
    block->class->stop(block);
}

static void test_start_half_enabled(void **state) {
    (void)state;
    model.cc = 1;
    model.changes_at = 20000000; /* it is ready then */
    model.master = true;
    start();
    assert_true(model.clock > 20000000);
    assert_int_equal(model.enables, 1);
}

static void test_sizes(void **state) {
    (void)state;
    model_format(12);
    model.space[24] = 1 << 4;
    bytes_put16(model.space + 64, 3);
    bytes_put16(model.space + 72, 31);
    model.space[99] = 1;
    model.controller[525] = 0;
    bytes_put16(model.controller + 520, 0);
    start();
    assert_int_equal(block->disk.sectors, IMAGE_SIZE / 512);
    assert_int_equal(block->disk.block, 4096);
    assert_int_equal(block->disk.physical, 16384);
    assert_int_equal(block->disk.optimal, 131072);
    assert_true(block->disk.read_only && !block->disk.cached && !block->disk.discards);
    assert_int_equal(submit(0, DISK_WRITE, 0, 8, 0)->result, -EROFS);
    assert_int_equal(submit(1, DISK_FLUSH, 0, 0, 0)->result, 0);
    assert_int_equal(model.commands[NVME_FLUSH], 0);
}

static void test_odd_sizes(void **state) {
    (void)state;
    model.space[24] = 1 << 4;
    bytes_put16(model.space + 64, 2); /* no power of two */
    bytes_put16(model.space + 72, 0xffff);
    start();
    assert_int_equal(block->disk.physical, 512);
    assert_int_equal(block->disk.optimal, 0);
}

/* ---- refusals */

static void test_capabilities(void **state) {
    (void)state;
    const uint64_t cap = model.cap;
    model.cap = cap & ~(1ull << 37);
    expect_refusal(-ENOTSUP, "the controller does not have the NVM command set");
    model.cap = cap | 1ull << 48;
    expect_refusal(-ENOTSUP, "the controller does not have pages of 4 KiB");
    model.cap = cap & ~0xffffull;
    expect_refusal(-EIO, "the controller has no room in its queues");
    model.cap = cap | 15ull << 32; /* doorbells far behind the BAR */
    expect_refusal(-EIO, "the controller's doorbells cannot be mapped");
    model.gone = true;
    expect_refusal(-EIO, "the controller does not answer");
    model.no_bar = true;
    expect_refusal(-EIO, "the controller's registers cannot be mapped");
}

static void test_formats(void **state) {
    (void)state;
    bytes_put32(model.space + 128 + 4, 9 << 16 | 8);
    expect_refusal(-ENOTSUP, "name space 1 is formatted with metadata");
    bytes_put32(model.space + 128 + 4, 11 << 16);
    expect_refusal(-ENOTSUP, "name space 1 has blocks of neither 512 nor 4096 bytes");
    bytes_put32(model.space + 128 + 4, 9 << 16);
    model.space[25] = 0;
    expect_refusal(-EIO, "name space 1 has a format that the controller does not list");
    model.space[25] = 1;
    bytes_put64(model.space, 1ull << 55);
    expect_refusal(-EIO, "name space 1 has an impossible size");
    bytes_put64(model.space, 0);
    expect_refusal(-ENODEV, "name space 1 is not there");
    model.controller[512] = 0x77;
    expect_refusal(-ENOTSUP, "the controller's queue entries have sizes that are not known");
    model.controller[512] = 0x66;
    bytes_put32(model.controller + 516, 0);
    expect_refusal(-ENODEV, "the controller has no name spaces");
}

static void test_admin_failures(void **state) {
    (void)state;
    model.fail_admin = NVME_IDENTIFY;
    expect_refusal(-EIO, "the controller does not identify itself");
    model.fail_admin = NVME_SET_FEATURES;
    expect_refusal(-EIO, "the controller grants no queues");
}

static void test_admin_silence(void **state) {
    (void)state;
    model.deaf_admin = NVME_CREATE_SQ;
    expect_refusal(-ETIMEDOUT, "the controller makes no submission queue");
    assert_true(model.clock < 5 * SECOND);
}

static void test_never_ready(void **state) {
    (void)state;
    model.ready_never = true;
    expect_refusal(-ETIMEDOUT, "the controller takes too long to start");
    assert_true(model.clock < 5 * SECOND);
}

static void test_never_ready_short(void **state) {
    (void)state;
    model.ready_never = true;
    model.cap &= ~(255ull << 24);
    expect_refusal(-ETIMEDOUT, "the controller does not start");
    assert_true(model.clock < 2 * SECOND);
}

static void test_never_reset(void **state) {
    (void)state;
    model.cc = model.csts = 1;
    model.reset_never = true;
    model.cap &= ~(255ull << 24);
    expect_refusal(-ETIMEDOUT, "the controller does not reset");
}

static void test_fatal(void **state) {
    (void)state;
    model.fatal_at_start = true;
    expect_refusal(-EIO, "the controller failed while it was started");
}

static void test_no_memory(void **state) {
    (void)state;
    model.dma_left = 4;
    expect_refusal(-ENOMEM, "there is no memory for the controller's queues");
    model.dma_left = 20;
    expect_refusal(-ENOMEM, "there is no memory for the controller's data");
}

static void test_no_master(void **state) {
    (void)state;
    model.no_master = true;
    expect_refusal(-EIO, "the controller is not allowed to do DMA");
}

/* ---- requests */

static void check_read(const struct test_request *test, uint64_t sector) {
    assert_int_equal(test->result, 0);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(test->data[i], 0xee);
    assert_memory_equal(test->data + 5, model.image + sector * 512, test->size);
}

static void write_and_read(void) {
    static const unsigned sizes[] = {8,   16,   24,  256,
                                     264, 1000, 4096}; /* sectors: PRPs of each kind, pieces */
    uint64_t sector = 64;
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const unsigned count = sizes[i];
        struct test_request *test = submit(0, DISK_READ, sector, count, 0xee);
        assert_int_equal(test->result, 1);
        interrupt();
        check_read(test, sector);
        const uint8_t before = model.image[sector * 512 - 1], after = model.image[(sector + count) * 512];
        test = submit(1, DISK_WRITE, sector, count, (uint8_t)(0x11 * (i + 1)));
        interrupt();
        assert_int_equal(test->result, 0);
        assert_memory_equal(test->data + 5, model.image + sector * 512, test->size);
        assert_int_equal(model.image[sector * 512 - 1], before);
        assert_int_equal(model.image[(sector + count) * 512], after);
        sector += count;
    }
    assert_int_equal(block->counters.reads, 7);
    assert_int_equal(block->counters.writes, 7);
    assert_int_equal(block->counters.errors, 0);
    assert_int_equal(block->counters.resets, 0);
    assert_int_equal(block->counters.interrupts, 14 * INTERRUPTS);
    assert_int_equal(model.unmasks, pci.vectors == 1 ? 14 * INTERRUPTS : 0); /* of a line alone */
    assert_int_equal(model.mine, pci.vectors == 1 ? 14 : 0);
}

static void test_data(void **state) {
    (void)state;
    start();
    write_and_read();
    assert_int_equal(model.commands[NVME_READ], 1 + 1 + 1 + 1 + 2 + 4 + 16);
}

static void test_data_4096(void **state) {
    (void)state;
    model_format(12);
    model.cap |= 1ull << 32; /* another stride of the doorbells */
    model.messages = true;
    start();
    write_and_read();
}

/* Pieces of 8 KiB: MDTS = 1. A queue of three entries. Without interrupts. */
static void test_data_small(void **state) {
    (void)state;
    model.controller[77] = 1;
    model.cap = (model.cap & ~0xffffull) | 2;
    model.no_vectors = true;
    start();
    assert_int_equal(pci.vectors, 0);
    write_and_read();
    struct test_request *test = submit(0, DISK_READ, 0, 64, 0xee);
    for (unsigned i = 0; i < 10; i++)
        block->disk.operations->poll(&block->disk);
    check_read(test, 0);
    assert_int_equal(model.last_size, 8192);
}

static void test_other_commands(void **state) {
    (void)state;
    start();
    struct test_request *test = submit(0, DISK_FLUSH, 0, 0, 0);
    interrupt();
    assert_int_equal(test->result, 0);
    assert_int_equal(model.commands[NVME_FLUSH], 1);
    assert_int_equal(block->counters.flushes, 1);

    test = submit(0, DISK_DISCARD, 100, 10000, 0);
    interrupt();
    assert_int_equal(test->result, 0);
    assert_int_equal(model.commands[NVME_DATASET], 1);
    for (unsigned i = 0; i < 10000 * 512; i++)
        assert_int_equal(model.image[100 * 512 + i], 0xdd);
    assert_int_not_equal(model.image[10100 * 512], 0xdd);

    test = submit(0, DISK_WRITE_ZEROES, 101, 9000, 0);
    interrupt();
    assert_int_equal(test->result, 0);
    assert_int_equal(model.commands[NVME_WRITE_ZEROES], 1);
    assert_int_equal(model.commands[NVME_WRITE], 0);
    assert_int_equal(model.image[101 * 512 - 1], 0xdd);
    for (unsigned i = 0; i < 9000 * 512; i++)
        assert_int_equal(model.image[101 * 512 + i], 0);
    assert_int_equal(model.image[9101 * 512], 0xdd);
    assert_int_equal(model.last_words[2], 8999); /* and nothing else */
}

/* Zeroes by the controller: in pieces of MDTS, with space given back. By writing. And no discard. */
static void test_zeroes(void **state) {
    (void)state;
    model.controller[77] = 3;
    model.space[33] = 8 | 1;
    start();
    memset(&requests[0], 0, sizeof(requests[0]));
    requests[0].request = (struct disk_request){
        .operation = DISK_WRITE_ZEROES, .sector = 1, .count = 100, .unmap = true, .done = request_done};
    requests[0].result = 1;
    disk_submit(&block->disk, &requests[0].request);
    interrupt();
    assert_int_equal(requests[0].result, 0);
    assert_int_equal(model.commands[NVME_WRITE_ZEROES], 2);
    assert_int_equal(model.last_words[2], 35 | 1 << 25);
    for (unsigned i = 512; i < 101 * 512; i++)
        assert_int_equal(model.image[i], 0);
}

static void test_zeroes_written(void **state) {
    (void)state;
    bytes_put16(model.controller + 520, 0);
    start();
    const uint8_t before = model.image[3 * 512 - 1];
    struct test_request *test = submit(0, DISK_WRITE_ZEROES, 3, 1000, 0);
    interrupt();
    assert_int_equal(test->result, 0);
    assert_int_equal(model.commands[NVME_WRITE], 4);
    assert_int_equal(model.image[3 * 512 - 1], before);
    for (unsigned i = 3 * 512; i < 1003 * 512; i++)
        assert_int_equal(model.image[i], 0);
    assert_int_equal(submit(1, DISK_DISCARD, 0, 8, 0)->result, 0);
    assert_int_equal(model.commands[NVME_DATASET], 0);
}

/* More than there are slots: sent in order, completed in another one. */
static void test_many(void **state) {
    (void)state;
    start();
    model.hold = true;
    for (unsigned i = 0; i < REQUESTS; i++)
        submit(i, i & 1 ? DISK_WRITE : DISK_READ, i * 16, 8, i & 1 ? (uint8_t)i : 0xee);
    assert_int_equal(model_open(), NVME_SLOTS);
    for (unsigned round = 0; round < 10 && finished_count < REQUESTS; round++) {
        model_release(true);
        interrupt();
    }
    assert_int_equal(finished_count, REQUESTS);
    assert_int_equal(model.most_open, NVME_SLOTS);
    assert_int_equal(finished[0], NVME_SLOTS - 1);
    for (unsigned i = 0; i < REQUESTS; i++)
        if (i & 1)
            assert_memory_equal(requests[i].data + 5, model.image + i * 16 * 512, 8 * 512);
        else
            check_read(&requests[i], i * 16);
}

/* Large requests that share the slots, again and again: all wraps of the rings. */
static void test_many_large(void **state) {
    (void)state;
    start();
    for (unsigned round = 0; round < 40; round++) {
        model.hold = true;
        for (unsigned i = 0; i < 8; i++)
            submit(i, DISK_READ, i * 1024, 1024 + i, 0xee);
        for (unsigned i = 0; i < 5; i++) {
            model_release(round & 1);
            interrupt();
        }
        for (unsigned i = 0; i < 8; i++)
            check_read(&requests[i], i * 1024);
    }
}

static void test_errors(void **state) {
    (void)state;
    start();
    model.fail_io = 1;
    submit(0, DISK_READ, 0, 1000, 0xee);
    submit(1, DISK_READ, 8, 8, 0xee);
    interrupt();
    assert_int_equal(requests[0].result, -EIO);
    check_read(&requests[1], 8);
    model.hold = true;
    submit(2, DISK_WRITE, 0, 256 * 40, 1); /* more pieces than slots: the last ones are not sent */
    model.fail_io = 1;
    model_release(false);
    interrupt();
    assert_int_equal(requests[2].result, -EIO);
    assert_int_equal(model.commands[NVME_WRITE], NVME_SLOTS);
    assert_int_equal(block->counters.errors, 2);
    assert_false(block->failed);
    model.hold = false;
    submit(3, DISK_READ, 8, 8, 0xee);
    interrupt();
    check_read(&requests[3], 8);
}

static void test_checks(void **state) {
    (void)state;
    model_format(12);
    start();
    assert_int_equal(submit(0, DISK_READ, IMAGE_SIZE / 512, 8, 0)->result, -EINVAL);
    assert_int_equal(submit(0, DISK_READ, 4, 8, 0)->result, -EINVAL);
    assert_int_equal(submit(0, DISK_READ, 8, 4, 0)->result, -EINVAL);
    assert_int_equal(model.commands[NVME_READ], 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down_requests)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_start),
        TEST(test_start_again),
        TEST(test_start_half_enabled),
        TEST(test_sizes),
        TEST(test_odd_sizes),
        TEST(test_capabilities),
        TEST(test_formats),
        TEST(test_admin_failures),
        TEST(test_admin_silence),
        TEST(test_never_ready),
        TEST(test_never_ready_short),
        TEST(test_never_reset),
        TEST(test_fatal),
        TEST(test_no_memory),
        TEST(test_no_master),
        TEST(test_data),
        TEST(test_data_4096),
        TEST(test_data_small),
        TEST(test_other_commands),
        TEST(test_zeroes),
        TEST(test_zeroes_written),
        TEST(test_many),
        TEST(test_many_large),
        TEST(test_errors),
        TEST(test_checks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
