// SPDX-License-Identifier: Apache-2.0
// Frames for the guest: which it wants, on which queue, into which buffers (virtio 1.2, 5.1.6.3 to 5.1.6.5).
#include <errno.h>
#include <string.h>
#include "virtio/net_internal.h"

/* The first buffer of a frame, and the others: one behind the other, as many as there is room for. In use
 * only within receive(). */
static struct virtq_buffer first, others;

static struct filled {
    uint16_t slot;
    uint32_t size;
} more[VIRTQ_MAX_SIZE];
#define array_count(array) (sizeof(array) / sizeof((array)[0]))

static struct net *net_of(struct switch_port *port) {
    return (struct net *)(void *)((char *)port - offsetof(struct net, port));
}

unsigned net_offloads(const struct net *net) {
    uint64_t on = net->device.record->features & net_own(net)->guest_offloads;

    if (!(on & NET_F_GUEST_CSUM))
        return 0;
    return OFFLOAD_CSUM | (on & NET_F_GUEST_TSO4 ? OFFLOAD_TSO4 : 0) |
           (on & NET_F_GUEST_TSO6 ? OFFLOAD_TSO6 : 0) | (on & NET_F_GUEST_ECN ? OFFLOAD_ECN : 0) |
           (on & NET_F_GUEST_USO4 ? OFFLOAD_USO4 : 0) | (on & NET_F_GUEST_USO6 ? OFFLOAD_USO6 : 0);
}

/* ---- filters (5.1.6.5.1 to 5.1.6.5.3). A driver that cannot set them gets all. */

static bool wants_vlan(const struct net_own *own, int vlan) {
    if (vlan <= 0 || (own->overflow & NET_MANY_VLANS)) /* 0: a priority, no VLAN */
        return true;
    for (unsigned i = 0; i < own->vlan_count; i++) {
        if (own->vlans[i] == vlan)
            return true;
    }
    return false;
}

static bool listed(const struct net_own *own, const uint8_t *mac, unsigned from, unsigned count) {
    for (unsigned i = from; i < from + count; i++) {
        if (memcmp(own->macs[i], mac, 6) == 0)
            return true;
    }
    return false;
}

static bool wants(struct switch_port *port, const struct frame *frame) {
    static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    const struct net *net = net_of(port);
    const struct net_own *own = net_own(net);
    const uint8_t *to = frame->head;

    if (own->modes & NET_PROMISC)
        return true;
    if (virtio_has(&net->device, NET_F_CTRL_VLAN) && !wants_vlan(own, frame_vlan(frame)))
        return false;
    if (!virtio_has(&net->device, NET_F_CTRL_RX))
        return true;
    if (memcmp(to, everybody, 6) == 0)
        return !(own->modes & NET_NOBCAST);
    if (to[0] & 1) {
        if (own->modes & NET_NOMULTI)
            return false;
        return (own->modes & NET_ALLMULTI) || (own->overflow & NET_MANY_MULTICAST) ||
               listed(own, to, own->unicast, own->multicast);
    }
    if (own->modes & NET_NOUNI)
        return false;
    return (own->modes & NET_ALLUNI) || (own->overflow & NET_MANY_UNICAST) || memcmp(to, own->mac, 6) == 0 ||
           listed(own, to, 0, own->unicast);
}

/* ---- buffers */

/* The queue for a frame (5.1.6.5.6): of the pair on which its flow was sent, else any. -1: none is enabled.
 */
static int choose_queue(const struct net *net, const struct frame *frame) {
    unsigned pairs = net_own(net)->pairs, pair = 0;

    if (pairs > 1) {
        uint32_t flow = frame_flow(frame);
        pair = net->flow[flow % NET_FLOWS];
        if (pair >= pairs)
            pair = (flow >> 8) % pairs;
    }
    for (unsigned i = 0; i < pairs; i++, pair = pair + 1 < pairs ? pair + 1 : 0) {
        if (net->device.queue[pair * 2].size != 0)
            return (int)pair * 2;
    }
    return -1;
}

/* A buffer of `size` bytes. 0; -ENXIO: the driver has broken the rules. */
static int check(struct net *net, uint64_t size) {
    if (size >= NET_HEADER)
        return 0;
    virtio_device_break(&net->device, "a receive buffer is smaller than a frame's header");
    return -ENXIO;
}

static void put_le16(uint8_t *at, uint16_t value) {
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static void make_header(uint8_t header[NET_HEADER], const struct frame_offload *offload, unsigned buffers) {
    header[0] = offload->flags;
    header[1] = offload->gso_type;
    put_le16(header + 2, offload->header_size);
    put_le16(header + 4, offload->gso_size);
    put_le16(header + 6, offload->csum_start);
    put_le16(header + 8, offload->csum_offset);
    put_le16(header + NET_NUM_BUFFERS, (uint16_t)buffers);
}

/* Fills more buffers with the frame from `done` on, as many at a time as `others` has room for. The driver
 * sees none of them, and *count says how many there are: if they are not enough, what was written there is of
 * no account. 0; -ENOBUFS; -ENXIO: the driver has broken the rules. */
static int fill_others(struct net *net, unsigned index, const struct frame *frame, uint32_t done,
                       unsigned *count) {
    struct virtq *queue = &net->device.queue[index];

    virtq_empty(&others);
    for (;;) {
        uint64_t before = others.write_size;
        if (before >= frame->size - done) {
            frame_write(frame, done, frame->size - done, queue, &others, 0);
            more[*count - 1].size -= (uint32_t)(before - (frame->size - done));
            return 0;
        }
        if (*count == array_count(more))
            return -ENOBUFS;
        int taken = virtio_device_take_more(&net->device, index, &others);
        if (taken == -ENOSPC) {
            frame_write(frame, done, (uint32_t)before, queue, &others, 0);
            done += (uint32_t)before;
            virtq_empty(&others);
            continue;
        }
        if (taken <= 0)
            return taken == 0 ? -ENOBUFS : -ENXIO;
        if (check(net, others.write_size - before))
            return -ENXIO;
        more[(*count)++] =
            (struct filled){.slot = others.slot, .size = (uint32_t)(others.write_size - before)};
    }
}

/* The first one is finished last: only then does the driver see any. */
static void finish_all(struct net *net, unsigned index, uint32_t written, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        virtq_finish_behind(&net->device.queue[index], more[i].slot, more[i].size);
    virtio_device_finish(&net->device, index, &first, written);
}

/* Writes the header and the first `size` bytes of the frame, of which it has so many. What the frame has in
 * our memory goes with the header. */
static void write_first(struct virtq *queue, const struct frame *frame, uint32_t size, unsigned buffers) {
    uint8_t start[NET_HEADER + FRAME_HEAD];
    uint32_t head = frame->head_size < FRAME_HEAD ? frame->head_size : FRAME_HEAD;

    head = head < size ? head : size;
    make_header(start, &frame->offload, buffers);
    memcpy(start + NET_HEADER, frame->head, head);
    virtq_write(queue, &first, 0, start, NET_HEADER + head);
    if (size > head)
        frame_write(frame, head, size - head, queue, &first, NET_HEADER + head);
}

static int receive(struct switch_port *port, const struct frame *frame) {
    struct net *net = net_of(port);
    struct virtio_device *device = &net->device;
    unsigned count = 0;

    if (!virtio_running(device))
        return -ENXIO;
    int index = choose_queue(net, frame);
    if (index < 0)
        return -ENXIO;
    struct virtq *queue = &device->queue[index];
    if (!virtio_device_take(device, (unsigned)index, &first))
        return virtio_running(device) ? -ENOBUFS : -ENXIO;
    int error = check(net, first.write_size);
    if (error)
        return error;
    uint64_t room = first.write_size - NET_HEADER;
    uint32_t part = room < frame->size ? (uint32_t)room : frame->size;
    if (part < frame->size)
        error = virtio_has(device, NET_F_MRG_RXBUF) ? fill_others(net, (unsigned)index, frame, part, &count)
                                                    : -EMSGSIZE;
    if (error) {
        if (error != -ENXIO)
            virtq_untake(queue, count + 1);
        return error;
    }
    write_first(queue, frame, part, count + 1);
    finish_all(net, (unsigned)index, NET_HEADER + part, count);
    if (!virtio_running(device))
        return -ENXIO;
    net->received |= 1u << index / 2;
    return 0;
}

static void flush(struct switch_port *port) {
    struct net *net = net_of(port);
    uint32_t received = net->received;

    net->received = 0;
    for (unsigned i = 0; received; i++, received >>= 1) {
        if (received & 1)
            virtio_device_flush(&net->device, i * 2);
    }
}

const struct switch_port_class net_port_class = {.receive = receive, .wants = wants, .flush = flush};
