// SPDX-License-Identifier: Apache-2.0
// Devices behind a virtio-iommu, with split and packed rings: what they reach, what they are told and the
// driver hears of when they may not, rings that are unmapped, requests that are under way.
// unit-sources: virtio/iommu.c virtio/iommu_passed.c virtio/iommu_store.c virtio/device.c virtio/memory.c virtio/queue*.c
#include "virtio_iommu_fixture.h"

#define FIRST      8u /* endpoints */
#define SECOND     16u
#define READ       1u
#define WRITE      2u
#define FAR        0x40000000u /* what the device calls guest-physical 0 */
#define NO_DOMAIN  1u          /* reasons of faults */
#define NO_MAPPING 2u

static struct virtq_buffer buffer;

/* Maps guest-physical [start, end] for a device that adds FAR. */
static uint8_t map_far(uint32_t domain, uint64_t start, uint64_t end, uint32_t flags) {
    return map(domain, start + FAR, end + FAR, start, flags);
}

static void offer(unsigned n, uint64_t address, uint32_t size, bool writable) {
    struct virtq_element element = {address, size, writable};
    assert_true(virtq_driver_add(&sink[n].driver, &element, 1, false) >= 0);
}

static bool take(unsigned n) {
    return virtio_device_take(&sink[n].device, 0, &buffer);
}

/* One buffer there and back. */
static void works(unsigned n, uint64_t address) {
    unsigned id;
    uint32_t written;
    offer(n, address, 16, true);
    virtq_guest_snapshot(&guest);
    assert_true(take(n));
    assert_int_equal(buffer.writable, 1);
    assert_int_equal(virtq_write(&sink[n].device.queue[0], &buffer, 0, "sixteen letters!", 16), 16);
    virtio_device_finish(&sink[n].device, 0, &buffer, 16);
    assert_true(virtq_guest_marked(&guest)); /* by guest-physical addresses */
    assert_true(virtq_driver_used(&sink[n].driver, &id, &written));
    assert_int_equal(written, 16);
}

/* Bypass as the guest finds it; off; a bypass domain. */
static void test_bypass(void **state) {
    (void)state;
    sink_begin(0, 0, 0);
    works(0, DATA_AT);
    give_event_buffer(24);
    give_event_buffer(24);
    virtio_device_config_write(&iommu->device, 36, 1, 0);
    assert_true(broken(0)); /* its queue is not to be reached any more */
    assert_string_equal(
        sink[0].line,
        "web first: queue 0: one of its areas is not mapped any more; the device has to be reset");
    expect_fault(NO_DOMAIN, READ, FIRST, DEVICE_AT);
    sink_begin(0, 0, 0);
    assert_true(broken(0));
    expect_fault(NO_DOMAIN, READ, FIRST, DEVICE_AT);
    assert_int_equal(attach(9, FIRST, 1), S_OK);
    sink_begin(0, 0, 0);
    works(0, DATA_AT);
    assert_int_equal(attach(10, FIRST, 0), S_OK); /* nothing is mapped there */
    assert_true(broken(0));
}

static void translated(uint64_t features) {
    assert_int_equal(attach(1, FIRST, 0), S_OK);
    /* Each area in one piece, though two mappings hold the descriptors' page and what follows. */
    assert_int_equal(map_far(1, DEVICE_AT, DEVICE_AT + 0xfff, READ | WRITE), S_OK);
    assert_int_equal(map_far(1, DEVICE_AT + 0x1000, DEVICE_AT + 0x2fff, READ | WRITE), S_OK);
    sink_begin(0, features, FAR == 0 ? 0 : 0 - (uint64_t)FAR);
    assert_false(broken(0));
    assert_int_equal(map(1, 0x7000, 0x7fff, DATA_AT & ~0xfffu, READ | WRITE), S_OK);
    works(0, 0x7000);
    assert_memory_equal(virtq_guest_at(&guest, DATA_AT), "sixteen letters!", 16);
    assert_true(buffer.segment[0].gpa == DATA_AT);
    assert_true(buffer.segment[0].address == 0x7000);
    /* Two mappings, two pieces. */
    assert_int_equal(map(1, 0x8000, 0x8fff, 0x20000, READ), S_OK);
    offer(0, 0x7ff0, 0x20, false);
    assert_true(take(0));
    assert_int_equal(buffer.readable, 2);
    assert_true(buffer.segment[0].gpa == DATA_AT + 0xff0 && buffer.segment[0].size == 0x10);
    assert_true(buffer.segment[1].gpa == 0x20000 && buffer.segment[1].size == 0x10);
    virtio_device_finish(&sink[0].device, 0, &buffer, 0);
    /* The second may not be written. */
    give_event_buffer(32);
    offer(0, 0x7ff0, 0x20, true);
    assert_false(take(0));
    assert_true(broken(0));
    expect_fault(NO_MAPPING, WRITE, FIRST, 0x8000);
    assert_true(interrupts[1] > 0);
    assert_true(no_event());
}

static void test_split(void **state) {
    (void)state;
    translated(0);
}

static void test_packed(void **state) {
    (void)state;
    translated(VIRTIO_RING_PACKED);
}

/* An indirect table is reached in the same way. */
static void test_indirect(void **state) {
    struct virtq_element element[2] = {{0x7000, 4, false}, {0x7010, 4, true}};

    (void)state;
    assert_int_equal(attach(1, FIRST, 0), S_OK);
    assert_int_equal(map_far(1, DEVICE_AT, DEVICE_AT + 0x1fff, READ | WRITE), S_OK);
    assert_int_equal(map(1, 0x7000, 0x7fff, DATA_AT & ~0xfffu, READ | WRITE), S_OK);
    sink_begin(0, VIRTIO_RING_INDIRECT, 0 - (uint64_t)FAR);
    give_event_buffer(24);
    sink[0].driver.tables = DATA_AT; /* its address for the device is another one: put right below */
    int id = virtq_driver_place(&sink[0].driver, element, 2, true);
    uint64_t at = sink[0].driver.descriptors + 16 * (unsigned)id;
    uint64_t table = virtq_guest_get(&guest, at, 8);
    virtq_guest_put(&guest, at, 8, table - (DATA_AT & ~0xfffu) + 0x7000);
    virtq_driver_publish(&sink[0].driver);
    assert_true(take(0));
    assert_int_equal(buffer.read_size, 4);
    virtio_device_finish(&sink[0].device, 0, &buffer, 0);
    assert_true(virtq_driver_place(&sink[0].driver, element, 2, true) >= 0); /* guest-physical: not mapped */
    virtq_driver_publish(&sink[0].driver);
    assert_false(take(0));
    assert_true(broken(0));
    assert_false(no_event());
}

/* A queue's areas that are not mapped, or not writable; that go while it works. */
static void test_rings(void **state) {
    (void)state;
    for (unsigned packed = 0; packed < 2; packed++) {
        uint64_t features = packed ? VIRTIO_RING_PACKED : 0, base = 0 - (uint64_t)FAR;
        iommu_begin(ALL_FEATURES);
        assert_int_equal(attach(1, FIRST, 0), S_OK);
        sink_begin(0, features, base);
        assert_true(broken(0));
        assert_int_equal(map_far(1, DEVICE_AT, DEVICE_AT + 0x1fff, READ), S_OK);
        sink_begin(0, features, base);
        assert_true(broken(0)); /* where used buffers are told has to be written */
        assert_int_equal(unmap(1, 0, UINT64_MAX), S_OK);
        assert_int_equal(map_far(1, DEVICE_AT, DEVICE_AT + 0x1fff, READ | WRITE), S_OK);
        assert_int_equal(map(1, 0x7000, 0x7fff, DATA_AT & ~0xfffu, READ | WRITE), S_OK);
        sink_begin(0, features, base);
        works(0, 0x7000);
        assert_int_equal(unmap(1, 0x7000, 0x7fff), S_OK);
        assert_false(broken(0)); /* that was something else */
        give_event_buffer(24);
        assert_int_equal(unmap(1, FAR, FAR + 0xfffff), S_OK);
        assert_true(broken(0));
        expect_fault(NO_MAPPING, packed ? READ | WRITE : READ, FIRST, DEVICE_AT + FAR);
        virtq_guest_snapshot(&guest);
        assert_false(take(0));
        virtio_device_flush(&sink[0].device, 0);
        assert_false(virtq_listen(&sink[0].device.queue[0], true));
        for (unsigned i = 0; i < 0x2000; i++)
            assert_int_equal(*virtq_guest_at(&guest, DEVICE_AT + i),
                             guest.piece[0].before[DEVICE_AT - 0x10000 + i]);
    }
}

/* Two devices, one domain each, then one for both. */
static void test_isolation(void **state) {
    (void)state;
    assert_int_equal(attach(1, FIRST, 0), S_OK);
    assert_int_equal(attach(2, SECOND, 0), S_OK);
    for (unsigned n = 0; n < 2; n++)
        assert_int_equal(map_far(n + 1, DEVICE_AT + 0x3000 * n, DEVICE_AT + 0x3000 * n + 0x1fff, 3), S_OK);
    assert_int_equal(map(2, 0x7000, 0x7fff, 0x20000, 3), S_OK);
    sink_begin(0, 0, 0 - (uint64_t)FAR);
    sink_begin(1, 0, 0 - (uint64_t)FAR);
    works(1, 0x7000);
    offer(0, 0x7000, 16, true);
    assert_false(take(0));
    assert_true(broken(0));
    assert_int_equal(attach(2, FIRST, 0), S_OK); /* away from domain 1, which is no more */
    assert_int_equal(map_far(2, DEVICE_AT, DEVICE_AT + 0x1fff, 3), S_OK);
    sink_begin(0, 0, 0 - (uint64_t)FAR);
    works(0, 0x7000);
    works(1, 0x7000);
    assert_int_equal(detach(2, FIRST), S_OK);
    works(1, 0x7000);
    assert_true(broken(0)); /* guest-physical now: there is no such RAM */
}

/* What is under way when memory is unmapped: the request waits for it, and for nothing else. */
static void test_under_way(void **state) {
    uint8_t bytes[28];
    uint32_t written;

    (void)state;
    assert_int_equal(attach(1, FIRST, 0), S_OK);
    assert_int_equal(map(1, 0x7000, 0x7fff, 0x20000, 3), S_OK);
    assert_int_equal(map(1, 0x8000, 0x8fff, 0x21000, 3), S_OK);
    sink[0].holds = true;
    sink[0].first = 0x8100;
    sink[0].last = 0x81ff;
    assert_int_equal(unmap(1, 0x7000, 0x7fff), S_OK);
    assert_int_equal(laters, 0);
    unmap_bytes(bytes, 1, 0x8000, 0x8fff);
    ask(bytes, 28, 4);
    assert_false(answered(&written));
    assert_int_equal(laters, 1);
    assert_int_equal(iommu->store.count, 0); /* nothing new goes there */
    virtio_device_notify(&iommu->device, 0);
    assert_false(answered(&written));
    assert_int_equal(laters, 2);
    sink[0].first = 0x9000;
    sink[0].last = 0x9fff; /* another request */
    virtio_iommu_run(iommu);
    assert_true(answered(&written));
    assert_int_equal(status_at(0, written), S_OK);
    /* Another domain: the device cannot go on. */
    sink_begin(0, 0, 0);
    assert_true(broken(0)); /* no queue there */
    virtio_device_set_status(&sink[0].device, 0);
    sink[0].holds = false;
    assert_int_equal(attach(3, FIRST, 1), S_OK);
    sink_begin(0, 0, 0);
    sink[0].holds = true;
    uint8_t leave[20] = {T_DETACH};
    fill(leave + 4, 4, 3);
    fill(leave + 8, 4, FIRST);
    ask(leave, 20, 4);
    assert_false(answered(&written));
    assert_true(broken(0));
    assert_non_null(strstr(sink[0].line, "its addresses have changed"));
    /* Our program ends meanwhile; so has what was under way. */
    program_start();
    assert_true(answered(&written));
    assert_int_equal(status_at(0, written), S_OK);
    assert_int_equal(kept->endpoint[1], 0);
}

/* Faults that nobody listens to; buffers that are too small for one. */
static void test_events(void **state) {
    (void)state;
    virtio_device_config_write(&iommu->device, 36, 1, 0);
    sink_begin(0, 0, 0);
    assert_true(broken(0));
    assert_true(no_event());
    give_event_buffer(24);
    assert_true(no_event()); /* it is not kept */
    sink_begin(1, 0, 0);
    expect_fault(NO_DOMAIN, READ, SECOND, DEVICE_AT + 0x3000);
    assert_int_equal(iommu_record.status, 15);
    give_event_buffer(23);
    sink_begin(0, 0, 0);
    assert_true(iommu_record.status & VIRTIO_STATUS_NEEDS_RESET);
    assert_int_equal(config_interrupts, 1);
    sink_begin(1, 0, 0); /* and nobody to tell */
    assert_true(broken(1));
}

/* What the guest has set up holds when our program starts anew, and devices go on with it. */
static void test_restart(void **state) {
    (void)state;
    assert_int_equal(attach(1, FIRST, 0), S_OK);
    assert_int_equal(map_far(1, DEVICE_AT, DEVICE_AT + 0x1fff, 3), S_OK);
    assert_int_equal(map(1, 0x7000, 0x7fff, 0x20000, 3), S_OK);
    sink_begin(0, 0, 0 - (uint64_t)FAR);
    works(0, 0x7000);
    program_start();
    assert_false(broken(0));
    works(0, 0x7000);
    /* The guest's own reset of the IOMMU: no domain, and bypass as it was. */
    virtio_device_set_status(&iommu->device, 0);
    assert_true(broken(0));
    sink_begin(0, 0, 0);
    works(0, DATA_AT);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_bypass),    TEST(test_split),     TEST(test_packed), TEST(test_indirect), TEST(test_rings),
        TEST(test_isolation), TEST(test_under_way), TEST(test_events), TEST(test_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
