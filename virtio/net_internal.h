// SPDX-License-Identifier: Apache-2.0
// What the files of the network device share: what it keeps over a restart of our program, its header before
// each frame, and its queues.
#ifndef SAGUARO_VIRTIO_NET_INTERNAL_H
#define SAGUARO_VIRTIO_NET_INTERNAL_H

#include "virtio/net.h"

#define NET_HEADER         12u /* bytes before each frame, num_buffers included (5.1.6) */
#define NET_NUM_BUFFERS    10u /* offset of it */

#define NET_MACS           24u /* in the receive filter, of both kinds */
#define NET_VLANS          32u

#define NET_PROMISC        0x01u /* modes; bit n: command n of class VIRTIO_NET_CTRL_RX */
#define NET_ALLMULTI       0x02u
#define NET_ALLUNI         0x04u
#define NET_NOMULTI        0x08u
#define NET_NOUNI          0x10u
#define NET_NOBCAST        0x20u

#define NET_MANY_UNICAST   0x01u /* overflow: more than we keep, so all are received */
#define NET_MANY_MULTICAST 0x02u
#define NET_MANY_VLANS     0x04u

#define NET_GUEST_OFFLOADS                                                                                   \
    (NET_F_GUEST_CSUM | NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6 | NET_F_GUEST_ECN | NET_F_GUEST_USO4 |           \
     NET_F_GUEST_USO6)

/* In record->own: what the driver has set by commands. */
struct net_own {
    uint64_t guest_offloads; /* those of NET_GUEST_OFFLOADS that are on, if negotiated */
    uint8_t mac[6];
    uint8_t modes;
    uint8_t overflow;
    uint8_t pairs;    /* in use */
    uint8_t announce; /* 1: VIRTIO_NET_S_ANNOUNCE is set */
    uint8_t unicast;  /* how many of `macs`, first unicast, then multicast */
    uint8_t multicast;
    uint8_t vlan_count;
    uint8_t macs[NET_MACS][6];
    uint16_t vlans[NET_VLANS];
} __attribute__((may_alias));
_Static_assert(sizeof(struct net_own) <= sizeof(((struct virtio_record *)0)->own), "it must fit");

static inline struct net_own *net_own(const struct net *net) {
    return (struct net_own *)(void *)net->device.record->own;
}
static inline unsigned net_max_pairs(const struct net *net) {
    return virtio_has(&net->device, NET_F_MQ) ? net->pairs : 1;
}

/* net_control.c: carries one command out (5.1.6.5). As drain() in net.c wants it. */
unsigned net_command(struct net *net, unsigned index, const struct virtq_buffer *buffer, uint32_t *written);

/* net_receive.c: the port's side. */
extern const struct switch_port_class net_port_class;
/* What the driver takes at the moment, as OFFLOAD_*. */
unsigned net_offloads(const struct net *net);

#endif
