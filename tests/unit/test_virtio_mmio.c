// SPDX-License-Identifier: Apache-2.0
// Virtio over MMIO: the description, each register, the interrupt status, a restart, and a guest that writes
// anything anywhere.
// unit-sources: virtio/mmio.c virtio/device.c
#include "virtio_device_fixture.h"
#include "virtio/mmio.h"

static struct virtio_mmio mmio;
static uint32_t status; /* as the hypervisor has it */
static unsigned status_calls;

static void set_status(struct virtio_mmio *m, uint32_t clear, uint32_t set) {
    assert_ptr_equal(m, &mmio);
    status = (status & ~clear) | set;
    status_calls++;
}

static int start(bool keep_record) {
    fix_prepare(keep_record);
    memset(&mmio, 0, sizeof(mmio));
    status_calls = 0;
    mmio.status = set_status;
    return virtio_mmio_init(&mmio, &fix_device);
}

static int setup(void **state) {
    (void)state;
    status = 3; /* whatever it was */
    return start(false);
}

static uint32_t rd(unsigned offset) {
    return (uint32_t)virtio_mmio_read(&fix_device, offset, 4);
}
static void wr(unsigned offset, uint32_t value) {
    virtio_mmio_write(&fix_device, offset, 4, value);
}

static void drive(unsigned queues) {
    wr(0x70, 0);
    wr(0x70, 1);
    wr(0x70, 3);
    wr(0x24, 1);
    wr(0x20, 1);
    wr(0x70, 11);
    assert_int_equal(rd(0x70), 11);
    for (unsigned i = 0; i < queues; i++) {
        wr(0x30, i);
        assert_int_equal(rd(0x44), 0);
        wr(0x38, 16);
        wr(0x80, 0x1000 * (i + 1));
        wr(0x84, 0);
        wr(0x90, 0x1000 * (i + 1) + 0x400);
        wr(0xa0, 0x1000 * (i + 1) + 0x800);
        wr(0x44, 1);
        assert_int_equal(rd(0x44), 1);
    }
    wr(0x70, 15);
}

static void test_identity(void **state) {
    (void)state;
    assert_int_equal(rd(0x00), 0x74726976);
    assert_int_equal(rd(0x04), 2);
    assert_int_equal(rd(0x08), VIRTIO_ID_NET);
    assert_int_equal(rd(0x0c), 0x1af4);
    /* There is no shared memory: lengths and addresses of -1 (4.2.2). */
    wr(0xac, 1);
    for (unsigned at = 0xb0; at < 0xc0; at += 4)
        assert_true(rd(at) == UINT32_MAX);
    assert_int_equal(rd(0xc0), 0);
    assert_int_equal(rd(0x28), 0);
    /* Registers are of 32 bits, aligned. */
    assert_true(virtio_mmio_read(&fix_device, 0, 1) == 0);
    assert_true(virtio_mmio_read(&fix_device, 0, 8) == 0);
    assert_true(virtio_mmio_read(&fix_device, 2, 4) == 0);
    virtio_mmio_write(&fix_device, 0x70, 1, 1);
    virtio_mmio_write(&fix_device, 0x70, 8, 1);
    assert_int_equal(rd(0x70), 0);
}

static void test_description(void **state) {
    (void)state;
    static struct service_device d;
    memset(&d, 0xff, sizeof(d));
    virtio_mmio_describe(&fix_device, 3, SERVICE_MMIO_DISK + 2, 0x305, &d);
    assert_true(d.token == 0x305 && d.vm == 3 && d.bus == SERVICE_BUS_MMIO && d.place == 10);
    assert_true(d.bar_size[0] == SERVICE_MMIO_SIZE && !d.bar_size[1] && !d.vectors && !d.msix);
    static const struct service_region wanted[] = {
        {.offset = 0, .size = 0x50, .kind = SERVICE_REGION_REQUEST},
        {.offset = 0x50, .size = 4, .stride = FIX_QUEUES, .kind = SERVICE_REGION_SELECT},
        {.offset = 0x60, .size = 8, .kind = SERVICE_REGION_STATUS},
        {.offset = 0x68, .size = 0x98 + 12, .kind = SERVICE_REGION_REQUEST},
        {.kind = SERVICE_REGION_NONE},
    };
    for (unsigned i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        assert_memory_equal(&d.region[i], &wanted[i], sizeof(wanted[i]));
}

static void test_features(void **state) {
    (void)state;
    assert_int_equal(rd(0x10), (uint32_t)FIX_OFFERED);
    wr(0x14, 1);
    assert_int_equal(rd(0x10), (uint32_t)(FIX_OFFERED >> 32));
    wr(0x14, 0x80000001);
    assert_int_equal(rd(0x10), 0);
    wr(0x20, 5);
    wr(0x70, 11);
    assert_int_equal(rd(0x70), 3);
    wr(0x24, 1);
    wr(0x20, 1);
    wr(0x70, 11);
    assert_int_equal(rd(0x70), 11);
    assert_true(fix.features == 0x100000005ull);
    wr(0x70, 0x100); /* no reset: it is not 0 */
    assert_int_equal(rd(0x70), 11);
    fix_held = true;
    wr(0x70, 0);
    assert_int_equal(rd(0x70), 0x40);
    fix_held = false;
    assert_int_equal(rd(0x70), 0);
}

static void test_queues(void **state) {
    (void)state;
    static const uint16_t max[] = {256, 64, 16, 0, 0};
    for (unsigned i = 0; i < 5; i++) {
        wr(0x30, i);
        assert_int_equal(rd(0x34), max[i]);
        assert_int_equal(rd(0x44), 0);
    }
    wr(0x30, 0x10000); /* is not queue 0 */
    assert_int_equal(rd(0x34), 0);
    wr(0x80, 1);
    wr(0x38, 7);
    wr(0x44, 1);
    wr(0x44, 0);
    assert_int_equal(rd(0x44), 0);
    assert_int_equal(rd(0x70), 0);
    wr(0x30, 1);
    static const unsigned area[] = {0x80, 0x90, 0xa0};
    for (unsigned i = 0; i < 3; i++) {
        wr(area[i] + 4, 0x11110000 + i);
        wr(area[i], 0x22220000 + i);
    }
    assert_true(fix_record.queue[1].descriptors == 0x1111000022220000);
    assert_true(fix_record.queue[1].driver == 0x1111000122220001);
    assert_true(fix_record.queue[1].device == 0x1111000222220002);
    assert_int_equal(rd(0x80), 0); /* write-only */
    drive(2);
    assert_int_equal(rd(0x70), 15);
    assert_int_equal(fix_device.queue[1].size, 16);
    assert_true(fix_device.queue[1].device == 0x2800);
    wr(0x84, 9); /* stands still */
    wr(0x38, 32);
    assert_true(fix_record.queue[1].descriptors == 0x2000);
    assert_int_equal(fix_record.queue[1].size, 16);
    wr(0x50, 1); /* the hypervisor's */
    assert_int_equal(fix.notifies[1], 0);
    wr(0x44, 2);
    assert_int_equal(rd(0x44), 1);
    wr(0x44, 0);
    assert_int_equal(rd(0x44), 0);
    assert_int_equal(fix_device.queue[1].size, 0);
    assert_int_equal(rd(0x70), 15);
    wr(0x38, 0x10010);
    assert_int_equal(rd(0x70), 15 | 64);
    assert_int_equal(status, 2);
}

static void test_interrupts(void **state) {
    (void)state;
    assert_int_equal(status, 0); /* there is no driver */
    drive(2);
    fix.want_interrupt = true;
    status_calls = 0;
    virtio_device_flush(&fix_device, 1);
    assert_int_equal(status, 1);
    virtio_device_config_changed(&fix_device);
    assert_int_equal(status, 3);
    assert_int_equal(status_calls, 2);
    wr(0x64, 3); /* the hypervisor's, with what is before it */
    assert_int_equal(rd(0x60), 0);
    assert_int_equal(status, 3);
    status = 0; /* acknowledged */
    virtio_device_flush(&fix_device, 0);
    assert_int_equal(status, 1);
    wr(0x70, 15); /* nothing new */
    assert_int_equal(status, 1);
    wr(0x70, 0);
    assert_int_equal(status, 0);
    drive(1);
    virtio_device_flush(&fix_device, 0);
    assert_int_equal(status, 1);
    virtio_mmio_reset(&fix_device);
    assert_int_equal(status, 0);
    assert_int_equal(rd(0x70), 0);
}

static void test_config(void **state) {
    (void)state;
    assert_true(rd(0x100) == 0xa3a2a1a0);
    assert_true(virtio_mmio_read(&fix_device, 0x105, 1) == 0xa5);
    assert_true(virtio_mmio_read(&fix_device, 0x102, 8) == 0xa9a8a7a6a5a4a3a2);
    assert_true(rd(0x1fc) == 0);
    virtio_mmio_write(&fix_device, 0x103, 2, 0x1234);
    assert_int_equal(fix.config[3], 0x34);
    assert_int_equal(fix.config[4], 0x12);
    uint32_t before = rd(0xfc);
    virtio_device_config_changed(&fix_device);
    assert_true(rd(0xfc) != before);
}

static void test_restart(void **state) {
    (void)state;
    drive(0);
    virtio_device_config_changed(&fix_device);
    assert_int_equal(start(true), 0);
    assert_int_equal(status, 2); /* as the hypervisor has kept it */
    status = 0;
    assert_int_equal(start(true), 0);
    assert_int_equal(status, 2); /* the driver has not read what has changed */
    status = 0;
    virtio_device_config_read(&fix_device, 0, 1);
    assert_int_equal(start(true), 0);
    assert_int_equal(status, 0);
    drive(1);
    assert_int_equal(start(true), 0);
    assert_int_equal(status, 1); /* a queue's interrupt may have got lost */
    fix_record.queue_count++;
    assert_int_equal(start(true), -EINVAL);
    assert_int_equal(status, 0);
    wr(0x70, 3); /* a driver that has not come far */
    status = 1;
    assert_int_equal(start(true), 0);
    assert_int_equal(status, 0);
}

static uint32_t seed = 11;
static uint32_t next_random(void) {
    seed = seed * 1664525u + 1013904223u;
    return seed >> 4;
}

static void test_random(void **state) {
    (void)state;
    unsigned started = 0, broken = 0;
    for (unsigned i = 0; i < 200000; i++) {
        unsigned size = next_random() % 8 ? 4 : 1u << next_random() % 4;
        unsigned offset = next_random() % 8 ? next_random() % 0x44 * 4 : next_random() % 0x200;
        uint64_t value =
            next_random() % 4 ? next_random() % 17 : (uint64_t)next_random() << 36 | next_random();
        if (next_random() % 64 == 0) {
            fix.want_interrupt = next_random() & 1;
            virtio_device_flush(&fix_device, next_random() % 5);
            virtio_device_config_changed(&fix_device);
        }
        if (next_random() % 500 == 0)
            drive(next_random() % (FIX_QUEUES + 1));
        /* A reset now and then: else it would never come far. */
        if (next_random() % 3 && (offset != 0x70 || value || next_random() % 16 == 0))
            virtio_mmio_write(&fix_device, offset, size, value);
        else
            virtio_mmio_read(&fix_device, offset, size);
        started += virtio_running(&fix_device);
        bool dead = fix_record.status & VIRTIO_STATUS_NEEDS_RESET;
        broken += dead;
        for (unsigned q = 0; q < FIX_QUEUES; q++) {
            assert_true(fix_record.queue[q].size <= fix_device.queue_size[q]);
            /* A broken device's queues are not taken up again. */
            assert_true(fix_record.queue[q].enabled == (fix_device.queue[q].size != 0) || dead);
        }
        assert_true(!status || fix_record.status & VIRTIO_STATUS_DRIVER_OK);
        /* The record is good at any time. */
        if (i % 97 == 0)
            assert_int_equal(start(true), 0);
    }
    assert_true(started > 1000 && broken > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_identity, setup),   cmocka_unit_test_setup(test_description, setup),
        cmocka_unit_test_setup(test_features, setup),   cmocka_unit_test_setup(test_queues, setup),
        cmocka_unit_test_setup(test_interrupts, setup), cmocka_unit_test_setup(test_config, setup),
        cmocka_unit_test_setup(test_restart, setup),    cmocka_unit_test_setup(test_random, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
