// SPDX-License-Identifier: Apache-2.0
// The switch: who receives what, learning and its limits, locked addresses, the limit for broadcasts, links,
// counters, and frames that are cut up for one receiver and not for another.
// unit-sources: virtio/switch.c virtio/switch_table.c virtio/offload.c virtio/frame.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include "tests/unit/frame_fixture.h"
#include "tests/unit/virtq_buffers.h"
#include "virtio/switch.h"

#define PORTS 4u

static struct ether_switch lan;

static struct player {
    struct switch_port port;
    unsigned received, flushed;
    uint32_t size;
    uint8_t head[64];
    struct frame_offload offload;
    int answer;
    bool picky; /* wants nothing */
} player[SWITCH_MAX_PORTS + 1];

static int receive(struct switch_port *port, const struct frame *frame) {
    struct player *self = (struct player *)port;

    if (self->answer)
        return self->answer;
    self->received++;
    self->size = frame->size;
    self->offload = frame->offload;
    frame_read(frame, 0, self->head, sizeof(self->head));
    return 0;
}

static bool wants(struct switch_port *port, const struct frame *frame) {
    assert_true(frame->size >= FRAME_HEADER);
    return !((struct player *)port)->picky;
}

static void flush(struct switch_port *port) {
    ((struct player *)port)->flushed++;
}

static const struct switch_port_class class = {.receive = receive, .wants = wants, .flush = flush};

static void prepare(unsigned i) {
    memset(&player[i], 0, sizeof(player[i]));
    player[i].port.class = &class;
    player[i].port.mtu = 1500;
    player[i].port.limit = SWITCH_GUEST_LIMIT;
    memcpy(player[i].port.mac, (const uint8_t[6]){2, 0, 0, 0, 0, (uint8_t)i}, 6);
}

static int setup(void **state) {
    (void)state;
    switch_init(&lan, "lan", 12345);
    switch_tick(&lan, 1000000);
    for (unsigned i = 0; i < PORTS; i++) {
        prepare(i);
        assert_int_equal(switch_attach(&lan, &player[i].port), 0);
        switch_set_link(&player[i].port, true);
    }
    return 0;
}

static const uint8_t *mac_of(unsigned i) {
    static uint8_t mac[4][6];
    static unsigned turn;

    turn = (turn + 1) % 4;
    memcpy(mac[turn], (const uint8_t[6]){2, 0, 0, 0, (uint8_t)(i >> 8), (uint8_t)i}, 6);
    return mac[turn];
}

static uint8_t packet[70000];

static unsigned send_as(unsigned from, const uint8_t *source, const uint8_t *to, uint32_t size) {
    struct frame frame;

    memset(packet, 0, 100);
    memcpy(packet, to, 6);
    memcpy(packet + 6, source, 6);
    frame_from_memory(&frame, packet, size);
    return switch_send(&player[from].port, &frame);
}

static unsigned send_to(unsigned from, const uint8_t *to) {
    return send_as(from, mac_of(from), to, 60);
}

/* How many frames each of the four has got since the last call, as decimal digits. */
static unsigned got(void) {
    unsigned digits = 0;

    for (unsigned i = 0; i < PORTS; i++) {
        digits = digits * 10 + player[i].received;
        player[i].received = 0;
    }
    return digits;
}

static uint64_t drops(unsigned i, enum switch_drop reason) {
    return player[i].port.counters.drops[reason];
}

static void test_forwarding(void **state) {
    (void)state;
    send_to(0, mac_of(1)); /* not known yet: to all, not to the sender */
    assert_int_equal(got(), 111);
    send_to(1, mac_of(0)); /* learned */
    assert_int_equal(got(), 1000);
    assert_memory_equal(player[0].head, packet, 60);
    send_to(0, mac_of(1));
    assert_int_equal(got(), 100);
    assert_int_equal(send_to(2, mac_all), 4);
    assert_int_equal(got(), 1101);
    send_to(2, (const uint8_t[6]){1, 0, 0x5e, 0, 0, 1});
    assert_int_equal(got(), 1101);
    send_to(0, mac_of(0)); /* to itself: goes nowhere */
    assert_int_equal(got(), 0);
    send_as(0, mac_of(7), mac_of(1), 60); /* a second address, behind the same port */
    assert_int_equal(got(), 100);
    send_to(0, mac_of(7));
    assert_int_equal(got(), 0);
    send_as(3, mac_of(7), mac_of(0), 60); /* it moves */
    assert_int_equal(got(), 1000);
    send_to(0, mac_of(7));
    assert_int_equal(got(), 1);
    assert_int_equal(player[0].port.learned, 1);
    assert_int_equal(player[3].port.learned, 1);
    player[3].picky = true;
    send_to(0, mac_of(7));
    assert_int_equal(got(), 0);

    const struct switch_counters *counters = &player[2].port.counters;
    assert_int_equal(counters->sent_frames, 2);
    assert_int_equal(counters->sent_bytes, 120);
    assert_int_equal(counters->broadcasts, 1);
    assert_int_equal(counters->received_frames, 1);
    assert_int_equal(counters->received_bytes, 60);
}

static void test_refused(void **state) {
    (void)state;
    send_as(0, mac_all, mac_of(1), 60);
    send_as(0, (const uint8_t[6]){0}, mac_of(1), 60);
    assert_int_equal(drops(0, SWITCH_DROP_SOURCE), 2);
    send_to(0, (const uint8_t[6]){0});
    send_to(0, (const uint8_t[6]){1, 0x80, 0xc2, 0, 0, 0});
    send_to(0, (const uint8_t[6]){1, 0x80, 0xc2, 0, 0, 15});
    assert_int_equal(drops(0, SWITCH_DROP_RESERVED), 3);
    send_as(0, mac_of(0), mac_of(1), 13);
    send_as(0, mac_of(0), mac_of(1), FRAME_MAX_SIZE + 1);
    assert_int_equal(drops(0, SWITCH_DROP_SIZE), 2);
    assert_int_equal(got(), 0);
    send_to(0, (const uint8_t[6]){1, 0x80, 0xc2, 0, 0, 16});
    assert_int_equal(got(), 111);
    assert_int_equal(player[0].port.counters.sent_frames, 1);
}

static void test_receivers(void **state) {
    (void)state;
    send_to(1, mac_of(0));
    got();
    send_as(0, mac_of(0), mac_of(1), 1514);
    assert_int_equal(got(), 100);
    send_as(0, mac_of(0), mac_of(1), 1515);
    assert_int_equal(drops(1, SWITCH_DROP_SIZE), 1);
    player[1].answer = -ENOBUFS;
    send_to(0, mac_of(1));
    player[1].answer = -EMSGSIZE;
    send_to(0, mac_of(1));
    player[1].answer = -ENXIO;
    send_to(0, mac_of(1));
    assert_int_equal(got(), 0);
    assert_int_equal(drops(1, SWITCH_DROP_BUFFER), 1);
    assert_int_equal(drops(1, SWITCH_DROP_SIZE), 2);
    assert_int_equal(drops(1, SWITCH_DROP_LINK), 1);
    assert_int_equal(player[1].port.counters.received_frames, 1);

    /* A tag is not counted to the MTU. */
    player[1].answer = 0;
    struct frame frame;
    memcpy(packet, mac_of(1), 6);
    memcpy(packet + 6, mac_of(0), 6);
    frame_put16(packet + 12, FRAME_TYPE_VLAN);
    frame_from_memory(&frame, packet, 1518);
    assert_int_equal(frame_vlan(&frame), 0);
    switch_send(&player[0].port, &frame);
    assert_int_equal(got(), 100);
}

static void test_links(void **state) {
    (void)state;
    send_to(1, mac_of(0));
    got();
    switch_set_link(&player[1].port, false);
    send_to(0, mac_of(1)); /* forgotten, and not sent there */
    assert_int_equal(got(), 11);
    send_to(1, mac_of(0));
    assert_int_equal(got(), 0);
    assert_int_equal(drops(1, SWITCH_DROP_LINK), 1);
    switch_set_link(&player[1].port, true);
    send_to(1, mac_of(0));
    assert_int_equal(got(), 1000);

    switch_detach(&player[1].port);
    send_to(0, mac_of(1));
    assert_int_equal(got(), 11);
    send_to(1, mac_of(0)); /* a port in no network */
    assert_int_equal(got(), 0);
    switch_detach(&player[1].port);
    assert_int_equal(switch_attach(&lan, &player[1].port), 0);
    assert_int_equal(player[1].port.number, 1);
    assert_int_equal(drops(1, SWITCH_DROP_LINK), 0);
    send_to(0, mac_all); /* its link is not up yet */
    assert_int_equal(got(), 11);
}

static void test_age(void **state) {
    (void)state;
    uint64_t now = lan.now;

    send_to(1, mac_of(0));
    switch_tick(&lan, now + 200000);
    send_to(1, mac_of(0)); /* seen again */
    switch_tick(&lan, now + 450000);
    got();
    send_to(0, mac_of(1));
    assert_int_equal(got(), 100);
    switch_tick(&lan, now + 550000);
    send_to(0, mac_of(1));
    assert_int_equal(got(), 111);
    assert_int_equal(player[1].port.learned, 0);
    /* 2^32 units later the time stamp is the same again. */
    send_to(1, mac_of(0));
    switch_tick(&lan, lan.now + 500000);
    switch_tick(&lan, lan.now - 500000 + (1ull << 42));
    got();
    send_to(0, mac_of(1));
    assert_int_equal(got(), 111);
}

static unsigned entries(unsigned port) {
    unsigned count = 0;

    for (unsigned i = 0; i < SWITCH_SETS * SWITCH_WAYS; i++) {
        const struct switch_entry *entry = switch_entry(&lan, i);
        if (entry && entry->port == port)
            count++;
    }
    return count;
}

/* A port that uses many addresses pushes out none of others'. */
/* Where an address was found last time tells nothing once it is elsewhere, or somebody else's is there. */
static void test_found_before(void **state) {
    (void)state;
    for (unsigned port = 1; port < 4; port++) {
        send_as(port, mac_of(50), mac_of(9), 60);
        got();
        for (unsigned i = 0; i < 2; i++) {
            send_to(0, mac_of(50));
            assert_int_equal(got(), port == 1 ? 100 : port == 2 ? 10 : 1);
        }
    }
    switch_set_link(&player[3].port, false);
    send_to(0, mac_of(50));
    assert_int_equal(got(), 110); /* to all */
    switch_set_link(&player[3].port, true);
    /* Its place is another's. */
    player[1].port.limit = SWITCH_SETS * SWITCH_WAYS;
    for (unsigned i = 0; i < 20000; i++)
        send_as(1, mac_of(2000 + i), mac_of(9), 60);
    got();
    send_to(0, mac_of(50));
    assert_int_equal(got(), 111);
    switch_set_link(&player[1].port, false);
    switch_set_link(&player[1].port, true);
    /* The port itself goes, and another one gets its number. */
    send_as(2, mac_of(60), mac_of(9), 60);
    got();
    send_to(0, mac_of(60));
    assert_int_equal(got(), 10);
    switch_detach(&player[2].port);
    switch_flush(&lan); /* it has received, and is not there any more */
    prepare(2);
    assert_int_equal(switch_attach(&lan, &player[2].port), 0);
    switch_set_link(&player[2].port, true);
    send_to(0, mac_of(60));
    assert_int_equal(got(), 111);
    /* A sender's own address is learned anew where it was forgotten. */
    send_as(3, mac_of(70), mac_of(9), 60);
    switch_set_link(&player[3].port, false);
    switch_set_link(&player[3].port, true);
    send_as(3, mac_of(70), mac_of(9), 60);
    got();
    send_to(0, mac_of(70));
    assert_int_equal(got(), 1);
}

static void test_flood_of_addresses(void **state) {
    (void)state;
    player[2].port.limit = 100;
    for (unsigned i = 0; i < 100; i++)
        send_as(2, mac_of(1000 + i), mac_of(0), 60);
    unsigned before = entries(2);
    assert_true(before > 80); /* a few find their sets full of the port's own */
    for (unsigned i = 0; i < 20000; i++)
        send_as(3, mac_of(2000 + i), mac_of(0), 60);
    assert_int_equal(entries(2), before);
    assert_int_equal(entries(3), SWITCH_GUEST_LIMIT);
    assert_int_equal(player[3].port.learned, SWITCH_GUEST_LIMIT);
    send_to(0, mac_of(1)); /* there is still room */
    assert_int_equal(entries(0), 1);
    switch_set_link(&player[3].port, false);
    assert_int_equal(entries(3), 0);
    assert_int_equal(player[3].port.learned, 0);
    /* No limit but the table's. */
    player[2].port.limit = SWITCH_SETS * SWITCH_WAYS;
    for (unsigned i = 0; i < 20000; i++)
        send_as(2, mac_of(2000 + i), mac_of(0), 60);
    assert_int_equal(player[2].port.learned, entries(2));
    assert_int_equal(entries(2), SWITCH_SETS * SWITCH_WAYS - entries(0));
    /* Addresses that differ in one byte are told from each other. */
    for (unsigned i = 0; i < 2000; i += 2)
        assert_true(switch_learn(&player[2].port, mac_of(0x7000 + i)));
    for (unsigned i = 1; i < 2000; i += 2)
        assert_null(switch_find(&player[0].port, mac_of(0x7000 + i)));
}

static void test_lock(void **state) {
    (void)state;
    switch_detach(&player[1].port);
    send_as(3, mac_of(1), mac_of(0), 60); /* somebody was there first */
    player[1].port.locked = true;
    assert_int_equal(switch_attach(&lan, &player[1].port), 0);
    switch_set_link(&player[1].port, true);
    got();
    send_to(0, mac_of(1)); /* known before it has said anything */
    assert_int_equal(got(), 100);
    send_as(1, mac_of(9), mac_of(0), 60);
    assert_int_equal(drops(1, SWITCH_DROP_SOURCE), 1);
    send_as(3, mac_of(1), mac_of(0), 60); /* no other uses it */
    assert_int_equal(drops(3, SWITCH_DROP_SOURCE), 1);
    assert_int_equal(got(), 0);
    send_to(1, mac_of(0));
    assert_int_equal(got(), 1000);
    switch_tick(&lan, lan.now + 10000000); /* it does not grow old */
    send_to(0, mac_of(1));
    assert_int_equal(got(), 100);
    switch_set_link(&player[1].port, false);
    send_to(0, mac_of(1)); /* nor does it go with the link */
    assert_int_equal(got(), 0);
    assert_int_equal(drops(1, SWITCH_DROP_LINK), 1);
    switch_detach(&player[1].port);
    send_as(3, mac_of(1), mac_of(0), 60);
    assert_int_equal(got(), 1000);
    assert_int_equal(drops(3, SWITCH_DROP_SOURCE), 1);
}

static void test_broadcast_limit(void **state) {
    (void)state;
    switch_set_link(&player[0].port, false);
    player[0].port.rate = 10;
    switch_set_link(&player[0].port, true);
    for (unsigned i = 0; i < 15; i++)
        send_to(0, mac_all);
    assert_int_equal(player[1].received, 10);
    assert_int_equal(drops(0, SWITCH_DROP_LIMIT), 5);
    assert_int_equal(player[0].port.counters.broadcasts, 10);
    send_to(0, mac_of(1)); /* others pass */
    assert_int_equal(player[1].received, 11);
    switch_tick(&lan, lan.now + 250); /* 2.5 more */
    for (unsigned i = 0; i < 4; i++)
        send_to(0, mac_all);
    assert_int_equal(player[1].received, 13);
    switch_tick(&lan, lan.now + 50); /* and the other half */
    send_to(0, mac_all);
    assert_int_equal(player[1].received, 14);
    switch_tick(&lan, lan.now + (1ull << 40)); /* not more than a second's worth is kept */
    for (unsigned i = 0; i < 40; i++)
        send_to(0, mac_all);
    assert_int_equal(player[1].received, 24);
    for (unsigned i = 0; i < 3; i++) {
        switch_tick(&lan, lan.now + 999);
        send_to(0, mac_all);
    }
    assert_int_equal(player[1].received, 27);
    for (unsigned i = 0; i < 40; i++)
        send_to(0, mac_all);
    assert_int_equal(player[1].received, 36);
    player[0].port.rate = UINT32_MAX; /* as much as there can be */
    switch_tick(&lan, lan.now + 999);
    for (unsigned i = 0; i < 4000; i++)
        send_to(0, mac_all);
    assert_int_equal(player[1].received, 4036);
}

static void test_flush(void **state) {
    (void)state;
    send_to(1, mac_of(0));
    switch_flush(&lan);
    assert_int_equal(player[0].flushed + player[2].flushed + player[3].flushed, 3);
    assert_int_equal(player[1].flushed, 0);
    for (unsigned i = 0; i < 5; i++)
        send_to(0, mac_of(1));
    switch_flush(&lan);
    switch_flush(&lan);
    assert_int_equal(player[1].flushed, 1);
}

static void test_pieces(void **state) {
    (void)state;
    static const struct frame_kind kind = {.payload = 10000, .gso_size = 1000};
    struct frame_offload offload;
    struct frame frame;
    uint32_t size = frame_build(packet, mac_all, mac_of(0), &kind, &offload);

    player[1].port.offloads = OFFLOAD_CSUM | OFFLOAD_TSO4;
    player[2].port.offloads = OFFLOAD_CSUM;
    frame_from_memory(&frame, packet, size);
    frame.offload = offload;
    assert_int_equal(switch_send(&player[0].port, &frame), 1 + 1 + 10 + 10);
    assert_int_equal(player[1].size, size);
    assert_int_equal(player[1].offload.gso_type, FRAME_GSO_TCPV4);
    assert_int_equal(player[1].offload.header_size, 54);
    assert_int_equal(player[2].size, 1054);
    assert_int_equal(player[2].offload.flags, FRAME_NEEDS_CSUM);
    assert_int_equal(player[3].size, 1054);
    assert_int_equal(player[3].offload.flags, 0);
    assert_int_equal(player[1].received, 1);
    assert_int_equal(player[3].received, 10);
    assert_int_equal(player[2].port.counters.received_frames, 10);
    assert_int_equal(player[2].port.counters.received_bytes, 10540);
    assert_int_equal(player[0].port.counters.sent_bytes, size);

    player[3].answer = -ENOBUFS; /* one is enough to know */
    player[2].port.mtu = 1039;
    frame.offload = offload;
    assert_int_equal(switch_send(&player[0].port, &frame), 1 + 1 + 1 + 1);
    assert_int_equal(drops(3, SWITCH_DROP_BUFFER), 1);
    assert_int_equal(drops(2, SWITCH_DROP_SIZE), 1);

    frame.offload = offload;
    frame.offload.gso_size = 0;
    assert_int_equal(switch_send(&player[0].port, &frame), 1);
    assert_int_equal(drops(0, SWITCH_DROP_OFFLOAD), 1);
}

/* A frame that would become very many for very many ends up with less. */
static void test_work_is_bounded(void **state) {
    (void)state;
    static const struct frame_kind kind = {.payload = 1000, .gso_size = 1};
    struct frame_offload offload;
    struct frame frame;
    uint32_t size = frame_build(packet, mac_all, mac_of(0), &kind, &offload);

    for (unsigned i = PORTS; i <= SWITCH_MAX_PORTS; i++) {
        prepare(i);
        int error = switch_attach(&lan, &player[i].port);
        assert_int_equal(error, i < SWITCH_MAX_PORTS ? 0 : -ENOSPC);
        switch_set_link(&player[i].port, true);
    }
    frame_from_memory(&frame, packet, size);
    frame.offload = offload;
    assert_int_equal(switch_send(&player[0].port, &frame), 1 + 5 * 1000);
    assert_int_equal(player[5].received, 1000);
    assert_int_equal(player[6].received, 0);
    assert_int_equal(drops(6, SWITCH_DROP_LIMIT), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_forwarding, setup),
        cmocka_unit_test_setup(test_refused, setup),
        cmocka_unit_test_setup(test_receivers, setup),
        cmocka_unit_test_setup(test_links, setup),
        cmocka_unit_test_setup(test_age, setup),
        cmocka_unit_test_setup(test_found_before, setup),
        cmocka_unit_test_setup(test_flood_of_addresses, setup),
        cmocka_unit_test_setup(test_lock, setup),
        cmocka_unit_test_setup(test_broadcast_limit, setup),
        cmocka_unit_test_setup(test_flush, setup),
        cmocka_unit_test_setup(test_pieces, setup),
        cmocka_unit_test_setup(test_work_is_bounded, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
