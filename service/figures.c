// SPDX-License-Identifier: Apache-2.0
// Gathers the figures of networks and disks for the shell (see service/figures.h).
#include "service/figures.h"

#include <stdio.h>
#include <string.h>

_Static_assert(SERVICE_MAX_NETWORKS == CONFIG_MAX_NETWORKS && SERVICE_MAX_DISKS == CONFIG_MAX_DISKS &&
                   SERVICE_MAX_USERS == CONFIG_MAX_GUESTS * CONFIG_MAX_GUEST_DISKS,
               "there is room for all that a config can have");
_Static_assert((int)SERVICE_DROPS == (int)SWITCH_DROPS && (int)SERVICE_DROP_LINK == (int)SWITCH_DROP_LINK &&
                   (int)SERVICE_DROP_SIZE == (int)SWITCH_DROP_SIZE &&
                   (int)SERVICE_DROP_OFFLOAD == (int)SWITCH_DROP_OFFLOAD &&
                   (int)SERVICE_DROP_SOURCE == (int)SWITCH_DROP_SOURCE &&
                   (int)SERVICE_DROP_RESERVED == (int)SWITCH_DROP_RESERVED &&
                   (int)SERVICE_DROP_LIMIT == (int)SWITCH_DROP_LIMIT &&
                   (int)SERVICE_DROP_BUFFER == (int)SWITCH_DROP_BUFFER,
               "reasons have the same numbers");
_Static_assert(CONFIG_MAX_PARTITION <= UINT8_MAX, "a partition's number is one byte");

static const struct config *config;
static const struct ether_switch *networks[SERVICE_MAX_NETWORKS]; /* NULL: it could not be made */
static struct {
    const struct switch_port *port; /* NULL: it is not there */
    const char *driver, *address;
    const bool *running;
} uplinks[SERVICE_MAX_NETWORKS];
static struct {
    unsigned vm;
    const struct switch_port *port;
} ports[SERVICE_MAX_DEVICES];
static unsigned port_count;
static struct {
    const struct disk *disk; /* NULL: it cannot be used */
    const struct block *block;
    const char *address;
} disks[SERVICE_MAX_DISKS];
static struct {
    unsigned vm;
    const struct config_guest_disk *config;
    const struct disk_counters *counters;
} users[SERVICE_MAX_USERS];
static unsigned user_count;

static struct service_figures figures;

void figures_init(const struct config *service_config) {
    config = service_config;
    memset(networks, 0, sizeof(networks));
    memset(uplinks, 0, sizeof(uplinks));
    memset(disks, 0, sizeof(disks));
    port_count = user_count = 0;
}

/* ---- what there is */

/* The place of a network; SERVICE_MAX_NETWORKS: it is not known. */
static unsigned place_of(const struct ether_switch *network) {
    unsigned place = 0;

    while (place < SERVICE_MAX_NETWORKS && (!network || networks[place] != network))
        place++;
    return place;
}

void figures_add_network(unsigned index, const struct ether_switch *network) {
    if (index < SERVICE_MAX_NETWORKS)
        networks[index] = network;
}

void figures_add_port(unsigned vm, const struct switch_port *port) {
    if (port_count == SERVICE_MAX_DEVICES)
        return;
    ports[port_count].vm = vm;
    ports[port_count++].port = port;
}

void figures_add_uplink(const struct switch_port *port, const char *driver, const char *address,
                        const bool *running) {
    unsigned place = place_of(port->network);

    if (place == SERVICE_MAX_NETWORKS)
        return;
    uplinks[place].port = port;
    uplinks[place].driver = driver;
    uplinks[place].address = address;
    uplinks[place].running = running;
}

void figures_add_disk(unsigned index, const struct disk *disk) {
    if (index < SERVICE_MAX_DISKS)
        disks[index].disk = disk;
}

void figures_add_device(unsigned index, const struct block *block, const char *address) {
    if (index >= SERVICE_MAX_DISKS)
        return;
    disks[index].block = block;
    disks[index].address = address;
}

void figures_add_user(unsigned vm, const struct config_guest_disk *disk,
                      const struct disk_counters *counters) {
    if (user_count == SERVICE_MAX_USERS)
        return;
    users[user_count].vm = vm;
    users[user_count].config = disk;
    users[user_count++].counters = counters;
}

/* ---- what they say now */

static uint32_t uplink_state(unsigned index) {
    const struct switch_port *port = uplinks[index].port;

    if (!config->networks[index].uplink)
        return SERVICE_UPLINK_NONE;
    if (!port)
        return SERVICE_UPLINK_MISSING;
    if (!*uplinks[index].running)
        return SERVICE_UPLINK_FAILED;
    return port->link ? SERVICE_UPLINK_UP : SERVICE_UPLINK_DOWN;
}

static void gather_port(unsigned network, unsigned vm, const struct switch_port *port) {
    const struct switch_counters *counters = &port->counters;
    struct service_port_figures *out = &figures.port[figures.port_count++];

    out->network = (uint16_t)network;
    out->vm = (uint16_t)vm;
    if (vm != SERVICE_NO_VM)
        snprintf(out->device, sizeof(out->device), "%s", port->name);
    memcpy(out->mac, port->mac, sizeof(out->mac));
    out->link = port->link;
    out->sent_frames = counters->sent_frames;
    out->sent_bytes = counters->sent_bytes;
    out->received_frames = counters->received_frames;
    out->received_bytes = counters->received_bytes;
    memcpy(out->drops, counters->drops, sizeof(out->drops));
}

static void gather_networks(void) {
    figures.network_count = config->network_count;
    for (unsigned i = 0; i < config->network_count; i++) {
        const struct config_network *network = &config->networks[i];
        struct service_network_figures *out = &figures.network[i];
        snprintf(out->name, sizeof(out->name), "%s", network->name);
        snprintf(out->uplink, sizeof(out->uplink), "%s", network->uplink ? network->uplink : "");
        out->state = uplink_state(i);
        if (!uplinks[i].port)
            continue;
        snprintf(out->driver, sizeof(out->driver), "%s", uplinks[i].driver);
        snprintf(out->address, sizeof(out->address), "%s", uplinks[i].address);
        gather_port(i, SERVICE_NO_VM, uplinks[i].port);
    }
    for (unsigned i = 0; i < port_count; i++) {
        unsigned network = place_of(ports[i].port->network);
        if (network != SERVICE_MAX_NETWORKS)
            gather_port(network, ports[i].vm, ports[i].port);
    }
}

static void gather_disk(unsigned index) {
    const struct config_disk *disk = &config->disks[index];
    const struct disk *made = disks[index].disk;
    const struct block *block = disks[index].block;
    struct service_disk_figures *out = &figures.disk[index];

    snprintf(out->name, sizeof(out->name), "%s", disk->name);
    snprintf(out->place, sizeof(out->place), "%s",
             disk->device ? disk->device
             : disk->file ? disk->file
                          : "");
    out->kind = disk->device ? SERVICE_DISK_DEVICE : disk->file ? SERVICE_DISK_FILE : SERVICE_DISK_MEMORY;
    if (!made)
        return;
    out->there = 1;
    out->read_only = made->read_only;
    out->block = made->block;
    out->sectors = made->sectors;
    if (!block)
        return;
    snprintf(out->driver, sizeof(out->driver), "%s", block->class->name);
    snprintf(out->address, sizeof(out->address), "%s", disks[index].address);
    snprintf(out->serial, sizeof(out->serial), "%s", block->serial);
    out->failed = block->failed;
    out->resets = block->counters.resets;
    out->errors = block->counters.errors;
}

static void gather_user(unsigned index) {
    const struct config_guest_disk *disk = users[index].config;
    const struct disk_counters *counters = users[index].counters;
    struct service_user_figures *out = &figures.user[index];

    out->disk = (uint16_t)disk->disk;
    out->vm = (uint16_t)users[index].vm;
    snprintf(out->device, sizeof(out->device), "disk%u", (unsigned)disk->number);
    out->ahci = disk->type == CONFIG_DISK_AHCI;
    out->overlay = disk->overlay != 0;
    out->read_only = disk->read_only != 0;
    out->partition = (uint8_t)disk->partition;
    out->reads = counters->reads;
    out->read_bytes = counters->read_bytes;
    out->writes = counters->writes;
    out->written_bytes = counters->written_bytes;
    out->others = counters->others;
    out->errors = counters->errors;
}

const struct service_figures *figures_gather(void) {
    memset(&figures, 0, sizeof(figures));
    gather_networks();
    figures.disk_count = config->disk_count;
    for (unsigned i = 0; i < config->disk_count; i++)
        gather_disk(i);
    figures.user_count = user_count;
    for (unsigned i = 0; i < user_count; i++)
        gather_user(i);
    return &figures;
}
