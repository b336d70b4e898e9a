// SPDX-License-Identifier: Apache-2.0
// Checksums and segmentation in software: against packets whose checksums were computed elsewhere, against a
// verifier of its own, and with headers that lie or change.
// unit-sources: virtio/offload.c virtio/frame.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include "tests/unit/frame_fixture.h"
#include "tests/unit/virtq_buffers.h"

static uint8_t packet[70000];
static uint8_t out[70000];

static void make(struct frame *frame, const struct frame_kind *kind) {
    struct frame_offload offload;
    uint32_t size = frame_build(packet, mac_b, mac_a, kind, &offload);

    frame_from_memory(frame, packet, size);
    frame->offload = offload;
}

/* Where the transport's header begins, as in frame_build(). */
static uint32_t transport_of(const struct frame_kind *kind) {
    return 14u + kind->tags * 4u + (kind->ipv6 ? 40u : 20u) + kind->options;
}

/* Checks lengths and checksums of a packet that has to be complete. */
static void verify(const struct frame_kind *kind, uint32_t size) {
    const uint8_t *ip = out + 14 + kind->tags * 4;
    uint32_t transport = transport_of(kind), inner = size - transport;
    uint64_t sum = inner + (kind->udp ? 17u : 6u);

    if (kind->ipv6) {
        assert_int_equal(frame_get16(ip + 4), inner + kind->options);
        sum += plain_sum(0, ip + 8, 32);
    } else {
        assert_int_equal(frame_get16(ip + 2), inner + 20 + kind->options);
        assert_int_equal(plain_sum(0, ip, 20u + kind->options), 0);
        sum += plain_sum(0, ip + 12, 8);
    }
    if (kind->udp) {
        assert_int_equal(frame_get16(out + transport + 4), inner);
        assert_int_not_equal(frame_get16(out + transport + 6), 0);
    }
    assert_int_equal(plain_sum(sum, out + transport, inner), 0);
}

/* Cuts a frame up and checks each piece; their number. With `partial` the checksum is completed here. */
static unsigned cut(const struct frame *frame, const struct frame_kind *kind, unsigned can) {
    static struct offload_work work;
    uint32_t transport = transport_of(kind), start = transport + (kind->udp ? 8u : 20u + kind->tcp_more);
    uint32_t seen = 0;
    unsigned count = 0;
    struct frame piece;

    assert_int_equal(offload_begin(&work, frame, can), 0);
    while (offload_next(&work, &piece)) {
        uint32_t part = piece.size - start;
        bool last = seen + part == kind->payload;
        memset(out, 0xee, sizeof(out));
        assert_int_equal(frame_read(&piece, 0, out, sizeof(out)), piece.size);
        assert_int_equal(piece.offload.gso_type, FRAME_GSO_NONE);
        if (can & OFFLOAD_CSUM) {
            assert_int_equal(piece.offload.flags, FRAME_NEEDS_CSUM);
            assert_int_equal(piece.offload.csum_start, transport);
            frame_put16(out + transport + piece.offload.csum_offset,
                        ~plain_sum(0, out + transport, piece.size - transport) & 0xffff);
        } else {
            assert_int_equal(piece.offload.flags, 0);
        }
        verify(kind, piece.size);
        assert_memory_equal(out, packet, 14u + kind->tags * 4u);
        for (uint32_t i = 0; i < part; i++)
            assert_int_equal(out[start + i], frame_payload(seen + i));
        if (kind->gso_size)
            assert_true(last ? part <= kind->gso_size : part == kind->gso_size);
        if (!kind->udp) {
            assert_int_equal(frame_get32(out + transport + 4), frame_get32(packet + transport + 4) + seen);
            uint8_t flags = kind->flags;
            if (!last)
                flags &= (uint8_t)~0x09;
            if (count > 0)
                flags &= 0x7f;
            assert_int_equal(out[transport + 13], flags);
            assert_memory_equal(out + transport + 20, packet + transport + 20, kind->tcp_more);
        }
        if (!kind->ipv6 && kind->gso_size)
            assert_int_equal(frame_get16(out + transport - kind->options - 16), (uint16_t)(0xffff + count));
        seen += part;
        count++;
    }
    assert_int_equal(seen, kind->payload);
    return count;
}

/* The checksums of single segments, computed by other means than this tree's. */
static void known_sums(const struct frame_kind *kind, const uint16_t *ip_sum, const uint16_t *sum) {
    struct offload_work work;
    struct frame frame, piece;
    uint32_t transport = transport_of(kind);

    make(&frame, kind);
    assert_int_equal(offload_check(&frame), 0);
    assert_int_equal(offload_begin(&work, &frame, 0), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(offload_next(&work, &piece));
        frame_read(&piece, 0, out, sizeof(out));
        if (ip_sum)
            assert_int_equal(frame_get16(out + 24), ip_sum[i]);
        assert_int_equal(frame_get16(out + transport + (kind->udp ? 6 : 16)), sum[i]);
    }
    assert_false(offload_next(&work, &piece));
}

static void test_known_packets(void **state) {
    (void)state;
    static const uint16_t ip[3] = {0x22e6, 0x22e6, 0x24d9}, tcp4[3] = {0xc40d, 0xddc3, 0x6527},
                          udp6[3] = {0x478e, 0xc80c, 0xecce}, tcp6[3] = {0x6632, 0xe200, 0xfdbe};

    known_sums(&(struct frame_kind){.flags = 0x99, .payload = 2500, .gso_size = 1000}, ip, tcp4);
    known_sums(&(struct frame_kind){.ipv6 = true, .udp = true, .payload = 2500, .gso_size = 1200}, NULL,
               udp6);
    known_sums(&(struct frame_kind){.ipv6 = true, .flags = 0x18, .payload = 2500, .gso_size = 1200}, NULL,
               tcp6);
}

static void test_checksum_alone(void **state) {
    (void)state;
    static const struct frame_kind kind = {.udp = true, .payload = 7};
    struct frame frame;

    make(&frame, &kind);
    assert_int_equal(frame_get16(packet + 40), 0x1423);
    assert_int_equal(offload_check(&frame), 0);
    assert_false(offload_passes(&frame, 0));
    assert_true(offload_passes(&frame, OFFLOAD_CSUM));
    assert_int_equal(cut(&frame, &kind, 0), 1);
    assert_int_equal(frame_get16(out + 40), 0x608d);
    assert_int_equal(frame_get16(packet + 40), 0x1423); /* the sender's is left alone */

    /* A sum of 0 is written as 0xffff (RFC 768): one of these payloads has it. */
    for (unsigned value = 0; value <= 0xffff; value++) {
        struct offload_work work;
        struct frame piece;
        make(&frame, &kind);
        frame_put16(packet + 42, value);
        offload_check(&frame);
        offload_begin(&work, &frame, 0);
        offload_next(&work, &piece);
        frame_read(&piece, 0, out, sizeof(out));
        assert_int_not_equal(frame_get16(out + 40), 0);
    }

    /* A large frame, odd in size. */
    static const struct frame_kind large = {.ipv6 = true, .options = 8, .tags = 2, .payload = 8999};
    make(&frame, &large);
    assert_int_equal(offload_check(&frame), 0);
    assert_int_equal(cut(&frame, &large, 0), 1);

    /* What needs nothing done passes everywhere. */
    make(&frame, &kind);
    frame.offload = (struct frame_offload){.flags = 0xfe, .csum_start = 60000, .gso_size = 7};
    assert_int_equal(offload_check(&frame), 0);
    assert_true(offload_passes(&frame, 0));
    assert_int_equal(frame.offload.flags | frame.offload.csum_start | frame.offload.gso_size, 0);
}

static void test_segments(void **state) {
    (void)state;
    static const struct frame_kind kinds[] = {
        {.flags = 0x99, .payload = 64000, .gso_size = 1448, .tcp_more = 12},
        {.flags = 0x99, .payload = 2896, .gso_size = 1448, .tcp_more = 40, .options = 40, .tags = 2},
        {.flags = 0x18, .payload = 100, .gso_size = 1448},
        {.flags = 0x18, .payload = 1001, .gso_size = 1, .tags = 1},
        {.ipv6 = true, .flags = 0x99, .payload = 60001, .gso_size = 1431, .options = 8, .tcp_more = 12},
        {.ipv6 = true, .flags = 0x10, .payload = 3000, .gso_size = 999},
        {.udp = true, .payload = 65000, .gso_size = 1472},
        {.udp = true, .payload = 1473, .gso_size = 1472, .options = 4, .tags = 1},
        {.ipv6 = true, .udp = true, .payload = 5001, .gso_size = 1001, .options = 8},
    };

    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const struct frame_kind *kind = &kinds[i];
        struct frame frame;
        unsigned expected = (kind->payload + kind->gso_size - 1) / kind->gso_size;
        make(&frame, kind);
        frame.offload.header_size = 9; /* nobody believes it */
        assert_int_equal(offload_check(&frame), 0);
        assert_int_equal(frame.offload.header_size, frame.size - kind->payload);
        assert_int_equal(cut(&frame, kind, 0), expected);
        assert_int_equal(cut(&frame, kind, OFFLOAD_CSUM), expected);
    }
}

static void test_who_takes_what(void **state) {
    (void)state;
    static const struct {
        struct frame_kind kind;
        uint8_t more;
        unsigned needs;
    } cases[] = {
        {{.payload = 9, .gso_size = 3}, 0, OFFLOAD_CSUM | OFFLOAD_TSO4},
        {{.payload = 9, .gso_size = 3}, FRAME_GSO_ECN, OFFLOAD_CSUM | OFFLOAD_TSO4 | OFFLOAD_ECN},
        {{.ipv6 = true, .payload = 9, .gso_size = 3}, 0, OFFLOAD_CSUM | OFFLOAD_TSO6},
        {{.ipv6 = true, .payload = 9, .gso_size = 3},
         FRAME_GSO_ECN,
         OFFLOAD_CSUM | OFFLOAD_TSO6 | OFFLOAD_ECN},
        {{.udp = true, .payload = 9, .gso_size = 3}, 0, OFFLOAD_CSUM | OFFLOAD_USO4},
        {{.udp = true, .ipv6 = true, .payload = 9, .gso_size = 3}, 0, OFFLOAD_CSUM | OFFLOAD_USO6},
        {{.payload = 9}, 0, OFFLOAD_CSUM},
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct frame frame;
        make(&frame, &cases[i].kind);
        frame.offload.gso_type |= cases[i].more;
        assert_int_equal(offload_check(&frame), 0);
        for (unsigned can = 0; can < 64; can++)
            assert_int_equal(offload_passes(&frame, can), (can & cases[i].needs) == cases[i].needs);
    }
}

/* One field of a sound frame changed: -EINVAL, each time. */
static void test_lies(void **state) {
    (void)state;
    static const struct frame_kind tcp4 = {.payload = 3000, .gso_size = 1000},
                                   tcp6 = {.ipv6 = true, .options = 8, .payload = 3000, .gso_size = 1000},
                                   udp4 = {.udp = true, .payload = 3000, .gso_size = 1000},
                                   plain = {.payload = 30};
    static const struct {
        const struct frame_kind *kind;
        enum { BYTE, TYPE, SIZE, START, OFFSET, FLAGS, LENGTH } what;
        uint32_t at, value;
    } lies[] = {
        {&tcp4, BYTE, 14, 0x44}, /* IPv4 header too short */
        {&tcp4, BYTE, 14, 0x4f}, /* longer than it is: the transport is elsewhere */
        {&tcp4, BYTE, 14, 0x65},
        {&tcp4, BYTE, 20, 0x20}, /* more fragments */
        {&tcp4, BYTE, 21, 0x01}, /* fragment offset */
        {&tcp4, BYTE, 23, 17},
        {&tcp4, BYTE, 46, 0x40}, /* TCP header too short */
        {&tcp4, BYTE, 12, 0x86}, /* another type */
        {&tcp4, TYPE, 0, FRAME_GSO_TCPV6},
        {&tcp4, TYPE, 0, FRAME_GSO_UDP_L4},
        {&tcp4, TYPE, 0, 3},
        {&tcp4, TYPE, 0, 2},
        {&tcp4, TYPE, 0, FRAME_GSO_ECN},
        {&tcp4, SIZE, 0, 0},
        {&tcp4, SIZE, 0, 2}, /* 1500 segments */
        {&tcp4, START, 0, 33},
        {&tcp4, START, 0, 0xffff},
        {&tcp4, OFFSET, 0, 6},
        {&tcp4, OFFSET, 0, 0xffff},
        {&tcp4, FLAGS, 0, 0},
        {&tcp4, LENGTH, 0, 54}, /* no payload */
        {&tcp4, LENGTH, 0, 40},
        {&tcp4, LENGTH, 0, 20},
        {&tcp4, LENGTH, 0, 14},
        {&tcp6, BYTE, 14, 0x40},
        {&tcp6, BYTE, 20, 44},   /* a fragment header */
        {&tcp6, BYTE, 20, 43},   /* a routing header, as it stands: segments left */
        {&tcp6, BYTE, 55, 0xff}, /* an extension header that leads out */
        {&tcp6, BYTE, 55, 1},
        {&tcp6, BYTE, 54, 0}, /* no end of them */
        {&tcp6, TYPE, 0, FRAME_GSO_TCPV4},
        {&tcp6, LENGTH, 0, 60},
        {&udp4, TYPE, 0, FRAME_GSO_UDP_L4 | FRAME_GSO_ECN},
        {&udp4, TYPE, 0, FRAME_GSO_TCPV4},
        {&udp4, LENGTH, 0, 42},
        {&plain, START, 0, 13},
        {&plain, START, 0, 84 - 17},
        {&plain, OFFSET, 0, 84 - 34 - 1},
        {&plain, START, 0, 0xffff},
        {&plain, OFFSET, 0, 0xffff},
    };

    for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct frame frame;
        make(&frame, lies[i].kind);
        if (lies[i].kind == &tcp6)
            packet[57] = 1; /* would be "segments left" */
        assert_int_equal(offload_check(&frame), 0);
        frame.offload.header_size = 0;
        switch (lies[i].what) {
        case BYTE:
            packet[lies[i].at] = (uint8_t)lies[i].value;
            break;
        case TYPE:
            frame.offload.gso_type = (uint8_t)lies[i].value;
            break;
        case SIZE:
            frame.offload.gso_size = (uint16_t)lies[i].value;
            break;
        case START:
            frame.offload.csum_start = (uint16_t)lies[i].value;
            break;
        case OFFSET:
            frame.offload.csum_offset = (uint16_t)lies[i].value;
            break;
        case FLAGS:
            frame.offload.flags = (uint8_t)lies[i].value;
            break;
        case LENGTH:
            frame.size = lies[i].value;
            break;
        }
        if (offload_check(&frame) != -EINVAL)
            fail_msg("lie %u is believed", i);
    }
}

/* The sender's buffer, in pieces of 1 to 13 bytes, changes after it was looked at. */
static void test_changes(void **state) {
    (void)state;
    static const struct frame_kind kind = {
        .ipv6 = true, .options = 24, .tags = 2, .tcp_more = 40, .payload = 1500, .gso_size = 700};
    static struct virtq_buffer buffer;
    static struct offload_work work;
    struct virtq queue;
    struct frame_offload offload;
    struct frame frame, piece;
    uint8_t head[FRAME_HEAD], before[14];
    uint32_t size = frame_build(packet + 12, mac_b, mac_a, &kind, &offload), at = 0;

    memset(&queue, 0, sizeof(queue));
    while (at < size + 12) {
        uint32_t part = 1 + at % 13;
        part = part < size + 12 - at ? part : size + 12 - at;
        buffer_add(&buffer, packet + at, part, false);
        at += part;
    }
    frame_from_buffer(&frame, head, &queue, &buffer, 12, size);
    frame.offload = offload;
    assert_int_equal(frame.size, size);
    assert_int_equal(offload_check(&frame), 0);
    memcpy(before, packet + 12, 14);
    /* What was read once counts: another source address is too late. The rest is read anew. */
    packet[12 + 6] = 0x66;
    assert_int_equal(offload_begin(&work, &frame, 0), 0);
    assert_true(offload_next(&work, &piece));
    frame_read(&piece, 0, out, sizeof(out));
    assert_memory_equal(out, before, 14);
    /* The TCP header's length lies behind what was read at once: it is checked again. */
    assert_true(14 + 8 + 64 + 12 >= FRAME_HEAD);
    packet[12 + 14 + 8 + 64 + 12] = 0x10;
    assert_int_equal(offload_begin(&work, &frame, 0), -EINVAL);

    /* A buffer that ends early: never more than there is. */
    frame_from_buffer(&frame, head, &queue, &buffer, 12 + size - 20, 4000);
    assert_int_equal(frame.size, 20);
    assert_int_equal(frame_read(&frame, 19, out, 10), 1);
    assert_int_equal(frame_read(&frame, 20, out, 10), 0);
}

/* Sums over pieces that begin and end anywhere, and over one that is no multiple of any word. */
static void test_sum_of_pieces(void **state) {
    (void)state;
    static struct virtq_buffer buffer;
    static struct virtq queue;
    struct frame frame;
    uint8_t head[FRAME_HEAD];

    for (uint32_t i = 0; i < 2000; i++)
        packet[i] = (uint8_t)(i * i >> 3 ^ 0xff);
    for (uint32_t step = 1; step < 300; step++) {
        memset(&buffer, 0, sizeof(buffer));
        for (uint32_t at = 0, part; at < 2000; at += part) {
            part = step < 20 ? 8 + (at + step) % 13 : step + at % 7;
            part = part < 2000 - at ? part : 2000 - at;
            buffer_add(&buffer, packet + at, part, false);
        }
        frame_from_buffer(&frame, head, &queue, &buffer, 3, 1997);
        for (uint32_t begin = 0; begin < 150; begin += 7)
            for (uint32_t end = begin; end <= 1997; end += 1 + end % 97) {
                uint8_t sum[2];
                offload_put_sum(sum, offload_sum(0xfffffff0u, &frame, begin, end));
                uint32_t expected = ~plain_sum(0xfffffff0u, packet + 3 + begin, end - begin) & 0xffff;
                assert_int_equal(frame_get16(sum), expected ? expected : 0xffff);
            }
    }
    assert_int_equal(offload_sum(5, &frame, 1990, 5000), offload_sum(5, &frame, 1990, 1997));
}

/* frame_write() joins what was read and the source, into pieces of another buffer. */
static void test_write(void **state) {
    (void)state;
    static const struct frame_kind kind = {.payload = 500};
    static struct virtq_buffer to;
    struct frame frame;

    make(&frame, &kind);
    memset(out, 0, sizeof(out));
    for (unsigned i = 0; i < 40; i++)
        buffer_add(&to, out + i * 20, 17, true);
    assert_int_equal(frame_write(&frame, 0, frame.size, NULL, &to, 5), frame.size);
    for (uint32_t i = 0; i < frame.size; i++)
        assert_int_equal(*buffer_byte(&to, true, 5 + i), packet[i]);
    assert_int_equal(frame_write(&frame, 100, 4000, NULL, &to, 0), frame.size - 100);
    assert_int_equal(*buffer_byte(&to, true, 0), packet[100]);
    assert_int_equal(frame_write(&frame, 90, 50, NULL, &to, 677), 3); /* the buffer ends */
}

static void test_flow(void **state) {
    (void)state;
    static const struct frame_kind kinds[] = {{.payload = 9},
                                              {.ipv6 = true, .payload = 9},
                                              {.udp = true, .payload = 9, .options = 8},
                                              {.payload = 9, .tags = 2}};

    for (unsigned i = 0; i < 4; i++) {
        uint8_t swap[16];
        struct frame frame;
        make(&frame, &kinds[i]);
        assert_int_equal(frame_is_tcp(&frame), !kinds[i].udp);
        uint32_t flow = frame_flow(&frame), at = transport_of(&kinds[i]);
        uint32_t addresses = at - kinds[i].options - (kinds[i].ipv6 ? 32 : 8), size = kinds[i].ipv6 ? 16 : 4;
        packet[at + 1] ^= 1;
        assert_int_not_equal(frame_flow(&frame), flow);
        packet[at + 1] ^= 1;
        memcpy(swap, packet + addresses, size);
        memcpy(packet + addresses, packet + addresses + size, size);
        memcpy(packet + addresses + size, swap, size);
        memcpy(swap, packet + at, 2);
        memcpy(packet + at, packet + at + 2, 2);
        memcpy(packet + at + 2, swap, 2);
        assert_int_equal(frame_flow(&frame), flow); /* the other direction */
    }
    /* Fragments have no ports but the first, so none of them is told by its ports. */
    struct frame frame;
    make(&frame, &kinds[0]);
    packet[20] = 0x20;
    assert_false(frame_is_tcp(&frame));
    uint32_t flow = frame_flow(&frame);
    packet[35] ^= 1;
    assert_int_equal(frame_flow(&frame), flow);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_packets),  cmocka_unit_test(test_checksum_alone),
        cmocka_unit_test(test_sum_of_pieces),  cmocka_unit_test(test_segments),
        cmocka_unit_test(test_who_takes_what), cmocka_unit_test(test_lies),
        cmocka_unit_test(test_changes),        cmocka_unit_test(test_write),
        cmocka_unit_test(test_flow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
