// SPDX-License-Identifier: Apache-2.0
// virtio-blk with many requests: large ones in pieces, order of those that overlap, the pool, resets while
// requests are at the disk, several queues, a restart of the program.
// unit-sources: virtio/blk.c virtio/disk.c virtio/disk_memory.c
#include "tests/unit/blk_fixture.h"

/* Large requests go to the disk in pieces, and no run does too much. */
static void test_large(void **state) {
    (void)state;
    const struct mock_buffer *of = post(0, IN, 1, 3 * 1024 * 1024);
    go();
    assert_int_equal(of->written, 3 * 1024 * 1024 + 1);
    assert_memory_equal(mock_ram + DATA, image + 512, 3 * 1024 * 1024);
    assert_int_equal(slow.largest, 2048); /* the first one is shorter: they end at multiples */
    assert_int_equal(slow.requests, 4);
    for (unsigned i = 0; i < 20; i++)
        post(0, IN, 0, 3 * 1024 * 1024);
    slow.requests = 0;
    mock_notify(&blk.device, 0);
    assert_true(again_count > 0);
    assert_true(slow.requests <= 10);
    assert_true(mock_queue[0].finished < 21);
    loop();
    assert_int_equal(mock_queue[0].finished, 21);
}

static void test_order(void **state) {
    (void)state;
    slow.hold = true;
    memset(mock_ram + 0x10000 + DATA, 1, 1024);
    memset(mock_ram + 0x20000 + DATA, 2, 1024);
    post(0x10000, OUT, 20, 1024);
    post(0x20000, OUT, 21, 1024); /* overlaps */
    post(0x30000, OUT, 50, 512);  /* is behind it */
    go();
    assert_int_equal(slow.count, 1);
    release(0);
    loop();
    assert_int_equal(slow.count, 2);
    assert_int_equal(mock_queue[0].finished, 1);
    release(1);
    release(0);
    loop();
    assert_int_equal(mock_queue[0].finished, 3);
    assert_int_equal(mock_queue[0].order[1], 2);
    assert_int_equal(image[20 * 512], 1);
    assert_int_equal(image[21 * 512], 2);
    assert_int_equal(image[22 * 512], 2);
    /* Reads pass each other, a write waits for a read, a read for a write. */
    post(0x10000, IN, 20, 1024);
    post(0x20000, IN, 20, 1024);
    post(0x30000, OUT, 20, 512);
    post(0x40000, IN, 20, 512);
    go();
    assert_int_equal(slow.count, 2);
    release(0);
    loop();
    assert_int_equal(slow.count, 1);
    release(0);
    loop();
    assert_int_equal(slow.count, 1);
    release(0);
    loop();
    assert_int_equal(slow.count, 1);
    release(0);
    loop();
    assert_int_equal(mock_queue[0].finished, 7);
    /* A discard is a change, too: of all its ranges. A flush waits for nobody. */
    range(0, 1, 1, 0);
    range(1, 100, 1, 0);
    post(0, T_DISCARD, 0, 32);
    post(0x50000, T_FLUSH, 0, 0);
    post(0x10000, IN, 100, 512);
    go();
    assert_int_equal(slow.count, 2);
    release(0);
    loop();
    assert_int_equal(slow.count, 2); /* the second range */
    release(1);
    loop();
    assert_int_equal(slow.count, 2); /* flush, and the read now */
    release(0);
    release(0);
    loop();
    assert_int_equal(mock_queue[0].finished, 10);
}

/* What is at the disk, or waits for it, is at work on its addresses; also after a reset. */
static void test_holds(void **state) {
    bool (*holds)(const struct virtio_device *, uint64_t, uint64_t) = blk.device.class->holds;

    (void)state;
    slow.hold = true;
    assert_false(holds(&blk.device, 0, UINT64_MAX));
    post(0x10000, OUT, 20, 1024);
    go();
    uint64_t data = MOCK_BASE + 0x10000 + DATA;
    assert_true(holds(&blk.device, 0, UINT64_MAX));
    assert_true(holds(&blk.device, data + 1023, data + 5000));
    assert_true(holds(&blk.device, data - 10, data));
    assert_true(holds(&blk.device, data + 100, data + 100));
    assert_false(holds(&blk.device, data - 10, data - 1));
    assert_false(holds(&blk.device, data + 1024, UINT64_MAX));
    post(0x20000, IN, 20, 512); /* waits for the write */
    go();
    data = MOCK_BASE + 0x20000 + DATA;
    assert_true(holds(&blk.device, data, data));
    mock_record.status |= VIRTIO_STATUS_NEEDS_RESET;
    assert_false(holds(&blk.device, data, data)); /* for good */
    data = MOCK_BASE + 0x10000 + DATA;
    assert_true(holds(&blk.device, data, data));
    mock_record.status = 0;
    blk.device.class->reset(&blk.device);
    assert_true(holds(&blk.device, data, data));
    release(0);
    loop();
    assert_false(holds(&blk.device, 0, UINT64_MAX));
}

static void test_pool(void **state) {
    (void)state;
    slow.hold = true;
    for (unsigned i = 0; i < 40; i++)
        post(i * 0x4000, IN, i, 512);
    go();
    assert_int_equal(slow.count, VIRTIO_BLK_SLOTS);
    assert_int_equal(mock_queue[0].next, VIRTIO_BLK_SLOTS); /* the others are left in the queue */
    assert_false(blk.device.queue[0].notify);               /* no need to be told of more */
    while (slow.count) {
        release(slow.count / 2);
        loop();
    }
    assert_int_equal(mock_queue[0].finished, 40);
    assert_true(blk.device.queue[0].notify);
    for (unsigned i = 0; i < 40; i++) {
        assert_int_equal(mock_ram[i * 0x4000 + STATUS], OK);
        assert_memory_equal(mock_ram + i * 0x4000 + DATA, image + i * 512, 512);
    }
}

static void test_reset(void **state) {
    (void)state;
    slow.hold = true;
    for (unsigned i = 0; i < 30; i++)
        post(i * 0x4000, IN, i, 512);
    post(0x100000, OUT, 5, 512); /* waits */
    go();
    assert_int_equal(slow.count, 30);
    mock_reset(&blk.device); /* waits for nothing */
    assert_false(virtio_blk_idle(&blk));
    mock_start(&blk.device, blk.device.features_offered, 1);
    for (unsigned i = 0; i < 4; i++)
        post(0x200000 + i * 0x4000, IN, 100 + i, 512);
    go();
    assert_int_equal(slow.count, 32); /* two slots were left */
    memset(mock_dirty, 0, sizeof(mock_dirty));
    for (unsigned i = 0; i < 30; i++) {
        release(0);
        loop();
    }
    assert_int_equal(mock_queue[0].finished, 0); /* nobody is told of the old ones */
    assert_int_equal(mock_ram[STATUS], NOT_WRITTEN);
    assert_int_equal(mock_dirty[DATA], 1); /* but the disk did write there */
    assert_int_equal(slow.count, 4);
    while (slow.count)
        release(0);
    loop();
    assert_int_equal(mock_queue[0].finished, 4);
    assert_true(virtio_blk_idle(&blk));
    assert_int_equal(blk.free, UINT32_MAX);
    /* The same once more when the device is broken: nothing is given back. */
    memset(mock_queue, 0, sizeof(mock_queue));
    post(0, IN, 0, 512);
    go();
    virtio_device_break(&blk.device, "test");
    release(0);
    loop();
    assert_int_equal(mock_queue[0].finished, 0);
    assert_true(virtio_blk_idle(&blk));
}

static void test_queues(void **state) {
    (void)state;
    make(4, false);
    assert_true(blk.device.features_offered & 1ull << 12);
    mock_start(&blk.device, blk.device.features_offered, 3); /* one is not used */
    assert_int_equal(blk.device.class->config_read(&blk.device, 34, 2), 4);
    slow.hold = true;
    for (unsigned i = 0; i < 50; i++)
        post_on(0, i * 0x4000, IN, i, 512);
    for (unsigned i = 0; i < 3; i++)
        post_on(2, 0x200000 + i * 0x4000, IN, i, 512);
    mock_notify(&blk.device, 0);
    loop();
    assert_int_equal(slow.count, 32);
    assert_int_equal(mock_queue[2].next, 3); /* a full queue does not keep others from their turn */
    while (slow.count) {
        release(0);
        loop();
    }
    assert_int_equal(mock_queue[0].finished, 50);
    assert_int_equal(mock_queue[2].finished, 3);
    assert_true(mock_queue[2].interrupts >= 1);
}

/* Started anew: what was not given back is taken again, in order. */
static void test_restart(void **state) {
    (void)state;
    slow.hold = true;
    post(0x10000, OUT, 20, 512);
    post(0x20000, OUT, 30, 512);
    go();
    assert_int_equal(slow.count, 2);
    for (unsigned i = 0; i < 2; i++)
        mock_queue[0].buffer[i].taken = false;
    mock_queue[0].next = 0;
    slow.count = 0;
    make(1, false);
    mock_start(&blk.device, blk.device.features_offered, 1); /* start() looks, without a doorbell */
    assert_int_equal(slow.count, 2);
    assert_int_equal(slow.held[0]->sector, 20);
    release(0);
    release(0);
    loop();
    assert_int_equal(mock_queue[0].finished, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_large, set_up),   cmocka_unit_test_setup(test_order, set_up),
        cmocka_unit_test_setup(test_pool, set_up),    cmocka_unit_test_setup(test_holds, set_up),
        cmocka_unit_test_setup(test_reset, set_up),   cmocka_unit_test_setup(test_queues, set_up),
        cmocka_unit_test_setup(test_restart, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
