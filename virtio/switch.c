// SPDX-License-Identifier: Apache-2.0
// What happens to a frame that a port sends: checks, learning, and who receives it.
#include "virtio/switch.h"

#include <errno.h>
#include <string.h>

#define BROADCAST_COST 1000u /* tokens */

_Static_assert(SWITCH_MAX_PORTS <= 64, "a bit for each port");

void switch_init(struct ether_switch *network, const char *name, uint32_t seed) {
    memset(network, 0, sizeof(*network));
    network->name = name;
    network->seed = seed;
}

/* Addresses that are too old go for good before their time stamps, which wrap around, look new again. */
static void sweep(struct ether_switch *network) {
    for (unsigned i = 0; i < SWITCH_SETS * SWITCH_WAYS; i++) {
        struct switch_entry *entry = &network->entry[i / SWITCH_WAYS][i % SWITCH_WAYS];
        if (entry->kind == SWITCH_ENTRY_LEARNED && !switch_entry(network, i)) {
            network->port[entry->port]->learned--;
            entry->kind = SWITCH_ENTRY_FREE;
        }
    }
}

void switch_tick(struct ether_switch *network, uint64_t now) {
    bool due = now >> 16 != network->now >> 16; /* about once a minute */

    network->now = now;
    if (due)
        sweep(network);
}

int switch_attach(struct ether_switch *network, struct switch_port *port) {
    for (unsigned i = 0; i < SWITCH_MAX_PORTS; i++) {
        if (network->port[i])
            continue;
        network->port[i] = port;
        port->network = network;
        port->number = (uint8_t)i;
        port->link = false;
        port->learned = 0;
        port->from = port->to = NULL;
        port->refilled = network->now;
        port->tokens = 0;
        memset(&port->counters, 0, sizeof(port->counters));
        if (port->locked)
            switch_fix(network, port);
        return 0;
    }
    return -ENOSPC;
}

void switch_detach(struct switch_port *port) {
    if (!port->network)
        return;
    switch_forget(port->network, port, true);
    port->network->touched &= ~(1ull << port->number);
    port->network->port[port->number] = NULL;
    port->network = NULL;
}

static uint32_t rate_of(const struct switch_port *port) {
    return port->rate < SWITCH_MAX_RATE ? port->rate : SWITCH_MAX_RATE;
}

void switch_set_link(struct switch_port *port, bool up) {
    if (port->network && port->link && !up)
        switch_forget(port->network, port, false);
    if (up && !port->link)
        port->tokens = rate_of(port) * BROADCAST_COST;
    port->link = up;
}

/* A bucket that holds a second's worth. */
static bool may_broadcast(struct switch_port *port) {
    uint64_t passed = port->network->now - port->refilled;
    uint32_t rate = rate_of(port), full = rate * BROADCAST_COST;

    if (rate == 0)
        return true;
    port->refilled = port->network->now;
    port->tokens += passed < 1000 ? (uint32_t)passed * rate : full;
    if (port->tokens > full)
        port->tokens = full;
    if (port->tokens < BROADCAST_COST)
        return false;
    port->tokens -= BROADCAST_COST;
    return true;
}

static void drop(struct switch_port *port, enum switch_drop reason) {
    port->counters.drops[reason]++;
}

/* Hands one frame over. False: it is of no use to go on with others of the same. */
static bool hand_over(struct switch_port *port, const struct frame *frame, bool large) {
    uint32_t network;

    frame_type(frame, &network);
    if (!large && frame->size > network + port->mtu) {
        drop(port, SWITCH_DROP_SIZE);
        return false;
    }
    int error = port->class->receive(port, frame);
    if (error) {
        drop(port, error == -ENOBUFS    ? SWITCH_DROP_BUFFER
                   : error == -EMSGSIZE ? SWITCH_DROP_SIZE
                                        : SWITCH_DROP_LINK);
        return false;
    }
    port->network->touched |= 1ull << port->number;
    port->counters.received_frames++;
    port->counters.received_bytes += frame->size;
    return true;
}

/* Brings a frame to a port, in pieces if it wants them. The number of frames. */
static unsigned deliver(struct switch_port *port, const struct frame *frame) {
    struct offload_work work;
    struct frame piece;
    unsigned count = 0;

    if (!port->link) {
        drop(port, SWITCH_DROP_LINK);
        return 0;
    }
    if (port->class->wants && !port->class->wants(port, frame))
        return 0;
    if (offload_passes(frame, port->offloads)) {
        hand_over(port, frame, frame->offload.gso_type != FRAME_GSO_NONE);
        return 1;
    }
    if (offload_begin(&work, frame, port->offloads)) {
        drop(port, SWITCH_DROP_OFFLOAD);
        return 1;
    }
    while (offload_next(&work, &piece)) {
        count++;
        if (!hand_over(port, &piece, false))
            break;
    }
    return count;
}

static bool is_zero(const uint8_t *mac) {
    return !(mac[0] | mac[1] | mac[2] | mac[3] | mac[4] | mac[5]);
}

/* Why a frame is not let in; SWITCH_DROPS: it is. */
static enum switch_drop refuse(struct switch_port *port, struct frame *frame) {
    static const uint8_t reserved[5] = {0x01, 0x80, 0xc2, 0x00, 0x00}; /* 802.1Q, 8.6.3: 0x0 to 0xf */
    static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    if (!port->network || !port->link)
        return SWITCH_DROP_LINK;
    if (frame->size < FRAME_HEADER || frame->size > FRAME_MAX_SIZE)
        return SWITCH_DROP_SIZE;
    const uint8_t *to = frame->head, *from = frame->head + 6;
    if ((from[0] & 1) || is_zero(from) || (port->locked && memcmp(from, port->mac, 6) != 0))
        return SWITCH_DROP_SOURCE;
    if (is_zero(to) || (memcmp(to, reserved, 5) == 0 && to[5] < 16))
        return SWITCH_DROP_RESERVED;
    if (offload_check(frame))
        return SWITCH_DROP_OFFLOAD;
    if (!switch_learn(port, from))
        return SWITCH_DROP_SOURCE;
    if (memcmp(to, everybody, 6) == 0) {
        if (!may_broadcast(port))
            return SWITCH_DROP_LIMIT;
        port->counters.broadcasts++;
    }
    return SWITCH_DROPS;
}

unsigned switch_send(struct switch_port *port, struct frame *frame) {
    enum switch_drop reason = refuse(port, frame);
    unsigned work = 1;

    if (reason != SWITCH_DROPS) {
        drop(port, reason);
        return work;
    }
    port->counters.sent_frames++;
    port->counters.sent_bytes += frame->size;
    struct switch_port *to = frame->head[0] & 1 ? NULL : switch_find(port, frame->head);
    if (to)
        return to == port ? work : work + deliver(to, frame);
    for (unsigned i = 0; i < SWITCH_MAX_PORTS; i++) {
        to = port->network->port[i];
        if (!to || to == port || !to->link)
            continue;
        if (work < SWITCH_MAX_WORK)
            work += deliver(to, frame);
        else
            drop(to, SWITCH_DROP_LIMIT);
    }
    return work;
}

void switch_flush(struct ether_switch *network) {
    uint64_t touched = network->touched;

    network->touched = 0;
    for (; touched; touched &= touched - 1) {
        struct switch_port *port = network->port[__builtin_ctzll(touched)];
        if (port && port->class->flush) /* one's flush may have taken another off */
            port->class->flush(port);
    }
}
