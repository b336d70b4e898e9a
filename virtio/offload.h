// SPDX-License-Identifier: Apache-2.0
// What a network device does for its driver, done in software for a receiver that does not: checksums, and
// the segmentation of TCP over IPv4 and IPv6 and of UDP (virtio 1.2, 5.1.6.2).
#ifndef SAGUARO_VIRTIO_OFFLOAD_H
#define SAGUARO_VIRTIO_OFFLOAD_H

#include "virtio/frame.h"

/* What a receiver takes as it is. The others need OFFLOAD_CSUM with them. */
#define OFFLOAD_CSUM         0x01u /* FRAME_NEEDS_CSUM */
#define OFFLOAD_TSO4         0x02u
#define OFFLOAD_TSO6         0x04u
#define OFFLOAD_ECN          0x08u /* FRAME_GSO_ECN, with OFFLOAD_TSO4 or OFFLOAD_TSO6 */
#define OFFLOAD_USO4         0x10u
#define OFFLOAD_USO6         0x20u

#define OFFLOAD_HEAD         256u  /* bytes within which headers, and a checksum's place, must lie */
#define OFFLOAD_MAX_SEGMENTS 1024u /* of one frame: 64 KiB at the smallest MSS in use, 64 or more */

/* Where the headers of a frame with a gso_type are, in bytes from its start. */
struct offload_layout {
    bool ipv6;
    uint8_t protocol; /* 6 TCP, 17 UDP */
    uint16_t network, transport, payload;
};

/* Checks what a sender says of its frame, by the frame itself; on success frame->offload says what we found:
 * unknown flags and fields without a meaning are 0, header_size is right. -EINVAL: it is not true, or more
 * than we do (a frame that would need more than OFFLOAD_MAX_SEGMENTS segments). */
int offload_check(struct frame *frame);

/* Whether a receiver that can do `can` (OFFLOAD_*) takes the frame as it is. Only after offload_check(). */
bool offload_passes(const struct frame *frame, unsigned can);

/* Adds bytes [offset, end) of a frame to a sum in ones' complement (RFC 1071), of which they begin at an even
 * place. */
uint32_t offload_sum(uint32_t sum, const struct frame *frame, uint32_t offset, uint32_t end);
/* Writes the sum as a packet's checksum. 0 is written as 0xffff, which is the same number: for UDP 0 would
 * say that there is none. */
void offload_put_sum(uint8_t *at, uint32_t sum);

/* Work on one frame: makes of it one or several that a receiver takes. */
struct offload_work {
    const struct frame *whole;
    struct offload_layout layout;
    bool partial;  /* the receiver completes checksums itself */
    uint32_t next; /* where in `whole` the next segment's payload begins */
    uint32_t number;
    uint32_t original_size;
    uint8_t original[OFFLOAD_HEAD]; /* the frame's head, read once */
    uint8_t head[OFFLOAD_HEAD];     /* that of the current segment */
};

/* For a frame that does not pass. -EINVAL: the sender has changed it meanwhile, and it is not sound any
 * more; or a checksum's place is behind OFFLOAD_HEAD. */
int offload_begin(struct offload_work *work, const struct frame *whole, unsigned can);
/* The next frame, valid until the next call: *out points into `work` and into the source of the whole one.
 * False: there is no more. */
bool offload_next(struct offload_work *work, struct frame *out);

#endif
