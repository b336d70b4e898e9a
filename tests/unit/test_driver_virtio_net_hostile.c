// SPDX-License-Identifier: Apache-2.0
// The driver for virtio network cards against a card that breaks the rules: rings that no device may write,
// frames that are not sound, noise.
// unit-sources: drivers/net/virtio_net.c drivers/pci/pci.c lib/pci.c drivers/pci/virtio_pci.c drivers/pci/virtio_ring.c
// unit-sources: virtio/pci.c virtio/device.c virtio/queue*.c virtio/memory.c virtio/net.c virtio/net_receive.c
// unit-sources: virtio/net_control.c virtio/switch.c virtio/switch_table.c virtio/offload.c virtio/frame.c
#include "tests/unit/virtio_net_card.h"

static void test_hostile_ring(void **state) {
    static const struct {
        unsigned queue;
        uint32_t id, length;
        unsigned step;
    } lies[] = {{0, 256, 60, 1}, {0, UINT32_MAX, 60, 1}, {0, 0, 2049, 1},    {0, 0, UINT32_MAX, 1},
                {0, 0, 60, 257}, {0, 0, 60, 0x8000},     {0, 0, 60, 0xffff}, {1, 1, 0, 1},
                {1, 255, 1, 1},  {1, 256, 0, 1},         {1, 0, 0, 2}};
    (void)state;
    probe_and_start();
    for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        card.deaf = true;
        make_packet(mac_b, mac_a, 60);
        assert_int_equal(send(60, NULL), 0);
        card_use(lies[i].queue, lies[i].id, lies[i].length, lies[i].step);
        virtio_net_nic.poll(nic, 2);
        assert_int_equal(changes, i + 1);
        expect_failure();
    }
    /* The same one twice. */
    card.deaf = true;
    make_packet(mac_b, mac_a, 60);
    assert_int_equal(send(60, NULL), 0);
    assert_int_equal(send(60, NULL), 0);
    card_use(1, 254, 0, 1);
    virtio_net_nic.poll(nic, 2);
    assert_false(nic->failed);
    card_use(1, 254, 0, 1);
    stop_when_changed = true; /* from within */
    virtio_net_nic.poll(nic, 2);
    assert_true(nic->failed);
    assert_false(card.master);
    stop_when_changed = false;
    expect_failure();
}

static uint8_t *receive_buffer(unsigned index) {
    const uint8_t *table = card_ring_at(card.record.queue[0].descriptors);
    return card_ring_at(bytes_get64(table + 16 * index));
}

/* Frames in several buffers that are not sound: dropped, with all of their buffers given back. */
static void test_hostile_joined(void **state) {
    static const struct {
        uint8_t flags, type;
        uint32_t length[3];
        bool right;
    } cases[] = {
        {1, FRAME_GSO_TCPV4, {2048, 2048, 1}, true},
        {1, FRAME_GSO_TCPV4 | FRAME_GSO_ECN, {12, 2048, 0}, true},
        {1, FRAME_GSO_TCPV6, {26, 0, 0}, true},
        {0, FRAME_GSO_NONE, {12 + 22, 1000, 500}, true}, /* the longest that is no joined one */
        {0, FRAME_GSO_NONE, {12 + 22, 1000, 501}, false},
        {0, FRAME_GSO_TCPV4, {2048, 2048, 1}, false}, /* without a checksum to make */
        {1, FRAME_GSO_UDP_L4, {2048, 2048, 1}, false},
        {1, FRAME_GSO_ECN, {2048, 2048, 1}, false},
        {1, 2, {2048, 2048, 1}, false},
        {1, FRAME_GSO_TCPV4, {25, 0, 0}, false},
        {1, FRAME_GSO_TCPV4, {11, 2048, 2048}, false},
    };
    unsigned frames = 0, drops = 0;
    (void)state;
    probe_and_start();
    card.deaf = true;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t *header = receive_buffer(3 * i);
        memset(header, 0, HEADER);
        header[0] = cases[i].flags;
        header[1] = cases[i].type;
        header[10] = 3;
        for (unsigned j = 0; j < 3; j++)
            card_use(0, 3 * i + j, cases[i].length[j], 1);
        virtio_net_nic.poll(nic, 2);
        frames += cases[i].right;
        drops += !cases[i].right;
        if (cases[i].length[0] < HEADER) /* each is a frame, and of the others only one has a sound header */
            drops += 2;
        assert_int_equal(got, frames);
        assert_int_equal(nic->counters.dropped, drops);
    }
    /* More than a frame can have. */
    memset(receive_buffer(100), 0, HEADER);
    receive_buffer(100)[0] = FRAME_NEEDS_CSUM;
    receive_buffer(100)[1] = FRAME_GSO_TCPV4;
    receive_buffer(100)[10] = 33;
    for (unsigned i = 0; i < 33; i++)
        card_use(0, 100 + i, 2048, 1);
    virtio_net_nic.poll(nic, 2);
    assert_int_equal(nic->counters.dropped, ++drops);
    assert_false(nic->failed);
    /* None; more than it has used; more than there are. */
    static const unsigned counts[] = {0, 2, 257, 0xffff};
    for (unsigned i = 0; i < 4; i++) {
        memset(receive_buffer(200), 0, HEADER);
        receive_buffer(200)[10] = (uint8_t)counts[i];
        receive_buffer(200)[11] = (uint8_t)(counts[i] >> 8);
        card_use(0, 200, HEADER + 60, 1);
        virtio_net_nic.poll(nic, 2);
        assert_int_equal(nic->counters.dropped, i == 0 ? ++drops : drops);
        assert_int_equal(nic->failed, i > 0);
        if (i > 0) {
            expect_failure();
            card.deaf = true;
        }
    }
    assert_int_equal(got, frames);
}

/* Frames that are not sound are dropped, and their buffers given back. */
static void test_hostile_frames(void **state) {
    static const uint32_t lengths[] = {0, 11, 12, 25, 12 + 1523, 2048};
    (void)state;
    probe_and_start();
    card.deaf = true;
    for (unsigned i = 0; i < 20; i++)
        receive_buffer(i)[10] = 1; /* num_buffers */
    for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        card_use(0, i, lengths[i], 1);
    virtio_net_nic.poll(nic, 2);
    assert_int_equal(nic->counters.dropped, 6);
    receive_buffer(9)[1] = FRAME_GSO_UDP_L4; /* was not agreed */
    receive_buffer(9)[0] = FRAME_NEEDS_CSUM;
    card_use(0, 9, HEADER + 60, 1);
    virtio_net_nic.poll(nic, 2);
    assert_int_equal(nic->counters.dropped, 7);
    assert_int_equal(got, 0);
    assert_false(nic->failed);
    /* The owner stops the card at the first of several. */
    stop_when_received = true;
    card_use(0, 10, HEADER + 60, 1);
    card_use(0, 11, HEADER + 60, 1);
    assert_false(virtio_net_nic.poll(nic, 2));
    assert_int_equal(got, 1);
    assert_false(card.master);
}

/* Whatever the device writes into the rings. */
static void test_noise(void **state) {
    uint64_t seed = 1;
    unsigned failures = 0, starts = 0;
    (void)state;
    probe_and_start();
    for (unsigned step = 0; step < 20000; step++) {
        uint32_t what = card_random(&seed);
        card.deaf = what % 256 == 0;
        make_packet(mac_b, mac_a, 1514);
        send(14 + what % 1500, NULL);
        make_packet(mac_a, mac_b, 1514);
        far_send(14 + what % 1500, NULL);
        switch_flush(&lan);
        if (what % 8 == 1)
            card_scribble(&seed, card.record.queue[what >> 8 & 1].descriptors, 8192);
        virtio_net_nic.poll(nic, card_take());
        if (what % 16 == 2) {
            card.now += CARD_SECOND;
            virtio_net_nic.tick(nic);
        }
        if (nic->failed) {
            failures++;
            virtio_net_nic.stop(nic);
            start();
            starts++;
        }
    }
    assert_true(failures > 100 && got > 5000 && far_count > 5000);
    assert_int_equal(nic->counters.starts, starts + 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_hostile_ring, setup),
        cmocka_unit_test_setup(test_hostile_joined, setup),
        cmocka_unit_test_setup(test_hostile_frames, setup),
        cmocka_unit_test_setup(test_noise, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
