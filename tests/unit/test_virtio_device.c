// SPDX-License-Identifier: Apache-2.0
// The core of a virtio device: the order in which a driver sets it up and what happens out of order, broken
// queues, the configuration's generation, and records of all kinds that it has to go on from.
// unit-sources: virtio/device.c
#include "virtio_device_fixture.h"

static void irq_queue(struct virtio_device *device, unsigned index) {
    assert_true(device->record->status & VIRTIO_STATUS_DRIVER_OK);
    fix.irqs_queue[index]++;
}
static void irq_config(struct virtio_device *device) {
    assert_true(device->record->status & VIRTIO_STATUS_DRIVER_OK);
    fix.irqs_config++;
}

/* Our program is started: with a new record, or with the one from before. */
static int start(bool keep_record) {
    fix_prepare(keep_record);
    fix_device.interrupt_queue = irq_queue;
    fix_device.interrupt_config = irq_config;
    return virtio_device_init(&fix_device);
}

static int setup(void **state) {
    (void)state;
    return start(false);
}

static void power_on(void) {
    assert_int_equal(fix_record.magic, VIRTIO_RECORD_MAGIC);
    assert_int_equal(fix_record.version, VIRTIO_RECORD_VERSION);
    assert_true(fix_record.offered == FIX_OFFERED);
    assert_true(fix_record.features == 0);
    assert_int_equal(fix_record.status, 0);
    assert_int_equal(fix_record.isr, 0);
    assert_int_equal(fix_record.queue_select, 0);
    assert_int_equal(fix_record.config_vector, VIRTIO_NO_VECTOR);
    assert_int_equal(fix_record.queue_count, FIX_QUEUES);
    for (unsigned i = 0; i < FIX_QUEUES; i++) {
        assert_int_equal(fix_record.queue[i].size, fix_device.queue_size[i]);
        assert_int_equal(fix_record.queue[i].vector, VIRTIO_NO_VECTOR);
        assert_int_equal(fix_record.queue[i].enabled, 0);
        assert_true(fix_record.queue[i].descriptors == 0);
        assert_int_equal(fix_device.queue[i].size, 0);
    }
    assert_true(fix.resets > 0);
    assert_false(fix.reset_saw_queue);
}

static void test_fresh(void **state) {
    (void)state;
    power_on();
    assert_int_equal(fix.resets, 1);
    assert_int_equal(fix.lines, 0);
    assert_int_equal(virtio_device_features(&fix_device, 0), (uint32_t)FIX_OFFERED);
    assert_int_equal(virtio_device_features(&fix_device, 1), (uint32_t)(FIX_OFFERED >> 32));
    assert_int_equal(virtio_device_features(&fix_device, 2), 0);
    assert_int_equal(virtio_device_features(&fix_device, UINT32_MAX), 0);
}

static void test_features(void **state) {
    (void)state;
    /* Without VERSION_1. */
    fix_negotiate(FIX_OWN);
    assert_int_equal(fix_record.status, 3);
    assert_int_equal(fix.accepts, 0);
    assert_non_null(strstr(fix.line, "web net0: "));
    assert_non_null(strstr(fix.line, "VERSION_1"));
    /* One that is not offered. */
    fix_negotiate(VIRTIO_VERSION_1 | 1ull << 40);
    assert_int_equal(fix_record.status, 3);
    assert_non_null(strstr(fix.line, "offered"));
    /* The class does not like it. */
    fix_negotiate(VIRTIO_VERSION_1 | FIX_TOGETHER);
    assert_int_equal(fix_record.status, 3);
    assert_int_equal(fix.accepts, 1);
    /* Good ones, and then no others. */
    fix_negotiate(VIRTIO_VERSION_1 | FIX_OWN);
    assert_int_equal(fix_record.status, 11);
    assert_true(fix.features == (VIRTIO_VERSION_1 | FIX_OWN));
    virtio_device_set_features(&fix_device, 0, 0);
    virtio_device_set_features(&fix_device, 1, 0xffffffff);
    assert_true(fix_record.features == (VIRTIO_VERSION_1 | FIX_OWN));
    assert_true(virtio_has(&fix_device, 4));
    virtio_device_set_status(&fix_device, 11);
    assert_int_equal(fix.accepts, 2); /* not asked again */
    /* After a reset. */
    virtio_device_set_status(&fix_device, 0);
    virtio_device_set_features(&fix_device, 2, 0xffffffff);
    virtio_device_set_features(&fix_device, 32, 0xffffffff);
    assert_true(fix_record.features == 0);
    virtio_device_set_features(&fix_device, 1, 5);
    virtio_device_set_features(&fix_device, 0, 9);
    assert_true(fix_record.features == 0x500000009ull);
}

static void test_status(void **state) {
    (void)state;
    virtio_device_set_status(&fix_device, 1 | VIRTIO_STATUS_NEEDS_RESET | 0x30);
    assert_int_equal(fix_record.status, 1); /* not the driver's bits */
    virtio_device_set_features(&fix_device, 1, 1);
    virtio_device_set_status(&fix_device, 11);
    virtio_device_set_status(&fix_device, 1); /* clears nothing */
    assert_int_equal(fix_record.status, 11);
    fix_go();
    assert_int_equal(fix_record.status, 15);
    assert_int_equal(fix.starts, 1);
    fix_go();
    virtio_device_set_status(&fix_device, VIRTIO_STATUS_FAILED);
    assert_int_equal(fix_record.status, 15 | VIRTIO_STATUS_FAILED);
    assert_int_equal(fix.starts, 1);
    virtio_device_set_status(&fix_device, 0);
    power_on();
    assert_int_equal(fix.resets, 2);
}

static void test_driver_ok_early(void **state) {
    (void)state;
    virtio_device_set_status(&fix_device, 3 | VIRTIO_STATUS_DRIVER_OK);
    assert_int_equal(fix_record.status, 3 | VIRTIO_STATUS_NEEDS_RESET);
    assert_int_equal(fix.starts, 0);
    assert_int_equal(fix.lines, 1);
    assert_int_equal(fix.irqs_config, 0);
    /* All at once, with features that are refused. */
    virtio_device_set_status(&fix_device, 0);
    virtio_device_set_status(&fix_device, 15);
    assert_int_equal(fix_record.status, 3 | VIRTIO_STATUS_NEEDS_RESET);
    /* And with good ones. */
    virtio_device_set_status(&fix_device, 0);
    virtio_device_set_features(&fix_device, 1, 1);
    virtio_device_set_status(&fix_device, 15);
    assert_int_equal(fix_record.status, 15);
    assert_int_equal(fix.starts, 1);
}

static void test_queues(void **state) {
    (void)state;
    fix_negotiate(VIRTIO_VERSION_1);
    virtio_device_set_queue_size(&fix_device, 0, 32);
    fix_enable(0);
    fix_enable(1);
    assert_int_equal(fix_record.queue[0].enabled, 1);
    assert_int_equal(fix_device.queue[0].size, 32);
    assert_int_equal(fix_device.queue[1].size, 64);
    assert_true(fix_device.queue[1].device == 0x2800);
    assert_true(fix.features == VIRTIO_VERSION_1);
    /* Once more, another size now, and queues that there are not. */
    fix_enable(0);
    virtio_device_set_queue_size(&fix_device, 0, 3);
    virtio_device_enable_queue(&fix_device, FIX_QUEUES);
    virtio_device_enable_queue(&fix_device, UINT32_MAX);
    virtio_device_set_queue_size(&fix_device, FIX_QUEUES, 3);
    virtio_device_reset_queue(&fix_device, FIX_QUEUES);
    virtio_device_reset_queue(&fix_device, 2);
    assert_int_equal(fix_record.queue[0].size, 32);
    assert_int_equal(fix.enables, 2);
    assert_int_equal(fix_record.status, 11);
    /* Doorbells count from DRIVER_OK on, and for queues that are enabled (2.1.2). */
    virtio_device_notify(&fix_device, 0);
    assert_int_equal(fix.notifies[0], 0);
    fix_go();
    virtio_device_notify(&fix_device, 0);
    virtio_device_notify(&fix_device, 2);
    virtio_device_notify(&fix_device, FIX_QUEUES);
    virtio_device_notify(&fix_device, UINT32_MAX);
    assert_int_equal(fix.notifies[0], 1);
    assert_int_equal(fix.notifies[2], 0);
    /* Disabled and enabled anew. */
    virtio_device_reset_queue(&fix_device, 1);
    assert_int_equal(fix_record.queue[1].enabled, 0);
    assert_int_equal(fix_device.queue[1].size, 0);
    assert_true(virtio_running(&fix_device));
    fix_enable(1);
    assert_int_equal(fix_device.queue[1].size, 64);
    /* A reset with buffers in flight. */
    struct virtq_buffer buffer;
    fix.available = 1;
    assert_true(virtio_device_take(&fix_device, 0, &buffer));
    virtio_device_set_status(&fix_device, 0);
    power_on();
    virtio_device_finish(&fix_device, 0, &buffer, 0);
    virtio_device_flush(&fix_device, 0);
    virtio_device_notify(&fix_device, 0);
    assert_int_equal(fix.finishes, 0);
    assert_int_equal(fix.notifies[0], 1);
}

static void expect_broken(const char *why) {
    assert_int_equal(fix_record.status & VIRTIO_STATUS_NEEDS_RESET, VIRTIO_STATUS_NEEDS_RESET);
    assert_non_null(strstr(fix.line, why));
    assert_int_equal(fix.lines, 1);
    fix.lines = 0;
    virtio_device_set_status(&fix_device, 0);
    assert_int_equal(fix_record.status, 0);
}

static void test_queue_rules(void **state) {
    (void)state;
    fix_enable(0);
    expect_broken("queue 0: enabled before FEATURES_OK");
    static const uint32_t bad[] = {0, 3, 128, 0x10000, 0x10040, UINT32_MAX};
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        fix_negotiate(VIRTIO_VERSION_1);
        virtio_device_set_queue_size(&fix_device, 1, bad[i]);
        assert_int_equal(fix_record.queue[1].size, 64);
        expect_broken("queue 1: the driver sets a size");
    }
    fix_negotiate(VIRTIO_VERSION_1 | VIRTIO_RING_PACKED);
    virtio_device_set_queue_size(&fix_device, 1, 3);
    fix_enable(1);
    assert_int_equal(fix_device.queue[1].size, 3);
    assert_int_equal(fix_record.queue[1].position.used, 0x8000);
    virtio_device_set_queue_size(&fix_device, 2, 0);
    fix_enable(2); /* nothing more once it is broken */
    assert_int_equal(fix_record.queue[2].enabled, 0);
    expect_broken("queue 2");
    fix_negotiate(VIRTIO_VERSION_1);
    fix_record.queue[2].driver = FIX_RAM;
    virtio_device_enable_queue(&fix_device, 2);
    assert_int_equal(fix_record.queue[2].enabled, 0);
    expect_broken("queue 2: its size or an address");
    /* Disabled in flight. */
    struct virtq_buffer buffer;
    fix_negotiate(VIRTIO_VERSION_1);
    fix_enable(0);
    fix_go();
    fix.available = 1;
    assert_true(virtio_device_take(&fix_device, 0, &buffer));
    virtio_device_reset_queue(&fix_device, 0);
    assert_int_equal(fix_record.queue[0].enabled, 0);
    assert_int_equal(fix.irqs_config, 1);
    fix_enable(0);
    virtio_device_finish(&fix_device, 0, &buffer, 0);
    assert_int_equal(fix.finishes, 0);
    expect_broken("queue 0: disabled while");
}

static void test_buffers(void **state) {
    (void)state;
    struct virtq_buffer buffer;
    fix_negotiate(VIRTIO_VERSION_1);
    fix_enable(0);
    fix.available = 2;
    assert_false(virtio_device_take(&fix_device, 0, &buffer)); /* before DRIVER_OK */
    fix_go();
    assert_false(virtio_device_take(&fix_device, 1, &buffer));
    assert_false(virtio_device_take(&fix_device, FIX_QUEUES, &buffer));
    assert_true(virtio_device_take(&fix_device, 0, &buffer));
    assert_int_equal(fix_record.queue[0].position.used, 0);
    assert_int_equal(virtio_device_take_more(&fix_device, 1, &buffer), -EPROTO);
    assert_int_equal(virtio_device_take_more(&fix_device, FIX_QUEUES, &buffer), -EPROTO);
    fix.apart = true;
    assert_int_equal(virtio_device_take_more(&fix_device, 0, &buffer), -ENOSPC);
    assert_true(virtio_running(&fix_device));
    fix.apart = false;
    assert_int_equal(virtio_device_take_more(&fix_device, 0, &buffer), 1);
    assert_int_equal(virtio_device_take_more(&fix_device, 0, &buffer), 0);
    fix.available = 1;
    virtio_device_finish(&fix_device, 0, &buffer, 4);
    assert_int_equal(fix_record.queue[0].position.used, 1);
    virtio_device_flush(&fix_device, 0);
    assert_int_equal(fix.irqs_queue[0], 0);
    fix.want_interrupt = true;
    virtio_device_flush(&fix_device, 0);
    virtio_device_flush(&fix_device, 1);
    assert_int_equal(fix.irqs_queue[0], 1);
    assert_int_equal(fix.irqs_queue[1], 0);
    assert_true(virtio_device_take(&fix_device, 0, &buffer));
    assert_false(virtio_device_take(&fix_device, 0, &buffer));
    assert_int_equal(fix.lines, 0);
    /* The ring turns out to be spoiled: told once. */
    fix.spoiled = "a loop";
    assert_false(virtio_device_take(&fix_device, 0, &buffer));
    assert_string_equal(fix.line, "web net0: queue 0: a loop; the device has to be reset");
    assert_int_equal(fix_record.status, 15 | VIRTIO_STATUS_NEEDS_RESET);
    assert_int_equal(fix.irqs_config, 1);
    virtio_device_break(&fix_device, "again");
    assert_false(virtio_device_take(&fix_device, 0, &buffer));
    virtio_device_finish(&fix_device, 0, &buffer, 0);
    virtio_device_flush(&fix_device, 0);
    virtio_device_notify(&fix_device, 0);
    fix_go();
    assert_int_equal(fix.lines, 1);
    assert_int_equal(fix.irqs_config, 1);
    assert_int_equal(fix.finishes, 1);
    assert_int_equal(fix.irqs_queue[0], 1);
    assert_int_equal(fix.notifies[0], 0);
    assert_int_equal(fix.starts, 1);
    fix.lines = 0;
    fix.spoiled = NULL;
    virtio_device_set_status(&fix_device, 0);
    /* In finish(), and in the middle of start(). */
    fix_negotiate(VIRTIO_VERSION_1);
    fix_enable(0);
    fix_go();
    fix.available = 1;
    assert_true(virtio_device_take(&fix_device, 0, &buffer));
    fix.spoiled = "the used ring";
    virtio_device_finish(&fix_device, 0, &buffer, 0);
    expect_broken("queue 0: the used ring");
    fix.break_in_start = true;
    fix_negotiate(VIRTIO_VERSION_1);
    fix_go();
    expect_broken("broken at once");
}

/* Behind an IOMMU: the driver has to say that it knows, and queues are found anew when mappings go. */
static void test_behind_iommu(void **state) {
    (void)state;
    fix_device.features_offered |= VIRTIO_PLATFORM;
    fix_negotiate(VIRTIO_VERSION_1 | FIX_OWN);
    assert_int_equal(fix_record.status, 3);
    assert_non_null(strstr(fix.line, "ACCESS_PLATFORM"));
    fix_negotiate(VIRTIO_VERSION_1 | VIRTIO_PLATFORM);
    assert_int_equal(fix_record.status, 11);
    fix_enable(1);
    virtio_device_remap(&fix_device);
    assert_int_equal(fix.remaps, FIX_QUEUES);
    assert_int_equal(fix_record.status, 11);
    fix.unmapped = "gone";
    virtio_device_remap(&fix_device); /* before DRIVER_OK: nobody is interrupted */
    assert_int_equal(fix_record.status, 11 | VIRTIO_STATUS_NEEDS_RESET);
    assert_string_equal(fix.line, "web net0: queue 1: gone; the device has to be reset");
    assert_int_equal(fix.irqs_config, 0);
    virtio_device_set_status(&fix_device, 0);
    fix_negotiate(VIRTIO_VERSION_1 | VIRTIO_PLATFORM);
    fix_enable(2);
    fix_go();
    virtio_device_remap(&fix_device);
    assert_int_equal(fix_record.status, 15 | VIRTIO_STATUS_NEEDS_RESET);
    assert_int_equal(fix.irqs_config, 1);
}

static void test_long_line(void **state) {
    (void)state;
    char why[400];
    memset(why, 'x', sizeof(why) - 1);
    why[sizeof(why) - 1] = 0;
    virtio_device_break(&fix_device, why); /* fix_log() checks the length */
    assert_int_equal(fix.lines, 1);
}

static void test_config(void **state) {
    (void)state;
    assert_true(virtio_device_config_read(&fix_device, 0, 1) == 0xa0);
    assert_true(virtio_device_config_read(&fix_device, 2, 2) == 0xa3a2);
    assert_true(virtio_device_config_read(&fix_device, 1, 4) == 0xa4a3a2a1);
    assert_true(virtio_device_config_read(&fix_device, 0, 8) == 0xa7a6a5a4a3a2a1a0);
    assert_true(virtio_device_config_read(&fix_device, 7, 4) == 0xa9a8a7); /* over the end */
    assert_true(virtio_device_config_read(&fix_device, 3, 8) == 0xa9a8a7a6a5a4a3);
    assert_true(virtio_device_config_read(&fix_device, 9, 8) == 0xa9);
    assert_true(virtio_device_config_read(&fix_device, FIX_CONFIG, 1) == 0);
    assert_true(virtio_device_config_read(&fix_device, 0xfff, 8) == 0);
    virtio_device_config_write(&fix_device, 8, 4, 0x11111111);
    virtio_device_config_write(&fix_device, FIX_CONFIG, 1, 0x11);
    virtio_device_config_write(&fix_device, 3, 8, 0x11);
    assert_int_equal(fix.config[3], 0xa3);
    assert_int_equal(fix.config[8], 0xa8);
    virtio_device_config_write(&fix_device, 2, 8, 0x0123456789abcdef);
    assert_int_equal(fix.config[1], 0xa1);
    assert_int_equal(fix.config[2], 0xef);
    assert_int_equal(fix.config[5], 0x89);
    assert_int_equal(fix.config[6], 0x67);
    assert_int_equal(fix.config[9], 0x01);
    virtio_device_config_write(&fix_device, 0, 1, 0x5678);
    assert_int_equal(fix.config[0], 0x78);
    assert_int_equal(fix.config[1], 0xa1);
    /* A class without any. */
    static const struct virtio_class bare = {.id = VIRTIO_ID_ENTROPY, .name = "bare"};
    fix_device.class = &bare;
    assert_true(virtio_device_config_read(&fix_device, 0, 4) == 0);
    virtio_device_config_write(&fix_device, 0, 4, 0);
    /* It has no hooks at all. */
    virtio_device_reset(&fix_device);
    fix_negotiate(VIRTIO_VERSION_1 | FIX_TOGETHER);
    fix_enable(0);
    fix_go();
    virtio_device_notify(&fix_device, 0);
    assert_int_equal(fix_record.status, 15);
    assert_int_equal(fix.starts, 0);
}

static void test_generation(void **state) {
    (void)state;
    uint8_t before = fix_record.generation;
    virtio_device_config_changed(&fix_device);
    assert_int_equal(fix.irqs_config, 0); /* no driver yet */
    assert_int_not_equal(fix_record.generation, before);
    /* As often as it may change: if something was read before, the generation is another one. */
    fix_negotiate(VIRTIO_VERSION_1);
    fix_go();
    virtio_device_config_read(&fix_device, 0, 1);
    before = fix_record.generation;
    for (unsigned i = 0; i < 256; i++)
        virtio_device_config_changed(&fix_device);
    assert_int_not_equal(fix_record.generation, before);
    assert_int_equal(fix.irqs_config, 256);
    /* Nothing changed: nothing changes. */
    before = fix_record.generation;
    virtio_device_config_read(&fix_device, 0, 4);
    virtio_device_config_read(&fix_device, 4, 4);
    assert_int_equal(fix_record.generation, before);
    /* Nor does a reset bring an old one back. */
    virtio_device_set_status(&fix_device, 0);
    assert_int_equal(fix_record.generation, before);
}

/* ---- records */

/* A device at work: two queues, the first of which has given a buffer back. */
static void work(uint64_t features) {
    struct virtq_buffer buffer;
    fix_negotiate(features);
    virtio_device_set_queue_size(&fix_device, 0, 32);
    fix_enable(0);
    fix_enable(2);
    fix_go();
    fix_record.queue[0].vector = 1;
    fix_record.config_vector = FIX_QUEUES; /* the last one */
    fix.available = 2;
    assert_true(virtio_device_take(&fix_device, 0, &buffer));
    virtio_device_finish(&fix_device, 0, &buffer, 0);
    assert_true(virtio_device_take(&fix_device, 0, &buffer)); /* in flight */
    fix_record.isr = VIRTIO_ISR_QUEUE;
    fix_record.own[17] = 42;
}

static void test_restart(void **state) {
    (void)state;
    work(VIRTIO_VERSION_1 | FIX_OWN);
    struct virtio_record before = fix_record;
    assert_int_equal(start(true), 0);
    assert_memory_equal(&before, &fix_record, sizeof(before));
    assert_int_equal(fix.resets, 0);
    assert_int_equal(fix.accepts, 1);
    assert_int_equal(fix.starts, 1);
    assert_int_equal(fix.enables, 2);
    assert_int_equal(fix_device.queue[0].size, 32);
    assert_int_equal(fix_device.queue[0].used, 1);
    assert_int_equal(fix_device.queue[1].size, 0);
    assert_true(fix_device.queue[2].driver == 0x3400);
    /* Doorbells and interrupts that may be lost. */
    assert_int_equal(fix.notifies[0], 1);
    assert_int_equal(fix.notifies[1], 0);
    assert_int_equal(fix.notifies[2], 1);
    assert_int_equal(fix.irqs_queue[0], 1);
    assert_int_equal(fix.irqs_queue[1], 0);
    assert_int_equal(fix.lines, 0);
    /* What is found when it goes on. */
    assert_int_equal(start(true), 0);
    fix_prepare(true);
    fix_device.interrupt_queue = irq_queue;
    fix_device.interrupt_config = irq_config;
    fix.break_in_start = true;
    assert_int_equal(virtio_device_init(&fix_device), 0);
    assert_int_equal(fix.notifies[0] + fix.irqs_queue[0], 0);
    assert_int_equal(fix.irqs_config, 1);
    /* Broken it stays. */
    assert_int_equal(start(true), 0);
    assert_int_equal(fix_record.status, 15 | VIRTIO_STATUS_NEEDS_RESET);
    assert_int_equal(fix.starts + fix.enables, 0);
    assert_int_equal(fix.irqs_config, 1); /* the message may not have gone */
    assert_int_equal(fix_record.queue[0].enabled, 1);
}

/* What an interrupt was to tell of, which had not gone when our program ended. */
static void test_restart_untold(void **state) {
    (void)state;
    virtio_device_config_changed(&fix_device); /* before there is a driver */
    work(VIRTIO_VERSION_1 | FIX_OWN);
    virtio_device_config_changed(&fix_device);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(start(true), 0);
        assert_int_equal(fix.irqs_config, 1);
    }
    virtio_device_config_read(&fix_device, 0, 1);
    assert_int_equal(start(true), 0);
    assert_int_equal(fix.irqs_config, 0);
    virtio_device_config_changed(&fix_device);
    virtio_device_set_status(&fix_device, 0);
    assert_int_equal(start(true), 0);
    work(VIRTIO_VERSION_1 | FIX_OWN);
    assert_int_equal(start(true), 0);
    assert_int_equal(fix.irqs_config, 0);
}

/* What was being given to the driver when our program ended; and a journal of an earlier queue. */
static void test_restart_giving(void **state) {
    (void)state;
    work(VIRTIO_VERSION_1 | FIX_OWN);
    fix_record.journal.count = 1;
    fix_record.journal.place = 2u << 16;
    assert_int_equal(start(true), 0);
    assert_int_equal(fix_record.queue[0].position.used, 1);
    assert_int_equal(fix_record.queue[2].position.used, 1);
    assert_int_equal(fix_device.queue[2].used, 1);
    virtio_device_set_status(&fix_device, 0);
    fix_record.journal.count = 1;
    fix_negotiate(VIRTIO_VERSION_1);
    fix_enable(2);
    assert_true(fix_record.journal.place == VIRTQ_NO_PLACE);
    assert_int_equal(fix_record.queue[2].position.used, 0);
}

static void test_restart_midway(void **state) {
    (void)state;
    virtio_device_set_status(&fix_device, 3);
    virtio_device_set_features(&fix_device, 0, 0xffffffff);
    assert_int_equal(start(true), 0);
    assert_int_equal(fix_record.status, 3);
    assert_true(fix_record.features == 0xffffffff); /* judged when FEATURES_OK is set */
    assert_int_equal(fix.accepts, 0);
    fix_negotiate(VIRTIO_VERSION_1);
    fix_enable(1);
    assert_int_equal(start(true), 0);
    assert_int_equal(fix_record.status, 11);
    assert_int_equal(fix_device.queue[1].size, 64);
    assert_int_equal(fix.starts + fix.notifies[1] + fix.irqs_queue[1], 0);
    fix_go();
    assert_int_equal(fix.starts, 1);
}

static void refused(void) {
    assert_int_equal(start(true), -EINVAL);
    power_on();
    assert_int_equal(fix_record.own[17], 0);
    assert_int_equal(fix.starts, 0);
    assert_int_equal(fix.lines, 1);
    assert_int_equal(start(true), 0); /* and is good from then on */
    work(VIRTIO_VERSION_1 | VIRTIO_RING_PACKED);
}

static void test_hostile_record(void **state) {
    (void)state;
    work(VIRTIO_VERSION_1 | VIRTIO_RING_PACKED);
    assert_int_equal(start(true), 0);
    assert_int_equal(fix_device.queue[0].used, 0x8001);
#define REFUSED(change)                                                                                      \
    do {                                                                                                     \
        change;                                                                                              \
        refused();                                                                                           \
    } while (0)
    REFUSED(fix_record.magic++);
    REFUSED(fix_record.version++);
    REFUSED(fix_record.offered |= 8);
    REFUSED(fix_record.features = FIX_OWN);
    REFUSED(fix_record.features |= 8);
    REFUSED(fix_record.features |= FIX_TOGETHER);
    REFUSED(fix_record.queue_count++);
    REFUSED(fix_record.queue_count = 255);
    REFUSED(fix_record.status |= 0x10);
    REFUSED(fix_record.status &= ~8);
    REFUSED(fix_record.status = 3); /* and queues enabled */
    REFUSED(fix_record.isr = 4);
    REFUSED(fix_record.config_vector = FIX_QUEUES + 1);
    REFUSED(fix_record.queue[1].vector = 0xfffe);
    REFUSED(fix_record.queue[0].size = 257);
    REFUSED(fix_record.queue[1].size = 65); /* though it is not enabled */
    REFUSED(fix_record.queue[0].size = 0);
    REFUSED(fix_record.queue[0].enabled = 2);
    REFUSED(fix_record.queue[0].position.used = 32);
    REFUSED(fix_record.queue[0].position.used = 0x8000 | 32);
    REFUSED(fix_record.queue[2].device = FIX_RAM); /* the first queue was enabled meanwhile */
#undef REFUSED
}

/* Any byte of a record may be any. The device starts anew, or it is one that its own rules allow. */
static void test_random_record(void **state) {
    (void)state;
    uint32_t seed = 1;
    unsigned kept = 0, anew = 0;
    work(VIRTIO_VERSION_1);
    struct virtio_record good = fix_record;
    for (unsigned round = 0; round < 20000; round++) {
        fix_record = good;
        for (unsigned i = 0; i <= round % 3; i++) {
            seed = seed * 1103515245u + 12345;
            size_t at = (seed >> 8) % offsetof(struct virtio_record, queue[FIX_QUEUES]);
            seed = seed * 1103515245u + 12345;
            ((uint8_t *)&fix_record)[at] = (uint8_t)(seed >> 16);
        }
        int result = start(true);
        if (result) {
            assert_int_equal(result, -EINVAL);
            power_on();
            anew++;
            continue;
        }
        kept++;
        assert_int_equal(fix_record.queue_count, FIX_QUEUES);
        assert_true((fix_record.features & ~FIX_OFFERED) == 0 ||
                    !(fix_record.status & VIRTIO_STATUS_FEATURES_OK));
        for (unsigned i = 0; i < FIX_QUEUES; i++)
            assert_true(fix_device.queue[i].size <= fix_device.queue_size[i]);
        virtio_device_set_status(&fix_device, 0);
        power_on();
    }
    assert_true(kept > 100 && anew > 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_fresh, setup),
        cmocka_unit_test_setup(test_features, setup),
        cmocka_unit_test_setup(test_status, setup),
        cmocka_unit_test_setup(test_driver_ok_early, setup),
        cmocka_unit_test_setup(test_queues, setup),
        cmocka_unit_test_setup(test_queue_rules, setup),
        cmocka_unit_test_setup(test_buffers, setup),
        cmocka_unit_test_setup(test_behind_iommu, setup),
        cmocka_unit_test_setup(test_long_line, setup),
        cmocka_unit_test_setup(test_config, setup),
        cmocka_unit_test_setup(test_generation, setup),
        cmocka_unit_test_setup(test_restart, setup),
        cmocka_unit_test_setup(test_restart_untold, setup),
        cmocka_unit_test_setup(test_restart_giving, setup),
        cmocka_unit_test_setup(test_restart_midway, setup),
        cmocka_unit_test_setup(test_hostile_record, setup),
        cmocka_unit_test_setup(test_random_record, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
