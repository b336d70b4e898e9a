// SPDX-License-Identifier: Apache-2.0
// What the driver of the emulated 82540EM sends: packets, checksums, segments and tags; and rings and
// contexts that make no sense, in both directions.
// unit-sources: virtio/e1000_card.c virtio/e1000_card_phy.c virtio/e1000_card_receive.c virtio/e1000_card_transmit.c virtio/frame.c virtio/memory.c virtio/offload.c virtio/queue_buffer.c virtio/switch.c virtio/switch_table.c
#include "tests/unit/e1000_fixture.h"

static void test_send(void **state) {
    (void)state;
    start_rings();
    set(IMS, 0x01);
    tail = 0;
    plain_packet(mac_b, mac_a, 100);
    memcpy(ram + DATA, packet, 60);
    memcpy(ram + DATA + 1000, packet + 60, 40);
    uint8_t *first = descriptor(DATA, 60 | IFCS, 0);
    uint8_t *last = descriptor(DATA + 1000, 40 | EOP | IFCS | RS, 0);
    kick();
    assert_int_equal(got_count, 1);
    assert_int_equal(got[0].size, 100);
    assert_memory_equal(got[0].data, packet, 100);
    assert_int_equal(first[12], 0);
    assert_int_equal(last[12], 1);
    assert_true(written[TX_RING / 4096]);
    assert_int_equal(get(TDH), 2);
    assert_true(level);
    assert_int_equal(get(ICR) & 3, 3);
    assert_int_equal(get(GPTC), 1);
    assert_int_equal(get(GPTC), 0);
    /* Half a packet waits for the rest, also over a restart. */
    descriptor(DATA, 60, 0);
    kick();
    assert_int_equal(get(TDH), 2);
    start();
    last = descriptor(DATA + 1000, 40 | EOP, 0);
    kick();
    assert_int_equal(got_count, 2);
    assert_memory_equal(got[1].data, packet, 100);
    assert_int_equal(get(TDH), 4);
    assert_int_equal(last[12], 0); /* was not asked for */
    assert_int_equal(get(ICR) & 3, 2);
    /* Around the ring's end; and nothing while it is off. */
    for (unsigned i = 0; i < RING_SIZE - 1; i++)
        descriptor(DATA, 60 | EOP, 0);
    kick();
    assert_int_equal(got_count, 2 + RING_SIZE - 1);
    assert_int_equal(get(TDH), 3);
    set(TCTL, 0);
    descriptor(DATA, 60 | EOP, 0);
    kick();
    assert_int_equal(got_count, 2 + RING_SIZE - 1);
    set(TCTL, 2);
    assert_int_equal(got_count, 2 + RING_SIZE);
    /* From another address: the switch knows the card's. */
    ram[DATA + 11]++;
    descriptor(DATA, 60 | EOP, 0);
    kick();
    assert_int_equal(got_count, 2 + RING_SIZE);
    assert_int_equal(card.port.counters.drops[SWITCH_DROP_SOURCE], 1);
}

/* The sum of a frame's transport part is right. */
static void check_sums(const uint8_t *data, uint32_t size, bool ipv6) {
    const uint8_t *ip = data + 14;
    uint32_t start = ipv6 ? 54 : 34, inner = size - start;

    assert_int_equal(ipv6 ? frame_get16(ip + 4) : frame_get16(ip + 2), ipv6 ? inner : inner + 20u);
    uint64_t sum = 6 + inner + (ipv6 ? plain_sum(0, ip + 8, 32) : plain_sum(0, ip + 12, 8));
    assert_int_equal(plain_sum(sum, data + start, inner), 0);
    if (!ipv6)
        assert_int_equal(plain_sum(0, ip, 20), 0);
}

static void test_checksums(void **state) {
    struct frame_kind kind = {.payload = 300};
    struct frame_offload offload;

    (void)state;
    start_rings();
    tail = 0;
    uint32_t size = frame_build(packet, mac_b, mac_a, &kind, &offload);
    memcpy(ram + DATA, packet, size);
    /* As Linux does it: the transport's sum alone. */
    context(0, 34 | (34 + 16) << 8, 0, 0, 0);
    descriptor(DATA, size | DEXT | DATA_TYPE | EOP | IFCS, 0x0200);
    kick();
    assert_int_equal(got_count, 1);
    check_sums(got[0].data, size, false);
    /* A receiver that can do it itself is left to do it. */
    peer.offloads = OFFLOAD_CSUM;
    descriptor(DATA, size | DEXT | DATA_TYPE | EOP | IFCS, 0x0200);
    kick();
    assert_int_equal(got[1].offload.flags, FRAME_NEEDS_CSUM);
    assert_int_equal(got[1].offload.csum_start, 34);
    assert_memory_equal(got[1].data, packet, size);
    /* Both sums, with ends. */
    frame_put16(ram + DATA + 24, 0);
    context(14 | 24 << 8 | 33 << 16, 34 | (34 + 16) << 8 | (size - 1) << 16, 0, 0, 0);
    descriptor(DATA, size | DEXT | DATA_TYPE | EOP | IFCS, 0x0300);
    kick();
    assert_int_equal(got[2].offload.flags, 0);
    check_sums(got[2].data, size, false);
    /* By a legacy descriptor. */
    descriptor(DATA, size | (34 + 16) << 16 | EOP | IC, 34 << 8);
    memcpy(ram + DATA, packet, size);
    kick();
    check_sums(got[3].data, size, false);
    /* With a tag. */
    set(CTRL, get(CTRL) | 0x40000000);
    context(0, 34 | (34 + 16) << 8, 0, 0, 0);
    descriptor(DATA, size | DEXT | DATA_TYPE | EOP | IFCS | VLE, 0x00640200);
    kick();
    assert_int_equal(got[4].size, size + 4);
    assert_memory_equal(got[4].data, packet, 12);
    assert_int_equal(frame_get32(got[4].data + 12), 0x81000064);
    assert_int_equal(got[4].offload.csum_start, 38);
    assert_memory_equal(got[4].data + 16, packet + 12, size - 12);
    assert_int_equal(get(TDH), tail);
}

static void test_segments(void **state) {
    (void)state;
    start_rings();
    tail = 0;
    for (unsigned i = 0; i < 6; i++) {
        bool ipv6 = i & 1, tagged = i >= 4;
        uint32_t headers = ipv6 ? 74 : 54, shift = tagged ? 4 : 0;
        struct frame_kind kind = {.ipv6 = ipv6, .payload = 10000, .flags = 0x19};
        struct frame_offload offload;
        uint32_t size = frame_build(packet, mac_b, mac_a, &kind, &offload), done = 0;
        /* The driver leaves the length out. */
        frame_put16(packet + (ipv6 ? 18 : 16), 0);
        if (!ipv6)
            frame_put16(packet + 24, 0);
        uint8_t *place = packet + headers - 4;
        frame_put16(place, (frame_get16(place) + 0xffff - (size - headers + 20)) % 0xffff);
        memcpy(ram + DATA, packet, size);
        got_count = 0;
        peer.offloads = i == 2 || i == 3 ? OFFLOAD_CSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 : 0;
        set(CTRL, tagged ? 0x40000000 : 0);
        context(14 | 24 << 8 | 33 << 16, (headers - 20) | (headers - 4) << 8,
                TSE | 0x01000000 | (ipv6 ? 0 : 0x02000000), headers, 1420);
        descriptor(DATA, headers | DEXT | DATA_TYPE | TSE | IFCS, 0x0300);
        descriptor(DATA + headers, 4096 | DEXT | DATA_TYPE | TSE | IFCS, 0x0300);
        descriptor(DATA + headers + 4096,
                   (size - headers - 4096) | DEXT | DATA_TYPE | TSE | IFCS | EOP | RS | (tagged ? VLE : 0),
                   0x00070300);
        kick();
        assert_int_equal(get(TDH), tail);
        if (peer.offloads) {
            assert_int_equal(got_count, 1);
            assert_int_equal(got[0].offload.gso_type, ipv6 ? FRAME_GSO_TCPV6 : FRAME_GSO_TCPV4);
            assert_int_equal(got[0].offload.gso_size, 1420);
            assert_int_equal(got[0].size, size);
            /* What is missing for the whole is its transport's sum alone. */
            if (!ipv6)
                assert_int_equal(plain_sum(0, got[0].data + 14, 20), 0);
            assert_int_equal(frame_get16(got[0].data + (ipv6 ? 18 : 16)), size - (ipv6 ? 54 : 14));
            continue;
        }
        assert_int_equal(got_count, 8);
        for (unsigned n = 0; n < got_count; n++) {
            uint8_t *data = got[n].data;
            if (tagged) {
                assert_int_equal(frame_get32(data + 12), 0x81000007);
                memmove(data + 4, data, 12);
                data += 4;
            }
            check_sums(data, got[n].size - shift, ipv6);
            assert_memory_equal(data + headers, packet + headers + done, got[n].size - shift - headers);
            assert_int_equal(frame_get32(data + headers - 16), frame_get32(packet + headers - 16) + done);
            done += got[n].size - shift - headers;
        }
        assert_int_equal(done, 10000);
    }
    assert_int_equal(get(0x40f8), 6);
}

static void test_hostile_rings(void **state) {
    (void)state;
    start_rings();
    tail = 0;
    plain_packet(mac_b, mac_a, 100);
    memcpy(ram + DATA, packet, 100);
    /* Positions behind the ring's end. */
    set(TDT, 999);
    set(TDT, 1);
    set(TDH, 999);
    set(TDT, 2);
    set(TDH, 0);
    set(TDLEN, 0);
    set(TDT, 0);
    set(TDLEN, RING_SIZE * 16);
    assert_int_equal(notes, 0);
    /* Frames that are no frames: all are done, none is sent. */
    memset(ram + TX_RING, 0, 16 * RING_SIZE);
    got_count = 0;
    tail = 0;
    set(TDH, 0);
    set(TDT, 0);
    descriptor(DATA, 0 | EOP | RS, 0);
    descriptor(DATA, 13 | EOP | RS, 0);
    descriptor(RAM - 10, 100 | EOP | RS, 0);
    descriptor(UINT64_MAX - 10, 100 | EOP | RS, 0);
    descriptor(DATA, 0xfffff | DEXT | DATA_TYPE | EOP | RS, 0);
    descriptor(DATA, 100 | DEXT | 0x00700000 | EOP | RS, 0);
    for (unsigned i = 0; i < 3; i++)
        descriptor(DATA, 0xffff, 0);
    descriptor(DATA, 0xffff | EOP | RS, 0);
    kick();
    assert_int_equal(got_count, 0);
    assert_int_equal(get(TDH), tail);
    assert_int_equal(card.port.counters.drops[SWITCH_DROP_SIZE], 7);
    /* A context within a packet is passed over. */
    descriptor(DATA, 50, 0);
    context(0x10203, 0x30201, TSE, 3, 1);
    descriptor(DATA + 50, 50 | EOP, 0);
    kick();
    assert_int_equal(got_count, 1);
    assert_memory_equal(got[0].data, packet, 100);
    /* A packet without an end, in a long ring: dropped up to the end that comes at last. */
    set(TDBAL, 0x80000);
    set(TDLEN, 1024 * 16);
    set(TDH, 0);
    for (unsigned i = 0; i < 1023; i++) {
        bytes_put64(ram + 0x80000 + 16 * i, DATA);
        bytes_put32(ram + 0x80000 + 16 * i + 8, 1);
    }
    set(TDT, 1000);
    assert_int_equal(get(TDH), 512);
    bytes_put32(ram + 0x80000 + 16 * 1000 + 8, 100 | EOP);
    bytes_put32(ram + 0x80000 + 16 * 1001 + 8, 100 | EOP);
    start(); /* which is known after a restart */
    set(TDT, 1001);
    assert_int_equal(get(TDH), 1001);
    assert_int_equal(got_count, 1);
    set(TDT, 1002);
    assert_int_equal(got_count, 2);
    assert_int_equal(notes, 1);
    /* Rings outside RAM. */
    set(TDBAL, RAM);
    set(TDT, 1003);
    set(RDBAL, 0xfffffff0);
    set(RDLEN + 4, 0);
    peer_sends(100);
    assert_int_equal(notes, 2);
    assert_string_equal(noted, "net0: the ring of transmit descriptors is not in RAM");
    plain_packet(mac_a, mac_b, 100);
    peer_sends(100);
    assert_int_equal(get(RDH), 0);
    /* Receive buffers outside RAM: what is written there is lost. */
    set(RDBAL, RX_RING);
    bytes_put64(ram + RX_RING, UINT64_MAX - 3);
    bytes_put64(ram + RX_RING + 16, RAM - 50);
    peer_sends(100);
    peer_sends(100);
    assert_int_equal(get(RDH), 2);
    assert_memory_equal(ram + RAM - 50, packet, 50);
}

/* Whatever a driver writes: nothing happens outside of its RAM and of the rules of the switch. */
static void test_random(void **state) {
    static const uint32_t places[] = {CTRL,  EECD,  EERD, MDIC, ICR,   ICS,   IMS, IMC, RCTL, TCTL,
                                      RDBAL, RDLEN, RDH,  RDT,  TDBAL, TDLEN, TDH, TDT, MTA,  RAL};
    uint32_t seed = 12345;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        uint32_t random[4];
        for (unsigned i = 0; i < 4; i++)
            random[i] = seed = seed * 1664525 + 1013904223;
        if (round % 50 == 0) {
            start_rings();
            tail = random[0] >> 16 & 15;
            set(TDH, tail);
        }
        got_count = 0;
        if (random[0] >> 31) {
            uint64_t address = (random[1] >> 28 ? DATA + (random[1] & 0xffff) : random[1]);
            uint32_t lower = random[2] & 0x3fffffff & ~(random[3] & 0xff000);
            memcpy(ram + DATA, packet, 256);
            descriptor(random[1] >> 16 & 1 ? address : random[1] | (uint64_t)random[2] << 32, lower,
                       random[3]);
            e1000_card_write(&card, 0, TDT, 4, tail);
            e1000_card_run(&card);
        } else if (random[0] >> 28 == 7) {
            set(places[(random[1] >> 16) % COUNT(places)], random[2] >> (random[3] >> 27));
        } else {
            (void)e1000_card_read(&card, 0, random[2] >> 8 & 0x1ffff, 4);
            plain_packet(random[1] & 0x100000 ? mac_a : mac_all, mac_b, 1000);
            peer_sends(20 + (random[2] >> 8) % 900);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_send),          TEST(test_checksums), TEST(test_segments),
        TEST(test_hostile_rings), TEST(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
