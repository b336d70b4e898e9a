// SPDX-License-Identifier: Apache-2.0
// Frames that the driver of the emulated 82540EM sends: descriptors of all three kinds become a frame of the
// switch, with the checksums and the segmentation that they ask for (3.3 to 3.6). The head of the ring moves
// on when a whole packet is done, so that one that was under way when our program ended is sent again.
#include <string.h>
#include "virtio/bytes.h"
#include "virtio/e1000_card_internal.h"
#include "virtio/queue_internal.h"

#define BUDGET         128  /* of work in one go, then others have their turn */
#define LONGEST_CHAIN  512u /* descriptors of a packet; a longer one is dropped */
#define LOOKED_AT      16u  /* descriptors that are as much work as a frame */

/* The second half of a descriptor (3.3.3, 3.3.6, 3.3.7). */
#define LOWER          8
#define COMMAND        11
#define STATUS         12
#define COMMAND_EOP    0x01u
#define COMMAND_IC     0x04u /* of a legacy descriptor: put a checksum in */
#define COMMAND_TSE    0x04u /* of the others: cut into segments */
#define COMMAND_RS     0x08u /* report the status */
#define COMMAND_DEXT   0x20u /* not a legacy descriptor */
#define COMMAND_VLE    0x40u /* put a VLAN tag in */
#define TUCMD_TCP      0x01u
#define TUCMD_IP       0x02u /* version 4 */
#define POPTS_IXSM     0x01u /* put IP's checksum in */
#define POPTS_TXSM     0x02u /* and TCP's or UDP's */

#define KIND_CONTEXT   0u
#define KIND_DATA      1u
#define KIND_LEGACY    16u

#define TAG            4u
#define ADDRESSES_SIZE 12u /* of a frame, before its tag */
#define HEAD           (OFFLOAD_HEAD + TAG)
#define TCP_CSUM       16u

/* A copy, which stays as it is whatever the driver does to the original. */
struct descriptor {
    uint64_t address;
    uint32_t lower, upper;
};

struct packet {
    uint32_t count; /* descriptors */
    bool whole;     /* its end was found */
    bool good;      /* it can be sent */
    struct descriptor first, last;
};

/* The packet's memory; in use only within e1000_card_run(). The queue is no more than what it is read by. */
static struct virtq_buffer buffer;
static struct virtq reader;

static uint8_t command_of(const struct descriptor *descriptor) {
    return (uint8_t)(descriptor->lower >> 24);
}

static unsigned kind_of(const struct descriptor *descriptor) {
    return command_of(descriptor) & COMMAND_DEXT ? descriptor->lower >> 20 & 15 : KIND_LEGACY;
}

static bool fetch(struct e1000_card *card, const struct e1000_ring *ring, uint32_t index,
                  struct descriptor *descriptor) {
    uint64_t gpa;
    const uint8_t *at = e1000_descriptor(card, ring, index, &gpa);
    uint8_t copy[E1000_DESCRIPTOR_SIZE];

    if (!at) {
        e1000_complain(card, "the ring of transmit descriptors is not in RAM");
        return false;
    }
    memcpy(copy, at, sizeof(copy));
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* never read again */
    descriptor->address = bytes_get64(copy);
    descriptor->lower = bytes_get32(copy + LOWER);
    descriptor->upper = bytes_get32(copy + STATUS);
    return true;
}

static uint32_t after(const struct e1000_ring *ring, uint32_t index) {
    return index + 1 < ring->count ? index + 1 : 0;
}

/* ---- a packet's descriptors */

static void take_context(struct e1000_card *card, const struct descriptor *descriptor) {
    card->record->context = (struct e1000_context){
        .ip_start = (uint8_t)descriptor->address,
        .ip_place = (uint8_t)(descriptor->address >> 8),
        .ip_end = (uint16_t)(descriptor->address >> 16),
        .start = (uint8_t)(descriptor->address >> 32),
        .place = (uint8_t)(descriptor->address >> 40),
        .end = (uint16_t)(descriptor->address >> 48),
        .segment = (uint16_t)(descriptor->upper >> 16),
        .command = command_of(descriptor),
    };
}

static void add(struct packet *packet, const struct descriptor *descriptor) {
    unsigned kind = kind_of(descriptor);
    uint32_t size = descriptor->lower & (kind == KIND_LEGACY ? 0xffffu : 0xfffffu);

    if (kind != KIND_LEGACY && kind != KIND_DATA)
        packet->good = false;
    if (!packet->good)
        return;
    packet->good = size <= FRAME_MAX_SIZE - buffer.read_size &&
                   !virtq_add(&reader, &buffer, descriptor->address, size, false);
}

/* Finds the packet that begins at the head. False: its end is not there yet. One with too many descriptors
 * ends early, and is not good. */
static bool gather(struct e1000_card *card, const struct e1000_ring *ring, struct packet *packet) {
    uint32_t index = ring->head;

    *packet = (struct packet){.good = true};
    buffer.readable = buffer.writable = 0;
    buffer.read_size = buffer.write_size = 0;
    while (packet->count < LONGEST_CHAIN) {
        if (index == ring->tail || !fetch(card, ring, index, &packet->last))
            return false;
        if (packet->count++ == 0)
            packet->first = packet->last;
        index = after(ring, index);
        if (kind_of(&packet->last) == KIND_CONTEXT) {
            if (packet->count == 1) {
                packet->good = false; /* nothing to send */
                return true;
            }
            continue; /* it belongs before a packet, and means nothing within one */
        }
        add(packet, &packet->last);
        if (command_of(&packet->last) & COMMAND_EOP) {
            packet->whole = true;
            return true;
        }
    }
    packet->good = false;
    return true;
}

/* Hands the packet's descriptors back, and moves the head behind them. The causes of an interrupt. */
static uint32_t finish(struct e1000_card *card, struct e1000_ring *ring, uint32_t count) {
    uint32_t causes = 0;

    card->record->handing_sent = e1000_hand(ring, count);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    for (; count > 0; count--) {
        uint64_t gpa;
        uint8_t *at = e1000_descriptor(card, ring, ring->head, &gpa);
        if (at && (at[COMMAND] & COMMAND_RS)) {
            e1000_note(card, E1000_ICR_TXDW);
            __atomic_store_n(&at[STATUS], (uint8_t)(at[STATUS] | E1000_DD), __ATOMIC_RELEASE);
            card->memory->dirty(card->memory, gpa + STATUS, 1);
            causes |= E1000_ICR_TXDW;
        }
        ring->head = after(ring, ring->head);
    }
    if (ring->head == ring->tail)
        causes |= E1000_ICR_TXQE;
    e1000_note(card, causes);
    e1000_set(card, E1000_TDH, ring->head);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    card->record->handing_sent = 0;
    return causes;
}

void e1000_transmit_resume(struct e1000_card *card) {
    struct e1000_ring ring;

    if (e1000_ring_of(card, E1000_TDBAL, &ring)) {
        uint32_t count = e1000_handing(&ring, card->record->handing_sent);
        if (count)
            (void)finish(card, &ring, count);
    }
    card->record->handing_sent = 0;
}

/* ---- what is done to a frame. All places are in its head, which is in our memory; what lies elsewhere is
 * left out. */

/* The sum from `start` to the last byte `end` (0: to the frame's end), put to `place`. */
static void put_checksum(const struct frame *frame, uint8_t *head, uint32_t start, uint32_t place,
                         uint32_t end) {
    if (place + 2 <= frame->head_size)
        offload_put_sum(head + place, offload_sum(0, frame, start, end ? end + 1 : frame->size));
}

/* The transport's checksum can wait until somebody needs it, if it is the usual one. */
static void transport_checksum(struct frame *frame, uint8_t *head, uint32_t start, uint32_t place,
                               uint32_t end) {
    if (end || start < FRAME_HEADER || place < start || place + 2 > frame->size) {
        put_checksum(frame, head, start, place, end);
        return;
    }
    frame->offload.flags = FRAME_NEEDS_CSUM;
    frame->offload.csum_start = (uint16_t)start;
    frame->offload.csum_offset = (uint16_t)(place - start);
}

/* The driver leaves out the length, in IP's header and from the sum of the pseudo header: there it would be
 * each segment's. The switch wants both for the whole. */
static void put_lengths(const struct frame *frame, uint8_t *head, uint32_t start) {
    uint32_t network, place = start + TCP_CSUM;
    bool is_ipv6 = frame_type(frame, &network) == FRAME_TYPE_IPV6;
    uint8_t *ip = head + network;

    if (network + 40 > frame->head_size || start < network || place + 2 > frame->head_size)
        return;
    if (is_ipv6) {
        frame_put16(ip + 4, frame->size - network - 40);
    } else {
        frame_put16(ip + 2, frame->size - network);
        frame_put16(ip + 10, 0);
        offload_put_sum(ip + 10, offload_sum(0, frame, network, network + (ip[0] & 15) * 4u));
    }
    uint32_t sum = frame_get16(head + place) + (frame->size - start);
    sum = (sum & 0xffff) + (sum >> 16);
    frame_put16(head + place, (sum & 0xffff) + (sum >> 16));
}

/* TCP alone: no driver has this card cut up UDP. */
static bool ask_for_segments(struct frame *frame, uint8_t *head, const struct e1000_context *context,
                             uint32_t shift) {
    uint32_t start = context->start + shift, network;

    frame_type(frame, &network);
    if (!(context->command & TUCMD_TCP) || context->place != context->start + TCP_CSUM ||
        frame->size - network > UINT16_MAX)
        return false;
    put_lengths(frame, head, start);
    frame->offload = (struct frame_offload){
        .flags = FRAME_NEEDS_CSUM,
        .gso_type = context->command & TUCMD_IP ? FRAME_GSO_TCPV4 : FRAME_GSO_TCPV6,
        .gso_size = context->segment,
        .csum_start = (uint16_t)start,
        .csum_offset = TCP_CSUM,
    };
    return true;
}

/* False: the descriptors ask for what nobody can do. `shift`: of a tag that was put in. */
static bool apply_options(const struct e1000_card *card, const struct packet *packet, struct frame *frame,
                          uint8_t *head, uint32_t shift) {
    const struct e1000_context *context = &card->record->context;
    const struct descriptor *first = &packet->first;

    if (kind_of(first) == KIND_LEGACY) {
        if (command_of(first) & COMMAND_IC)
            put_checksum(frame, head, (first->upper >> 8 & 0xff) + shift, (first->lower >> 16 & 0xff) + shift,
                         0);
        return true;
    }
    if (command_of(first) & context->command & COMMAND_TSE)
        return ask_for_segments(frame, head, context, shift);
    if (first->upper >> 8 & POPTS_IXSM)
        put_checksum(frame, head, context->ip_start + shift, context->ip_place + shift,
                     context->ip_end ? context->ip_end + shift : 0);
    if (first->upper >> 8 & POPTS_TXSM)
        transport_checksum(frame, head, context->start + shift, context->place + shift,
                           context->end ? context->end + shift : 0);
    return true;
}

/* Reads the packet's beginning, and puts a tag in if that is asked for. The tag's size. */
static uint32_t make_frame(const struct e1000_card *card, const struct packet *packet, struct frame *frame,
                           uint8_t *head) {
    bool tagged = (e1000_get(card, E1000_CTRL) & E1000_CTRL_VME) && (command_of(&packet->last) & COMMAND_VLE);
    uint32_t tag = tagged ? TAG : 0;

    memset(frame, 0, sizeof(*frame));
    frame->rest = (uint32_t)virtq_read(&reader, &buffer, 0, head + tag, OFFLOAD_HEAD);
    if (tagged) {
        memmove(head, head + TAG, ADDRESSES_SIZE);
        frame_put16(head + ADDRESSES_SIZE, e1000_get(card, E1000_VET));
        frame_put16(head + ADDRESSES_SIZE + 2, packet->last.upper >> 16);
    }
    frame->size = (uint32_t)buffer.read_size + tag;
    frame->head_size = frame->rest + tag;
    frame->head = head;
    frame->queue = &reader;
    frame->buffer = &buffer;
    return tag;
}

static void count_frame(struct e1000_card *card, const struct frame *frame) {
    static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    uint32_t size = frame->size + E1000_CRC;

    if (frame->offload.gso_type != FRAME_GSO_NONE)
        e1000_count(card, E1000_TSCTC, 1);
    if (memcmp(frame->head, everybody, 6) == 0)
        e1000_count(card, E1000_BPTC, 1);
    else if (frame->head[0] & 1)
        e1000_count(card, E1000_MPTC, 1);
    e1000_count(card, E1000_GPTC, 1);
    e1000_count(card, E1000_TPT, 1);
    e1000_count_bytes(card, E1000_GOTC, size);
    e1000_count_bytes(card, E1000_TOT, size);
}

/* Sends what was gathered. How much work it was. */
static unsigned send(struct e1000_card *card, const struct packet *packet) {
    uint8_t head[HEAD];
    struct frame frame;

    if (!packet->good || buffer.read_size < FRAME_HEADER) {
        card->port.counters.drops[SWITCH_DROP_SIZE]++;
        return 1;
    }
    uint32_t shift = make_frame(card, packet, &frame, head);
    if (!apply_options(card, packet, &frame, head, shift)) {
        card->port.counters.drops[SWITCH_DROP_OFFLOAD]++;
        return 1;
    }
    count_frame(card, &frame);
    return switch_send(&card->port, &frame);
}

/* ---- the ring */

/* One packet, or one context descriptor. How much work it was; 0: there was none. */
static unsigned step(struct e1000_card *card, uint32_t *causes) {
    struct e1000_ring ring;
    struct packet packet;
    unsigned work = 0;

    if (!(e1000_get(card, E1000_TCTL) & E1000_TCTL_EN) || !e1000_ring_of(card, E1000_TDBAL, &ring) ||
        !gather(card, &ring, &packet))
        return 0;
    if (kind_of(&packet.first) == KIND_CONTEXT) {
        if (!card->record->skipping)
            take_context(card, &packet.first);
    } else if (!packet.whole) {
        card->record->skipping = 1;
        e1000_complain(card, "a packet to send has too many descriptors");
        card->port.counters.drops[SWITCH_DROP_SIZE]++;
    } else if (card->record->skipping) {
        card->record->skipping = 0;
    } else {
        work = send(card, &packet);
    }
    *causes |= finish(card, &ring, packet.count);
    return work + 1 + packet.count / LOOKED_AT;
}

bool e1000_card_run(struct e1000_card *card) {
    uint32_t causes = 0;
    int budget = BUDGET;
    unsigned work = 1;

    reader.memory = card->memory;
    while (budget > 0 && (work = step(card, &causes)) != 0)
        budget -= (int)work;
    switch_flush(card->port.network);
    if (causes)
        e1000_interrupt(card, causes);
    return work != 0;
}
