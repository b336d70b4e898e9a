// SPDX-License-Identifier: Apache-2.0
// The driver for virtio network cards with a network device of our own as its hardware, on a network with one
// other port; what tests of it share.
#ifndef SAGUARO_TESTS_VIRTIO_NET_CARD_H
#define SAGUARO_TESTS_VIRTIO_NET_CARD_H

#include "tests/unit/virtio_card_fixture.h"
#include "drivers/net/nic.h"
#include "tests/unit/frame_fixture.h"
#include "virtio/net.h"
#include "virtio/offload.h"

#define DRIVER_SIZE (64u << 10)
#define FRAMES      600u
#define HEADER      12u

/* What is on the other side of the card: a port that keeps what it gets. */
static struct ether_switch lan;
static struct net net;
static struct switch_port far_port;
static bool again;
static unsigned far_count;
static uint8_t far_frame[70000];
static struct frame_offload far_offload;
static uint32_t far_size;

static union {
    struct nic nic;
    uint8_t bytes[DRIVER_SIZE];
} driver;
static struct nic *const nic = &driver.nic;
static unsigned got, changes;
static uint8_t got_frame[70000];
static struct frame_offload got_offload;
static uint32_t got_size;
static bool stop_when_changed, stop_when_received;

static inline int far_receive(struct switch_port *port, const struct frame *frame) {
    (void)port;
    far_count++;
    far_size = frame_read(frame, 0, far_frame, sizeof(far_frame));
    far_offload = frame->offload;
    return 0;
}
static const struct switch_port_class far_class = {.receive = far_receive};

static inline void run_again(struct net *device) {
    (void)device;
    again = true;
}
static inline void work(void) {
    bool more = again;
    while (more) {
        again = false;
        more = net_run(&net) || again;
    }
}

static inline void received(struct nic *n, struct frame *frame) {
    assert_ptr_equal(n, nic);
    got++;
    got_size = frame_read(frame, 0, got_frame, sizeof(got_frame));
    got_offload = frame->offload;
    if (stop_when_received)
        virtio_net_nic.stop(nic);
}
static inline void changed(struct nic *n) {
    assert_ptr_equal(n, nic);
    changes++;
    if (stop_when_changed)
        virtio_net_nic.stop(nic);
}

static inline void plug(uint16_t mtu, uint64_t without, uint64_t without_ring) {
    struct net_setup setup = {
        .network = &lan, .pairs = 1, .mtu = mtu, .without = without, .again = run_again, .later = net_late};

    memset(&driver, 0, sizeof(driver));
    memset(&net, 0, sizeof(net));
    memset(&far_port, 0, sizeof(far_port));
    again = stop_when_changed = stop_when_received = false;
    far_count = got = changes = 0;
    switch_init(&lan, "lan", 99);
    switch_tick(&lan, 5000000);
    far_port =
        (struct switch_port){.class = &far_class, .name = "far", .mtu = 65535, .offloads = ~0u, .limit = 64};
    assert_int_equal(switch_attach(&lan, &far_port), 0);
    switch_set_link(&far_port, true);
    card_prepare(&net.device, work);
    card.master = true; /* queues of our own devices look at memory when they are enabled */
    memcpy(setup.mac, mac_a, 6);
    net.device.owner = &card.transport;
    net.device.interrupt_queue = NULL;
    assert_int_equal(net_init(&net, &setup), 0);
    /* net_init() has started it; the transport starts it once more with its registers. */
    net.device.features_offered &= ~without_ring;
    memset(&card.record, 0, sizeof(card.record));
    assert_int_equal(virtio_pci_init(&card.transport, &net.device), 0);
    card_plug();
    nic->class = &virtio_net_nic;
    nic->pci = &card.pci;
    nic->received = received;
    nic->changed = changed;
}

static inline int setup(void **state) {
    (void)state;
    plug(1500, 0, 0);
    return 0;
}

static inline void start(void) {
    card.master = true;
    assert_int_equal(virtio_net_nic.start(nic), 0);
    card_take();
}
static inline void probe_and_start(void) {
    card.master = true;
    assert_int_equal(virtio_net_nic.probe(nic), 0);
    start();
}

static inline bool drain(void) {
    for (unsigned i = 0; i < 100; i++) {
        uint32_t vectors = card_take();
        if (!vectors)
            return true;
        while (virtio_net_nic.poll(nic, vectors))
            vectors = 0;
    }
    return false;
}

static uint8_t packet[70000];
static inline void make_packet(const uint8_t *to, const uint8_t *from, uint32_t size) {
    for (uint32_t i = 0; i < size; i++)
        packet[i] = (uint8_t)(i * 3 + size);
    memcpy(packet, to, 6);
    memcpy(packet + 6, from, 6);
    frame_put16(packet + 12, 0x88b5);
}

static inline int send(uint32_t size, const struct frame_offload *offload) {
    struct frame frame;

    frame_from_memory(&frame, packet, size);
    if (offload)
        frame.offload = *offload;
    int result = virtio_net_nic.send(nic, &frame);
    virtio_net_nic.flush(nic);
    return result;
}

/* From the other side to the card's driver. */
static inline void far_send(uint32_t size, const struct frame_offload *offload) {
    struct frame frame;

    frame_from_memory(&frame, packet, size);
    if (offload)
        frame.offload = *offload;
    switch_send(&far_port, &frame);
}

/* It has failed, does nothing any more, and works again after a new start. */
static inline void expect_failure(void) {
    make_packet(mac_b, mac_a, 60);
    assert_true(nic->failed && !nic->link);
    assert_non_null(nic->why);
    assert_int_equal(send(60, NULL), -ENETDOWN);
    assert_false(virtio_net_nic.poll(nic, 3));
    virtio_net_nic.tick(nic);
    virtio_net_nic.stop(nic);
    assert_false(card.master);
    card.deaf = card.gone = false;
    start();
    assert_true(nic->link && !nic->failed);
    assert_int_equal(send(60, NULL), 0);
    far_count = 0;
}

#endif
