// SPDX-License-Identifier: Apache-2.0
// Frames for the driver of the emulated 82540EM: which it wants, and into which descriptors they go (3.2).
#include <errno.h>
#include <string.h>
#include "virtio/bytes.h"
#include "virtio/e1000_card_internal.h"
#include "virtio/queue_internal.h"

#define LEAST         60u    /* bytes of a frame on a wire, without CRC: shorter ones are filled up */
#define USUAL         1522u  /* with CRC and a tag: longer ones only if the driver says so */
#define LONGEST       16384u /* with CRC */
#define TAG           4u

#define ADDRESS_VALID 0x80000000u

/* A receive descriptor (3.2.3): address, and from byte 8 on length, checksum, status, errors, tag. */
#define LENGTH        8
#define CHECKSUM      10
#define STATUS        12
#define ERRORS        13
#define SPECIAL       14
#define STATUS_EOP    0x02u
#define STATUS_IXSM   0x04u /* no checksum was looked at */
#define STATUS_VP     0x08u /* a tag was taken off */
#define ERROR_DATA    0x80u

/* A descriptor's memory, in use only within receive(). */
static struct virtq_buffer target;

static struct e1000_card *card_of(struct switch_port *port) {
    return (struct e1000_card *)(void *)((char *)port - offsetof(struct e1000_card, port));
}

/* ---- filters (3.2.1) */

static bool is_exact(const struct e1000_record *record, const uint8_t *to) {
    for (unsigned i = 0; i < E1000_ADDRESSES; i++) {
        uint32_t low = record->addresses[2 * i], high = record->addresses[2 * i + 1];
        if ((high & ADDRESS_VALID) && low == bytes_get32(to) && (high & 0xffff) == bytes_get16(to + 4))
            return true;
    }
    return false;
}

static bool is_hashed(const struct e1000_record *record, const uint8_t *to, uint32_t control) {
    static const uint8_t shift[4] = {4, 3, 2, 0};
    unsigned hash = bytes_get16(to + 4) >> shift[control >> E1000_RCTL_MO & 3] & 0xfff;

    return record->multicast[hash / 32] >> hash % 32 & 1;
}

static bool is_tagged(const struct e1000_card *card, const struct frame *frame) {
    return frame->size >= FRAME_HEADER + TAG && frame->head_size >= FRAME_HEADER + TAG &&
           frame_get16(frame->head + 12) == e1000_get(card, E1000_VET);
}

static bool is_of_vlan(const struct e1000_card *card, const struct frame *frame) {
    unsigned vlan = frame_get16(frame->head + FRAME_HEADER) & 0xfff;

    return card->record->vlans[vlan / 32] >> vlan % 32 & 1;
}

static bool wants(struct switch_port *port, const struct frame *frame) {
    static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    const struct e1000_card *card = card_of(port);
    uint32_t control = e1000_get(card, E1000_RCTL);
    const uint8_t *to = frame->head;

    if ((control & E1000_RCTL_VFE) && is_tagged(card, frame) && !is_of_vlan(card, frame))
        return false;
    if (memcmp(to, everybody, 6) == 0 && (control & E1000_RCTL_BAM))
        return true;
    if (to[0] & 1)
        return (control & E1000_RCTL_MPE) || is_exact(card->record, to) ||
               is_hashed(card->record, to, control);
    return (control & E1000_RCTL_UPE) || is_exact(card->record, to);
}

/* ---- descriptors */

static uint32_t buffer_size(uint32_t control) {
    uint32_t size = 2048u >> (control >> E1000_RCTL_BSIZE & 3);

    return control & E1000_RCTL_BSEX && size < 2048 ? size * 16 : size;
}

static uint32_t is_free(const struct e1000_ring *ring) {
    return ring->tail >= ring->head ? ring->tail - ring->head : ring->tail + ring->count - ring->head;
}

/* Bytes [from, from + size) of what the driver gets: the frame, without the tag of `cut` bytes behind its
 * addresses, and zeros behind it up to the shortest length and for the CRC, which nobody looks at here. What
 * does not lie in RAM is lost, as any write to where nothing is. */
static void fill(struct virtq *queue, const struct frame *frame, uint32_t cut, uint32_t from, uint32_t size) {
    static const uint8_t zeros[LEAST + E1000_CRC];
    uint32_t length = frame->size - cut, done = 0;

    if (cut && from < 12)
        done = frame_write(frame, from, size < 12 - from ? size : 12 - from, queue, &target, 0);
    if (done < size && from + done < length) {
        uint32_t left = length - from - done, part = size - done < left ? size - done : left;
        done += frame_write(frame, from + done + cut, part, queue, &target, done);
    }
    if (done < size && from + done >= length)
        virtq_write(queue, &target, done, zeros, size - done);
}

/* The status is what the driver looks at: it comes last. */
static void write_back(struct e1000_card *card, uint8_t *at, uint64_t gpa, uint32_t size, uint8_t status,
                       uint8_t errors, uint16_t tag) {
    bytes_put16(at + LENGTH, (uint16_t)size);
    bytes_put16(at + CHECKSUM, 0);
    at[ERRORS] = errors;
    bytes_put16(at + SPECIAL, tag);
    __atomic_store_n(&at[STATUS], status, __ATOMIC_RELEASE);
    card->memory->dirty(card->memory, gpa + LENGTH, E1000_DESCRIPTOR_SIZE - LENGTH);
}

static void count_frame(struct e1000_card *card, const uint8_t *to, uint32_t size) {
    static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    if (memcmp(to, everybody, 6) == 0)
        e1000_count(card, E1000_BPRC, 1);
    else if (to[0] & 1)
        e1000_count(card, E1000_MPRC, 1);
    e1000_count(card, E1000_GPRC, 1);
    e1000_count(card, E1000_TPR, 1);
    e1000_count_bytes(card, E1000_GORC, size);
    e1000_count_bytes(card, E1000_TOR, size);
}

/* Puts `total` bytes into the next descriptors, which are there. 0, or -ENXIO: the ring is not in RAM. */
static int put(struct e1000_card *card, struct e1000_ring *ring, const struct frame *frame, uint32_t cut,
               uint32_t total) {
    static struct virtq writer; /* no more than the memory that it writes to */
    uint32_t room = buffer_size(e1000_get(card, E1000_RCTL)), done = 0;
    uint16_t tag = cut ? frame_get16(frame->head + FRAME_HEADER) : 0;

    writer.memory = card->memory;
    e1000_note(card, E1000_ICR_RXT0);
    card->record->handing_received = e1000_hand(ring, (total + room - 1) / room);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    while (done < total) {
        uint32_t part = total - done < room ? total - done : room;
        uint64_t gpa;
        uint8_t *at = e1000_descriptor(card, ring, ring->head, &gpa), descriptor[8];
        if (!at) {
            e1000_complain(card, "the ring of receive descriptors is not in RAM");
            card->record->handing_received = 0;
            return -ENXIO;
        }
        memcpy(descriptor, at, sizeof(descriptor));
        target.readable = target.writable = 0;
        target.read_size = target.write_size = 0;
        (void)virtq_add(&writer, &target, bytes_get64(descriptor), part, true);
        fill(&writer, frame, cut, done, part);
        done += part;
        uint8_t status = E1000_DD | STATUS_IXSM;
        if (done == total)
            status |= STATUS_EOP | (cut ? STATUS_VP : 0);
        write_back(card, at, gpa, part, status, 0, tag);
        ring->head = ring->head + 1 < ring->count ? ring->head + 1 : 0;
    }
    e1000_set(card, E1000_RDH, ring->head);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    card->record->handing_received = 0;
    return 0;
}

/* Those that the driver has not got are a damaged frame. It may have taken the others back already: these it
 * writes anew before it gives them to us. */
void e1000_receive_resume(struct e1000_card *card) {
    struct e1000_ring ring;

    if (e1000_ring_of(card, E1000_RDBAL, &ring)) {
        uint32_t count = e1000_handing(&ring, card->record->handing_received);
        for (; count > 0; count--) {
            uint64_t gpa;
            uint8_t *at = e1000_descriptor(card, &ring, ring.head, &gpa);
            if (at && !(at[STATUS] & E1000_DD))
                write_back(card, at, gpa, LEAST, E1000_DD | STATUS_IXSM | STATUS_EOP, ERROR_DATA, 0);
            ring.head = ring.head + 1 < ring.count ? ring.head + 1 : 0;
        }
        e1000_set(card, E1000_RDH, ring.head);
    }
    card->record->handing_received = 0;
}

static int receive(struct switch_port *port, const struct frame *frame) {
    struct e1000_card *card = card_of(port);
    uint32_t control = e1000_get(card, E1000_RCTL), cut = 0;
    struct e1000_ring ring;

    if (!(control & E1000_RCTL_EN) || !e1000_ring_of(card, E1000_RDBAL, &ring))
        return -ENXIO;
    if ((e1000_get(card, E1000_CTRL) & E1000_CTRL_VME) && is_tagged(card, frame))
        cut = TAG;
    uint32_t length = frame->size - cut;
    if (frame->size + E1000_CRC > (control & E1000_RCTL_LPE ? LONGEST : USUAL)) {
        e1000_count(card, E1000_ROC, 1);
        return -EMSGSIZE;
    }
    uint32_t total = (length < LEAST ? LEAST : length) + (control & E1000_RCTL_SECRC ? 0 : E1000_CRC);
    uint32_t room = buffer_size(control);
    if ((total + room - 1) / room > is_free(&ring)) {
        e1000_count(card, E1000_MPC, 1);
        e1000_count(card, E1000_RNBC, 1);
        e1000_interrupt(card, E1000_ICR_RXO);
        return -ENOBUFS;
    }
    int error = put(card, &ring, frame, cut, total);
    if (error)
        return error;
    count_frame(card, frame->head, length + E1000_CRC);
    card->received = true;
    return 0;
}

static void flush(struct switch_port *port) {
    struct e1000_card *card = card_of(port);
    uint32_t few = 2u << (e1000_get(card, E1000_RCTL) >> E1000_RCTL_RDMTS & 3), causes = E1000_ICR_RXT0;
    struct e1000_ring ring;

    if (!card->received)
        return;
    card->received = false;
    if (e1000_ring_of(card, E1000_RDBAL, &ring) && is_free(&ring) <= ring.count / few)
        causes |= E1000_ICR_RXDMT0;
    e1000_interrupt(card, causes);
}

const struct switch_port_class e1000_port_class = {.receive = receive, .wants = wants, .flush = flush};
