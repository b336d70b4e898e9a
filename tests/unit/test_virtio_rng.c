// SPDX-License-Identifier: Apache-2.0
// virtio entropy: buffers are filled, short of entropy they wait, wrong ones break the device, work is
// bounded.
// unit-sources: virtio/rng.c
#include "tests/unit/virtio_class_mock.h"
#include "virtio/rng.h"

static struct virtio_rng rng;
static size_t supply; /* bytes that entropy() still has */
static uint8_t next_byte;
static unsigned again_count;

static size_t entropy(void *context, uint8_t *bytes, size_t size) {
    assert_ptr_equal(context, &supply);
    if (size > supply)
        size = supply;
    for (size_t i = 0; i < size; i++)
        bytes[i] = ++next_byte;
    supply -= size;
    return size;
}

static void again(struct virtio_rng *of) {
    assert_ptr_equal(of, &rng);
    again_count++;
}

static int set_up(void **state) {
    (void)state;
    mock_power_on();
    supply = SIZE_MAX;
    next_byte = 0;
    again_count = 0;
    virtio_rng_init(&rng, entropy, &supply, again);
    assert_int_equal(rng.device.class->id, 4);
    assert_int_equal(rng.device.queue_count, 1);
    assert_int_equal(rng.device.config_size, 0);
    mock_start(&rng.device, VIRTIO_VERSION_1, 1);
    return 0;
}

static struct mock_buffer *post(uint32_t offset, uint32_t size) {
    struct mock_buffer *of = mock_buffer(0);
    mock_segment(of, true, offset, size);
    mock_post(0);
    return of;
}

static void test_fill(void **state) {
    (void)state;
    struct mock_buffer *of = mock_buffer(0);
    mock_segment(of, true, 100, 3);
    mock_segment(of, true, 200, 300);
    mock_post(0);
    mock_notify(&rng.device, 0);
    assert_true(of->used);
    assert_int_equal(of->written, 303);
    assert_int_equal(mock_queue[0].interrupts, 1);
    for (unsigned i = 0; i < 303; i++) {
        const unsigned at = i < 3 ? 100 + i : 200 + i - 3;
        assert_int_equal(mock_ram[at], (uint8_t)(i + 1));
        assert_int_equal(mock_dirty[at], 1);
    }
    assert_int_equal(mock_ram[103], 0);
    assert_int_equal(mock_ram[500], 0);
}

static void test_large(void **state) {
    (void)state;
    const struct mock_buffer *of = post(0, 100000);
    mock_notify(&rng.device, 0);
    assert_int_equal(of->written, VIRTIO_RNG_MAX_BUFFER);
    assert_int_equal(mock_ram[VIRTIO_RNG_MAX_BUFFER], 0);
}

static void test_short(void **state) {
    (void)state;
    const struct mock_buffer *first = post(0, 64), *second = post(64, 64);
    supply = 10;
    mock_notify(&rng.device, 0);
    assert_int_equal(first->written, 10);
    assert_false(second->used); /* one byte at least has to be there */
    virtio_rng_run(&rng);
    assert_false(second->used);
    supply = 64;
    virtio_rng_run(&rng);
    assert_true(second->used);
    assert_int_equal(second->written, 64);
    assert_int_equal(again_count, 0);
}

static void test_wrong(void **state) {
    (void)state;
    struct mock_buffer *of = mock_buffer(0);
    mock_segment(of, false, 0, 8);
    mock_segment(of, true, 8, 8);
    mock_post(0);
    mock_notify(&rng.device, 0);
    assert_false(of->used);
    assert_string_equal(mock_broken, "a buffer for random bytes is not writable");
    assert_int_equal(next_byte, 0);
}

static void test_bounded(void **state) {
    (void)state;
    for (unsigned i = 0; i < 20; i++)
        post(i * 0x10000, 0x10000);
    mock_notify(&rng.device, 0);
    const unsigned done = mock_queue[0].finished;
    assert_true(done > 0 && done < 20);
    assert_int_equal(again_count, 1);
    for (unsigned i = 0; i < 20 && again_count; i++) {
        again_count = 0;
        virtio_rng_run(&rng);
    }
    assert_int_equal(mock_queue[0].finished, 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_fill, set_up),    cmocka_unit_test_setup(test_large, set_up),
        cmocka_unit_test_setup(test_short, set_up),   cmocka_unit_test_setup(test_wrong, set_up),
        cmocka_unit_test_setup(test_bounded, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
