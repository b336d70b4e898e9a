// SPDX-License-Identifier: Apache-2.0
// Checksums and segmentation in software. Headers are read into our memory, checked there and used from
// there: what a sender changes meanwhile cannot lead us out of the frame.
#include "virtio/offload.h"

#include <errno.h>
#include <string.h>

#define PROTOCOL_TCP     6u
#define PROTOCOL_UDP     17u
#define TCP_CSUM         16u /* offset of the checksum in the header */
#define UDP_CSUM         6u
#define TCP_FIN          0x01u
#define TCP_PSH          0x08u
#define TCP_CWR          0x80u

#define MAX_EXTENSIONS   8u
#define IPV6_HOP_BY_HOP  0u
#define IPV6_ROUTING     43u
#define IPV6_DESTINATION 60u

/* ---- sums in ones' complement (RFC 1071) */

static uint32_t sum_fold(uint32_t sum) {
    sum = (sum & 0xffff) + (sum >> 16);
    return (sum & 0xffff) + (sum >> 16);
}

/* Adds a word, and the carry again. */
static inline unsigned long add_word(unsigned long sum, const uint8_t *at) {
    unsigned long word;

    memcpy(&word, at, sizeof(word));
    sum += word;
    return sum + (sum < word);
}

/* The sum of all bytes, of which the first has an even place. A word at a time: the sum of numbers in the
 * machine's order is that of numbers in the network's with its bytes swapped (RFC 1071, 2.B). */
static uint32_t sum_of(const uint8_t *data, uint32_t size) {
    const uint32_t word = sizeof(unsigned long);
    unsigned long words = 0;
    uint8_t bytes[2];

    for (; size >= 8 * word; size -= 8 * word, data += 8 * word) {
        words = add_word(add_word(words, data), data + word);
        words = add_word(add_word(words, data + 2 * word), data + 3 * word);
        words = add_word(add_word(words, data + 4 * word), data + 5 * word);
        words = add_word(add_word(words, data + 6 * word), data + 7 * word);
    }
    for (; size >= word; size -= word, data += word)
        words = add_word(words, data);
    uint64_t wide = words;
    wide = (wide & UINT32_MAX) + (wide >> 32);
    wide = (wide & 0xffff) + (wide >> 16 & 0xffff) + (wide >> 32);
    uint16_t folded = (uint16_t)sum_fold((uint32_t)wide);
    memcpy(bytes, &folded, sizeof(bytes));
    uint32_t sum = frame_get16(bytes);
    for (; size >= 2; size -= 2, data += 2)
        sum += frame_get16(data);
    if (size)
        sum += (uint32_t)data[0] << 8;
    return sum_fold(sum);
}

static uint32_t sum_add(uint32_t sum, const uint8_t *data, uint32_t size) {
    return sum_fold(sum + sum_of(data, size));
}

uint32_t offload_sum(uint32_t sum, const struct frame *frame, uint32_t offset, uint32_t end) {
    uint32_t begin = offset;

    sum = sum_fold(sum);
    while (offset < end && offset < frame->size) {
        const uint8_t *data;
        uint32_t size = frame_piece(frame, offset, &data);
        if (size == 0)
            break;
        size = size < end - offset ? size : end - offset;
        uint32_t part = sum_of(data, size);
        if ((offset - begin) & 1) /* each byte is the other half of its number */
            part = (part & 0xff) << 8 | part >> 8;
        sum = sum_fold(sum + part);
        offset += size;
    }
    return sum;
}

void offload_put_sum(uint8_t *at, uint32_t sum) {
    uint32_t value = ~sum_fold(sum) & 0xffff;

    frame_put16(at, value ? value : 0xffff);
}

/* ---- headers */

/* Steps over the extension headers that may stand before the transport's; *at: its place. -EINVAL. */
static int skip_extensions(const uint8_t *head, uint32_t size, uint8_t *next, uint32_t *at) {
    for (unsigned i = 0; i < MAX_EXTENSIONS; i++) {
        if (*next != IPV6_HOP_BY_HOP && *next != IPV6_ROUTING && *next != IPV6_DESTINATION)
            return 0;
        if (*at + 8 > size)
            return -EINVAL;
        /* On its way along a route the packet's destination is not that of the checksum (RFC 8200, 8.1). */
        if (*next == IPV6_ROUTING && head[*at + 3] != 0)
            return -EINVAL;
        *next = head[*at];
        *at += (head[*at + 1] + 1u) * 8;
    }
    return -EINVAL;
}

/* Finds the headers of a frame with a gso_type in its first `size` bytes, `head`. -EINVAL: they are not there
 * or not what the gso_type says. */
static int find_headers(const struct frame *frame, const uint8_t *head, uint32_t size,
                        struct offload_layout *layout) {
    const struct frame_offload *offload = &frame->offload;
    uint8_t kind = offload->gso_type & (uint8_t)~FRAME_GSO_ECN, protocol;
    uint32_t network, at, payload;
    uint16_t type = frame_type(frame, &network);

    if (kind != FRAME_GSO_TCPV4 && kind != FRAME_GSO_TCPV6 && kind != FRAME_GSO_UDP_L4)
        return -EINVAL;
    if (type == FRAME_TYPE_IPV4 && kind != FRAME_GSO_TCPV6) {
        if (network + 20 > size || head[network] >> 4 != 4 || (head[network] & 15) < 5)
            return -EINVAL;
        if (frame_get16(head + network + 6) & 0x3fff) /* a fragment */
            return -EINVAL;
        at = network + (head[network] & 15) * 4u;
        protocol = head[network + 9];
    } else if (type == FRAME_TYPE_IPV6 && kind != FRAME_GSO_TCPV4) {
        if (network + 40 > size || head[network] >> 4 != 6)
            return -EINVAL;
        at = network + 40;
        protocol = head[network + 6];
        if (skip_extensions(head, size, &protocol, &at))
            return -EINVAL;
    } else {
        return -EINVAL;
    }
    uint32_t csum = kind == FRAME_GSO_UDP_L4 ? UDP_CSUM : TCP_CSUM;
    if (protocol != (kind == FRAME_GSO_UDP_L4 ? PROTOCOL_UDP : PROTOCOL_TCP) || offload->csum_start != at ||
        offload->csum_offset != csum)
        return -EINVAL;
    if (kind == FRAME_GSO_UDP_L4) {
        payload = at + 8;
    } else {
        if (at + 20 > size || head[at + 12] >> 4 < 5)
            return -EINVAL;
        payload = at + (head[at + 12] >> 4) * 4u;
    }
    if (payload > size || payload >= frame->size)
        return -EINVAL;
    layout->ipv6 = type == FRAME_TYPE_IPV6;
    layout->protocol = protocol;
    layout->network = (uint16_t)network;
    layout->transport = (uint16_t)at;
    layout->payload = (uint16_t)payload;
    return 0;
}

/* The same, and whether it can be cut up: not into too many, none longer than IP can say. */
static int find_segments(const struct frame *frame, const uint8_t *head, uint32_t size,
                         struct offload_layout *layout) {
    uint32_t gso_size = frame->offload.gso_size;

    if (gso_size == 0 || find_headers(frame, head, size, layout))
        return -EINVAL;
    uint32_t payload = frame->size - layout->payload;
    if (payload > gso_size * OFFLOAD_MAX_SEGMENTS)
        return -EINVAL;
    uint32_t longest = (payload < gso_size ? payload : gso_size) + layout->payload - layout->network;
    return longest > 65535 ? -EINVAL : 0;
}

int offload_check(struct frame *frame) {
    struct frame_offload *offload = &frame->offload;
    struct offload_layout layout;
    uint8_t head[OFFLOAD_HEAD];

    offload->flags &= FRAME_NEEDS_CSUM; /* 5.1.6.2.2: others are ignored */
    offload->header_size = 0;           /* a hint that nobody can rely on */
    if (offload->gso_type == FRAME_GSO_NONE)
        offload->gso_size = 0;
    else if (offload->gso_type == (FRAME_GSO_UDP_L4 | FRAME_GSO_ECN))
        return -EINVAL;
    if (!offload->flags) {
        offload->csum_start = offload->csum_offset = 0;
        return offload->gso_type == FRAME_GSO_NONE ? 0 : -EINVAL;
    }
    if (offload->csum_start < FRAME_HEADER ||
        (uint32_t)offload->csum_start + offload->csum_offset + 2 > frame->size)
        return -EINVAL;
    if (offload->gso_type == FRAME_GSO_NONE)
        return 0;
    uint32_t size = frame_read(frame, 0, head, sizeof(head));
    if (find_segments(frame, head, size, &layout))
        return -EINVAL;
    offload->header_size = layout.payload;
    return 0;
}

bool offload_passes(const struct frame *frame, unsigned can) {
    const struct frame_offload *offload = &frame->offload;
    uint32_t network;

    if (!offload->flags)
        return true;
    if (!(can & OFFLOAD_CSUM))
        return false;
    if ((offload->gso_type & FRAME_GSO_ECN) && !(can & OFFLOAD_ECN))
        return false;
    switch (offload->gso_type & (uint8_t)~FRAME_GSO_ECN) {
    case FRAME_GSO_NONE:
        return true;
    case FRAME_GSO_TCPV4:
        return can & OFFLOAD_TSO4;
    case FRAME_GSO_TCPV6:
        return can & OFFLOAD_TSO6;
    default:
        return can & (frame_type(frame, &network) == FRAME_TYPE_IPV4 ? OFFLOAD_USO4 : OFFLOAD_USO6);
    }
}

/* ---- work */

int offload_begin(struct offload_work *work, const struct frame *whole, unsigned can) {
    const struct frame_offload *offload = &whole->offload;

    work->whole = whole;
    work->partial = can & OFFLOAD_CSUM;
    work->number = 0;
    uint32_t size = work->original_size = frame_read(whole, 0, work->original, sizeof(work->original));
    if (offload->gso_type != FRAME_GSO_NONE) {
        if (find_segments(whole, work->original, size, &work->layout))
            return -EINVAL;
        work->next = work->layout.payload;
        return 0;
    }
    work->next = 0;
    return (uint32_t)offload->csum_start + offload->csum_offset + 2 > size ? -EINVAL : 0;
}

/* `out` is work->head up to head_size, then `whole` from `from` on. */
static void make_frame(const struct offload_work *work, struct frame *out, uint32_t head_size, uint32_t from,
                       uint32_t size) {
    *out = *work->whole;
    memset(&out->offload, 0, sizeof(out->offload));
    out->head = work->head;
    out->head_size = head_size;
    out->rest = work->whole->rest + from - work->whole->head_size;
    out->size = size;
}

/* The one frame that lacks no more than its checksum. */
static bool complete(struct offload_work *work, struct frame *out) {
    const struct frame *whole = work->whole;
    uint32_t start = whole->offload.csum_start, place = start + whole->offload.csum_offset;

    if (work->number++ > 0)
        return false;
    memcpy(work->head, work->original, work->original_size);
    make_frame(work, out, work->original_size, work->original_size, whole->size);
    /* The place itself holds the sum of the pseudo header. */
    offload_put_sum(work->head + place, offload_sum(0, out, start, out->size));
    return true;
}

static void finish_ip(struct offload_work *work, uint32_t payload) {
    const struct offload_layout *layout = &work->layout;
    uint8_t *network = work->head + layout->network;

    if (layout->ipv6) {
        frame_put16(network + 4, layout->payload - layout->network - 40u + payload);
        return;
    }
    frame_put16(network + 2, layout->payload - layout->network + payload);
    frame_put16(network + 4, frame_get16(network + 4) + work->number);
    frame_put16(network + 10, 0);
    frame_put16(network + 10, ~sum_add(0, network, (uint32_t)layout->transport - layout->network) & 0xffff);
}

static void finish_tcp(struct offload_work *work, bool last) {
    uint8_t *tcp = work->head + work->layout.transport;

    frame_put32(tcp + 4, frame_get32(tcp + 4) + (work->next - work->layout.payload));
    if (!last)
        tcp[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    if (work->number > 0)
        tcp[13] &= (uint8_t)~TCP_CWR; /* RFC 3168, 6.1.2: said once */
}

/* RFC 9293, 3.1; RFC 768; RFC 8200, 8.1: the last destination is that of the packet, see skip_extensions().
 */
static uint32_t pseudo_sum(const struct offload_work *work, uint32_t payload) {
    const struct offload_layout *layout = &work->layout;
    const uint8_t *network = work->head + layout->network;
    uint32_t sum = layout->protocol + (uint32_t)layout->payload - layout->transport + payload;

    return layout->ipv6 ? sum_add(sum, network + 8, 32) : sum_add(sum, network + 12, 8);
}

bool offload_next(struct offload_work *work, struct frame *out) {
    const struct frame_offload *offload = &work->whole->offload;
    const struct offload_layout *layout = &work->layout;

    if (offload->gso_type == FRAME_GSO_NONE)
        return complete(work, out);
    if (work->next >= work->whole->size)
        return false;
    uint32_t payload = work->whole->size - work->next;
    bool last = payload <= offload->gso_size;
    payload = last ? payload : offload->gso_size;
    memcpy(work->head, work->original, layout->payload);
    finish_ip(work, payload);
    uint8_t *csum = work->head + layout->transport;
    if (layout->protocol == PROTOCOL_TCP) {
        finish_tcp(work, last);
        csum += TCP_CSUM;
    } else {
        frame_put16(csum + 4, 8 + payload);
        csum += UDP_CSUM;
    }
    make_frame(work, out, layout->payload, work->next, layout->payload + payload);
    uint32_t sum = pseudo_sum(work, payload);
    if (work->partial) {
        frame_put16(csum, sum);
        out->offload.flags = FRAME_NEEDS_CSUM;
        out->offload.csum_start = offload->csum_start;
        out->offload.csum_offset = offload->csum_offset;
    } else {
        frame_put16(csum, 0);
        offload_put_sum(csum, offload_sum(sum, out, layout->transport, out->size));
    }
    work->next += payload;
    work->number++;
    return true;
}
