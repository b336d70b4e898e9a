// SPDX-License-Identifier: Apache-2.0
// Ethernet frames for tests: with IPv4 or IPv6, TCP or UDP, and a payload that is known.
#ifndef SAGUARO_TESTS_FRAME_FIXTURE_H
#define SAGUARO_TESTS_FRAME_FIXTURE_H

#include <string.h>
#include "virtio/offload.h"

static const uint8_t mac_a[6] = {0x52, 0x54, 0x00, 0x00, 0x00, 0x0a};
static const uint8_t mac_b[6] = {0x52, 0x54, 0x00, 0x00, 0x00, 0x0b};
static const uint8_t mac_all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static inline uint8_t frame_payload(uint32_t i) {
    return (uint8_t)(i * 7 + 3);
}

/* The sum of RFC 1071, written in another way than the code under test does. */
static inline uint16_t plain_sum(uint64_t sum, const uint8_t *data, uint32_t size) {
    for (uint32_t i = 0; i < size; i++)
        sum += i % 2 ? data[i] : (uint64_t)data[i] << 8;
    return (uint16_t)(sum % 0xffff);
}

struct frame_kind {
    bool ipv6, udp;
    uint8_t tags;     /* VLAN tags */
    uint8_t options;  /* bytes in the IPv4 header, or an extension header of IPv6, a multiple of 8 */
    uint8_t tcp_more; /* bytes of TCP options */
    uint8_t flags;    /* TCP */
    uint32_t payload;
    uint16_t gso_size; /* 0: none */
};

/* Builds one whose checksum is that of the pseudo header, with what its sender says of it. */
static inline uint32_t frame_build(uint8_t *data, const uint8_t *to, const uint8_t *from,
                                   const struct frame_kind *kind, struct frame_offload *offload) {
    uint32_t at = 12, transport_size = kind->udp ? 8u : 20u + kind->tcp_more;
    uint8_t protocol = kind->udp ? 17 : 6;

    memset(data, 0, 256);
    memcpy(data, to, 6);
    memcpy(data + 6, from, 6);
    for (unsigned i = 0; i < kind->tags; i++, at += 4) {
        frame_put16(data + at, i + 1 < kind->tags ? FRAME_TYPE_PROVIDER : FRAME_TYPE_VLAN);
        frame_put16(data + at + 2, 100 + i);
    }
    frame_put16(data + at, kind->ipv6 ? FRAME_TYPE_IPV6 : FRAME_TYPE_IPV4);
    at += 2;
    uint8_t *ip = data + at;
    uint32_t inner = transport_size + kind->payload;
    uint64_t sum = protocol + inner;
    if (kind->ipv6) {
        ip[0] = 0x60;
        frame_put16(ip + 4, kind->options + inner);
        ip[6] = kind->options ? 0 : protocol;
        ip[7] = 64;
        ip[8] = ip[24] = 0xfd;
        ip[23] = 1;
        ip[39] = 2;
        if (kind->options)
            memcpy(ip + 40, (const uint8_t[4]){protocol, (uint8_t)(kind->options / 8 - 1), 1, 4}, 4);
        sum += plain_sum(0, ip + 8, 32);
        at += 40u + kind->options;
    } else {
        ip[0] = (uint8_t)(0x40 | (5 + kind->options / 4));
        frame_put16(ip + 2, 20 + kind->options + inner);
        frame_put16(ip + 4, 0xffff); /* wraps around with the second segment */
        frame_put16(ip + 6, 0x4000);
        ip[8] = 64;
        ip[9] = protocol;
        memcpy(ip + 12, (const uint8_t[8]){10, 0, 0, 1, 10, 0, 0, 2}, 8);
        memset(ip + 20, 1, kind->options);
        frame_put16(ip + 10, ~plain_sum(0, ip, 20u + kind->options) & 0xffff);
        sum += plain_sum(0, ip + 12, 8);
        at += 20u + kind->options;
    }
    uint8_t *transport = data + at;
    frame_put16(transport, kind->udp ? 5000 : 40000);
    frame_put16(transport + 2, kind->udp ? 6000 : 80);
    if (kind->udp) {
        frame_put16(transport + 4, inner);
    } else {
        frame_put32(transport + 4, kind->ipv6 ? 100 : 0xfffffc00);
        frame_put32(transport + 8, 0x01020304);
        transport[12] = (uint8_t)((5 + kind->tcp_more / 4) << 4);
        transport[13] = kind->flags;
        frame_put16(transport + 14, 0x2000);
        memset(transport + 20, 1, kind->tcp_more);
    }
    memset(offload, 0, sizeof(*offload));
    offload->flags = FRAME_NEEDS_CSUM;
    offload->csum_start = (uint16_t)at;
    offload->csum_offset = kind->udp ? 6 : 16;
    frame_put16(transport + offload->csum_offset, (uint16_t)(sum % 0xffff));
    if (kind->gso_size) {
        offload->gso_type = kind->udp ? FRAME_GSO_UDP_L4 : kind->ipv6 ? FRAME_GSO_TCPV6 : FRAME_GSO_TCPV4;
        offload->gso_size = kind->gso_size;
    }
    at += transport_size;
    for (uint32_t i = 0; i < kind->payload; i++)
        data[at + i] = frame_payload(i);
    return at + kind->payload;
}

#endif
