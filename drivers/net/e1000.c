// SPDX-License-Identifier: Apache-2.0
// Physical network cards Intel 82540EM and 82574L behind struct nic: rings of descriptors, interrupts, link,
// and cards that hang or are gone. Nothing that the card writes is believed unchecked, or read twice.
#include "drivers/net/e1000_internal.h"

#include <errno.h>
#include <string.h>
#include "virtio/offload.h"

#define HANG_LIMIT 5000000000ull /* ns with frames to send and none sent */
#define MIN_SEND   60u           /* the card's own padding spoils very short frames on PCI: done here */

/* A descriptor's word as the card sees it, and back. */
static inline uint32_t little(uint32_t value) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return __builtin_bswap32(value);
#else
    return value;
#endif
}

static inline uint32_t load(const uint32_t *word) {
    return little(__atomic_load_n(word, __ATOMIC_ACQUIRE));
}

static inline void store(uint32_t *word, uint32_t value) {
    __atomic_store_n(word, little(value), __ATOMIC_RELAXED);
}

/* What was written to a ring is there before the register that tells of it; what a register told of is read
 * after it. */
static inline void fence(void) {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static uint64_t now(const struct e1000 *e1000) {
    return e1000->nic.pci->host->now();
}

static void fail(struct e1000 *e1000, const char *why) {
    e1000->nic.failed = true;
    e1000->nic.why = why;
    e1000->nic.changed(&e1000->nic);
}

static bool works(const struct e1000 *e1000) {
    return e1000->running && !e1000->nic.failed;
}

static bool e1000_matches(const struct pci_device *pci) {
    return e1000_model_of(pci) != NULL;
}

static int e1000_probe(struct nic *nic) {
    struct e1000 *e1000 = e1000_of(nic);

    e1000->model = e1000_model_of(nic->pci);
    if (!e1000->model) {
        nic->why = "it is no card of this driver";
        return -ENOTSUP;
    }
    e1000->registers = (volatile uint8_t *)pci_map(nic->pci, 0, 0, E1000_REGISTERS);
    if (!e1000->registers) {
        nic->why = "its registers cannot be reached";
        return -EIO;
    }
    int error = e1000_reset(e1000);
    if (error)
        return error;
    nic->mtu = E1000_MTU;
    nic->offloads = OFFLOAD_CSUM;
    return e1000_read_mac(e1000);
}

/* ---- rings */

static bool get_memory(const struct e1000 *e1000, struct e1000_ring *ring) {
    const struct pci_host *host = e1000->nic.pci->host;

    if (!ring->descriptor)
        ring->descriptor = host->dma(E1000_RING * sizeof(*ring->descriptor), &ring->descriptor_dma);
    if (!ring->buffer)
        ring->buffer = host->dma((size_t)E1000_RING * E1000_BUFFER, &ring->buffer_dma);
    return ring->descriptor && ring->buffer;
}

static uint8_t *buffer_of(const struct e1000_ring *ring, uint32_t index) {
    return ring->buffer + (size_t)index * E1000_BUFFER;
}

static void fill(const struct e1000_ring *ring, uint32_t index, uint32_t length) {
    struct e1000_descriptor *descriptor = &ring->descriptor[index];
    uint64_t address = ring->buffer_dma + (uint64_t)index * E1000_BUFFER;

    store(&descriptor->address_low, (uint32_t)address);
    store(&descriptor->address_high, (uint32_t)(address >> 32));
    store(&descriptor->length, length);
    store(&descriptor->status, 0);
}

static void clear_rings(struct e1000 *e1000) {
    for (uint32_t i = 0; i < E1000_RING; i++)
        fill(&e1000->receive, i, 0);
    memset(e1000->send.descriptor, 0, E1000_RING * sizeof(*e1000->send.descriptor));
    e1000->received = 0;
    e1000->in_pieces = false;
    e1000->filled = e1000->told = e1000->oldest = 0;
    e1000->context = 0;
    e1000->progress = now(e1000);
    fence();
}

static uint32_t after(uint32_t index, uint32_t count) {
    return (index + count) % E1000_RING;
}

static uint32_t room(const struct e1000 *e1000) {
    return (e1000->oldest + E1000_RING - 1 - e1000->filled) % E1000_RING;
}

/* Takes back what the card has sent: frames whose last descriptor is done. */
static void reclaim(struct e1000 *e1000) {
    uint32_t before = e1000->oldest;

    while (e1000->oldest != e1000->told) {
        uint32_t parts = e1000->parts[e1000->oldest], last = after(e1000->oldest, parts - 1);
        if (!(load(&e1000->send.descriptor[last].status) & DESCRIPTOR_DD))
            break;
        e1000->oldest = after(last, 1);
        e1000->nic.counters.sent++;
    }
    if (e1000->oldest != before || e1000->oldest == e1000->told)
        e1000->progress = now(e1000);
}

/* ---- link and loss */

static void look_at_link(struct e1000 *e1000) {
    uint32_t status = e1000_read(e1000, E1000_STATUS);
    bool up = (status & STATUS_LU) != 0;

    if (status == E1000_GONE) {
        fail(e1000, "the card is gone");
        return;
    }
    if (up == e1000->nic.link)
        return;
    e1000->nic.link = up;
    e1000->progress = now(e1000); /* nothing was sent without a link */
    e1000->nic.changed(&e1000->nic);
}

static void allow_interrupts(const struct e1000 *e1000) {
    if (e1000->nic.pci->vectors == 0)
        return;
    uint32_t causes = INTERRUPT_LSC | INTERRUPT_RXDMT0 | INTERRUPT_RXO | INTERRUPT_RXT0;
    e1000_write(e1000, E1000_IMS, causes | (e1000->model->express ? INTERRUPT_RXQ0 | INTERRUPT_OTHER : 0));
    pci_unmask(e1000->nic.pci);
}

/* ---- start and stop */

static void e1000_stop(struct nic *nic) {
    struct e1000 *e1000 = e1000_of(nic);

    e1000->running = false;
    nic->link = false;
    if (e1000->registers) { /* probe() came that far */
        if (e1000->model->express) {
            uint32_t extended = e1000_read(e1000, E1000_CTRL_EXT);
            e1000_write(e1000, E1000_CTRL_EXT, extended & ~CTRL_EXT_DRV_LOAD);
        }
        (void)e1000_reset(e1000);
    }
    (void)pci_set_master(nic->pci, false); /* ends DMA if the reset did not */
    if (nic->pci->vectors > 0)
        pci_unmask(nic->pci); /* others may be on the line */
}

static int e1000_start(struct nic *nic) {
    struct e1000 *e1000 = e1000_of(nic);

    nic->counters.starts++;
    nic->link = false;
    e1000->running = false;
    int error = e1000_reset(e1000);
    if (error)
        return error;
    if (!get_memory(e1000, &e1000->receive) || !get_memory(e1000, &e1000->send)) {
        nic->why = "there is no memory for its rings";
        return -ENOMEM;
    }
    clear_rings(e1000);
    error = pci_set_vectors(nic->pci, 1);
    if (error >= 0)
        error = pci_set_master(nic->pci, true);
    if (error < 0) {
        nic->why = "it gets no interrupts or no DMA";
        return error;
    }
    e1000_set_up(e1000);
    uint32_t status = e1000_read(e1000, E1000_STATUS);
    if (status == E1000_GONE) {
        e1000_stop(nic);
        nic->why = "the card is gone";
        return -EIO;
    }
    nic->failed = false;
    nic->why = NULL;
    nic->link = (status & STATUS_LU) != 0;
    e1000->running = true;
    allow_interrupts(e1000);
    return 0;
}

/* ---- sending */

/* Whether the card can do what is left to be done to a frame, and where it then puts the checksum: TUCSS and
 * TUCSO << 8, 8 bits each; 0: there is none to do. */
static bool find_context(const struct frame *frame, uint32_t *context) {
    uint32_t start = frame->offload.csum_start, place = start + frame->offload.csum_offset;

    *context = 0;
    if (frame->offload.gso_type != FRAME_GSO_NONE)
        return false;
    if (!(frame->offload.flags & FRAME_NEEDS_CSUM))
        return true;
    *context = start | place << 8;
    return start >= FRAME_HEADER && place <= 0xff && place + 2 <= frame->size;
}

/* The checksum of a short frame, done here: QEMU 7.2's e1000e counts what pads it to its length, and by that
 * to the checksum. */
static void checksum(uint8_t *data, uint32_t size, uint32_t context) {
    uint32_t sum = 0, start = context & 0xff, place = context >> 8;

    for (uint32_t i = start; i < size; i++)
        sum += (i - start) % 2 ? data[i] : (uint32_t)data[i] << 8;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = ~(sum + (sum >> 16)) & 0xffff;
    frame_put16(data + place, sum ? sum : 0xffff); /* 0 would be "none" to UDP */
}

/* A context descriptor: it is about checksums from TUCSS to the frame's end (TUCSE is 0). */
static void fill_context(struct e1000 *e1000, uint32_t index, uint32_t context, bool tcp) {
    struct e1000_descriptor *descriptor = &e1000->send.descriptor[index];

    store(&descriptor->address_low, 0);
    store(&descriptor->address_high, context);
    store(&descriptor->length, SEND_CONTEXT | (tcp ? SEND_CONTEXT_TCP : 0));
    store(&descriptor->status, 0);
    e1000->context = context;
}

static int e1000_send(struct nic *nic, const struct frame *frame) {
    struct e1000 *e1000 = e1000_of(nic);
    uint32_t size = frame->size, context;

    if (!works(e1000) || !nic->link)
        return -ENETDOWN;
    if (size < FRAME_HEADER || size > E1000_MAX_FRAME || !find_context(frame, &context))
        return -EMSGSIZE;
    bool is_short = size < MIN_SEND;
    uint32_t parts = context != 0 && context != e1000->context && !is_short ? 2 : 1;
    if (room(e1000) < parts)
        reclaim(e1000);
    if (room(e1000) < parts) {
        nic->counters.full++;
        return -ENOBUFS;
    }
    uint32_t index = after(e1000->filled, parts - 1);
    uint8_t *buffer = buffer_of(&e1000->send, index);
    if (frame_read(frame, 0, buffer, size) != size)
        return -EMSGSIZE;
    if (is_short) {
        if (context)
            checksum(buffer, size, context);
        context = 0;
        memset(buffer + size, 0, MIN_SEND - size);
        size = MIN_SEND;
    }
    if (e1000->filled == e1000->oldest)
        e1000->progress = now(e1000);
    if (parts == 2)
        fill_context(e1000, e1000->filled, context, frame->offload.csum_offset == 16);
    fill(&e1000->send, index, size | SEND_COMMAND | (context ? SEND_DATA : 0));
    if (context)
        store(&e1000->send.descriptor[index].status, SEND_TXSM);
    e1000->parts[e1000->filled] = (uint8_t)parts;
    e1000->filled = after(index, 1);
    return 0;
}

static void e1000_flush(struct nic *nic) {
    struct e1000 *e1000 = e1000_of(nic);

    if (!works(e1000) || e1000->told == e1000->filled)
        return;
    fence();
    e1000->told = e1000->filled;
    e1000_write(e1000, E1000_TDT, e1000->told);
}

/* ---- receiving */

/* What the descriptor `index` says of its buffer, read once. */
static void take(struct e1000 *e1000, uint32_t index, uint32_t status, uint32_t length) {
    struct nic *nic = &e1000->nic;
    bool ends = (status & RECEIVE_EOP) != 0, continues = e1000->in_pieces;

    e1000->in_pieces = !ends;
    if (continues)
        return; /* counted with its first piece */
    if (!ends || (status & RECEIVE_ERRORS) || length < FRAME_HEADER || length > E1000_MAX_FRAME) {
        nic->counters.dropped++;
        return;
    }
    struct frame frame;
    memcpy(e1000->frame, buffer_of(&e1000->receive, index), length);
    frame_from_memory(&frame, e1000->frame, length);
    nic->counters.received++;
    nic->received(nic, &frame);
}

/* True: there may be more. */
static bool receive(struct e1000 *e1000) {
    unsigned count = 0;

    while (count < NIC_BUDGET) {
        uint32_t index = e1000->received;
        struct e1000_descriptor *descriptor = &e1000->receive.descriptor[index];
        uint32_t status = load(&descriptor->status);
        if (!(status & DESCRIPTOR_DD))
            break;
        uint32_t length = load(&descriptor->length) & 0xffff;
        fill(&e1000->receive, index, 0);
        e1000->received = after(index, 1);
        count++;
        take(e1000, index, status, length);
        if (!works(e1000))
            return false;
    }
    if (count > 0) {
        fence();
        e1000_write(e1000, E1000_RDT, (e1000->received + E1000_RING - 1) % E1000_RING);
    }
    return count == NIC_BUDGET;
}

static bool e1000_poll(struct nic *nic, uint32_t vectors) {
    struct e1000 *e1000 = e1000_of(nic);

    if (!works(e1000))
        return false;
    if (vectors)
        nic->counters.interrupts++;
    /* With all masked, reading clears the causes, on an 82574 with MSI-X, too; what comes
     * from here on stays until allow_interrupts(). */
    e1000_write(e1000, E1000_IMC, 0xffffffff);
    uint32_t causes = e1000_read(e1000, E1000_ICR);
    fence();
    if (causes)
        pci_mine(nic->pci);
    if (causes & INTERRUPT_LSC) /* all bits are set of a card that is gone: that is seen there, too */
        look_at_link(e1000);
    if (!works(e1000))
        return false;
    reclaim(e1000);
    if (receive(e1000))
        return true;
    if (works(e1000))
        allow_interrupts(e1000);
    return false;
}

static void e1000_tick(struct nic *nic) {
    struct e1000 *e1000 = e1000_of(nic);

    if (!works(e1000))
        return;
    look_at_link(e1000);
    if (!works(e1000))
        return;
    e1000_flush(nic);
    reclaim(e1000);
    if (nic->link && now(e1000) - e1000->progress > HANG_LIMIT)
        fail(e1000, "the card does not send any more");
}

const struct nic_class e1000_nic = {
    .name = "e1000",
    .matches = e1000_matches,
    .size = sizeof(struct e1000),
    .probe = e1000_probe,
    .start = e1000_start,
    .stop = e1000_stop,
    .send = e1000_send,
    .flush = e1000_flush,
    .poll = e1000_poll,
    .tick = e1000_tick,
};
