// SPDX-License-Identifier: Apache-2.0
// Driver for virtio network cards (virtio 1.2, 5.1): one pair of queues, frames copied into and out of
// buffers of its own. Checksums and TCP segmentation are left to cards that do them; what a card has joined
// is handed on as one frame.
#include <errno.h>
#include <string.h>
#include "drivers/net/nic.h"
#include "drivers/pci/virtio_pci.h"
#include "virtio/bytes.h"
#include "virtio/device.h"
#include "virtio/net_internal.h"
#include "virtio/offload.h"

#define QUEUE_RECEIVE  0u
#define QUEUE_SEND     1u
#define VECTORS        2u /* one for changes of configuration, one for the queues */

#define CONFIG_MAC     0u /* 5.1.4 */
#define CONFIG_STATUS  6u
#define CONFIG_MTU     10u
#define STATUS_LINK_UP 1u

#define MTU_USUAL      1500u
#define MTU_LEAST      68u
#define MTU_MOST       9000u /* what we have buffers for */
#define TAGS           (4u * FRAME_MAX_TAGS)

#define BUFFERS        VRING_MAX_SIZE
#define PIECE          2048u /* bytes of a send buffer; a frame takes as many as it needs */
#define TSO_PIECES     ((NET_HEADER + FRAME_MAX_SIZE + PIECE - 1) / PIECE)
#define SEND_TIME      (5 * 1000000000ull) /* ns within which one of the frames on their way is sent */

#define WANTED                                                                                               \
    (VIRTIO_VERSION_1 | VIRTIO_RING_EVENT | VPCI_F_ACCESS_PLATFORM | VPCI_F_ORDER_PLATFORM | NET_F_CSUM |    \
     NET_F_GUEST_CSUM | NET_F_MTU | NET_F_MAC | NET_F_STATUS | NET_F_HOST_TSO4 | NET_F_HOST_TSO6 |           \
     NET_F_HOST_ECN | NET_F_MRG_RXBUF | GUEST_TSO)
#define GUEST_TSO (NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6 | NET_F_GUEST_ECN)
#define TSO       (NET_F_HOST_TSO4 | NET_F_HOST_TSO6 | NET_F_HOST_ECN)

struct virtio_net_driver {
    struct nic nic;
    struct vpci device;
    struct vring receive, send;
    bool running;    /* start() has succeeded, stop() was not called */
    uint64_t wanted; /* features, once probe() has looked at what the card says */
    /* Receive buffers: descriptor n is for the n-th one. */
    uint8_t *receive_memory;
    uint64_t receive_dma;
    uint32_t receive_size; /* bytes of each */
    /* Send buffers of PIECE bytes: descriptor n is for the n-th one. */
    uint8_t *send_memory;
    uint64_t send_dma;
    uint16_t free[BUFFERS], free_count;
    uint16_t next[BUFFERS]; /* of a frame's descriptors, VRING_NO_NEXT after the last one */
    uint64_t moved;         /* when something was last sent, or the ring was empty, or the link came */
};

static struct virtio_net_driver *driver_of(struct nic *nic) {
    return (struct virtio_net_driver *)nic;
}

static bool has(const struct virtio_net_driver *driver, uint64_t feature) {
    return driver->device.features & feature;
}

static bool matches(const struct pci_device *pci) {
    return vpci_matches(pci, VIRTIO_ID_NET);
}

static int error_of(struct virtio_net_driver *driver, int error) {
    driver->nic.why = driver->device.why;
    return error;
}

/* ---- what happens to it */

static void changed(struct nic *nic) {
    if (nic->changed)
        nic->changed(nic);
}

/* The owner may call stop() from within this: nothing is done afterwards. */
static void fail(struct virtio_net_driver *driver, const char *why) {
    struct nic *nic = &driver->nic;

    if (nic->failed)
        return;
    nic->why = why;
    nic->failed = true;
    nic->link = false;
    changed(nic);
}

static bool working(const struct virtio_net_driver *driver) {
    return driver->running && !driver->nic.failed;
}

static bool read_link(struct virtio_net_driver *driver) {
    return !has(driver, NET_F_STATUS) || (vpci_config(&driver->device, CONFIG_STATUS, 2) & STATUS_LINK_UP);
}

/* Looks at the card's state and link. */
static void look(struct virtio_net_driver *driver) {
    switch (vpci_state(&driver->device)) {
    case VPCI_GONE:
        fail(driver, "it is gone");
        return;
    case VPCI_NEEDS_RESET:
        fail(driver, "it says that it needs a reset");
        return;
    case VPCI_SOUND:
        break;
    }
    bool link = read_link(driver);
    if (link != driver->nic.link) {
        driver->nic.link = link;
        driver->moved = driver->nic.pci->host->now();
        changed(&driver->nic);
    }
}

/* ---- start and stop */

/* A card that has no address gets a locally administered one (5.1.5). */
static void make_mac(struct nic *nic) {
    const struct service_pci *info = nic->pci->info;
    uint64_t place = (uint64_t)info->segment << 16 | (uint64_t)info->bus << 8 | info->devfn;
    uint64_t number = (nic->pci->host->now() ^ place << 40) * 0x9e3779b97f4a7c15ull;

    number ^= number >> 29;
    for (unsigned i = 0; i < 6; i++)
        nic->mac[i] = (uint8_t)(number >> 8 * i);
    nic->mac[0] = (uint8_t)((nic->mac[0] & ~1u) | 2u);
}

/* Reset, and an agreement on features. */
static int begin(struct virtio_net_driver *driver) {
    int error = vpci_reset(&driver->device);

    if (!error)
        error = vpci_negotiate(&driver->device, driver->wanted, driver->wanted | VIRTIO_VERSION_1);
    return error ? error_of(driver, error) : 0;
}

/* What of the features the card offers goes together and makes sense (5.1.3.1, 5.1.4.2). Configuration that
 * belongs to an offered feature may be read before one is chosen (2.5.1). */
static uint64_t choose(struct virtio_net_driver *driver) {
    struct vpci *device = &driver->device;
    uint64_t wanted = WANTED & vpci_offered(device);

    if (vpci_config(device, CONFIG_MTU, 2) < MTU_LEAST)
        wanted &= ~NET_F_MTU;
    if (!(wanted & NET_F_CSUM) || vpci_queue_size(device, QUEUE_SEND) < TSO_PIECES)
        wanted &= ~TSO;
    if (!(wanted & (NET_F_HOST_TSO4 | NET_F_HOST_TSO6)))
        wanted &= ~NET_F_HOST_ECN;
    /* A large frame takes several of our buffers. */
    if (!(wanted & NET_F_GUEST_CSUM) || !(wanted & NET_F_MRG_RXBUF) ||
        vpci_queue_size(device, QUEUE_RECEIVE) < TSO_PIECES)
        wanted &= ~GUEST_TSO;
    if (!(wanted & (NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6)))
        wanted &= ~(NET_F_GUEST_ECN | NET_F_MRG_RXBUF);
    return wanted;
}

static int probe(struct nic *nic) {
    struct virtio_net_driver *driver = driver_of(nic);
    int error = vpci_init(&driver->device, nic->pci);

    if (!error)
        error = vpci_reset(&driver->device);
    if (error)
        return error_of(driver, error);
    driver->wanted = choose(driver);
    error = begin(driver);
    if (error)
        return error;
    for (unsigned i = 0; i < 6; i++)
        nic->mac[i] = (uint8_t)vpci_config(&driver->device, CONFIG_MAC + i, 1);
    if (!has(driver, NET_F_MAC) || (nic->mac[0] & 1))
        make_mac(nic);
    uint64_t mtu = has(driver, NET_F_MTU) ? vpci_config(&driver->device, CONFIG_MTU, 2) : MTU_USUAL;
    nic->mtu = (uint16_t)(mtu < MTU_MOST ? mtu : MTU_MOST);
    nic->offloads =
        (has(driver, NET_F_CSUM) ? OFFLOAD_CSUM : 0) | (has(driver, NET_F_HOST_TSO4) ? OFFLOAD_TSO4 : 0) |
        (has(driver, NET_F_HOST_TSO6) ? OFFLOAD_TSO6 : 0) | (has(driver, NET_F_HOST_ECN) ? OFFLOAD_ECN : 0);
    /* It does nothing until start(). */
    error = vpci_reset(&driver->device);
    return error ? error_of(driver, error) : 0;
}

/* Buffers and rings; they stay over later starts. */
static int allocate(struct virtio_net_driver *driver) {
    const struct pci_host *host = driver->nic.pci->host;
    uint32_t largest = NET_HEADER + FRAME_HEADER + TAGS + driver->nic.mtu;

    if (!driver->receive_memory) {
        driver->receive_size = (largest + PIECE - 1) / PIECE * PIECE;
        driver->receive_memory = host->dma((size_t)driver->receive_size * BUFFERS, &driver->receive_dma);
    }
    if (!driver->send_memory)
        driver->send_memory = host->dma((size_t)PIECE * BUFFERS, &driver->send_dma);
    if (!driver->receive_memory || !driver->send_memory || vring_init(&driver->receive, host) ||
        vring_init(&driver->send, host)) {
        driver->nic.why = "there is no memory for its buffers";
        return -ENOMEM;
    }
    return 0;
}

static void give(struct virtio_net_driver *driver, unsigned index) {
    vring_describe(&driver->receive, index, driver->receive_dma + (uint64_t)index * driver->receive_size,
                   driver->receive_size, true, VRING_NO_NEXT);
    vring_offer(&driver->receive, index, driver->receive_size);
}

/* From the reset to DRIVER_OK. */
static int bring_up(struct virtio_net_driver *driver) {
    struct vpci *device = &driver->device;
    int error = begin(driver);

    if (error)
        return error;
    error = vpci_set_vectors(device, VECTORS);
    if (!error)
        error = vpci_enable_queue(device, QUEUE_RECEIVE, &driver->receive, BUFFERS);
    if (!error)
        error = vpci_enable_queue(device, QUEUE_SEND, &driver->send, BUFFERS);
    if (error)
        return error_of(driver, error);
    error = pci_set_master(driver->nic.pci, true);
    if (error) {
        driver->nic.why = "it may not do DMA";
        return error;
    }
    vpci_start(device);
    return 0;
}

static int start(struct nic *nic) {
    struct virtio_net_driver *driver = driver_of(nic);
    int error = allocate(driver);

    nic->counters.starts++;
    nic->failed = nic->link = driver->running = false;
    if (error)
        return error;
    error = bring_up(driver);
    if (error) {
        vpci_stop(&driver->device);
        return error;
    }
    for (unsigned i = 0; i < driver->receive.size; i++)
        give(driver, i);
    driver->free_count = driver->send.size;
    for (unsigned i = 0; i < driver->free_count; i++)
        driver->free[i] = (uint16_t)i;
    driver->moved = nic->pci->host->now();
    driver->running = true;
    if (nic->pci->vectors)
        vring_listen(&driver->receive, true);
    vpci_kick(QUEUE_RECEIVE, &driver->receive);
    nic->link = read_link(driver);
    return 0;
}

static void stop(struct nic *nic) {
    struct virtio_net_driver *driver = driver_of(nic);

    driver->running = false;
    nic->link = false;
    vpci_stop(&driver->device);
}

/* ---- sending */

/* Frees the buffers of what was sent. The card is never asked for an interrupt for these. */
static void reclaim(struct virtio_net_driver *driver) {
    struct vring *ring = &driver->send;
    unsigned head;
    uint32_t written;
    uint16_t before = ring->flights;
    int result = 0;

    for (unsigned i = 0; i < BUFFERS && (result = vring_take(ring, &head, &written)) > 0; i++) {
        for (unsigned at = head; at != VRING_NO_NEXT; at = driver->next[at])
            driver->free[driver->free_count++] = (uint16_t)at;
    }
    if (ring->flights != before)
        driver->moved = driver->nic.pci->host->now();
    if (result < 0)
        fail(driver, ring->broken);
    else
        vring_listen(ring, false);
}

/* What is left to the card (5.1.6.2), of which nic->offloads tells the sender. */
static void make_header(uint8_t header[NET_HEADER], const struct frame_offload *offload) {
    memset(header, 0, NET_HEADER);
    header[0] = offload->flags;
    header[1] = offload->gso_type;
    bytes_put16(header + 2, offload->header_size);
    bytes_put16(header + 4, offload->gso_size);
    bytes_put16(header + 6, offload->csum_start);
    bytes_put16(header + 8, offload->csum_offset);
}

/* Copies into the send buffers that lie topmost in `free`, from the top down. False: the frame has become
 * shorter meanwhile. */
static bool fill(struct virtio_net_driver *driver, const struct frame *frame, unsigned count) {
    uint32_t done = 0;

    for (unsigned i = 0; i < count; i++) {
        unsigned index = driver->free[driver->free_count - 1 - i];
        unsigned next = i + 1 < count ? driver->free[driver->free_count - 2 - i] : VRING_NO_NEXT;
        uint8_t *at = driver->send_memory + (size_t)index * PIECE;
        uint32_t before = i == 0 ? NET_HEADER : 0;
        uint32_t size = frame->size - done < PIECE - before ? frame->size - done : PIECE - before;
        if (before)
            make_header(at, &frame->offload);
        if (frame_read(frame, done, at + before, size) != size)
            return false;
        vring_describe(&driver->send, index, driver->send_dma + (uint64_t)index * PIECE, before + size, false,
                       next);
        driver->next[index] = (uint16_t)next;
        done += size;
    }
    return true;
}

static int send(struct nic *nic, const struct frame *frame) {
    struct virtio_net_driver *driver = driver_of(nic);

    if (!working(driver) || !nic->link)
        return -ENETDOWN;
    if (frame->size < FRAME_HEADER || frame->size > FRAME_MAX_SIZE ||
        (frame->offload.gso_type == FRAME_GSO_NONE && frame->size > FRAME_HEADER + TAGS + nic->mtu) ||
        !offload_passes(frame, nic->offloads))
        return -EMSGSIZE;
    unsigned count = (NET_HEADER + frame->size + PIECE - 1) / PIECE;
    if (count > driver->send.size)
        return -EMSGSIZE;
    if (count > driver->free_count)
        reclaim(driver);
    if (!working(driver))
        return -ENETDOWN;
    if (count > driver->free_count) {
        nic->counters.full++;
        return -ENOBUFS;
    }
    if (!fill(driver, frame, count))
        return -EMSGSIZE;
    unsigned head = driver->free[driver->free_count - 1];
    driver->free_count = (uint16_t)(driver->free_count - count);
    if (driver->send.flights == 0)
        driver->moved = nic->pci->host->now();
    vring_offer(&driver->send, head, 0);
    nic->counters.sent++;
    return 0;
}

static void flush(struct nic *nic) {
    struct virtio_net_driver *driver = driver_of(nic);

    if (working(driver))
        vpci_kick(QUEUE_SEND, &driver->send);
}

/* ---- receiving */

/* The buffers of one frame, and the same as pieces of it; in use only within receive(). */
static struct {
    unsigned count;
    uint32_t size; /* bytes in all, the header included */
    uint16_t index[BUFFERS];
    uint32_t written[BUFFERS];
} taken;
static struct virtq_buffer pieces;
_Static_assert(BUFFERS <= VIRTQ_MAX_SEGMENTS, "each is a piece");

static const uint8_t *memory_of(const struct virtio_net_driver *driver, unsigned index) {
    return driver->receive_memory + (size_t)index * driver->receive_size;
}

/* Takes another buffer of the frame. As vring_take(). */
static int take_buffer(struct virtio_net_driver *driver) {
    unsigned head;
    uint32_t written;
    int result = vring_take(&driver->receive, &head, &written);

    if (result > 0) {
        taken.index[taken.count] = (uint16_t)head;
        taken.written[taken.count++] = written;
        taken.size += written; /* of at most BUFFERS buffers */
    }
    return result;
}

/* Takes all buffers of the next frame, and reads its header once. How many these are is in it, if frames may
 * have several; the card has used all of them before we see the first (5.1.6.4). */
static int take_frame(struct virtio_net_driver *driver, uint8_t header[NET_HEADER]) {
    struct vring *ring = &driver->receive;
    unsigned count = 1;

    taken.count = taken.size = 0;
    int result = take_buffer(driver);
    if (result <= 0 || taken.written[0] < NET_HEADER)
        return result;
    memcpy(header, memory_of(driver, taken.index[0]), NET_HEADER);
    if (has(driver, NET_F_MRG_RXBUF))
        count = bytes_get16(header + NET_NUM_BUFFERS);
    while (result > 0 && taken.count < count && taken.count < ring->size)
        result = take_buffer(driver);
    if (result >= 0 && taken.count < count) {
        ring->broken = "a frame has more buffers than it used";
        return -EPROTO;
    }
    return result;
}

static bool may_join(const struct virtio_net_driver *driver, uint8_t gso_type) {
    if ((gso_type & FRAME_GSO_ECN) && !has(driver, NET_F_GUEST_ECN))
        return false;
    switch (gso_type & (uint8_t)~FRAME_GSO_ECN) {
    case FRAME_GSO_TCPV4:
        return has(driver, NET_F_GUEST_TSO4);
    case FRAME_GSO_TCPV6:
        return has(driver, NET_F_GUEST_TSO6);
    default:
        return false;
    }
}

/* What the card says of a frame (5.1.6.4). False: it is not what was agreed. Whether it is true of the frame
 * is for the switch to check. */
static bool read_header(const struct virtio_net_driver *driver, const uint8_t header[NET_HEADER],
                        struct frame_offload *offload) {
    if (header[1] != FRAME_GSO_NONE && (!(header[0] & FRAME_NEEDS_CSUM) || !may_join(driver, header[1])))
        return false;
    if (!(header[0] & FRAME_NEEDS_CSUM))
        return true;
    offload->flags = FRAME_NEEDS_CSUM;
    offload->gso_type = header[1];
    offload->gso_size = bytes_get16(header + 4);
    offload->csum_start = bytes_get16(header + 6);
    offload->csum_offset = bytes_get16(header + 8);
    return has(driver, NET_F_GUEST_CSUM);
}

static void describe_pieces(const struct virtio_net_driver *driver) {
    virtq_empty(&pieces);
    for (unsigned i = 0; i < taken.count; i++) {
        if (taken.written[i] == 0)
            continue;
        /* Nobody writes there: it is a part that is read. */
        uint8_t *data = driver->receive_memory + (size_t)taken.index[i] * driver->receive_size;
        pieces.segment[pieces.readable++] = (struct virtq_segment){.data = data, .size = taken.written[i]};
    }
    pieces.read_size = taken.size;
}

/* Hands on what was taken. The card may go on to write to the buffers although it must not: what decisions
 * are made by is read once. False: it is not sound. */
static bool hand_on(struct virtio_net_driver *driver, const uint8_t header[NET_HEADER]) {
    struct nic *nic = &driver->nic;
    uint32_t longest = FRAME_MAX_SIZE;
    uint8_t head[FRAME_HEAD];
    struct frame frame;

    if (taken.size < NET_HEADER + FRAME_HEADER || taken.written[0] < NET_HEADER)
        return false;
    if (has(driver, NET_F_MRG_RXBUF) && bytes_get16(header + NET_NUM_BUFFERS) == 0)
        return false;
    if (header[1] == FRAME_GSO_NONE)
        longest = FRAME_HEADER + TAGS + nic->mtu;
    uint32_t size = taken.size - NET_HEADER;
    if (size > longest)
        return false;
    if (taken.count == 1) {
        frame_from_memory(&frame, memory_of(driver, taken.index[0]) + NET_HEADER, size);
        memcpy(head, frame.head, frame.head_size);
        frame.head = head;
    } else {
        describe_pieces(driver);
        frame_from_buffer(&frame, head, NULL, &pieces, NET_HEADER, size);
    }
    if (!read_header(driver, header, &frame.offload))
        return false;
    nic->counters.received++;
    nic->received(nic, &frame);
    return true;
}

/* Up to NIC_BUDGET frames. True: there may be more. */
static bool receive(struct virtio_net_driver *driver) {
    struct vring *ring = &driver->receive;
    uint8_t header[NET_HEADER] = {0};
    unsigned count;
    int result = 0;

    for (count = 0; count < NIC_BUDGET && (result = take_frame(driver, header)) > 0; count++) {
        if (!hand_on(driver, header))
            driver->nic.counters.dropped++;
        if (!working(driver))
            return false;
        for (unsigned i = 0; i < taken.count; i++)
            give(driver, taken.index[i]);
    }
    if (count)
        vpci_kick(QUEUE_RECEIVE, ring);
    if (result < 0)
        fail(driver, ring->broken);
    return count == NIC_BUDGET;
}

static bool poll(struct nic *nic, uint32_t vectors) {
    struct virtio_net_driver *driver = driver_of(nic);
    struct vring *ring = &driver->receive;

    if (vectors)
        nic->counters.interrupts++;
    if (!working(driver))
        return false;
    if (vpci_acknowledge(&driver->device, vectors))
        look(driver);
    if (working(driver) && ring->listening)
        vring_listen(ring, false);
    if (working(driver))
        reclaim(driver);
    bool more = working(driver) && receive(driver);
    if (!working(driver))
        return false;
    if (more || nic->pci->vectors == 0)
        return more;
    return vring_listen(ring, true);
}

static void tick(struct nic *nic) {
    struct virtio_net_driver *driver = driver_of(nic);

    if (working(driver))
        look(driver);
    if (working(driver))
        reclaim(driver);
    /* Without a link a card may keep what it has. */
    if (working(driver) && nic->link && driver->send.flights &&
        nic->pci->host->now() - driver->moved > SEND_TIME)
        fail(driver, "it does not send");
}

const struct nic_class virtio_net_nic = {
    .name = "virtio-net",
    .matches = matches,
    .size = sizeof(struct virtio_net_driver),
    .probe = probe,
    .start = start,
    .stop = stop,
    .send = send,
    .flush = flush,
    .poll = poll,
    .tick = tick,
};
