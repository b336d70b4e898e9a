// SPDX-License-Identifier: Apache-2.0
// A program that ends at any moment of a balloon's reset, or while its target is set: the target that the
// operator has set stays, and the driver hears of it. The device's core is as it is.
// unit-sources: virtio/balloon.c virtio/device.c virtio/memory.c virtio/queue*.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/unit/any_moment.h"
#include "tests/unit/virtq_driver.h"
#include "virtio/balloon.h"

#define BASE   0x10000u
#define QUEUES 3u
#define RING   8u
#define AREA   0x2000u /* bytes of a queue */

static struct virtio_record record;
static struct virtq_guest guest;
static struct virtio_balloon balloon;
static unsigned told;

static void give_back(void *context, uint64_t gpa, uint64_t size) {
    (void)context;
    (void)gpa;
    (void)size;
}
static void stats(void *context) {
    (void)context;
}
static void again(struct virtio_balloon *of) {
    (void)of;
}
static void interrupt_queue(struct virtio_device *device, unsigned index) {
    (void)device;
    (void)index;
}
static void interrupt_config(struct virtio_device *device) {
    (void)device;
    told++;
}
static void log_line(struct virtio_device *device, const char *line) {
    (void)device;
    fail_msg("%s", line);
}

/* Our program begins. */
static void make(void) {
    static const struct virtio_balloon_pages pages = {give_back, stats};
    struct virtio_device *device = &balloon.device;

    virtio_balloon_init(&balloon, &pages, NULL, again);
    device->name = "balloon";
    device->memory = &guest.memory;
    device->record = &record;
    device->log = log_line;
    device->interrupt_queue = interrupt_queue;
    device->interrupt_config = interrupt_config;
    told = 0;
    assert_int_equal(virtio_device_init(device), 0);
}

/* The guest's driver. */
static void drive(void) {
    struct virtio_device *device = &balloon.device;

    virtio_device_set_status(device, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
    virtio_device_set_features(device, 1, VIRTIO_VERSION_1 >> 32);
    virtio_device_set_status(device, VIRTIO_STATUS_FEATURES_OK);
    for (unsigned i = 0; i < QUEUES; i++) {
        struct virtq_driver driver;
        virtq_driver_init(&driver, &guest, RING, VIRTIO_VERSION_1, BASE + AREA * i);
        record.queue[i].size = RING;
        record.queue[i].descriptors = driver.descriptors;
        record.queue[i].driver = driver.driver;
        record.queue[i].device = driver.device;
        virtio_device_enable_queue(device, i);
    }
    virtio_device_set_status(device, VIRTIO_STATUS_DRIVER_OK);
    assert_true(virtio_running(device));
    assert_int_equal(virtio_device_config_read(device, 0, 4), virtio_balloon_target(&balloon));
}

static int setup(void **state) {
    (void)state;
    memset(&record, 0, sizeof(record));
    virtq_guest_init(&guest);
    make();
    virtio_balloon_set_target(&balloon, 0x1234);
    drive();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    virtq_guest_free(&guest);
    return 0;
}

static void reset(void) {
    virtio_device_set_status(&balloon.device, 0);
}

/* The driver's write is done once more if the program ended within it. */
static void test_reset(void **state) {
    (void)state;
    virtio_device_config_write(&balloon.device, 4, 4, 0x1000);
    unsigned count = moments_of(reset, &record, sizeof(record), NULL, 0);
    for (unsigned n = 0; n < count; n++) {
        moment_restore(n);
        make();
        reset();
        assert_int_equal(virtio_balloon_target(&balloon), 0x1234);
        assert_int_equal(virtio_balloon_actual(&balloon), 0);
        assert_int_equal(record.features, 0);
        drive();
    }
}

static void set_target(void) {
    virtio_balloon_set_target(&balloon, 0xffeeddcc);
}

static void test_target(void **state) {
    (void)state;
    unsigned count = moments_of(set_target, &record, sizeof(record), NULL, 0);
    for (unsigned n = 0; n < count; n++) {
        moment_restore(n);
        make();
        assert_true(virtio_balloon_target(&balloon) == 0xffeeddcc ||
                    virtio_balloon_target(&balloon) == 0x1234);
        assert_true(told || virtio_balloon_target(&balloon) == 0x1234);
    }
    assert_int_equal(told, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {TEST(test_reset), TEST(test_target)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
