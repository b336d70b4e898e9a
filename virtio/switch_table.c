// SPDX-License-Identifier: Apache-2.0
// The switch's table of addresses: a few places for each, chosen by a hash with a secret. A port may not push
// out what was learned at others: an address that finds no place is not learned, and frames to it go to all.
#include <string.h>
#include "virtio/switch.h"

static uint32_t units(const struct ether_switch *network) {
    return (uint32_t)(network->now >> 10);
}

static bool in_use(const struct ether_switch *network, const struct switch_entry *entry) {
    return entry->kind == SWITCH_ENTRY_FIXED ||
           (entry->kind == SWITCH_ENTRY_LEARNED && units(network) - entry->seen <= SWITCH_AGE);
}

static struct switch_entry *set_of(struct ether_switch *network, const uint8_t *mac) {
    uint32_t hash = network->seed;

    for (unsigned i = 0; i < 6; i++) {
        hash = (hash ^ mac[i]) * 0x01000193u;
        hash ^= hash >> 15;
    }
    hash *= 0x85ebca6bu;
    return network->entry[(hash >> 16) & (SWITCH_SETS - 1)];
}

static struct switch_entry *lookup(struct ether_switch *network, const uint8_t *mac) {
    struct switch_entry *set = set_of(network, mac);

    for (unsigned i = 0; i < SWITCH_WAYS; i++) {
        if (in_use(network, &set[i]) && memcmp(set[i].mac, mac, 6) == 0)
            return &set[i];
    }
    return NULL;
}

static void release(struct ether_switch *network, struct switch_entry *entry) {
    if (entry->kind == SWITCH_ENTRY_LEARNED)
        network->port[entry->port]->learned--;
    entry->kind = SWITCH_ENTRY_FREE;
}

/* Whether the address is where it was last found: most frames go where the one before went. */
static bool still(const struct ether_switch *network, const struct switch_entry *entry, const uint8_t *mac) {
    return entry && memcmp(entry->mac, mac, 6) == 0 && in_use(network, entry);
}

struct switch_port *switch_find(struct switch_port *asking, const uint8_t *mac) {
    struct ether_switch *network = asking->network;

    if (!still(network, asking->to, mac))
        asking->to = lookup(network, mac);
    return asking->to ? network->port[asking->to->port] : NULL;
}

/* A place for a new address of this port: free, too old, or the port's own that was not seen for longest. */
static struct switch_entry *choose(struct ether_switch *network, const struct switch_port *port,
                                   const uint8_t *mac) {
    struct switch_entry *set = set_of(network, mac), *own = NULL;
    bool full = port->learned >= port->limit;

    for (unsigned i = 0; i < SWITCH_WAYS; i++) {
        struct switch_entry *entry = &set[i];
        if (entry->kind == SWITCH_ENTRY_LEARNED && entry->port == port->number) {
            if (!own || units(network) - entry->seen > units(network) - own->seen)
                own = entry;
        } else if (!in_use(network, entry) && !full) {
            return entry;
        }
    }
    return own;
}

static void put(struct ether_switch *network, struct switch_entry *entry, struct switch_port *port,
                const uint8_t *mac, uint8_t kind) {
    release(network, entry);
    memcpy(entry->mac, mac, 6);
    entry->port = port->number;
    entry->kind = kind;
    entry->seen = units(network);
    if (kind == SWITCH_ENTRY_LEARNED)
        port->learned++;
}

bool switch_learn(struct switch_port *port, const uint8_t *mac) {
    struct ether_switch *network = port->network;
    struct switch_entry *entry = port->from;

    if (!still(network, entry, mac))
        entry = port->from = lookup(network, mac);

    if (entry && entry->kind == SWITCH_ENTRY_FIXED)
        return entry->port == port->number;
    if (entry && entry->port == port->number) {
        entry->seen = units(network);
        return true;
    }
    if (entry) {
        /* It has moved: its old place is free for it, unless the port has too many already. */
        release(network, entry);
    }
    entry = choose(network, port, mac);
    if (entry)
        put(network, entry, port, mac, SWITCH_ENTRY_LEARNED);
    return true;
}

void switch_fix(struct ether_switch *network, struct switch_port *port) {
    struct switch_entry *entry = lookup(network, port->mac);

    if (entry && entry->kind == SWITCH_ENTRY_FIXED)
        return;
    struct switch_entry *set = set_of(network, port->mac);
    for (unsigned i = 0; i < SWITCH_WAYS && !entry; i++) {
        if (set[i].kind != SWITCH_ENTRY_FIXED)
            entry = &set[i];
    }
    if (entry)
        put(network, entry, port, port->mac, SWITCH_ENTRY_FIXED);
}

void switch_forget(struct ether_switch *network, struct switch_port *port, bool fixed) {
    for (unsigned i = 0; i < SWITCH_SETS * SWITCH_WAYS; i++) {
        struct switch_entry *entry = &network->entry[i / SWITCH_WAYS][i % SWITCH_WAYS];
        if (entry->kind != SWITCH_ENTRY_FREE && entry->port == port->number &&
            (fixed || entry->kind == SWITCH_ENTRY_LEARNED))
            release(network, entry);
    }
}

const struct switch_entry *switch_entry(const struct ether_switch *network, unsigned n) {
    const struct switch_entry *entry = &network->entry[n / SWITCH_WAYS % SWITCH_SETS][n % SWITCH_WAYS];

    return in_use(network, entry) ? entry : NULL;
}
