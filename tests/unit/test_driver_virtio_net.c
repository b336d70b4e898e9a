// SPDX-License-Identifier: Apache-2.0
// The driver for virtio network cards, with a network device of our own as its hardware: frames both ways,
// offloads, the link, failures.
// unit-sources: drivers/net/virtio_net.c drivers/pci/pci.c lib/pci.c drivers/pci/virtio_pci.c drivers/pci/virtio_ring.c
// unit-sources: virtio/pci.c virtio/device.c virtio/queue*.c virtio/memory.c virtio/net.c virtio/net_receive.c
// unit-sources: virtio/net_control.c virtio/switch.c virtio/switch_table.c virtio/offload.c virtio/frame.c
#include "tests/unit/virtio_net_card.h"

/* ---- what it is */

static void test_probe(void **state) {
    (void)state;
    assert_true(virtio_net_nic.matches(&card.pci));
    assert_true(virtio_net_nic.size <= DRIVER_SIZE);
    assert_int_equal(virtio_net_nic.probe(nic), 0);
    assert_memory_equal(nic->mac, mac_a, 6);
    assert_int_equal(nic->mtu, 1500);
    assert_int_equal(nic->offloads, OFFLOAD_CSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_ECN);
    assert_int_equal(card.record.status, 0);
    make_packet(mac_b, mac_a, 60);
    assert_int_equal(send(60, NULL), -ENETDOWN);
    start();
    assert_true(nic->link);
    assert_int_equal(card.pci.vectors, 2);
    card.info.config[2] = 0x42;
    assert_false(virtio_net_nic.matches(&card.pci));
    card.info.config[2] = 0x00, card.info.config[3] = 0x10; /* transitional */
    assert_true(virtio_net_nic.matches(&card.pci));
}

static void test_little(void **state) {
    (void)state;
    plug(9000, NET_F_MAC | NET_F_MTU | NET_F_CSUM | NET_F_STATUS, VIRTIO_RING_EVENT);
    probe_and_start();
    assert_true((nic->mac[0] & 3) == 2);
    assert_memory_not_equal(nic->mac + 1, mac_a + 1, 5);
    assert_int_equal(nic->mtu, 1500);
    assert_int_equal(nic->offloads, 0);
    assert_true(nic->link);
    make_packet(mac_b, mac_a, 1522);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(send(1522, NULL), 0);
    assert_int_equal(far_count, 1000);
    assert_int_equal(send(1523, NULL), -EMSGSIZE);
    make_packet(mac_a, mac_b, 1514);
    for (unsigned i = 0; i < 1000; i++) {
        far_send(1514, NULL);
        switch_flush(&lan);
        assert_true(drain());
    }
    assert_int_equal(got, 1000);
}

/* ---- frames */

static void test_send(void **state) {
    static const uint32_t sizes[] = {14, 60, 61, 1514, 1518, 1522};
    (void)state;
    probe_and_start();
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        make_packet(mac_b, mac_a, sizes[i]);
        assert_int_equal(send(sizes[i], NULL), 0);
        assert_int_equal(far_count, i + 1);
        assert_int_equal(far_size, sizes[i]);
        assert_memory_equal(far_frame, packet, sizes[i]);
        assert_int_equal(far_offload.flags, 0);
    }
    assert_int_equal(send(13, NULL), -EMSGSIZE);
    assert_int_equal(send(1523, NULL), -EMSGSIZE);
    assert_int_equal(nic->counters.sent, 6);
    assert_int_equal(card.pending, 0); /* nobody asked for interrupts */
}

static void test_offload(void **state) {
    struct frame_offload offload;
    struct frame_kind kind = {.payload = 60000, .gso_size = 1448};
    (void)state;
    probe_and_start();
    uint32_t size = frame_build(packet, mac_b, mac_a, &kind, &offload);
    for (unsigned i = 0; i < 100; i++) {
        struct frame frame;
        frame_from_memory(&frame, packet, size);
        frame.offload = offload;
        assert_int_equal(offload_check(&frame), 0);
        assert_int_equal(send(size, &frame.offload), 0);
        assert_int_equal(far_count, i + 1);
        assert_int_equal(far_size, size);
        assert_memory_equal(far_frame, packet, size);
        assert_memory_equal(&far_offload, &frame.offload, sizeof(offload));
    }
    /* What the card does not do is not taken. */
    offload.gso_type = FRAME_GSO_UDP_L4;
    assert_int_equal(send(size, &offload), -EMSGSIZE);
    /* Received: a checksum that is still to be made, and no more of a card that does not merge buffers. */
    plug(1500, NET_F_MRG_RXBUF, 0);
    probe_and_start();
    kind = (struct frame_kind){.payload = 500};
    size = frame_build(packet, mac_a, mac_b, &kind, &offload);
    far_send(size, &offload);
    switch_flush(&lan);
    assert_true(drain());
    assert_int_equal(got, 1);
    assert_int_equal(got_offload.flags, FRAME_NEEDS_CSUM);
    assert_int_equal(got_offload.csum_start, offload.csum_start);
    assert_memory_equal(got_frame, packet, size);
    kind = (struct frame_kind){.payload = 5000, .gso_size = 1000};
    size = frame_build(packet, mac_a, mac_b, &kind, &offload);
    far_send(size, &offload);
    switch_flush(&lan);
    assert_true(drain());
    assert_int_equal(got, 6);
}

/* What the card has joined comes whole, in as many buffers as it takes. */
static void test_joined(void **state) {
    static const struct {
        struct frame_kind kind;
        bool ecn;
    } cases[] = {
        {{.payload = 60000, .gso_size = 1448}, false},
        {{.payload = 60000, .gso_size = 1448}, true},
        {{.payload = 64000, .gso_size = 1440, .ipv6 = true}, false},
        {{.payload = 1449, .gso_size = 1448}, false},
        {{.payload = 500}, false},
        {{.payload = 4000, .gso_size = 100}, false},
    };
    struct frame_offload offload;
    (void)state;
    probe_and_start();
    for (unsigned i = 0; i < 200; i++) {
        unsigned n = i % (sizeof(cases) / sizeof(cases[0]));
        uint32_t size = frame_build(packet, mac_a, mac_b, &cases[n].kind, &offload);
        if (cases[n].ecn)
            offload.gso_type |= FRAME_GSO_ECN;
        far_send(size, &offload);
        switch_flush(&lan);
        assert_true(drain());
        assert_int_equal(got, i + 1);
        assert_int_equal(got_size, size);
        assert_memory_equal(got_frame, packet, size);
        assert_int_equal(got_offload.flags, FRAME_NEEDS_CSUM);
        assert_int_equal(got_offload.gso_type, offload.gso_type);
        assert_int_equal(got_offload.gso_size, offload.gso_size);
        assert_int_equal(got_offload.csum_start, offload.csum_start);
        assert_int_equal(got_offload.csum_offset, offload.csum_offset);
    }
    assert_int_equal(nic->counters.dropped, 0);
    /* Several in one poll, until it has no buffers. */
    uint32_t size = frame_build(packet, mac_a, mac_b, &cases[0].kind, &offload);
    for (unsigned i = 0; i < 10; i++)
        far_send(size, &offload);
    switch_flush(&lan);
    assert_true(drain());
    assert_int_equal(got, 200 + 256 / ((size + HEADER + 2047) / 2048));
    assert_memory_equal(got_frame, packet, size);
}

static void test_receive(void **state) {
    (void)state;
    probe_and_start();
    /* More than one poll hands on, and than there are buffers. */
    for (unsigned i = 0; i < 300; i++) {
        make_packet(mac_a, mac_b, 60 + i);
        far_send(60 + i, NULL);
    }
    switch_flush(&lan);
    assert_int_equal(card.pending, 2);
    assert_true(virtio_net_nic.poll(nic, card_take()));
    assert_int_equal(got, NIC_BUDGET);
    assert_int_equal(got_size, 60 + NIC_BUDGET - 1);
    make_packet(mac_a, mac_b, got_size);
    assert_memory_equal(got_frame, packet, got_size);
    while (virtio_net_nic.poll(nic, 0))
        ;
    assert_int_equal(got, 256);
    assert_int_equal(card.pending, 0);
    for (unsigned i = 0; i < FRAMES; i++) {
        make_packet(mac_a, mac_b, 60 + i);
        far_send(60 + i, NULL);
        switch_flush(&lan);
        assert_true(drain());
        assert_int_equal(got, 256 + i + 1);
        assert_memory_equal(got_frame, packet, 60 + i);
    }
    assert_int_equal(nic->counters.received, 256 + FRAMES);
    assert_int_equal(nic->counters.dropped, 0);
    assert_true(nic->counters.interrupts > FRAMES);
}

static void test_jumbo(void **state) {
    (void)state;
    plug(9216, 0, 0);
    probe_and_start();
    assert_int_equal(nic->mtu, 9000);
    make_packet(mac_b, mac_a, 9022);
    assert_int_equal(send(9022, NULL), 0);
    assert_int_equal(far_size, 9022);
    assert_memory_equal(far_frame, packet, 9022);
    make_packet(mac_a, mac_b, 9014);
    far_send(9014, NULL);
    switch_flush(&lan);
    assert_true(drain());
    assert_int_equal(got_size, 9014);
    assert_memory_equal(got_frame, packet, 9014);
}

static void test_full(void **state) {
    (void)state;
    probe_and_start();
    card.deaf = true;
    make_packet(mac_b, mac_a, 3000);
    memset(packet + 14, 1, 100);
    for (unsigned i = 0; i < 256; i++)
        assert_int_equal(send(1000, NULL), 0);
    assert_int_equal(send(1000, NULL), -ENOBUFS);
    assert_int_equal(nic->counters.full, 1);
    card.deaf = false;
    virtio_device_notify(&net.device, 1);
    work();
    assert_int_equal(far_count, 256);
    assert_int_equal(send(1000, NULL), 0);
    assert_int_equal(nic->counters.full, 1);
    virtio_net_nic.tick(nic);
    assert_false(nic->failed);
}

/* ---- link, interrupts */

static void test_link(void **state) {
    (void)state;
    probe_and_start();
    net_set_link(&net, false);
    assert_true(drain());
    assert_false(nic->link);
    assert_int_equal(changes, 1);
    make_packet(mac_b, mac_a, 60);
    assert_int_equal(send(60, NULL), -ENETDOWN);
    net_set_link(&net, true);
    card_take(); /* lost */
    virtio_net_nic.tick(nic);
    assert_true(nic->link);
    assert_int_equal(changes, 2);
    assert_int_equal(send(60, NULL), 0);
    virtio_net_nic.tick(nic);
    assert_int_equal(changes, 2);
}

static void test_line(void **state) {
    (void)state;
    card.most = 1;
    card.line = true;
    probe_and_start();
    make_packet(mac_a, mac_b, 60);
    far_send(60, NULL);
    switch_flush(&lan);
    assert_true(card.level);
    assert_true(drain());
    assert_false(card.level);
    assert_int_equal(got, 1);
    assert_int_equal(card.unmasks, 1);
    net_set_link(&net, false);
    assert_true(drain());
    assert_false(nic->link);
}

static void test_polled(void **state) {
    (void)state;
    card.most = 0;
    probe_and_start();
    make_packet(mac_a, mac_b, 60);
    for (unsigned i = 0; i < 70; i++)
        far_send(60, NULL);
    switch_flush(&lan);
    assert_int_equal(card.pending, 0);
    assert_true(virtio_net_nic.poll(nic, 0));
    assert_false(virtio_net_nic.poll(nic, 0));
    assert_int_equal(got, 70);
    assert_int_equal(nic->counters.interrupts, 0);
}

/* ---- failures */

static void test_refused(void **state) {
    (void)state;
    card.stuck = true;
    assert_int_equal(virtio_net_nic.probe(nic), -ETIMEDOUT);
    card.stuck = false;
    card.gone = true;
    assert_int_equal(virtio_net_nic.probe(nic), -EIO);
    card.gone = false;
    plug(1500, 0, VIRTIO_VERSION_1);
    assert_int_equal(virtio_net_nic.probe(nic), -ENOTSUP);
    assert_non_null(nic->why);
    setup(NULL);
    card.limit = 300 << 10;
    assert_int_equal(virtio_net_nic.probe(nic), 0);
    assert_int_equal(virtio_net_nic.start(nic), -ENOMEM);
    card.limit = sizeof(card_memory);
    card.no_vectors = true;
    assert_int_equal(virtio_net_nic.start(nic), -EIO);
    assert_false(card.master);
    card.no_vectors = false;
    start();
    /* What it has promised it must keep. */
    net.device.features_offered &= ~NET_F_CSUM;
    virtio_net_nic.stop(nic);
    assert_int_equal(virtio_net_nic.start(nic), -ENOTSUP);
}

static void test_description(void **state) {
    static const uint8_t values[] = {0, 1, 3, 6, 0x40, 0x80, 0xff};
    (void)state;
    for (unsigned at = 0x40; at < 0x80; at++) {
        for (unsigned i = 0; i < sizeof(values); i++) {
            setup(NULL);
            card.info.config[at] = values[i];
            card.master = true;
            int error = virtio_net_nic.probe(nic);
            if (!error)
                error = virtio_net_nic.start(nic);
            if (error)
                assert_non_null(nic->why);
        }
    }
}

/* The send queue's doorbell is the multiplier's distance behind the first one. */
static void test_doorbell(void **state) {
    static const struct {
        uint32_t multiplier;
        int result;
    } cases[] = {{0, 0}, {4, 0}, {10, 0}, {11, -EIO}, {12, -EIO}, {0x1000, -EIO}, {UINT32_MAX - 1, -EIO}};
    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        setup(NULL);
        unsigned at = pci_capability(&card.pci, 9, 0);
        while (at && card.info.config[at + 3] != 2)
            at = pci_capability(&card.pci, 9, at);
        assert_int_equal(bytes_get32(card.info.config + at + 12), 12); /* three queues */
        bytes_put32(card.info.config + at + 16, cases[i].multiplier);
        assert_int_equal(virtio_net_nic.probe(nic), 0);
        card.master = true;
        assert_int_equal(virtio_net_nic.start(nic), cases[i].result);
    }
}

static void test_failures(void **state) {
    (void)state;
    probe_and_start();
    card.deaf = true;
    make_packet(mac_b, mac_a, 60);
    assert_int_equal(send(60, NULL), 0);
    virtio_net_nic.tick(nic);
    assert_false(nic->failed);
    card.now += 6 * CARD_SECOND;
    virtio_net_nic.tick(nic);
    assert_int_equal(changes, 1);
    expect_failure();
    card.now += 6 * CARD_SECOND;
    assert_int_equal(send(60, NULL), 0);
    virtio_net_nic.tick(nic);
    assert_false(nic->failed);
    card.gone = true;
    virtio_net_nic.tick(nic);
    assert_int_equal(changes, 2);
    expect_failure();
    virtio_device_break(&net.device, "a test");
    virtio_net_nic.poll(nic, card_take());
    assert_int_equal(changes, 3);
    expect_failure();
    assert_int_equal(nic->counters.starts, 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_probe, setup),       cmocka_unit_test_setup(test_little, setup),
        cmocka_unit_test_setup(test_send, setup),        cmocka_unit_test_setup(test_offload, setup),
        cmocka_unit_test_setup(test_joined, setup),      cmocka_unit_test_setup(test_receive, setup),
        cmocka_unit_test_setup(test_jumbo, setup),       cmocka_unit_test_setup(test_full, setup),
        cmocka_unit_test_setup(test_link, setup),        cmocka_unit_test_setup(test_line, setup),
        cmocka_unit_test_setup(test_polled, setup),      cmocka_unit_test_setup(test_refused, setup),
        cmocka_unit_test_setup(test_description, setup), cmocka_unit_test_setup(test_doorbell, setup),
        cmocka_unit_test_setup(test_failures, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
