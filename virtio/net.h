// SPDX-License-Identifier: Apache-2.0
// A virtio network device (virtio 1.2, 5.1): a guest's port of a switch.
#ifndef SAGUARO_VIRTIO_NET_H
#define SAGUARO_VIRTIO_NET_H

#include "virtio/device.h"
#include "virtio/switch.h"

#define NET_MAX_PAIRS             8u
#define NET_FLOWS                 256u
#define NET_BUDGET                128 /* of work in one go, then others have their turn: 64 frames to one receiver */

#define NET_LATE                  1000000u /* ns */

#define NET_F_CSUM                (1ull << 0)
#define NET_F_GUEST_CSUM          (1ull << 1)
#define NET_F_CTRL_GUEST_OFFLOADS (1ull << 2)
#define NET_F_MTU                 (1ull << 3)
#define NET_F_MAC                 (1ull << 5)
#define NET_F_GUEST_TSO4          (1ull << 7)
#define NET_F_GUEST_TSO6          (1ull << 8)
#define NET_F_GUEST_ECN           (1ull << 9)
#define NET_F_HOST_TSO4           (1ull << 11)
#define NET_F_HOST_TSO6           (1ull << 12)
#define NET_F_HOST_ECN            (1ull << 13)
#define NET_F_MRG_RXBUF           (1ull << 15)
#define NET_F_STATUS              (1ull << 16)
#define NET_F_CTRL_VQ             (1ull << 17)
#define NET_F_CTRL_RX             (1ull << 18)
#define NET_F_CTRL_VLAN           (1ull << 19)
#define NET_F_CTRL_RX_EXTRA       (1ull << 20)
#define NET_F_GUEST_ANNOUNCE      (1ull << 21)
#define NET_F_MQ                  (1ull << 22)
#define NET_F_CTRL_MAC_ADDR       (1ull << 23)
#define NET_F_GUEST_USO4          (1ull << 54)
#define NET_F_GUEST_USO6          (1ull << 55)
#define NET_F_HOST_USO            (1ull << 56)

struct net {
    struct virtio_device device;
    struct switch_port port; /* its counters and link are what a monitor shows */
    uint8_t pairs;           /* of queues that are offered */
    uint32_t busy;           /* bit n: queue n may have more for us to do */
    uint32_t received;       /* bit n: the receive queue of pair n has used buffers, not yet signalled */
    uint8_t flow[NET_FLOWS]; /* the pair on which a flow was last sent; NET_MAX_PAIRS or more: none */
    uint32_t late;           /* bit n: of send queue n buffers were used, and the driver is not told yet */
    uint32_t hasty;          /* bit n: among them are some for which it may wait */
    void (*again)(struct net *net);
    void (*later)(struct net *net);
};

struct net_setup {
    struct ether_switch *network;
    uint8_t mac[6];
    bool locked;      /* the guest may use no other address, see switch.h */
    uint8_t pairs;    /* of queues, 1 to NET_MAX_PAIRS: as many as the guest has CPUs */
    uint16_t mtu;     /* 1280 or more, or what the network needs, from 68 on */
    uint32_t rate;    /* broadcasts each second; 0: no limit */
    uint64_t without; /* features (NET_F_*) that are not offered */
    /* There is more to do: net_run() is to be called, not from within this. */
    void (*again)(struct net *net);
    /* net_late() is to be called within NET_LATE. */
    void (*later)(struct net *net);
};

/* The caller has filled in the device's name, owner, memory, record, and functions of the transport; all else
 * of *net is 0. The link goes up. 0; -EINVAL: a value is out of range; -ENOSPC: the network has no more
 * ports. A record that is not sound is no error: the device is as after power-on. */
int net_init(struct net *net, const struct net_setup *setup);
/* The port goes. */
void net_remove(struct net *net);
/* Goes on with what was left, a bounded piece of it. True: there is still more. */
bool net_run(struct net *net);
/* Tells the driver what it was not told yet. */
void net_late(struct net *net);
void net_set_link(struct net *net, bool up);
/* Has the guest tell its neighbours where it is now (5.1.6.5.4). Nothing happens if its driver cannot. */
void net_announce(struct net *net);
/* The address that the guest uses, 6 bytes. */
const uint8_t *net_mac(const struct net *net);

#endif
