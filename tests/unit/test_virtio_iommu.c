// SPDX-License-Identifier: Apache-2.0
// virtio-iommu's requests (virtio 1.2, 5.13.6): what each says to what is wrong with it, the configuration,
// properties, and a request that was under way when our program ended.
// unit-sources: virtio/iommu.c virtio/iommu_passed.c virtio/iommu_store.c virtio/device.c virtio/memory.c virtio/queue*.c
#include "virtio_iommu_fixture.h"

static uint64_t config(unsigned offset, unsigned size) {
    return virtio_device_config_read(&iommu->device, offset, size);
}

static void test_config(void **state) {
    (void)state;
    assert_int_equal(iommu->device.class->id, 23);
    assert_int_equal(iommu->device.queue_count, 2);
    assert_true(iommu->device.features_offered == (ALL_FEATURES | VIRTIO_VERSION_1));
    assert_true(config(0, 8) == 0xfffffffffffff000);
    assert_true(config(8, 8) == 0);
    assert_true(config(16, 8) == 0xffffffffffff);
    assert_int_equal(config(24, 4), 0);
    assert_int_equal(config(28, 4), 0xffff);
    assert_int_equal(config(32, 4), 64);
    assert_int_equal(config(36, 4), 1);                   /* bypass, three zeroes */
    virtio_device_config_write(&iommu->device, 36, 1, 2); /* neither 0 nor 1 */
    virtio_device_config_write(&iommu->device, 36, 4, 0);
    virtio_device_config_write(&iommu->device, 32, 1, 0);
    assert_int_equal(config(36, 1), 1);
    virtio_device_config_write(&iommu->device, 36, 1, 0);
    assert_int_equal(config(36, 1), 0);
    /* A reset of the device leaves it, one of the guest does not. */
    iommu_begin(ALL_FEATURES & ~0x40ull);
    assert_int_equal(config(36, 1), 0);
    virtio_device_config_write(&iommu->device, 36, 1, 1); /* not negotiated */
    assert_int_equal(config(36, 1), 0);
    program_start();
    assert_int_equal(config(36, 1), 0);
    virtio_iommu_restart(iommu);
    virtio_device_reset(&iommu->device);
    assert_int_equal(config(36, 1), 1);
}

static void test_attach(void **state) {
    (void)state;
    uint8_t reserved[20] = {T_ATTACH};
    fill(reserved + 8, 4, 8);
    fill(reserved + 19, 1, 1);
    assert_int_equal(request(reserved, sizeof(reserved)), S_INVAL);
    assert_int_equal(attach(1, 8, 2), S_INVAL);
    assert_int_equal(attach(1, 0, 0), S_NOENT);
    assert_int_equal(attach(1, 9, 0), S_NOENT); /* another function */
    assert_int_equal(attach(1, 24, 0), S_NOENT);
    assert_int_equal(attach(1, 0x108, 0), S_NOENT);
    assert_int_equal(attach(1, UINT32_MAX, 0), S_NOENT);
    assert_int_equal(attach(0x10000, 8, 0), S_RANGE);
    assert_int_equal(attach(0xffff, 8, 0), S_OK);
    assert_int_equal(attach(0xffff, 8, 0), S_OK);     /* it is there */
    assert_int_equal(attach(0xffff, 16, 1), S_INVAL); /* it is no bypass domain */
    assert_int_equal(attach(5, 16, 1), S_OK);
    assert_int_equal(attach(5, 8, 0), S_INVAL);
    assert_int_equal(attach(5, 8, 1), S_OK);
    assert_int_equal(map(0xffff, 0, 0xfff, 0, 1), S_NOENT); /* it went with its endpoint */
    iommu_begin(ALL_FEATURES & ~0x40ull);
    assert_int_equal(attach(5, 8, 1), S_INVAL); /* BYPASS is not known then */
    assert_int_equal(attach(5, 8, 0), S_OK);
}

static void test_detach(void **state) {
    (void)state;
    assert_int_equal(detach(1, 24), S_NOENT);
    assert_int_equal(detach(1, 8), S_INVAL);
    assert_int_equal(attach(1, 8, 0), S_OK);
    assert_int_equal(detach(2, 8), S_INVAL);
    assert_int_equal(detach(0x10001, 8), S_INVAL);
    assert_int_equal(map(1, 0, 0xfff, 0, 1), S_OK);
    assert_int_equal(detach(1, 8), S_OK);
    assert_int_equal(unmap(1, 0, 0xfff), S_NOENT);
    assert_int_equal(iommu->store.count, 0);
}

static void test_map(void **state) {
    (void)state;
    assert_int_equal(map(1, 0, 0xfff, 0, 1), S_NOENT);
    assert_int_equal(attach(1, 8, 0), S_OK);
    assert_int_equal(attach(2, 16, 1), S_OK);
    assert_int_equal(map(2, 0, 0xfff, 0, 1), S_INVAL);
    assert_int_equal(map(0x10001, 0, 0xfff, 0, 1), S_RANGE);
    assert_int_equal(map(1, 0x800, 0xfff, 0, 1), S_RANGE);
    assert_int_equal(map(1, 0, 0xffe, 0, 1), S_RANGE);
    assert_int_equal(map(1, 0, 0xfff, 0x10, 1), S_RANGE);
    assert_int_equal(map(1, 0x1000, 0xfff, 0, 1), S_RANGE);
    assert_int_equal(map(1, 0x2000, 0xfff, 0, 1), S_RANGE);
    assert_int_equal(map(1, 0, 0x1000000000fff, 0, 1), S_RANGE);
    assert_int_equal(map(1, 0, UINT64_MAX, 0, 1), S_RANGE);
    assert_int_equal(map(1, 0, 0xfff, 1ull << 52, 1), S_RANGE);
    assert_int_equal(map(1, 0, 0xfff, 0, 8), S_INVAL);
    assert_int_equal(map(1, 0xfee00000, 0xfee00fff, 0x10000, 3), S_INVAL); /* messages' place */
    assert_int_equal(map(1, 0xfedff000, 0xfee00fff, 0x10000, 3), S_INVAL);
    assert_int_equal(map(1, 0xfeeff000, 0xfef00fff, 0x10000, 3), S_INVAL);
    assert_int_equal(map(1, 0, 0xffffffffffff, 0, 3), S_INVAL);
    assert_int_equal(map(1, 0xfef00000, 0xfef00fff, 0x10000, 7), S_OK);
    assert_int_equal(map(1, 0, 0xfff, 0x10000, 3), S_OK);
    assert_int_equal(map(1, 0, 0xfff, 0x10000, 3), S_INVAL);
    for (unsigned i = 2; i < IOMMU_STORE_MAPPINGS; i++)
        assert_int_equal(map(1, i * 0x1000ull, i * 0x1000ull + 0xfff, 0x10000, 3), S_OK);
    assert_int_equal(map(1, 0xffff000, 0xfffffff, 0x10000, 3), S_NOMEM);
    iommu_begin(ALL_FEATURES & ~0x24ull);
    assert_int_equal(attach(1, 8, 0), S_OK);
    assert_int_equal(map(1, 0, 0xfff, 0, 1), S_UNSUPP);
    assert_int_equal(unmap(1, 0, 0xfff), S_UNSUPP);
    iommu_begin(ALL_FEATURES & ~0x20ull);
    assert_int_equal(attach(1, 8, 0), S_OK);
    assert_int_equal(map(1, 0, 0xfff, 0, 5), S_INVAL); /* MMIO is not known then */
}

static void test_unmap(void **state) {
    (void)state;
    assert_int_equal(unmap(1, 0, 0xfff), S_NOENT);
    assert_int_equal(unmap(0x10001, 0, 0xfff), S_RANGE);
    assert_int_equal(attach(1, 8, 0), S_OK);
    assert_int_equal(attach(2, 16, 1), S_OK);
    assert_int_equal(unmap(2, 0, 0xfff), S_INVAL);
    assert_int_equal(unmap(1, 0, 0xfff), S_OK);
    assert_int_equal(unmap(1, 0x1000, 0), S_RANGE);
    assert_int_equal(map(1, 0x1000, 0x2fff, 0x10000, 3), S_OK);
    assert_int_equal(unmap(1, 0x1000, 0x1fff), S_RANGE);
    assert_int_equal(unmap(1, 0x1001, 0x2fff), S_RANGE);
    assert_int_equal(iommu->store.count, 1);
    assert_int_equal(unmap(1, 0, UINT64_MAX), S_OK);
    assert_int_equal(iommu->store.count, 0);
}

static void test_probe(void **state) {
    uint8_t bytes[72] = {T_PROBE};
    uint32_t written;

    (void)state;
    memset(bytes + 8, 0xcc, 64);
    fill(bytes + 4, 4, 16);
    ask(bytes, sizeof(bytes), 68);
    assert_true(answered(&written));
    assert_int_equal(written, 68);
    assert_int_equal(status_at(64, written), S_OK);
    assert_int_equal(virtq_guest_get(&guest, REPLY_AT, 4), 20 << 16 | 1);
    assert_int_equal(virtq_guest_get(&guest, REPLY_AT + 4, 4), 1); /* where messages go */
    assert_true(virtq_guest_get(&guest, REPLY_AT + 8, 8) == 0xfee00000);
    assert_true(virtq_guest_get(&guest, REPLY_AT + 16, 8) == 0xfeefffff);
    for (unsigned i = 24; i < 64; i++)
        assert_int_equal(virtq_guest_get(&guest, REPLY_AT + i, 1), 0);
    /* More room than there has to be. */
    ask(bytes, sizeof(bytes), 100);
    assert_true(answered(&written));
    assert_int_equal(status_at(64, written), S_OK);
    fill(bytes + 4, 4, 24);
    ask(bytes, sizeof(bytes), 68);
    assert_true(answered(&written));
    assert_int_equal(status_at(64, written), S_NOENT);
    assert_true(virtq_guest_get(&guest, REPLY_AT, 8) == 0);
    /* Too little: the status is in the last four bytes. */
    fill(bytes + 4, 4, 16);
    ask(bytes, sizeof(bytes), 67);
    assert_true(answered(&written));
    assert_int_equal(written, 0);
    assert_int_equal(virtq_guest_get(&guest, REPLY_AT + 63, 4), S_INVAL);
    assert_int_equal(virtq_guest_get(&guest, REPLY_AT, 1), 0xee);
    ask(bytes, sizeof(bytes), 4);
    assert_true(answered(&written));
    assert_int_equal(status_at(0, written), S_INVAL);
}

/* What cannot be parsed comes back as it was. */
static void test_malformed(void **state) {
    static const uint8_t sizes[] = {0, 20, 20, 36, 28, 72};
    uint8_t bytes[72] = {0};
    uint32_t written;

    (void)state;
    for (unsigned type = 0; type < 256; type++) {
        bytes[0] = (uint8_t)type;
        if (type == 0 || type > 5) {
            assert_int_equal(request(bytes, sizeof(bytes)), S_NONE);
            continue;
        }
        assert_int_equal(request(bytes, sizes[type] - 1u), S_NONE);
        assert_int_equal(virtq_guest_get(&guest, REPLY_AT, 4), 0xeeeeeeee);
        assert_int_not_equal(request(bytes, sizes[type]), S_NONE);
    }
    bytes[0] = T_DETACH;
    ask(bytes, 20, 3);
    assert_true(answered(&written));
    assert_int_equal(written, 0);
    ask(bytes, 20, 0);
    assert_true(answered(&written));
    assert_int_equal(written, 0);
    ask(bytes, 0, 8);
    assert_true(answered(&written));
    assert_int_equal(written, 0);
    assert_int_equal(iommu_record.status, 15);
}

/* Our program ends after a request was done, and before it was given back: it is done again. */
static void test_again(void **state) {
    uint8_t bytes[36];
    uint32_t written;

    (void)state;
    assert_int_equal(attach(1, 8, 0), S_OK);
    assert_int_equal(map(1, 0x1000, 0x1fff, 0x10000, 3), S_OK);
    program_start();
    assert_int_equal(iommu->store.count, 1);
    map_bytes(bytes, 1, 0x1000, 0x1fff, 0x10000, 3);
    assert_int_equal(request(bytes, 36), S_OK); /* as if it were that one */
    assert_int_equal(request(bytes, 36), S_INVAL);
    program_start();
    map_bytes(bytes, 1, 0x1000, 0x1fff, 0x11000, 3); /* not that one */
    assert_int_equal(request(bytes, 36), S_INVAL);
    program_start();
    assert_int_equal(detach(1, 16), S_OK);
    assert_int_equal(detach(1, 16), S_INVAL);
    /* One that waits while nobody is there. */
    struct virtq_element element[2] = {{REQUEST_AT, 36, false}, {REPLY_AT, 4, true}};
    map_bytes(bytes, 1, 0x5000, 0x5fff, 0x11000, 3);
    for (unsigned i = 0; i < 36; i++)
        virtq_guest_put(&guest, REQUEST_AT + i, 1, bytes[i]);
    virtq_driver_add(&requests, element, 2, false);
    program_start();
    assert_true(answered(&written));
    assert_int_equal(status_at(0, written), S_OK);
    assert_int_equal(iommu->store.count, 2);
    /* A reset forgets all, also in what is kept. */
    virtio_device_set_status(&iommu->device, 0);
    program_start();
    assert_int_equal(iommu->store.count, 0);
    assert_int_equal(kept->endpoint[1], 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_config), TEST(test_attach), TEST(test_detach),    TEST(test_map),
        TEST(test_unmap),  TEST(test_probe),  TEST(test_malformed), TEST(test_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
