// SPDX-License-Identifier: Apache-2.0
// Frames for the guest: which it wants, on which queue, into which buffers (virtio 1.2, 5.1.6.3 to 5.1.6.5).
#include <errno.h>
#include <string.h>
#include "virtio/net_internal.h"

/* The first buffer of a frame, and that which is being filled; in use only within receive(). */
static struct virtq_buffer first, other;

/* The other buffers of a frame. */
static struct filled {
    uint16_t id, slot;
    uint32_t written;
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

/* The next buffer. 0; -ENOBUFS: there is none; -ENXIO: the driver has broken the rules. */
static int take(struct net *net, unsigned index, struct virtq_buffer *buffer) {
    if (!virtio_device_take(&net->device, index, buffer))
        return virtio_running(&net->device) ? -ENOBUFS : -ENXIO;
    if (buffer->write_size >= NET_HEADER)
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

/* Fills more buffers with the frame from `done` on. The driver sees none of them: if there are not enough,
 * all are given back, the last one first, and what was written there is of no account. As take(). */
static int fill_others(struct net *net, unsigned index, const struct frame *frame, uint32_t done,
                       unsigned *count) {
    struct virtq *queue = &net->device.queue[index];

    *count = 0;
    while (done < frame->size) {
        int error = *count < array_count(more) ? take(net, index, &other) : -ENOBUFS;
        if (error) {
            for (; error != -ENXIO && *count > 0; --*count) {
                other.id = more[*count - 1].id;
                other.slot = more[*count - 1].slot;
                virtq_untake(queue, &other);
            }
            return error;
        }
        uint32_t part = frame->size - done;
        part = part < other.write_size ? part : (uint32_t)other.write_size;
        frame_write(frame, done, part, queue, &other, 0);
        more[(*count)++] = (struct filled){.id = other.id, .slot = other.slot, .written = part};
        done += part;
    }
    return 0;
}

/* The first one is finished last: only then does the driver see any. */
static void finish_all(struct net *net, unsigned index, uint32_t written, unsigned count) {
    struct virtio_device *device = &net->device;

    for (unsigned i = 0; i < count; i++) {
        other.id = more[i].id;
        other.slot = more[i].slot;
        virtio_device_finish(device, index, &other, more[i].written);
    }
    virtio_device_finish(device, index, &first, written);
}

static int receive(struct switch_port *port, const struct frame *frame) {
    struct net *net = net_of(port);
    struct virtio_device *device = &net->device;
    uint8_t header[NET_HEADER];
    unsigned count = 0;

    if (!virtio_running(device))
        return -ENXIO;
    int index = choose_queue(net, frame);
    if (index < 0)
        return -ENXIO;
    struct virtq *queue = &device->queue[index];
    int error = take(net, (unsigned)index, &first);
    if (error)
        return error;
    uint64_t room = first.write_size - NET_HEADER;
    uint32_t part = room < frame->size ? (uint32_t)room : frame->size;
    if (part < frame->size && !virtio_has(device, NET_F_MRG_RXBUF)) {
        virtq_untake(queue, &first);
        return -EMSGSIZE;
    }
    frame_write(frame, 0, part, queue, &first, NET_HEADER);
    error = fill_others(net, (unsigned)index, frame, part, &count);
    if (error) {
        if (error != -ENXIO)
            virtq_untake(queue, &first);
        return error;
    }
    make_header(header, &frame->offload, count + 1);
    virtq_write(queue, &first, 0, header, NET_HEADER);
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
