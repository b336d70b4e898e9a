// SPDX-License-Identifier: Apache-2.0
// virtio balloon: pages that go and come, page numbers that are none, reports in each of the queues where
// drivers put them, poisoned pages, statistics, configuration, bounded work.
// unit-sources: virtio/balloon.c
#include "tests/unit/virtio_class_mock.h"
#include "virtio/balloon.h"
#include "virtio/bytes.h"

enum { INFLATE, DEFLATE, STATS, HINTS, REPORTS, QUEUES };

#define F_STATS   (1ull << 1)
#define POISON    (1ull << 4)
#define REPORTING (1ull << 5)

static struct virtio_balloon balloon;
static unsigned again_count, stats_count;
static struct { uint64_t gpa, size; } seen[0x8000];
static unsigned seen_count;
static uint64_t seen_pages;

static void give_back(void *context, uint64_t gpa, uint64_t size) {
    assert_ptr_equal(context, seen);
    assert_true(seen_count < sizeof(seen) / sizeof(seen[0]));
    assert_true(size > 0 && size <= 0x100000 && gpa % 4096 == 0 && size % 4096 == 0);
    seen[seen_count].gpa = gpa;
    seen[seen_count++].size = size;
    seen_pages += size / 4096;
}
static void stats(void *context) {
    assert_ptr_equal(context, seen);
    stats_count++;
}
static void again(struct virtio_balloon *of) {
    assert_ptr_equal(of, &balloon);
    again_count++;
}

static const struct virtio_balloon_pages pages = {give_back, stats};

static int set_up(void **state) {
    (void)state;
    mock_power_on();
    seen_count = again_count = stats_count = 0;
    seen_pages = 0;
    virtio_balloon_init(&balloon, &pages, seen, again);
    mock_start(&balloon.device, balloon.device.features_offered, QUEUES);
    return 0;
}

static void saw(unsigned index, uint64_t gpa, uint64_t size) {
    assert_true(index < seen_count);
    assert_int_equal(seen[index].gpa, gpa);
    assert_int_equal(seen[index].size, size);
}

/* Lets it do what it has asked for, up to an end that it has to come to. */
static void run_on(void) {
    for (unsigned i = 0; i < 1000 && again_count; i++) {
        again_count = 0;
        virtio_balloon_run(&balloon);
    }
    assert_int_equal(again_count, 0);
}

/* A buffer with page numbers, at 0x1000 of the RAM, in segments of `cut` bytes. */
static struct mock_buffer *post_pages(unsigned queue, const uint32_t *number, unsigned count, uint32_t cut) {
    struct mock_buffer *of = mock_buffer(queue);
    for (unsigned i = 0; i < count; i++)
        bytes_put32(mock_ram + 0x1000 + i * 4, number[i]);
    for (uint32_t at = 0; at < count * 4; at += cut)
        mock_segment(of, false, 0x1000 + at, count * 4 - at < cut ? count * 4 - at : cut);
    mock_post(queue);
    return of;
}

static void test_pages(void **state) {
    static const uint32_t number[] = {0x110, 0x111, 0x112, 0x120, 0x11f, 0x11e, 0x130};
    (void)state;
    for (uint32_t cut = 1; cut < 30; cut += 3) {
        const struct mock_buffer *of = post_pages(INFLATE, number, 7, cut);
        mock_notify(&balloon.device, INFLATE);
        assert_true(of->used);
        assert_int_equal(of->written, 0);
        assert_int_equal(seen_count, 7);
        for (unsigned i = 0; i < 7; i++)
            saw(i, (uint64_t)number[i] << 12, 0x1000);
        /* What the guest takes again has been its own all the time. */
        of = post_pages(DEFLATE, number, 4, cut);
        mock_notify(&balloon.device, DEFLATE);
        assert_true(of->used);
        assert_int_equal(seen_count, 7);
        seen_count = 0;
    }
}

static void test_hostile_pages(void **state) {
    static const uint32_t number[] = {0,       0xff,     0x500, UINT32_MAX, 0x80000000,
                                      0xfffff, 0x100000, 0x4ff, 0x100,      UINT32_MAX - 1};
    (void)state;
    post_pages(INFLATE, number, 10, 40);
    struct mock_buffer *odd = mock_buffer(INFLATE); /* no whole number */
    mock_segment(odd, false, 0x1000, 3);
    mock_post(INFLATE);
    struct mock_buffer *writable = mock_buffer(INFLATE);
    mock_segment(writable, true, 0x1000, 300);
    mock_post(INFLATE);
    mock_notify(&balloon.device, INFLATE);
    assert_int_equal(seen_count, 2);
    saw(0, 0x4ff000, 0x1000);
    saw(1, 0x100000, 0x1000);
    assert_int_equal(mock_queue[INFLATE].finished, 3);
    assert_string_equal(mock_broken, "");
}

static void test_bounded(void **state) {
    (void)state;
    for (unsigned i = 0; i < 0x8000; i++)
        bytes_put32(mock_ram + 0x100000 + i * 4, 0x100 + (i * 2) % 0x400);
    struct mock_buffer *of = mock_buffer(INFLATE);
    mock_segment(of, false, 0x100000, 0x20000);
    mock_post(INFLATE);
    mock_notify(&balloon.device, INFLATE);
    assert_in_range(seen_pages, 1, 512);
    assert_int_equal(again_count, 1);
    for (unsigned i = 0; i < 0x8000 / 200 && again_count; i++) {
        const uint64_t before = seen_pages;
        again_count = 0;
        virtio_balloon_run(&balloon);
        assert_in_range(seen_pages - before, 0, 512);
    }
    assert_true(of->used);
    assert_int_equal(seen_pages, 0x8000);
}

/* A report of pages that are large is gone through piece by piece as well; a reset in the middle ends it. */
static void test_bounded_report(void **state) {
    (void)state;
    struct mock_buffer *of = mock_buffer(REPORTS);
    for (unsigned i = 0; i < 3; i++)
        mock_segment(of, true, i * 0x10, 0x200000);
    mock_post(REPORTS);
    mock_notify(&balloon.device, REPORTS);
    uint64_t next = 0;
    for (unsigned i = 0; i < 100 && seen_count; i++) {
        uint64_t turn = 0;
        for (unsigned j = 0; j < seen_count; j++) {
            /* All but the first segment begin within a page, and so have one whole page less. */
            const uint64_t page = next < 512 ? next : next < 1023 ? next - 512 + 1 : next - 1023 + 1;
            assert_int_equal(seen[j].gpa, MOCK_BASE + page * 4096);
            next += seen[j].size / 4096;
            turn += seen[j].size / 4096;
        }
        assert_in_range(turn, 1, 256);
        seen_count = 0;
        if (!again_count)
            break;
        again_count = 0;
        virtio_balloon_run(&balloon);
    }
    assert_true(of->used);
    assert_int_equal(seen_pages, 512 + 511 + 511);

    of = mock_buffer(REPORTS);
    mock_segment(of, true, 0, 0x200000);
    mock_post(REPORTS);
    mock_notify(&balloon.device, REPORTS);
    assert_true(again_count);
    mock_reset(&balloon.device);
    seen_count = 0;
    virtio_balloon_run(&balloon);
    assert_int_equal(seen_count, 0);
    mock_start(&balloon.device, balloon.device.features_offered, QUEUES);
    of = mock_buffer(REPORTS);
    mock_segment(of, true, 0x4000, 0x1000);
    mock_post(REPORTS);
    mock_notify(&balloon.device, REPORTS);
    assert_int_equal(seen_count, 1);
    saw(0, MOCK_BASE + 0x4000, 0x1000);
}

static struct mock_buffer *post_report(unsigned queue) {
    struct mock_buffer *of = mock_buffer(queue);
    mock_segment(of, true, 0x10000, 0x8000);
    mock_segment(of, true, 0x20001, 0x3fff); /* not whole pages at its beginning */
    mock_segment(of, true, 0x30000, 0xfff);  /* no whole page */
    mock_segment(of, true, 0x40fff, 2);
    mock_segment(of, true, 0x50000, 0x200000);
    mock_post(queue);
    return of;
}

static void expect_report(unsigned queue) {
    const struct mock_buffer *of = post_report(queue);
    seen_count = 0;
    seen_pages = 0;
    again_count = 0;
    mock_notify(&balloon.device, queue);
    run_on();
    assert_true(of->used);
    assert_true(seen_count >= 3);
    saw(0, 0x110000, 0x8000);
    saw(1, 0x121000, 0x3000);
    assert_int_equal(seen[2].gpa, 0x150000);
    assert_int_equal(seen_pages, 8 + 3 + 512);
}

static void test_reports(void **state) {
    (void)state;
    expect_report(REPORTS);
    expect_report(HINTS); /* drivers that leave no gap */
    mock_reset(&balloon.device);
    mock_start(&balloon.device, VIRTIO_VERSION_1 | REPORTING, 3);
    expect_report(STATS); /* and want no statistics */
    /* Without the feature nothing is taken. */
    mock_reset(&balloon.device);
    mock_start(&balloon.device, VIRTIO_VERSION_1 | F_STATS, QUEUES);
    const struct mock_buffer *of = post_report(REPORTS);
    seen_count = 0;
    mock_notify(&balloon.device, REPORTS);
    assert_false(of->taken);
    assert_int_equal(seen_count, 0);
}

static void test_poison(void **state) {
    (void)state;
    balloon.device.class->config_write(&balloon.device, 12, 4, 0xaaaaaaaa);
    assert_int_equal(balloon.device.class->config_read(&balloon.device, 12, 4), 0xaaaaaaaa);
    const struct mock_buffer *of = post_report(REPORTS);
    mock_notify(&balloon.device, REPORTS);
    assert_true(of->used);
    assert_int_equal(seen_count, 0); /* they keep their value */
    balloon.device.class->config_write(&balloon.device, 12, 4, 0);
    expect_report(REPORTS); /* pages of zeroes are zeroes afterwards */
    balloon.device.class->config_write(&balloon.device, 12, 4, 1);
    mock_reset(&balloon.device);
    assert_int_equal(balloon.device.class->config_read(&balloon.device, 12, 4), 0);
}

static void put_stat(unsigned index, uint16_t tag, uint64_t value) {
    bytes_put16(mock_ram + 0x2001 + index * 10, tag);
    bytes_put64(mock_ram + 0x2003 + index * 10, value);
}

static struct mock_buffer *post_stats(uint32_t size) {
    struct mock_buffer *of = mock_buffer(STATS);
    mock_segment(of, false, 0x2001, size);
    mock_post(STATS);
    return of;
}

static void test_stats(void **state) {
    (void)state;
    put_stat(0, 4, 0x123456789abcdef0);
    put_stat(1, 999, 1);
    put_stat(2, 9, 7);
    put_stat(3, 10, 8);
    put_stat(4, 5, 3); /* beyond the buffer's end */
    struct mock_buffer *of = post_stats(45);
    mock_notify(&balloon.device, STATS);
    assert_int_equal(stats_count, 1);
    assert_int_equal(balloon.stat_known, 1 << 4 | 1 << 9);
    assert_true(balloon.stat[VIRTIO_BALLOON_FREE] == 0x123456789abcdef0);
    assert_true(balloon.stat[VIRTIO_BALLOON_HUGE_FAILED] == 7);
    assert_false(of->used); /* kept until we ask */
    virtio_balloon_ask(&balloon);
    assert_true(of->used);
    assert_int_equal(mock_queue[STATS].interrupts, 1);
    /* Asked before there is a buffer: the first one is given back at once. */
    virtio_balloon_ask(&balloon);
    of = post_stats(10);
    mock_notify(&balloon.device, STATS);
    assert_true(of->used);
    of = post_stats(10);
    mock_notify(&balloon.device, STATS);
    assert_false(of->used);
    assert_int_equal(stats_count, 2);
    /* A buffer without statistics, as drivers of old begin with; a second one stays where it is. */
    mock_reset(&balloon.device);
    mock_start(&balloon.device, F_STATS | VIRTIO_VERSION_1, 3);
    post_stats(5);
    const struct mock_buffer *second = post_stats(10);
    mock_notify(&balloon.device, STATS);
    assert_int_equal(stats_count, 2);
    assert_false(second->taken);
    virtio_balloon_ask(&balloon);
    virtio_balloon_run(&balloon);
    assert_true(second->taken);
    assert_int_equal(stats_count, 3);
    mock_reset(&balloon.device);
    virtio_balloon_ask(&balloon); /* nothing to ask */
}

static void test_config(void **state) {
    struct virtio_device *device = &balloon.device;
    (void)state;
    assert_int_equal(device->class->id, 5);
    assert_int_equal(device->config_size, 16);
    assert_int_equal(device->features_offered, VIRTIO_VERSION_1 | 0x36);
    virtio_balloon_set_target(&balloon, 0x12345);
    virtio_balloon_set_target(&balloon, 0x12345);
    assert_int_equal(mock_config_changes, 1);
    assert_int_equal(device->class->config_read(device, 0, 4), 0x12345);
    device->class->config_write(device, 4, 4, 0x11223344);
    assert_int_equal(virtio_balloon_actual(&balloon), 0x11223344);
    device->class->config_write(device, 5, 1, 0x99);
    assert_int_equal(virtio_balloon_actual(&balloon), 0x11229944);
    device->class->config_write(device, 0, 4, 5); /* not the driver's */
    device->class->config_write(device, 8, 4, 5);
    device->class->config_write(device, 6, 4, UINT32_MAX);
    assert_int_equal(device->class->config_read(device, 0, 4), 0x12345);
    assert_int_equal(device->class->config_read(device, 8, 4), 0);
    assert_int_equal(virtio_balloon_actual(&balloon), 0x11229944);
    mock_reset(device);
    assert_int_equal(virtio_balloon_actual(&balloon), 0);
    assert_int_equal(device->class->config_read(device, 0, 4), 0x12345);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_pages, set_up),   cmocka_unit_test_setup(test_hostile_pages, set_up),
        cmocka_unit_test_setup(test_bounded, set_up), cmocka_unit_test_setup(test_bounded_report, set_up),
        cmocka_unit_test_setup(test_reports, set_up), cmocka_unit_test_setup(test_poison, set_up),
        cmocka_unit_test_setup(test_stats, set_up),   cmocka_unit_test_setup(test_config, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
