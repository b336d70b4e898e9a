// SPDX-License-Identifier: Apache-2.0
// Two cards of one guest on one network (virtio 1.2, 5.1): frames from one to the other, the switch's rules,
// receive buffers of all sizes, commands.
#include "tests/guests/virtio/virtio.h"

#define TYPE_AT   12u
#define OUR_TYPE  0xb588u /* 0x88b5, for experiments, as it lies in memory */
#define HEADER    14u
#define FRAME     1514u
#define CTRL_RX   0u
#define CTRL_MAC  1u
#define CTRL_NONE 0x77u

static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static uint8_t sending[NET_HEADER + 2048], received[NET_BUFFERS * NET_BUFFER];

static void offer(struct card *c, unsigned buffer) {
    const struct piece piece = {c->buffer[buffer], c->size, true};
    c->owner[ring_add(&c->receive, &piece, 1, false)] = buffer;
}

bool net_start(struct card *c, struct virtio *v, uint64_t features, unsigned size, uint32_t buffer_size) {
    c->v = v;
    c->size = buffer_size;
    bool good = virtio_negotiate(v, features | NET_F_MAC) && ring_enable(&c->receive, v, 0, size, 0xffff) &&
                ring_enable(&c->send, v, 1, size, 0xffff);
    if (features & NET_F_CTRL_VQ)
        good = good && ring_enable(&c->control, v, 2, 16, 0xffff);
    if (!good)
        return false;
    for (unsigned i = 0; i < 6; i++)
        c->mac[i] = (uint8_t)config_read(v, i, 1);
    for (unsigned i = 0; i < NET_BUFFERS && i < size; i++)
        offer(c, i);
    status_write(v, S_ALL | S_DRIVER_OK);
    ring_kick(&c->receive);
    return status_read(v) == (S_ALL | S_DRIVER_OK);
}

void net_frame(uint8_t *frame, const uint8_t *to, const uint8_t *from, uint32_t size, uint32_t seed) {
    for (uint32_t i = HEADER; i < size; i++)
        frame[i] = (uint8_t)(i * 13 + seed);
    memcpy(frame, to, 6);
    memcpy(frame + 6, from, 6);
    *(uint16_t *)(frame + TYPE_AT) = OUR_TYPE;
}

static bool send_pieces(struct card *c, const struct piece *pieces, unsigned count) {
    unsigned id;
    uint32_t written;
    ring_add(&c->send, pieces, count, false);
    ring_kick(&c->send);
    return ring_wait(&c->send, &id, &written) && written == 0;
}

void net_send(struct card *c, const uint8_t *frame, uint32_t size) {
    memset(sending, 0, NET_HEADER);
    memcpy(sending + NET_HEADER, frame, size);
    const struct piece piece = {sending, NET_HEADER + size, false};
    send_pieces(c, &piece, 1);
}

/* Takes one frame, whoever it is from. Its size with the header, 0: none is there. */
static uint32_t take(struct card *c, unsigned *buffers) {
    uint32_t size = 0, written;
    unsigned id, number = 1;
    for (*buffers = 0; *buffers < number; ++*buffers) {
        if (*buffers ? !ring_wait(&c->receive, &id, &written) : !ring_used(&c->receive, &id, &written))
            return 0;
        const uint8_t *data = c->buffer[c->owner[id % RING_MOST] % NET_BUFFERS];
        if (written > c->size || (!*buffers && written < NET_HEADER))
            return 0;
        memcpy(received + size, data, written);
        size += written;
        if (!*buffers)
            number = data[10] | data[11] << 8;
        if (!number || number > NET_BUFFERS)
            return 0;
        offer(c, c->owner[id % RING_MOST] % NET_BUFFERS);
    }
    ring_kick(&c->receive);
    return size;
}

uint32_t net_receive(struct card *c, const uint8_t *source, uint8_t *frame, unsigned ms, unsigned *buffers) {
    uint64_t end = now_us() + ms * 1000ull;
    do {
        uint32_t size = take(c, buffers);
        const uint8_t *data = received + NET_HEADER;
        if (size < NET_HEADER + HEADER || memcmp(data + 6, source, 6) != 0 ||
            *(const uint16_t *)(data + TYPE_AT) != OUR_TYPE)
            continue;
        memcpy(frame, data, size - NET_HEADER);
        return size - NET_HEADER;
    } while (now_us() < end);
    return 0;
}

/* Whether a frame gets from one card to another, as it was. */
static bool passes(struct card *from, struct card *to, const uint8_t *address, uint32_t size, uint32_t seed) {
    static uint8_t frame[2048], got[NET_BUFFERS * NET_BUFFER];
    unsigned buffers;
    net_frame(frame, address, from->mac, size, seed);
    net_send(from, frame, size);
    return net_receive(to, from->mac, got, WAIT_MS, &buffers) == size && memcmp(frame, got, size) == 0 &&
           buffers == 1 + (NET_HEADER + size - 1) / to->size * (to->size < NET_HEADER + size);
}

/* Whether a frame from this source does not. */
static bool lost(struct card *from, struct card *to, const uint8_t *address, const uint8_t *source,
                 uint32_t size) {
    static uint8_t frame[2048], got[NET_BUFFERS * NET_BUFFER];
    unsigned buffers;
    net_frame(frame, address, source, size, 1);
    net_send(from, frame, size);
    return !net_receive(to, source, got, IDLE_MS, &buffers);
}

bool net_works(struct card *one, struct virtio *a, struct card *other, struct virtio *b) {
    static uint32_t seed;
    bool good = virtio_reset(a) && virtio_reset(b) && net_start(one, a, 0, 16, NET_BUFFER) &&
                net_start(other, b, 0, 16, NET_BUFFER) && passes(one, other, other->mac, 100, ++seed) &&
                passes(other, one, one->mac, 1000, ++seed);
    virtio_reset(a);
    virtio_reset(b);
    return good;
}

/* ---- checks */

static void check_frames(struct card *one, struct card *other) {
    static const uint8_t nobody[6] = {2, 0xde, 0xad, 0xbe, 0xef, 0};
    static const uint8_t group[6] = {0x33, 0x33, 0, 0, 0, 1};
    static const uint8_t reserved[6] = {1, 0x80, 0xc2, 0, 0, 0};
    static const uint8_t zero[6];
    check(passes(one, other, other->mac, 60, 1), "unicast");
    check(passes(other, one, one->mac, FRAME, 2), "the other way, as large as they get");
    check(passes(one, other, everybody, 200, 3), "broadcast");
    check(passes(one, other, group, 200, 4), "multicast");
    check(passes(one, other, nobody, 200, 5), "to an address that nobody has");
    check(passes(one, other, other->mac, HEADER, 6), "a header alone");
    check(lost(one, other, other->mac, nobody, 100), "from another address than its own");
    check(lost(one, other, other->mac, other->mac, 100), "from the receiver's address");
    check(lost(one, other, other->mac, group, 100), "from a group");
    check(lost(one, other, reserved, one->mac, 100), "to a bridge's address");
    check(lost(one, other, zero, one->mac, 100), "to no address");
    check(lost(one, other, other->mac, one->mac, HEADER - 1), "less than a header");
    check(lost(one, other, other->mac, one->mac, FRAME + 1), "more than the MTU");
    bool good = true;
    for (unsigned i = 0; good && i < 50; i++)
        good =
            passes(one, other, other->mac, HEADER + 29 * i, i) && passes(other, one, one->mac, FRAME - i, i);
    check(good, "fifty frames each way");
    check(status_read(one->v) == (S_ALL | S_DRIVER_OK) && status_read(other->v) == (S_ALL | S_DRIVER_OK),
          "the cards are content");
}

/* Header and frame in odd pieces. */
static void check_pieces(struct card *one, struct card *other) {
    static uint8_t got[NET_BUFFERS * NET_BUFFER];
    unsigned buffers;
    uint8_t *frame = sending + NET_HEADER;
    memset(sending, 0, NET_HEADER);
    net_frame(frame, other->mac, one->mac, 300, 9);
    const struct piece pieces[] = {
        {sending, 5, false}, {sending + 5, 14, false}, {frame + 7, 1, false}, {frame + 8, 292, false}};
    check(send_pieces(one, pieces, array_count(pieces)) &&
              net_receive(other, one->mac, got, WAIT_MS, &buffers) == 300 && memcmp(got, frame, 300) == 0,
          "a frame in odd pieces");
    /* Offloads that were not negotiated. */
    sending[0] = 1;
    const struct piece piece = {sending, NET_HEADER + 300, false};
    send_pieces(one, &piece, 1);
    check(!net_receive(other, one->mac, got, IDLE_MS, &buffers), "an offload that was not negotiated");
    sending[0] = 0;
}

static uint8_t command(struct card *c, unsigned class, unsigned number, const void *data, uint32_t size) {
    static uint8_t head[2];
    static volatile uint8_t answer;
    unsigned id;
    uint32_t written;
    head[0] = (uint8_t) class;
    head[1] = (uint8_t)number;
    answer = 0xff;
    const struct piece pieces[] = {{head, 2, false}, {data, size, false}, {(const void *)&answer, 1, true}};
    ring_add(&c->control, pieces, 3, false);
    ring_kick(&c->control);
    return ring_wait(&c->control, &id, &written) && written == 1 ? answer : 0xff;
}

static void check_control(struct card *one, struct card *other) {
    static const uint8_t nobody[6] = {2, 0xde, 0xad, 0xbe, 0xef, 0};
    static uint8_t on = 1, off, unused[16];
    check_equal(command(other, CTRL_NONE, 0, unused, 1), 1, "an unknown command is refused");
    check(lost(one, other, nobody, one->mac, 100), "with a filter: to another address");
    check(passes(one, other, other->mac, 100, 1), "to its own");
    check_equal(command(other, CTRL_RX, 0, &on, 1), 0, "promiscuous mode");
    check(passes(one, other, nobody, 100, 2), "gets all");
    check_equal(command(other, CTRL_RX, 0, &off, 1), 0, "and off again");
    check(lost(one, other, nobody, one->mac, 100), "gets its own");
    unused[0] = 0xff;
    unused[3] = 0xff;
    check_equal(command(other, CTRL_MAC, 0, unused, sizeof(unused)), 1,
                "a table that is not there is refused");
}

void check_net(struct virtio *a, struct virtio *b, struct card *one, struct card *other) {
    static const struct {
        uint64_t features;
        uint32_t size;
        const char *name;
    } kind[] = {
        {0, NET_BUFFER, "split rings"},
        {F_EVENT, NET_BUFFER, "split rings with event index"},
        {F_PACKED, NET_BUFFER, "packed rings"},
        {F_PACKED | F_EVENT, NET_BUFFER, "packed rings with event index"},
        {NET_F_MRG_RXBUF, 300, "small buffers that are merged"},
        {NET_F_MRG_RXBUF | F_PACKED, 300, "the same with packed rings"},
    };
    check(!virtio_negotiate(a, 1ull << 7), "GUEST_TSO4 without GUEST_CSUM is refused");
    for (unsigned i = 0; i < array_count(kind); i++) {
        check(net_start(one, a, kind[i].features, 16, kind[i].size) &&
                  net_start(other, b, kind[i].features, 32, kind[i].size),
              kind[i].name);
        check_frames(one, other);
        check_pieces(one, other);
    }
    check(memcmp(one->mac, other->mac, 6) != 0 && !(one->mac[0] & 1), "addresses of their own");
    check(net_start(one, a, 0, 16, NET_BUFFER) && net_start(other, b, 0, 16, 100),
          "buffers that are too small");
    check(passes(one, other, other->mac, 60, 1), "what fits comes");
    check(lost(one, other, other->mac, one->mac, 200), "what does not is lost");
    check(passes(one, other, other->mac, 88, 1), "and what comes next does not suffer");
    check(net_start(one, a, 0, 16, NET_BUFFER) &&
              net_start(other, b, NET_F_CTRL_VQ | NET_F_CTRL_RX, 16, NET_BUFFER),
          "with a control queue");
    check_control(one, other);
    virtio_reset(b);
    uint8_t frame[64];
    net_frame(frame, other->mac, one->mac, 60, 1);
    net_send(one, frame, 60);
    check_equal(status_read(a), S_ALL | S_DRIVER_OK, "a frame to a card that is off");
    check(net_works(one, a, other, b), "after a reset both work again");
}
