// SPDX-License-Identifier: Apache-2.0
// A physical network card behind a table of functions: what an uplink of a network (service/) is made of.
// A driver copies frames into and out of DMA memory of its own: no card ever reaches a guest's memory, and
// what a card writes is marked where the copy is made.
#ifndef SAGUARO_DRIVERS_NET_NIC_H
#define SAGUARO_DRIVERS_NET_NIC_H

#include "drivers/pci/pci.h"
#include "virtio/frame.h"

#define NIC_BUDGET 64 /* frames that one poll() hands on at most */

struct nic;

struct nic_class {
    const char *name; /* "virtio-net" */
    /* Whether the driver is for this function. */
    bool (*matches)(const struct pci_device *pci);
    size_t
        size; /* bytes of the driver's structure, which begins with struct nic; zeroed by who allocates it */
    /* `pci` is claimed and mastering is off. Resets the card, reads its MAC and limits into the struct nic;
     * nothing is received yet. 0 or a negative errno: the card cannot be used (-ETIMEDOUT, -ENOTSUP, -ENOMEM,
     * -EIO); `why` of struct nic says it in words then. */
    int (*probe)(struct nic *nic);
    /* Resets it again, fills its rings, allows DMA and interrupts. Also after a failure. 0 or an errno. */
    int (*start)(struct nic *nic);
    /* DMA has ended when it returns, whatever the card does: mastering off in the end. */
    void (*stop)(struct nic *nic);
    /* Copies a frame (with the offloads of nic->offloads left to the card) into the send ring. 0; -ENOBUFS:
     * it is full; -EMSGSIZE; -ENETDOWN: stopped, failed, or no link. */
    int (*send)(struct nic *nic, const struct frame *frame);
    /* After one or more send(): tells the card. */
    void (*flush)(struct nic *nic);
    /* An interrupt came (bits of board.pci_vectors), or it is time to look (0): reclaims what was sent, hands
     * received frames to received(), looks at the link and for errors. True: there is more to do at once.
     * Turns the card's interrupts on again when there is not. */
    bool (*poll)(struct nic *nic, uint32_t vectors);
    /* About once a second: sends that never end, a card that is gone (all ones). */
    void (*tick)(struct nic *nic);
};

struct nic_counters {
    uint64_t sent, received;     /* frames */
    uint64_t dropped;            /* received frames that were not sound */
    uint64_t full;               /* not sent: no room */
    uint64_t interrupts, starts; /* poll() with vectors; start() */
};

struct nic {
    const struct nic_class *class;
    struct pci_device *pci;
    /* Set by probe(). */
    uint8_t mac[6];
    uint16_t mtu;      /* largest payload that it sends and receives */
    unsigned offloads; /* OFFLOAD_* of virtio/offload.h that send() takes as they are; 0 if none */
    const char *why;
    /* Kept up by the driver. */
    bool link;
    bool failed; /* it needs stop() and start(): a time limit has passed, or it says so itself */
    struct nic_counters counters;
    /* Set by the owner before start(). A frame is valid during the call. */
    void (*received)(struct nic *nic, struct frame *frame);
    void (*changed)(struct nic *nic); /* link or failed is another */
    void *owner;
};

extern const struct nic_class virtio_net_nic; /* virtio 1.2, 5.1, over PCI, modern */
extern const struct nic_class e1000_nic;      /* Intel 82540EM and its kin; 82574L */

#endif
