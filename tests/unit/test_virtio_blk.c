// SPDX-License-Identifier: Apache-2.0
// virtio-blk: configuration, each kind of request, framing of any sort, what is refused and what breaks the
// device, errors of the disk, cache modes.
// unit-sources: virtio/blk.c virtio/disk.c virtio/disk_memory.c
#include "tests/unit/blk_fixture.h"

static void test_config(void **state) {
    struct virtio_device *device = &blk.device;
    uint32_t (*get)(struct virtio_device *, unsigned, unsigned) = device->class->config_read;
    (void)state;
    assert_int_equal(device->class->id, 2);
    assert_int_equal(device->config_size, 60);
    assert_int_equal(get(device, 0, 4), SECTORS);
    assert_int_equal(get(device, 4, 4), 0);
    assert_int_equal(get(device, 1, 1), SECTORS >> 8);
    assert_int_equal(get(device, 12, 4), 254);
    assert_int_equal(get(device, 20, 4), 512);
    assert_int_equal(get(device, 32, 1), 0); /* a disk without cache: the driver need not flush */
    assert_int_equal(get(device, 33, 1), 0);
    assert_int_equal(get(device, 34, 2), 1);
    assert_int_equal(get(device, 40, 4), 16);
    assert_int_equal(get(device, 52, 4), 16);
    assert_int_equal(get(device, 56, 4), 1);
    /* Topology of a disk with larger blocks inside. */
    slow.disk.physical = 4096;
    slow.disk.optimal = 65536;
    assert_int_equal(get(device, 24, 1), 3);
    assert_int_equal(get(device, 25, 1), 0);
    assert_int_equal(get(device, 26, 2), 8);
    assert_int_equal(get(device, 28, 4), 128);
    assert_int_equal(get(device, 44, 4), 128);
    /* The rest is not to be written. */
    for (unsigned i = 0; i < 60; i++)
        if (i != 32)
            device->class->config_write(device, i, 1, 0xff);
    assert_int_equal(get(device, 0, 4), SECTORS);
    assert_int_equal(get(device, 32, 1), 0);
}

static void test_read_write(void **state) {
    (void)state;
    const struct mock_buffer *of = post(0, IN, 3, 2048);
    go();
    assert_int_equal(mock_ram[STATUS], OK);
    assert_int_equal(of->written, 2049);
    assert_memory_equal(mock_ram + DATA, image + 3 * 512, 2048);
    assert_int_equal(mock_dirty[DATA], 1);
    assert_int_equal(mock_dirty[DATA + 2047], 1);
    assert_int_equal(mock_dirty[DATA + 2048], 0);
    assert_int_equal(mock_queue[0].interrupts, 1);

    memset(mock_ram + DATA, 0xa5, 1024);
    of = post(0, OUT, SECTORS - 2, 1024);
    go();
    assert_int_equal(mock_ram[STATUS], OK);
    assert_int_equal(of->written, 1);
    for (unsigned i = 0; i < 1024; i++)
        assert_int_equal(image[(SECTORS - 2) * 512 + i], 0xa5);
    assert_int_equal(image[(SECTORS - 2) * 512 - 1], (uint8_t)((SECTORS - 3) * 7 + (SECTORS - 2) * 512 - 1));
    assert_true(virtio_blk_idle(&blk));
}

/* No assumption on framing: header, data and status in pieces of any size. */
static void test_framing(void **state) {
    (void)state;
    for (uint32_t cut = 1; cut < 1040; cut = cut * 3 / 2 + 1) {
        /* Write: 16 bytes of header and 1024 of data, all in segments of `cut` bytes. */
        header(0, OUT, 40);
        for (unsigned i = 0; i < 1024; i++)
            mock_ram[16 + i] = (uint8_t)(i * 3 + cut);
        const unsigned max = 200;
        struct mock_buffer *of = mock_buffer(0);
        uint32_t at = 0;
        for (unsigned n = 0; at < 1040; n++) {
            const uint32_t piece = n == max || 1040 - at < cut ? 1040 - at : cut;
            mock_segment(of, false, at, piece);
            at += piece;
        }
        mock_segment(of, true, 0x2000, 1);
        mock_post(0);
        go();
        assert_int_equal(mock_ram[0x2000], OK);
        for (unsigned i = 0; i < 1024; i++)
            assert_int_equal(image[40 * 512 + i], (uint8_t)(i * 3 + cut));
        /* Read: the status is the last byte of the last segment. */
        header(0, IN, 40);
        of = mock_buffer(0);
        mock_segment(of, false, 0, 7);
        mock_segment(of, false, 7, 9);
        memset(mock_ram + 0x3000, NOT_WRITTEN, 1026);
        at = 0;
        for (unsigned n = 0; at < 1025; n++) {
            const uint32_t piece = n == max || 1025 - at < cut ? 1025 - at : cut;
            mock_segment(of, true, 0x3000 + at, piece);
            at += piece;
        }
        mock_post(0);
        go();
        assert_int_equal(of->written, 1025);
        assert_memory_equal(mock_ram + 0x3000, image + 40 * 512, 1024);
        assert_int_equal(mock_ram[0x3000 + 1024], OK);
        assert_int_equal(mock_ram[0x3000 + 1025], NOT_WRITTEN);
        memset(mock_queue, 0, sizeof(mock_queue));
    }
}

static void test_range(void **state) {
    (void)state;
    expect(IN, SECTORS, 512, IOERR);
    expect(IN, SECTORS - 1, 1024, IOERR);
    expect(IN, UINT64_MAX, 512, IOERR);
    expect(IN, UINT64_MAX - 1, 2048, IOERR);
    expect(IN, 1ull << 55, 512, IOERR); /* times 512 it would be 0 */
    expect(OUT, SECTORS, 512, IOERR);
    expect(OUT, UINT64_MAX, 1024, IOERR);
    expect(IN, 0, 0, IOERR);
    expect(IN, 0, 100, IOERR);
    expect(OUT, 0, 513, IOERR);
    expect(OUT, 0, 0, IOERR);
    assert_int_equal(slow.requests, 0);
    expect(IN, SECTORS - 1, 512, OK);
    assert_string_equal(mock_broken, "");
    assert_true(blk.counters.reads == 1 && blk.counters.read_bytes == 512 && !blk.counters.errors);
    assert_string_equal(mock_log, ""); /* a driver's errors are not the disk's */
    /* Before the status nothing was written, so that no length is claimed. */
    assert_int_equal(mock_queue[0].buffer[0].written, 0);
    assert_int_equal(mock_queue[0].buffer[5].written, 1);
}

static void test_unsupported(void **state) {
    (void)state;
    static const uint32_t types[] = {2, 3, 5, 6, 7, 9, 10, 12, 14, 15, 16, 18, 26, 0x80000000, UINT32_MAX};
    for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        expect(types[i], 0, 512, UNSUPP);
    assert_int_equal(slow.requests, 0);
}

static void test_id(void **state) {
    (void)state;
    const struct mock_buffer *of = post(0, GET_ID, 0, 20);
    go();
    assert_int_equal(of->written, 21);
    assert_memory_equal(mock_ram + DATA, "serial-0123456789-an", 20);
    virtio_blk_init(&blk, &slow.disk, "abc", 1, false, again);
    mock_start(&blk.device, blk.device.features_offered, 1);
    memset(mock_ram + DATA, 0xff, 30);
    of = post(0, GET_ID, 0, 5);
    go();
    assert_int_equal(of->written, 6);
    assert_memory_equal(mock_ram + DATA, "abc\0\0\xff", 6);
    of = post(0, GET_ID, 0, 30);
    go();
    assert_memory_equal(mock_ram + DATA, "abc\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff", 21);
    assert_int_equal(mock_ram[STATUS], OK);
}

static void test_malformed(void **state) {
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct mock_buffer *of = mock_buffer(0);
        header(0, IN, 0);
        if (i != 3)
            mock_segment(of, false, 0, i == 2 ? 16 : 15 - 10 * i);
        if (i != 2)
            mock_segment(of, true, DATA, 513);
        mock_post(0);
        post(0x4000, IN, 0, 512);
        go();
        assert_string_equal(mock_broken, i == 2 ? "a request has no room for its status"
                                                : "a request is shorter than its header");
        assert_false(mock_queue[0].buffer[0].used);
        assert_false(mock_queue[0].buffer[1].taken); /* it stops */
        mock_broken[0] = '\0';
        mock_reset(&blk.device);
        mock_start(&blk.device, blk.device.features_offered, 1);
    }
    /* And works again. */
    expect(IN, 0, 512, OK);
}

static void test_read_only(void **state) {
    (void)state;
    make(1, true);
    assert_int_equal(blk.device.features_offered & (1ull << 5 | DISCARD | WRITE_ZEROES), 1ull << 5);
    mock_start(&blk.device, blk.device.features_offered & ~(1ull << 5), 1);
    expect(OUT, 0, 512, IOERR);
    expect(T_ZEROES, 0, 16, UNSUPP);
    assert_int_equal(slow.requests, 0);
    expect(IN, 0, 512, OK);
    expect(T_FLUSH, 0, 0, OK);
    slow.disk.read_only = true;
    make(1, false);
    assert_true(blk.device.features_offered & 1ull << 5);
}

static void test_zeroes(void **state) {
    (void)state;
    range(0, 10, 3, 0);
    range(1, 100, 1, 0);
    expect(T_ZEROES, 0, 32, OK);
    for (unsigned i = 0; i < 3 * 512; i++)
        assert_int_equal(image[10 * 512 + i], 0);
    assert_int_equal(image[10 * 512 - 1], (uint8_t)(9 * 7 + 10 * 512 - 1));
    assert_int_equal(image[13 * 512], (uint8_t)(13 * 7 + 13 * 512));
    assert_int_equal(image[100 * 512 + 511], 0);
    assert_int_equal(slow.zeroes, 2);
    assert_false(slow.unmap);
    range(0, 10, 3, 1);
    expect(T_ZEROES, 0, 16, OK);
    assert_true(slow.unmap);
    expect(T_DISCARD, 0, 16, UNSUPP); /* its unmap flag is not allowed */
    range(0, 10, 3, 0);
    expect(T_DISCARD, 0, 16, OK);
    assert_int_equal(slow.discards, 1);
    const unsigned before = slow.requests;
    range(0, 10, 3, 2);
    expect(T_ZEROES, 0, 16, UNSUPP);
    expect(T_DISCARD, 0, 16, UNSUPP);
    range(0, 0, 1, 0);
    range(1, SECTORS, 1, 0);
    expect(T_ZEROES, 0, 32, IOERR);
    range(1, 1, UINT32_MAX, 0);
    expect(T_ZEROES, 0, 32, IOERR);
    range(1, UINT64_MAX, 2, 0);
    expect(T_DISCARD, 0, 32, IOERR);
    range(1, 5, 0, 0);
    expect(T_DISCARD, 0, 32, IOERR);
    expect(T_ZEROES, 0, 0, IOERR);
    expect(T_ZEROES, 0, 15, IOERR);
    expect(T_ZEROES, 0, 24, IOERR);
    for (unsigned i = 0; i < 17; i++)
        range(i, i, 1, 0);
    expect(T_ZEROES, 0, 17 * 16, IOERR);
    assert_int_equal(slow.requests, before); /* nothing was begun */
    expect(T_ZEROES, 0, 16 * 16, OK);
    /* Without the features. */
    mock_reset(&blk.device);
    mock_start(&blk.device, VIRTIO_VERSION_1, 1);
    expect(T_ZEROES, 0, 16, UNSUPP);
    expect(T_DISCARD, 0, 16, UNSUPP);
}

static void test_disk_error(void **state) {
    (void)state;
    slow.fail = -EIO;
    expect(IN, 5, 512, IOERR);
    assert_string_equal(mock_log, "disk0: I/O error -5, request type 0, sectors from 5 on (1 so far)");
    mock_log[0] = '\0';
    expect(OUT, 6, 512, IOERR);
    expect(OUT, 7, 512, IOERR);
    assert_string_equal(mock_log, "disk0: I/O error -5, request type 1, sectors from 6 on (2 so far)");
    expect(T_FLUSH, 0, 0, IOERR);
    slow.fail = -EOPNOTSUPP;
    range(0, 1, 1, 0);
    expect(T_DISCARD, 0, 16, UNSUPP);
    assert_true(virtio_blk_idle(&blk));
}

static void test_cache(void **state) {
    struct virtio_device *device = &blk.device;
    (void)state;
    slow.disk.cached = true;
    assert_int_equal(device->class->config_read(device, 32, 1), 1);
    expect(OUT, 0, 512, OK);
    assert_int_equal(slow.flushes, 0);
    device->class->config_write(device, 32, 1, 0);
    assert_int_equal(device->class->config_read(device, 32, 1), 0);
    expect(OUT, 0, 512, OK);
    assert_int_equal(slow.flushes, 1); /* write through */
    range(0, 0, 1, 0);
    expect(T_ZEROES, 0, 16, OK);
    assert_int_equal(slow.flushes, 2);
    expect(IN, 0, 512, OK);
    assert_int_equal(slow.flushes, 2);
    /* The mode is kept when this program starts anew, and forgotten at a reset. */
    make(1, false);
    mock_start(device, device->features_offered, 1);
    assert_int_equal(device->class->config_read(device, 32, 1), 0);
    device->class->config_write(device, 32, 1, 1);
    assert_int_equal(device->class->config_read(device, 32, 1), 1);
    device->class->config_write(device, 32, 1, 0);
    mock_reset(device);
    mock_start(device, device->features_offered, 1);
    assert_int_equal(device->class->config_read(device, 32, 1), 1);
    /* A driver that cannot flush: write through (5.2.5.2). */
    mock_reset(device);
    mock_start(device, VIRTIO_VERSION_1 | WCE, 1);
    assert_int_equal(device->class->config_read(device, 32, 1), 0);
    slow.flushes = 0;
    expect(OUT, 0, 512, OK);
    assert_int_equal(slow.flushes, 1);
    mock_reset(device);
    mock_start(device, VIRTIO_VERSION_1, 1);
    expect(OUT, 0, 512, OK);
    assert_int_equal(slow.flushes, 2);
    /* One that flushes by itself. */
    mock_reset(device);
    mock_start(device, VIRTIO_VERSION_1 | FLUSH, 1);
    expect(OUT, 0, 512, OK);
    assert_int_equal(slow.flushes, 2);
    expect(T_FLUSH, 0, 0, OK);
    assert_int_equal(slow.flushes, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_config, set_up),      cmocka_unit_test_setup(test_read_write, set_up),
        cmocka_unit_test_setup(test_framing, set_up),     cmocka_unit_test_setup(test_range, set_up),
        cmocka_unit_test_setup(test_unsupported, set_up), cmocka_unit_test_setup(test_id, set_up),
        cmocka_unit_test_setup(test_malformed, set_up),   cmocka_unit_test_setup(test_read_only, set_up),
        cmocka_unit_test_setup(test_zeroes, set_up),      cmocka_unit_test_setup(test_disk_error, set_up),
        cmocka_unit_test_setup(test_cache, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
