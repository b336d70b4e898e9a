// SPDX-License-Identifier: Apache-2.0
// The network device: features, configuration, and frames that the guest sends.
#include "virtio/net.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "virtio/net_internal.h"

#define CONFIG_SIZE     12u
#define STATUS_LINK_UP  1u
#define STATUS_ANNOUNCE 2u
#define QUEUE_SIZE      256u
#define CONTROL_SIZE    64u
#define LATE_BUFFERS    8u /* of which the driver is told at once */

#define FEATURES                                                                                             \
    (VIRTIO_VERSION_1 | VIRTIO_RING_INDIRECT | VIRTIO_RING_EVENT | VIRTIO_RING_PACKED | NET_F_CSUM |         \
     NET_F_CTRL_GUEST_OFFLOADS | NET_F_MTU | NET_F_MAC | NET_F_HOST_TSO4 | NET_F_HOST_TSO6 |                 \
     NET_F_HOST_ECN | NET_F_HOST_USO | NET_F_MRG_RXBUF | NET_F_STATUS | NET_F_CTRL_VQ | NET_F_CTRL_RX |      \
     NET_F_CTRL_VLAN | NET_F_CTRL_RX_EXTRA | NET_F_GUEST_ANNOUNCE | NET_F_MQ | NET_F_CTRL_MAC_ADDR |         \
     NET_GUEST_OFFLOADS)

/* A buffer is in use only within drain(), which does not call itself. */
static struct virtq_buffer current;

static struct net *net_of(struct virtio_device *device) {
    return (struct net *)(void *)((char *)device - offsetof(struct net, device));
}

/* ---- what the driver has chosen */

static void forget(struct net *net) {
    struct net_own *own = net_own(net);

    memset(own, 0, sizeof(*own));
    own->guest_offloads = NET_GUEST_OFFLOADS;
    memcpy(own->mac, net->port.mac, 6);
    own->pairs = 1;
    net->busy = net->received = net->late = net->hasty = 0;
    net->port.offloads = 0;
    memset(net->flow, 0xff, sizeof(net->flow));
}

static void reset(struct virtio_device *device) {
    forget(net_of(device));
}

/* 5.1.3.1: which feature needs which, one of several. */
static bool accept(struct virtio_device *device, uint64_t features) {
    static const struct {
        uint64_t feature, needs;
    } rule[] = {
        {NET_F_GUEST_TSO4, NET_F_GUEST_CSUM},
        {NET_F_GUEST_TSO6, NET_F_GUEST_CSUM},
        {NET_F_GUEST_ECN, NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6},
        {NET_F_GUEST_USO4, NET_F_GUEST_CSUM},
        {NET_F_GUEST_USO6, NET_F_GUEST_CSUM},
        {NET_F_HOST_TSO4, NET_F_CSUM},
        {NET_F_HOST_TSO6, NET_F_CSUM},
        {NET_F_HOST_ECN, NET_F_HOST_TSO4 | NET_F_HOST_TSO6},
        {NET_F_HOST_USO, NET_F_CSUM},
        {NET_F_CTRL_RX, NET_F_CTRL_VQ},
        {NET_F_CTRL_VLAN, NET_F_CTRL_VQ},
        {NET_F_GUEST_ANNOUNCE, NET_F_CTRL_VQ},
        {NET_F_MQ, NET_F_CTRL_VQ},
        {NET_F_CTRL_MAC_ADDR, NET_F_CTRL_VQ},
    };

    (void)device;
    for (unsigned i = 0; i < sizeof(rule) / sizeof(rule[0]); i++) {
        if ((features & rule[i].feature) && !(features & rule[i].needs))
            return false;
    }
    return true;
}

/* The queues that the features make: their number, the control queue's included (5.1.2). */
static unsigned queues(const struct net *net) {
    return net_max_pairs(net) * 2 + (virtio_has(&net->device, NET_F_CTRL_VQ) ? 1 : 0);
}

static void start(struct virtio_device *device) {
    struct net *net = net_of(device);
    const struct net_own *own = net_own(net);

    if (own->pairs < 1 || own->pairs > net_max_pairs(net) || own->unicast > NET_MACS ||
        own->multicast > NET_MACS - own->unicast || own->vlan_count > NET_VLANS) {
        char line[128];
        forget(net);
        net_own(net)->modes = NET_PROMISC;
        snprintf(line, sizeof(line), "%s: the driver's settings are lost: all frames, on one queue",
                 device->name);
        device->log(device, line);
    }
    net->port.offloads = net_offloads(net);
    for (unsigned i = 0; i < queues(net); i++) {
        if (device->queue[i].size == 0)
            continue;
        if (i % 2 == 0 && i < net_max_pairs(net) * 2)
            virtq_listen(&device->queue[i], false);
        else
            net->busy |= 1u << i; /* what the driver has put there by now */
    }
    if (net->busy)
        net->again(net);
}

static uint32_t config_read(struct virtio_device *device, unsigned offset, unsigned size) {
    const struct net *net = net_of(device);
    const struct net_own *own = net_own(net);
    uint8_t config[CONFIG_SIZE];
    uint32_t value = 0;

    memcpy(config, own->mac, 6);
    config[6] = (uint8_t)((net->port.link ? STATUS_LINK_UP : 0) | (own->announce ? STATUS_ANNOUNCE : 0));
    config[7] = 0;
    config[8] = net->pairs;
    config[9] = 0;
    config[10] = (uint8_t)net->port.mtu;
    config[11] = (uint8_t)(net->port.mtu >> 8);
    for (unsigned i = 0; i < size && offset + i < CONFIG_SIZE; i++)
        value |= (uint32_t)config[offset + i] << 8 * i;
    return value;
}

/* ---- sending */

/* Whether the driver may use what its header says (5.1.6.2.1). */
static bool negotiated(const struct net *net, const struct frame_offload *offload) {
    const struct virtio_device *device = &net->device;

    if ((offload->flags & FRAME_NEEDS_CSUM) && !virtio_has(device, NET_F_CSUM))
        return false;
    if ((offload->gso_type & FRAME_GSO_ECN) && !virtio_has(device, NET_F_HOST_ECN))
        return false;
    switch (offload->gso_type & (uint8_t)~FRAME_GSO_ECN) {
    case FRAME_GSO_NONE:
        return true;
    case FRAME_GSO_TCPV4:
        return virtio_has(device, NET_F_HOST_TSO4);
    case FRAME_GSO_TCPV6:
        return virtio_has(device, NET_F_HOST_TSO6);
    case FRAME_GSO_UDP_L4:
        return virtio_has(device, NET_F_HOST_USO);
    default:
        return false;
    }
}

static uint16_t get_le16(const uint8_t *at) {
    return (uint16_t)(at[0] | at[1] << 8);
}

/* Sends one frame. A frame, or a header, that is not right is dropped and counted, but no reason to stop: it
 * may come from a program in the guest that its kernel lets send what it likes. How much work it was. */
static unsigned send(struct net *net, unsigned index, const struct virtq_buffer *buffer, uint32_t *written) {
    struct virtq *queue = &net->device.queue[index];
    uint8_t header[NET_HEADER + FRAME_HEAD];
    struct frame frame;

    *written = 0;
    size_t got = virtq_read(queue, buffer, 0, header, sizeof(header));
    if (got < NET_HEADER) {
        virtio_device_break(&net->device, "a frame to send is shorter than its header");
        return 1;
    }
    uint64_t size = buffer->read_size - NET_HEADER;
    if (size < FRAME_HEADER || size > FRAME_MAX_SIZE) {
        net->port.counters.drops[SWITCH_DROP_SIZE]++;
        return 1;
    }
    frame_from_head(&frame, header + NET_HEADER, (uint32_t)(got - NET_HEADER), queue, buffer, NET_HEADER,
                    (uint32_t)size);
    frame.offload.flags = header[0];
    frame.offload.gso_type = header[1];
    frame.offload.gso_size = get_le16(header + 4);
    frame.offload.csum_start = get_le16(header + 6);
    frame.offload.csum_offset = get_le16(header + 8);
    if (!negotiated(net, &frame.offload)) {
        net->port.counters.drops[SWITCH_DROP_OFFLOAD]++;
        return 1;
    }
    if (!frame_is_tcp(&frame))
        net->hasty |= 1u << index;
    if (net_own(net)->pairs > 1)
        net->flow[frame_flow(&frame) % NET_FLOWS] = (uint8_t)(index / 2);
    return switch_send(&net->port, &frame);
}

/*
 * Interrupts for frames that were sent. A driver takes its buffers back when it sends or receives the next
 * time, and after TCP's frames it soon receives: their acknowledgement. So it is told of these only if they
 * become many, or if NET_LATE later it still wants to know. Other frames may be all that somebody waits for.
 */
static void tell(struct net *net, unsigned index) {
    const struct virtq *queue = &net->device.queue[index];
    uint32_t bit = 1u << index, owed = net->hasty & bit ? UINT32_MAX : virtq_owed(queue);

    if (owed > 0 && owed < LATE_BUFFERS && owed < queue->size / 4u) {
        net->late |= bit;
        net->later(net);
        return;
    }
    net->late &= ~bit;
    net->hasty &= ~bit;
    virtio_device_flush(&net->device, index);
}

void net_late(struct net *net) {
    uint32_t late = net->late;

    net->late = 0;
    for (unsigned i = 0; late; i++, late >>= 1) {
        if (late & 1)
            virtio_device_flush(&net->device, i);
    }
}

/* Handles the buffers of a queue, up to a budget. True: there may be more, and the driver need not tell. */
static bool drain(struct net *net, unsigned index,
                  unsigned (*handle)(struct net *net, unsigned index, const struct virtq_buffer *buffer,
                                     uint32_t *written)) {
    struct virtio_device *device = &net->device;
    struct virtq *queue = &device->queue[index];
    int budget = NET_BUDGET;
    bool more = true;

    virtq_listen(queue, false);
    while (budget > 0 && more) {
        uint32_t written;
        if (virtio_device_take(device, index, &current)) {
            budget -= (int)handle(net, index, &current, &written);
            if (virtio_running(device))
                virtio_device_finish(device, index, &current, written);
        } else if (virtio_running(device) && virtq_listen(queue, true)) {
            /* One has come just now. */
            virtq_listen(queue, false);
            budget--;
        } else {
            more = false;
        }
        more = more && virtio_running(device);
    }
    if (index % 2 == 1)
        tell(net, index);
    else
        virtio_device_flush(device, index);
    return more;
}

/* True: there is more. */
static bool handle_queue(struct net *net, unsigned index) {
    if (!virtio_running(&net->device) || index >= queues(net) || net->device.queue[index].size == 0)
        return false;
    if (index == net_max_pairs(net) * 2)
        return drain(net, index, net_command);
    if (index % 2 == 1) {
        bool more = drain(net, index, send);
        switch_flush(net->port.network);
        return more;
    }
    virtq_listen(&net->device.queue[index], false); /* we look for receive buffers when a frame is there */
    return false;
}

static void notify(struct virtio_device *device, unsigned index) {
    struct net *net = net_of(device);

    if (net->busy & 1u << index)
        return; /* its turn comes */
    if (handle_queue(net, index)) {
        net->busy |= 1u << index;
        net->again(net);
    }
}

bool net_run(struct net *net) {
    uint32_t busy = net->busy;

    net->busy = 0;
    for (unsigned i = 0; busy; i++, busy >>= 1) {
        if ((busy & 1) && handle_queue(net, i))
            net->busy |= 1u << i;
    }
    return net->busy != 0;
}

/* ---- for the program around */

static const struct virtio_class net_class = {
    .id = VIRTIO_ID_NET,
    .name = "net",
    .reset = reset,
    .accept = accept,
    .start = start,
    .notify = notify,
    .config_read = config_read,
};

int net_init(struct net *net, const struct net_setup *setup) {
    struct virtio_device *device = &net->device;

    if (setup->pairs < 1 || setup->pairs > NET_MAX_PAIRS || setup->mtu < 68 || (setup->mac[0] & 1))
        return -EINVAL;
    net->port.class = &net_port_class;
    net->port.name = device->name;
    memcpy(net->port.mac, setup->mac, 6);
    net->port.locked = setup->locked;
    net->port.mtu = setup->mtu;
    net->port.rate = setup->rate;
    net->port.limit = SWITCH_GUEST_LIMIT;
    net->pairs = setup->pairs;
    net->again = setup->again;
    net->later = setup->later;
    if (switch_attach(setup->network, &net->port))
        return -ENOSPC;
    switch_set_link(&net->port, true);
    device->class = &net_class;
    device->features_offered = FEATURES & ~setup->without;
    if (setup->pairs == 1)
        device->features_offered &= ~NET_F_MQ;
    device->queue_count = setup->pairs * 2u + 1;
    device->config_size = CONFIG_SIZE;
    for (unsigned i = 0; i < device->queue_count; i++)
        device->queue_size[i] = QUEUE_SIZE;
    /* Without NET_F_MQ the control queue is the third. */
    device->queue_size[setup->pairs * 2u] = setup->pairs == 1 ? CONTROL_SIZE : QUEUE_SIZE;
    virtio_device_init(device); /* resets what it cannot go on with, and says so */
    return 0;
}

void net_remove(struct net *net) {
    switch_detach(&net->port);
}

void net_set_link(struct net *net, bool up) {
    if (net->port.link == up)
        return;
    switch_set_link(&net->port, up);
    if (virtio_has(&net->device, NET_F_STATUS))
        virtio_device_config_changed(&net->device);
}

void net_announce(struct net *net) {
    if (!virtio_running(&net->device) || !virtio_has(&net->device, NET_F_GUEST_ANNOUNCE))
        return;
    net_own(net)->announce = 1;
    virtio_device_config_changed(&net->device);
}

const uint8_t *net_mac(const struct net *net) {
    return net_own(net)->mac;
}
