// SPDX-License-Identifier: Apache-2.0
// An Ethernet switch, one for each network: ports behind a table of functions, a table of learned addresses,
// and the rules for a port: one address only, a limit for broadcasts, a largest frame. Frames are handed to
// the receivers at once; nothing is queued here.
#ifndef SAGUARO_VIRTIO_SWITCH_H
#define SAGUARO_VIRTIO_SWITCH_H

#include "virtio/offload.h"

#define SWITCH_MAX_PORTS   64u
#define SWITCH_SETS        128u /* powers of two */
#define SWITCH_WAYS        8u
#define SWITCH_AGE         293u /* units of 1024 ms: 300 s, as 802.1Q has it, after which an address is forgotten */
#define SWITCH_GUEST_LIMIT 64u   /* addresses that a guest's port should be allowed */
#define SWITCH_MAX_WORK    4096u /* frames handed over for one that goes to all, before the others get none */
#define SWITCH_MAX_RATE    1000000u

struct ether_switch;
struct switch_port;

struct switch_port_class {
    /* Takes a frame, that what the port's `offloads` say leaves to it. Must not send a frame itself. 0;
     * -ENOBUFS: there is no buffer; -EMSGSIZE: the frame does not fit; -ENXIO: nobody listens. */
    int (*receive)(struct switch_port *port, const struct frame *frame);
    /* Whether the owner wants the frame; NULL: any. */
    bool (*wants)(struct switch_port *port, const struct frame *frame);
    /* No more frames for now: interrupts. May be NULL. */
    void (*flush)(struct switch_port *port);
};

enum switch_drop {
    SWITCH_DROP_LINK,     /* the link is down, or nobody listens */
    SWITCH_DROP_SIZE,     /* no frame has this size, or it is longer than the receiver's MTU or buffer */
    SWITCH_DROP_OFFLOAD,  /* sent with checksum or segmentation values that are not true */
    SWITCH_DROP_SOURCE,   /* sent from an address that is not the port's, or is another port's */
    SWITCH_DROP_RESERVED, /* sent to an address that no switch forwards (01:80:c2:00:00:0x), or to none */
    SWITCH_DROP_LIMIT,    /* sent: too many broadcasts; not received: SWITCH_MAX_WORK */
    SWITCH_DROP_BUFFER,   /* the receiver had no buffer */
    SWITCH_DROPS
};

/* A sender's drops are counted at its port, a receiver's at the receiver's. */
struct switch_counters {
    uint64_t sent_frames,
        sent_bytes; /* by the port's owner; a frame that is yet to be cut up counts as one */
    uint64_t received_frames, received_bytes; /* by the owner; segments count each */
    uint64_t broadcasts;                      /* of those sent */
    uint64_t drops[SWITCH_DROPS];
};

struct switch_port {
    /* Set by the owner before switch_attach(); those after `mac` may be changed at any time. */
    const struct switch_port_class *class;
    const char *name;
    uint8_t mac[6];
    bool locked;       /* `mac` is the only source of its frames, and no other port may use it */
    uint16_t mtu;      /* of what it receives, without the Ethernet header and tags */
    unsigned offloads; /* OFFLOAD_*: what it receives as it is */
    uint32_t rate;     /* broadcasts each second, up to SWITCH_MAX_RATE; 0: no limit */
    uint32_t limit;    /* addresses that are learned here */
    /* The switch's. */
    struct ether_switch *network;
    uint8_t number;
    bool link;        /* see switch_set_link() */
    uint32_t learned; /* addresses in the table */
    /* Where in the table the addresses were found that it last sent from and to; what is there now is looked
     * at each time. */
    struct switch_entry *from, *to;
    uint32_t tokens; /* thousandths of a broadcast */
    uint64_t refilled;
    struct switch_counters counters;
};

enum switch_entry_kind { SWITCH_ENTRY_FREE, SWITCH_ENTRY_LEARNED, SWITCH_ENTRY_FIXED };

struct switch_entry {
    uint8_t mac[6];
    uint8_t port;
    uint8_t kind;  /* enum switch_entry_kind */
    uint32_t seen; /* in units of 1024 ms */
};

struct ether_switch {
    const char *name;
    uint64_t now;  /* ms */
    uint32_t seed; /* of the table's hash: guests shall not choose who shares a set */
    struct switch_port *port[SWITCH_MAX_PORTS];
    uint64_t touched; /* bit n: port n has received since the last switch_flush() */
    struct switch_entry entry[SWITCH_SETS][SWITCH_WAYS];
};

void switch_init(struct ether_switch *network, const char *name, uint32_t seed);
/* What time it is, in ms from any beginning on; never backwards. To be called now and then, and before frames
 * are sent after a pause. */
void switch_tick(struct ether_switch *network, uint64_t now);

/* Adds a port; its link is down. -ENOSPC: there are SWITCH_MAX_PORTS. */
int switch_attach(struct ether_switch *network, struct switch_port *port);
/* Takes it away, with all that was learned of it. Nothing happens if it is in no network. */
void switch_detach(struct switch_port *port);
/* What was learned of a port is forgotten when its link goes down. */
void switch_set_link(struct switch_port *port, bool up);

/* Sends a frame that came from `port`; frame->offload is what the sender says and is checked here. How much
 * work it was: 1, and 1 for each frame that was handed to a receiver. */
unsigned switch_send(struct switch_port *port, struct frame *frame);
/* After a number of frames: calls flush() of the ports that have received some. */
void switch_flush(struct ether_switch *network);

/* ---- virtio/switch_table.c: addresses */
/* The port at which `mac` is, NULL: not known. `asking`: the port that wants to send there. */
struct switch_port *switch_find(struct switch_port *asking, const uint8_t *mac);
/* Notes that `mac` is at `port`. False: it is the address of another, locked port. */
bool switch_learn(struct switch_port *port, const uint8_t *mac);
/* A locked port's own address stays. If there is no room it is learned like others. */
void switch_fix(struct ether_switch *network, struct switch_port *port);
/* Forgets what was learned at a port; with `fixed` its own address, too. */
void switch_forget(struct ether_switch *network, struct switch_port *port, bool fixed);
/* For a monitor: the address at place `n` of SWITCH_SETS * SWITCH_WAYS; NULL: it is free, or too old. */
const struct switch_entry *switch_entry(const struct ether_switch *network, unsigned n);

#endif
