// SPDX-License-Identifier: Apache-2.0
// A program that ends at any moment while a virtio console gives its guest what was typed: the guest has all
// of it, and nothing twice. The device's core and its queues are as they are.
// unit-sources: virtio/console.c virtio/device.c virtio/memory.c virtio/queue*.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/unit/any_moment.h"
#include "tests/unit/virtq_driver.h"
#include "virtio/console.h"

#define BASE    0x10000u
#define DATA    0x2000u /* in the guest's memory: behind the rings */
#define BUFFERS 3u
#define EACH    4u /* bytes of a buffer */
#define RING    4u

static const char text[] = "0123456789";
#define TEXT 10u
static uint32_t typed; /* of it */

/* What is there whatever becomes of our program. */
static struct {
    uint32_t from; /* of the source: what was typed before is forgotten */
    uint8_t ram[DATA + BUFFERS * EACH];
} world;
static struct virtio_record record;

static struct virtq_guest guest;
static struct virtq_driver driver, driver_before;
static struct virtio_console console;
static bool closed;

static size_t output(void *context, const uint8_t *bytes, size_t size) {
    (void)context;
    (void)bytes;
    return size;
}

static size_t input(void *context, uint32_t from, uint8_t *bytes, size_t size) {
    (void)context;
    assert_true(from >= world.from && from <= typed);
    world.from = from;
    if (size > typed - from)
        size = typed - from;
    memcpy(bytes, text + from, size);
    return size;
}

static void again(struct virtio_console *of) {
    (void)of;
}
static void interrupt_queue(struct virtio_device *device, unsigned index) {
    (void)device;
    (void)index;
}
static void interrupt_config(struct virtio_device *device) {
    (void)device;
}
static void log_line(struct virtio_device *device, const char *line) {
    (void)device;
    fail_msg("%s", line);
}
static void opened(void *context, bool open) {
    (void)context;
    closed = !open;
}

/* Our program begins. */
static void make(void) {
    struct virtio_device *device = &console.device;

    virtio_console_init(&console, output, input, NULL, again);
    console.opened = opened;
    device->name = "console";
    device->memory = &guest.memory;
    device->record = &record;
    device->log = log_line;
    device->interrupt_queue = interrupt_queue;
    device->interrupt_config = interrupt_config;
    device->features_offered |= VIRTIO_RING_PACKED;
    assert_int_equal(virtio_device_init(device), 0);
}

static void power_on(uint64_t features, uint16_t at) {
    struct virtio_device *device = &console.device;

    memset(&world, 0, sizeof(world));
    memset(&record, 0, sizeof(record));
    memset(&guest, 0, sizeof(guest));
    guest.memory.map = virtq_guest_map;
    guest.memory.dirty = virtq_guest_dirty;
    static uint8_t marked[sizeof(world.ram)];
    guest.piece[0] = (struct virtq_piece){BASE, sizeof(world.ram), world.ram, NULL, marked};
    make();
    virtio_device_set_status(device, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
    virtio_device_set_features(device, 0, (uint32_t)features);
    virtio_device_set_features(device, 1, (uint32_t)(features >> 32));
    virtio_device_set_status(device, VIRTIO_STATUS_FEATURES_OK);
    virtq_driver_init(&driver, &guest, RING, features, BASE);
    record.queue[0].size = RING;
    record.queue[0].descriptors = driver.descriptors;
    record.queue[0].driver = driver.driver;
    record.queue[0].device = driver.device;
    virtio_device_enable_queue(device, 0);
    record.queue[0].position = virtq_driver_start_at(&driver, at);
    record.status |= VIRTIO_STATUS_DRIVER_OK;
    typed = TEXT;
    make(); /* from that position on */
    assert_false(closed);
    for (unsigned i = 0; i < BUFFERS; i++)
        assert_true(virtq_driver_add(&driver, &(struct virtq_element){BASE + DATA + EACH * i, EACH, true}, 1,
                                     false) == (int)i);
    driver_before = driver;
}

static void deliver(void) {
    virtio_device_notify(&console.device, 0);
}

/* The guest has got all of it. */
static void check(void) {
    static const uint32_t sizes[BUFFERS] = {4, 4, 2};
    unsigned id;
    uint32_t size;

    assert_int_equal(world.from, TEXT);
    driver = driver_before;
    for (unsigned i = 0; i < BUFFERS; i++) {
        assert_true(virtq_driver_used(&driver, &id, &size));
        assert_int_equal(id, i);
        assert_int_equal(size, sizes[i]);
    }
    assert_false(virtq_driver_used(&driver, &id, &size));
    assert_memory_equal(world.ram + DATA, text, TEXT);
}

static void test_any_moment(void **state) {
    static const struct {
        uint64_t features;
        uint16_t at;
    } rings[] = {{VIRTIO_VERSION_1, 0},
                 {VIRTIO_VERSION_1, 0xfffe},
                 {VIRTIO_VERSION_1 | VIRTIO_RING_PACKED, 0x8000},
                 {VIRTIO_VERSION_1 | VIRTIO_RING_PACKED, 0x8002},
                 {VIRTIO_VERSION_1 | VIRTIO_RING_PACKED, 0x0003}};

    (void)state;
    for (unsigned i = 0; i < sizeof(rings) / sizeof(rings[0]); i++) {
        power_on(rings[i].features, rings[i].at);
        unsigned count = moments_of(deliver, &record, sizeof(record), &world, sizeof(world));
        check();
#ifdef __x86_64__
        assert_true(count > 20);
#endif
        for (unsigned n = 0; n < count; n++) {
            moment_restore(n);
            make();
            check();
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_any_moment)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
