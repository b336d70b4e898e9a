// SPDX-License-Identifier: Apache-2.0
// An Ethernet frame on its way from one port of a switch to others: described, not copied. What decisions are
// made by is read once into our own memory; the rest stays in the sender's buffer until it is copied into
// the receiver's.
#ifndef SAGUARO_VIRTIO_FRAME_H
#define SAGUARO_VIRTIO_FRAME_H

#include <stdint.h>
#include "virtio/queue.h"

#define FRAME_HEAD          96u /* bytes that are read at once: Ethernet, two tags, IPv6 and its ports, and more */
#define FRAME_HEADER        14u    /* destination, source, type */
#define FRAME_MAX_TAGS      2u     /* VLAN tags (802.1Q, 802.1ad) that we look behind */
#define FRAME_MAX_SIZE      65597u /* 65589 (virtio 1.2, 5.1.6.3) and two tags; without checksum */

#define FRAME_NEEDS_CSUM    1u /* struct frame_offload, flags: VIRTIO_NET_HDR_F_* */
#define FRAME_GSO_NONE      0u /* and gso_type: VIRTIO_NET_HDR_GSO_* */
#define FRAME_GSO_TCPV4     1u
#define FRAME_GSO_TCPV6     4u
#define FRAME_GSO_UDP_L4    5u
#define FRAME_GSO_ECN       0x80u /* with one of the TCP types */

#define FRAME_TYPE_IPV4     0x0800u
#define FRAME_TYPE_IPV6     0x86ddu
#define FRAME_TYPE_VLAN     0x8100u
#define FRAME_TYPE_PROVIDER 0x88a8u

/* What is left to be done to a frame: the values of struct virtio_net_hdr (5.1.6). Once offload_check() has
 * passed it, they are consistent with the frame. */
struct frame_offload {
    uint8_t flags;
    uint8_t gso_type;
    uint16_t header_size; /* hdr_len: up to the transport's payload; 0 where there is no gso_type */
    uint16_t gso_size;    /* payload of each packet */
    uint16_t csum_start;
    uint16_t csum_offset;
};

/* The first head_size bytes are those at `head`, in our memory; the others come from `buffer` (its readable
 * part), or from `memory`. The source holds the whole frame, the first bytes included, but those may have
 * changed since. An emulated device whose frame lies in pieces of a guest's RAM describes them by a
 * virtq_buffer that it fills in itself. */
struct frame {
    struct frame_offload offload;
    uint32_t size; /* bytes, from the destination address on */
    uint32_t head_size;
    const uint8_t *head;
    struct virtq *queue; /* whose `buffer` is */
    const struct virtq_buffer *buffer;
    const uint8_t *memory; /* if buffer is NULL */
    uint32_t rest;         /* where in the source byte head_size lies */
};

/* A frame of `size` bytes (FRAME_HEADER or more), from byte `offset` of the readable part of `buffer` on;
 * `head` is FRAME_HEAD bytes and lives as long as the frame. No offloads. */
void frame_from_buffer(struct frame *frame, uint8_t *head, struct virtq *queue,
                       const struct virtq_buffer *buffer, uint32_t offset, uint32_t size);
/* The same, where `head` has been read already, from the same offset on: `got` bytes, FRAME_HEAD or all that
 * there is. */
void frame_from_head(struct frame *frame, const uint8_t *head, uint32_t got, struct virtq *queue,
                     const struct virtq_buffer *buffer, uint32_t offset, uint32_t size);
/* The same in our own memory, which nobody changes meanwhile. */
void frame_from_memory(struct frame *frame, const uint8_t *data, uint32_t size);

/* Copies bytes from `offset` on, to our memory or to a buffer's writable part: the number of bytes, less than
 * `size` where the frame or the buffer ends. */
uint32_t frame_read(const struct frame *frame, uint32_t offset, uint8_t *data, uint32_t size);
uint32_t frame_write(const struct frame *frame, uint32_t offset, uint32_t size, struct virtq *to_queue,
                     const struct virtq_buffer *to, uint32_t to_offset);

/* Where the bytes from `offset` (less than the frame's size) on lie: how many of them together, 0 where the
 * frame has become shorter. They may change while they are looked at. */
uint32_t frame_piece(const struct frame *frame, uint32_t offset, const uint8_t **data);

/* The type (FRAME_TYPE_*, a length, ...) behind up to FRAME_MAX_TAGS tags; *network: where what follows it
 * begins, FRAME_HEADER or more, perhaps at the frame's end. */
uint16_t frame_type(const struct frame *frame, uint32_t *network);
/* The VLAN that the outer tag names, -1: it has none. */
int frame_vlan(const struct frame *frame);
/* Whether it is TCP's over IP, as far as its head shows; a fragment is not. */
bool frame_is_tcp(const struct frame *frame);
/* A number that is the same for all frames of a flow, in either direction. */
uint32_t frame_flow(const struct frame *frame);

/* Numbers in network order, at any address. */
static inline uint16_t frame_get16(const uint8_t *at) {
    return (uint16_t)(at[0] << 8 | at[1]);
}
static inline uint32_t frame_get32(const uint8_t *at) {
    return (uint32_t)frame_get16(at) << 16 | frame_get16(at + 2);
}
static inline void frame_put16(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}
static inline void frame_put32(uint8_t *at, uint32_t value) {
    frame_put16(at, value >> 16);
    frame_put16(at + 2, value);
}

#endif
