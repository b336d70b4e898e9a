// SPDX-License-Identifier: Apache-2.0
// The network device: frames between two of them, header rules, merged buffers, budgets, queue pairs, a
// restart.
// unit-sources: virtio/net.c virtio/net_receive.c virtio/net_control.c
// unit-sources: virtio/switch.c virtio/switch_table.c virtio/offload.c virtio/frame.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include "tests/unit/net_fixture.h"

static void test_setup(void **state) {
    (void)state;
    struct net_setup setup = setup_of(0);
    const struct virtio_device *device = &net[0].device;

    assert_int_equal(device->queue_count, 9);
    assert_int_equal(device->class->id, VIRTIO_ID_NET);
    assert_int_equal(net[0].device.class->config_read(&net[0].device, 0, 4), 0x00005452);
    assert_int_equal(net[0].device.class->config_read(&net[0].device, 4, 2), 0x0a00);
    assert_int_equal(net[0].device.class->config_read(&net[0].device, 6, 2), 1);
    assert_int_equal(net[0].device.class->config_read(&net[0].device, 8, 2), 4);
    assert_int_equal(net[0].device.class->config_read(&net[0].device, 10, 2), 1500);
    assert_int_equal(net[0].device.class->config_read(&net[0].device, 11, 1), 5);

    net_remove(&net[0]);
    setup.pairs = 1;
    setup.without = NET_F_HOST_USO;
    make_device(0, &setup);
    assert_int_equal(device->queue_count, 3);
    assert_int_equal(device->features_offered & (NET_F_MQ | NET_F_HOST_USO), 0);
    net_remove(&net[0]);
    setup.pairs = 9;
    assert_int_equal(net_init(&net[0], &setup), -EINVAL);
    setup.pairs = 0;
    assert_int_equal(net_init(&net[0], &setup), -EINVAL);
    setup.pairs = 1;
    setup.mtu = 67;
    assert_int_equal(net_init(&net[0], &setup), -EINVAL);
    setup.mtu = 1500;
    setup.mac[0] = 1;
    assert_int_equal(net_init(&net[0], &setup), -EINVAL);
}

static void test_features(void **state) {
    (void)state;
    static const struct {
        uint64_t with, without;
    } wrong[] = {
        {NET_F_GUEST_TSO4, NET_F_GUEST_CSUM}, {NET_F_GUEST_USO6, NET_F_GUEST_CSUM},
        {NET_F_HOST_TSO6, NET_F_CSUM},        {NET_F_HOST_USO, NET_F_CSUM},
        {NET_F_CTRL_RX, NET_F_CTRL_VQ},       {NET_F_MQ, NET_F_CTRL_VQ},
        {NET_F_CTRL_MAC_ADDR, NET_F_CTRL_VQ}, {NET_F_GUEST_ANNOUNCE, NET_F_CTRL_VQ},
        {NET_F_HOST_ECN, NET_F_HOST_TSO4},    {NET_F_GUEST_ECN, NET_F_GUEST_TSO6},
    };
    struct virtio_device *device = &net[0].device;

    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(device->class->accept(device, VIRTIO_VERSION_1 | wrong[i].with));
        assert_true((device->features_offered & wrong[i].with) == wrong[i].with);
    }
    assert_true(device->class->accept(device, device->features_offered));
    assert_true(device->class->accept(device, VIRTIO_VERSION_1));
    assert_true(device->class->accept(device, NET_F_CSUM | NET_F_HOST_TSO6 | NET_F_HOST_ECN));
}

static void test_plain_frames(void **state) {
    (void)state;
    start_driver(0, VIRTIO_VERSION_1 | NET_F_MAC);
    start_driver(1, VIRTIO_VERSION_1 | NET_F_MAC);
    assert_false(rings[1][0].notify); /* receive buffers are no news */
    assert_true(rings[0][1].notify);
    give(1, 0, 1, 2000);
    simple_packet(mac_b, mac_a);
    send_frame(0, NULL, 100);
    assert_int_equal(rings[0][1].used, 1);
    assert_int_equal(rings[0][1].written[0], 0);
    assert_int_equal(interrupts[0][1], 1);
    assert_int_equal(interrupts[1][0], 1);
    assert_int_equal(rings[1][0].written[0], 112);
    for (unsigned i = 0; i < 12; i++)
        assert_int_equal(received_byte(1, 0, 0, i), i == 10);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(received_byte(1, 0, 0, 12 + i), packet[i]);
    assert_int_equal(received_byte(1, 0, 0, 112), 0xa5);

    send_frame(0, NULL, 100); /* no buffer */
    assert_int_equal(drops(1, SWITCH_DROP_BUFFER), 1);
    assert_int_equal(interrupts[1][0], 1);
    give(1, 0, 1, 111); /* too small: it is kept for a smaller frame */
    send_frame(0, NULL, 100);
    assert_int_equal(drops(1, SWITCH_DROP_SIZE), 1);
    send_frame(0, NULL, 99);
    assert_int_equal(rings[1][0].written[1], 111);

    /* Not a frame: dropped, counted, and given back. */
    send_frame(0, NULL, 13);
    send_frame(0, NULL, 69000);
    assert_int_equal(drops(0, SWITCH_DROP_SIZE), 2);
    struct virtq_buffer *buffer = new_buffer(&rings[0][1], false); /* 60 bytes and 4 GiB */
    buffer_add(buffer, allocate(72), 72, false);
    buffer_add(buffer, buffer, UINT32_MAX, false);
    buffer_add(buffer, buffer, 1, false);
    kick(0, 1);
    assert_int_equal(drops(0, SWITCH_DROP_SIZE), 3);
    assert_int_equal(rings[0][1].used, rings[0][1].count);
    /* A guest that is not there. */
    record[1].status = 0;
    send_frame(0, NULL, 60);
    assert_int_equal(drops(1, SWITCH_DROP_LINK), 1);
    assert_string_equal(said, "");
}

static void test_broken_drivers(void **state) {
    (void)state;
    start_driver(0, VIRTIO_VERSION_1);
    start_driver(1, VIRTIO_VERSION_1);
    give(1, 0, 1, 11);
    simple_packet(mac_b, mac_a);
    send_frame(0, NULL, 60);
    assert_true(record[1].status & VIRTIO_STATUS_NEEDS_RESET);
    assert_non_null(strstr(said, "receive buffer"));
    assert_false(record[0].status & VIRTIO_STATUS_NEEDS_RESET);
    struct virtq_buffer *buffer = new_buffer(&rings[0][1], false);
    buffer_add(buffer, allocate(11), 11, false);
    kick(0, 1);
    assert_true(record[0].status & VIRTIO_STATUS_NEEDS_RESET);
    assert_non_null(strstr(said, "shorter than its header"));
    assert_int_equal(again_calls, 2); /* by the starts alone */
}

/* What a header may say depends on what was negotiated, and on the frame. */
static void test_offloads(void **state) {
    (void)state;
    static const struct frame_kind kind = {.payload = 3000, .gso_size = 1000};
    struct frame_offload offload, plain;
    uint32_t size = frame_build(packet, mac_b, mac_a, &kind, &offload);

    start_driver(0, VIRTIO_VERSION_1);
    start_driver(1, VIRTIO_VERSION_1);
    give(1, 0, 40, 2000);
    send_frame(0, &offload, size);
    plain = offload;
    plain.gso_type = 0;
    send_frame(0, &plain, size);
    assert_int_equal(drops(0, SWITCH_DROP_OFFLOAD), 2);
    record[0].features |= NET_F_CSUM;
    send_frame(0, &offload, size);
    assert_int_equal(drops(0, SWITCH_DROP_OFFLOAD), 3);
    record[0].features |= NET_F_HOST_TSO4;
    plain = offload;
    plain.gso_type |= FRAME_GSO_ECN;
    send_frame(0, &plain, size);
    assert_int_equal(drops(0, SWITCH_DROP_OFFLOAD), 4);
    plain.gso_type = FRAME_GSO_UDP_L4;
    send_frame(0, &plain, size);
    plain.gso_type = FRAME_GSO_TCPV6;
    send_frame(0, &plain, size);
    plain.gso_type = 3;
    send_frame(0, &plain, size);
    plain = offload;
    plain.csum_start = 0xfff0;
    send_frame(0, &plain, size);
    assert_int_equal(drops(0, SWITCH_DROP_OFFLOAD), 8);
    assert_int_equal(rings[1][0].used, 0);
    send_frame(0, &offload, size); /* cut up */
    assert_int_equal(rings[1][0].used, 3);
    assert_int_equal(rings[1][0].written[2], 12 + 1054);
    assert_int_equal(received_byte(1, 0, 2, 0), 0);
    assert_int_equal(interrupts[1][0], 1); /* one for all */

    /* The receiver completes the sum, then cuts up as well. */
    record[1].features |= NET_F_GUEST_CSUM;
    net[1].device.class->start(&net[1].device);
    send_frame(0, &offload, size);
    assert_int_equal(rings[1][0].used, 6);
    assert_int_equal(received_byte(1, 0, 5, 0), FRAME_NEEDS_CSUM);
    assert_int_equal(received16(1, 0, 5, 6), 34);
    record[1].features |= NET_F_GUEST_TSO4;
    net[1].device.class->start(&net[1].device);
    send_frame(0, &offload, size);
    assert_int_equal(drops(1, SWITCH_DROP_SIZE), 1); /* its buffers are for 1514 */
    record[1].features |= NET_F_MRG_RXBUF;
    send_frame(0, &offload, size);
    assert_int_equal(rings[1][0].used, 8);
    assert_int_equal(received_byte(1, 0, 6, 1), FRAME_GSO_TCPV4);
    assert_int_equal(received16(1, 0, 6, 2), 54); /* header length, ours */
    assert_int_equal(received16(1, 0, 6, 4), 1000);
    assert_int_equal(received16(1, 0, 6, 10), 2);
}

static void test_merged_buffers(void **state) {
    (void)state;
    static const struct frame_kind kind = {.payload = 60000, .gso_size = 1400};
    struct frame_offload offload;
    uint32_t size = frame_build(packet, mac_b, mac_a, &kind, &offload), at = 0;

    start_driver(0, ALL_FEATURES & ~NET_F_MQ);
    start_driver(1, ALL_FEATURES & ~(NET_F_MQ | NET_F_CTRL_RX));
    give(1, 0, 30, 1500);
    send_frame(0, &offload, size);
    assert_int_equal(drops(1, SWITCH_DROP_BUFFER), 1);
    assert_int_equal(rings[1][0].next, 0); /* all were given back */
    give(1, 0, 20, 1500);
    send_frame(0, &offload, size);
    unsigned count = (size + 12 + 1499) / 1500;
    assert_int_equal(rings[1][0].used, count);
    assert_int_equal(received16(1, 0, 0, 10), count);
    for (unsigned i = 0; i < count; i++) {
        uint32_t written = rings[1][0].written[i];
        assert_int_equal(written, i + 1 < count ? 1500 : (size + 12) % 1500);
        for (uint32_t j = i ? 0 : 12; j < written; j++)
            assert_int_equal(received_byte(1, 0, i, j), packet[at++]);
    }
    assert_int_equal(at, size);
    assert_int_equal(interrupts[1][0], 1);

    /* In more pieces than are looked at in one go; one has something to read, too. */
    rings[1][0].count = rings[1][0].next;
    unsigned begin = rings[1][0].next;
    for (unsigned i = 0; i < 50; i++) {
        struct virtq_buffer *buffer = new_buffer(&rings[1][0], false);
        if (i % 20 == 7)
            buffer_add(buffer, allocate(8), 8, false);
        for (unsigned j = 0; j < 15; j++)
            buffer_add(buffer, allocate(100), 100, true);
    }
    send_frame(0, &offload, size);
    assert_int_equal(rings[1][0].used, begin + count);
    assert_int_equal(received16(1, 0, begin, 10), count);
    at = 0;
    for (unsigned i = 0; i < count; i++)
        for (uint32_t j = i ? 0 : 12; j < rings[1][0].written[begin + i]; j++)
            assert_int_equal(received_byte(1, 0, begin + i, j), packet[at++]);
    assert_int_equal(at, size);
    rings[1][0].count = rings[1][0].next;
    count += begin;

    /* It fits exactly; and a buffer in the midst is too small for any. */
    simple_packet(mac_b, mac_a);
    rings[1][0].count = rings[1][0].next;
    give(1, 0, 1, 112);
    send_frame(0, NULL, 100);
    assert_int_equal(rings[1][0].used, count + 1);
    assert_int_equal(received16(1, 0, count, 10), 1);
    give(1, 0, 1, 50);
    give(1, 0, 1, 11);
    send_frame(0, NULL, 100);
    assert_true(record[1].status & VIRTIO_STATUS_NEEDS_RESET);
    assert_int_equal(rings[1][0].used, count + 1);
}

static void test_budget(void **state) {
    (void)state;
    start_driver(0, VIRTIO_VERSION_1);
    start_driver(1, VIRTIO_VERSION_1);
    again_calls = 0;
    simple_packet(mac_b, mac_a);
    give(1, 0, 200, 100);
    for (unsigned i = 0; i < 150; i++)
        put_frame(0, 1, NULL, 60, false);
    kick(0, 1);
    /* One that is handed over counts twice: once for being looked at. */
    assert_int_equal(rings[0][1].used, NET_BUDGET / 2);
    assert_int_equal(again_calls, 1);
    assert_false(rings[0][1].notify);
    kick(0, 1); /* does not jump the queue */
    assert_int_equal(rings[0][1].used, NET_BUDGET / 2);
    assert_true(net_run(&net[0]));
    assert_false(net_run(&net[0]));
    assert_int_equal(rings[0][1].used, 150);
    assert_int_equal(again_calls, 1);
    assert_true(rings[0][1].notify);
    assert_int_equal(interrupts[1][0], 3);
    assert_int_equal(interrupts[0][1], 3);

    /* Frames that come while we ask to be notified are not overlooked. */
    for (unsigned i = 0; i < 5; i++)
        put_frame(0, 1, NULL, 60, true);
    kick(0, 1);
    assert_int_equal(rings[0][1].used, 155);
    for (unsigned i = 0; i < 100; i++) /* and have no end */
        put_frame(0, 1, NULL, 60, true);
    kick(0, 1);
    assert_true(rings[0][1].used < 250);
    assert_int_equal(again_calls, 2);
    record[0].status = 0;
    net[0].device.class->reset(&net[0].device);
    assert_false(net_run(&net[0]));
}

/* A driver hears at once of TCP's frames that were sent only if they are many, of others always. */
static void test_late(void **state) {
    static const struct frame_kind tcp = {.payload = 100}, udp = {.udp = true, .payload = 100};
    struct frame_offload offload;

    (void)state;
    start_driver(0, VIRTIO_VERSION_1 | NET_F_CSUM);
    start_driver(1, VIRTIO_VERSION_1);
    give(1, 0, 100, 2000);
    later_calls = 0;
    uint32_t size = frame_build(packet, mac_b, mac_a, &tcp, &offload);
    send_frame(0, &offload, size);
    assert_int_equal(rings[0][1].used, 1);
    assert_int_equal(interrupts[0][1], 0);
    assert_int_equal(interrupts[1][0], 1);
    assert_int_equal(later_calls, 1);
    net_late(&net[0]);
    assert_int_equal(interrupts[0][1], 1);
    net_late(&net[0]);
    assert_int_equal(interrupts[0][1], 1);
    for (unsigned i = 0; i < 8; i++)
        send_frame(0, &offload, size);
    assert_int_equal(interrupts[0][1], 2);
    net_late(&net[0]); /* nothing is left */
    assert_int_equal(interrupts[0][1], 2);
    /* Behind one for which somebody may wait. */
    send_frame(0, &offload, size);
    size = frame_build(packet, mac_b, mac_a, &udp, &offload);
    send_frame(0, &offload, size);
    assert_int_equal(interrupts[0][1], 3);
    size = frame_build(packet, mac_b, mac_a, &tcp, &offload);
    send_frame(0, &offload, size);
    assert_int_equal(interrupts[0][1], 3);
    /* A small ring is full sooner. */
    net[0].device.queue[1].size = 8;
    send_frame(0, &offload, size);
    assert_int_equal(interrupts[0][1], 4);
    /* A reset forgets. */
    net[0].device.queue[1].size = 256;
    send_frame(0, &offload, size);
    net[0].device.class->reset(&net[0].device);
    net_late(&net[0]);
    assert_int_equal(interrupts[0][1], 4);
}

static void test_pairs(void **state) {
    (void)state;
    static const struct frame_kind kind = {.payload = 100}, udp = {.udp = true, .payload = 100};
    struct frame_offload offload;

    start_driver(0, VIRTIO_VERSION_1);
    start_driver(1, VIRTIO_VERSION_1 | NET_F_CTRL_VQ | NET_F_MQ);
    for (unsigned i = 0; i < 4; i++)
        give(1, i * 2, 40, 2000);
    uint32_t size = frame_build(packet, mac_b, mac_a, &kind, &offload);
    send_frame(0, NULL, size);
    assert_int_equal(rings[1][0].used, 1); /* one pair until it asks for more */
    assert_int_equal(command(1, 4, 0, "\0\0", 2), 1);
    assert_int_equal(command(1, 4, 0, "\5\0", 2), 1);
    assert_int_equal(command(1, 4, 0, "\4", 1), 1);
    assert_int_equal(command(1, 4, 1, "\4\0", 2), 1);
    assert_int_equal(command(1, 4, 0, "\4\0", 2), 0);

    /* Frames follow the pair on which the guest sends. */
    for (unsigned pair = 0; pair < 4; pair++) {
        uint8_t swap[4];
        frame_build(packet, mac_a, mac_b, &kind, &offload);
        memcpy(swap, packet + 26, 4);
        memcpy(packet + 26, packet + 30, 4);
        memcpy(packet + 30, swap, 4);
        frame_put16(packet + 34, 80);
        frame_put16(packet + 36, 40000);
        put_frame(1, pair * 2 + 1, NULL, size, false);
        kick(1, pair * 2 + 1);
        frame_build(packet, mac_b, mac_a, &kind, &offload);
        unsigned before = rings[1][pair * 2].used;
        send_frame(0, NULL, size);
        assert_int_equal(rings[1][pair * 2].used, before + 1);
    }
    assert_int_equal(interrupts[1][6], 1);
    /* New flows spread. */
    unsigned before[4], changed = 0;
    for (unsigned i = 0; i < 4; i++)
        before[i] = rings[1][i * 2].used;
    for (unsigned port = 0; port < 32; port++) {
        size = frame_build(packet, mac_b, mac_a, &udp, &offload);
        frame_put16(packet + 34, 7000 + port * 13);
        send_frame(0, NULL, size);
    }
    for (unsigned i = 0; i < 4; i++)
        changed += rings[1][i * 2].used != before[i];
    assert_int_equal(changed, 4);
    /* A pair without a queue, and fewer pairs. */
    net[1].device.queue[2].size = net[1].device.queue[4].size = 0;
    unsigned held = rings[1][2].used + rings[1][4].used;
    for (unsigned port = 0; port < 16; port++) {
        frame_put16(packet + 34, 7000 + port * 13);
        send_frame(0, NULL, size);
    }
    assert_int_equal(rings[1][2].used + rings[1][4].used, held);
    assert_int_equal(drops(1, SWITCH_DROP_LINK), 0);
    assert_int_equal(command(1, 4, 0, "\1\0", 2), 0);
    held = rings[1][6].used;
    for (unsigned port = 0; port < 8; port++) {
        frame_put16(packet + 34, 7000 + port * 13);
        send_frame(0, NULL, size);
    }
    assert_int_equal(rings[1][6].used, held);
    net[1].device.queue[0].size = 0;
    send_frame(0, NULL, size);
    assert_int_equal(drops(1, SWITCH_DROP_LINK), 1);
}

/* Our program starts anew: what the driver has set is there, what it has sent meanwhile goes out. */
static void test_restart(void **state) {
    (void)state;
    static const uint8_t other[6] = {2, 0, 0, 0, 9, 9};
    struct net_setup setup = setup_of(1);

    start_driver(0, VIRTIO_VERSION_1);
    start_driver(1, ALL_FEATURES);
    assert_int_equal(command(1, 1, 1, other, 6), 0);
    assert_int_equal(command(1, 4, 0, "\3\0", 2), 0);
    assert_int_equal(command(1, 0, 1, "\1", 1), 0);
    net_remove(&net[1]);
    memset(&net[1], 0, sizeof(net[1]));
    for (unsigned i = 0; i < 9; i++)
        net[1].device.queue[i].size = 256; /* as virtio_device_init() enables them */
    simple_packet(mac_a, other);
    put_frame(1, 5, NULL, 60, false);
    give(0, 0, 1, 200);
    again_calls = 0;
    make_device(1, &setup);
    assert_int_equal(again_calls, 1);
    assert_int_equal(rings[0][0].used, 0); /* not before all devices are there */
    assert_false(net_run(&net[1]));
    assert_int_equal(rings[0][0].used, 1);
    assert_memory_equal(net_mac(&net[1]), other, 6);
    give(1, 0, 3, 200);
    give(1, 2, 3, 200);
    give(1, 4, 3, 200);
    simple_packet((const uint8_t[6]){1, 0, 0x5e, 0, 0, 5}, mac_a);
    send_frame(0, NULL, 60); /* all multicast, still */
    assert_int_equal(rings[1][0].used + rings[1][2].used + rings[1][4].used, 1);

    /* What was kept makes no sense. */
    net_remove(&net[1]);
    memset(&net[1], 0, sizeof(net[1]));
    memset(record[1].own, 0xff, sizeof(record[1].own));
    make_device(1, &setup);
    assert_non_null(strstr(said, "b: the driver's settings are lost"));
    assert_memory_equal(net_mac(&net[1]), mac_b, 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_setup, setup),        cmocka_unit_test_setup(test_features, setup),
        cmocka_unit_test_setup(test_plain_frames, setup), cmocka_unit_test_setup(test_broken_drivers, setup),
        cmocka_unit_test_setup(test_offloads, setup),     cmocka_unit_test_setup(test_merged_buffers, setup),
        cmocka_unit_test_setup(test_budget, setup),       cmocka_unit_test_setup(test_pairs, setup),
        cmocka_unit_test_setup(test_late, setup),         cmocka_unit_test_setup(test_restart, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
