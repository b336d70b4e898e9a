// SPDX-License-Identifier: Apache-2.0
// The config's checker: says what does not fit between nodes.
#include "lib/config_check_internal.h"
#include "lib/config_check_words.h"

#include <stdio.h>

#define POSITION 128u /* bytes of a place in words */

static struct config_place net_place(const struct config_checker *c, uint32_t guest, uint32_t item,
                                     const char *property) {
    const void *fdt = c->source->fdt;
    int node = config_item_offset(fdt, guest, "net", c->config->guests[guest].nets[item].number);

    return (struct config_place){
        .node = node, .property = config_property_offset(fdt, node, property), .element = 1};
}

static struct config_place disk_place(const struct config_checker *c, uint32_t guest, uint32_t item,
                                      const char *property) {
    const void *fdt = c->source->fdt;
    int node = config_item_offset(fdt, guest, "disk", c->config->guests[guest].disks[item].number);

    return (struct config_place){
        .node = node, .property = config_property_offset(fdt, node, property), .element = 1};
}

static struct config_place overlay_memory_place(const struct config_checker *c) {
    const void *fdt = c->source->fdt;
    int node = config_child_offset(fdt, 0, "service");

    return (struct config_place){.node = node,
                                 .property =
                                     node >= 0 ? config_property_offset(fdt, node, "overlay-memory") : -1,
                                 .element = 1};
}

static void check_net(struct config_checker *c, const struct config_link *link) {
    const struct config *config = c->config;
    const struct config_guest *guest = &config->guests[link->guest], *other;
    const struct config_net *net = &guest->nets[link->item];
    const char *names[CONFIG_MAX_NETWORKS], *nearest;
    char where[POSITION];

    switch (link->fault) {
    case CONFIG_LINK_QUEUES:
        config_check_complain(c, net_place(c, link->guest, link->item, "queues"),
                              "\"queues\" (%u) must not be more than the guest's \"vcpus\" (%u)",
                              (unsigned)net->queues, (unsigned)guest->vcpus);
        break;
    case CONFIG_LINK_MAC:
        other = &config->guests[link->other_guest];
        config_check_complain(
            c, net_place(c, link->guest, link->item, "mac"),
            "two cards in network \"%s\" have the address %02x:%02x:%02x:%02x:%02x:%02x: this one and net%u "
            "of "
            "guest \"%s\", at %s",
            net->network_name, net->mac[0], net->mac[1], net->mac[2], net->mac[3], net->mac[4], net->mac[5],
            (unsigned)other->nets[link->other_item].number, other->name,
            config_place_text(c->source, net_place(c, link->other_guest, link->other_item, "mac"), where,
                              sizeof(where)));
        break;
    default:
        for (uint32_t i = 0; i < config->network_count; i++) {
            names[i] = config->networks[i].name;
        }
        nearest = config_nearest_of(names, config->network_count, net->network_name);
        config_check_complain(c, net_place(c, link->guest, link->item, "network"),
                              nearest != NULL ? "unknown network \"%s\"; did you mean \"%s\"?"
                                              : "unknown network \"%s\"; networks { ... } defines them",
                              net->network_name, nearest);
        break;
    }
}

static void check_disk(struct config_checker *c, const struct config_link *link) {
    const struct config *config = c->config;
    const struct config_guest *guest = &config->guests[link->guest];
    const struct config_guest *other = &config->guests[link->other_guest];
    const struct config_guest_disk *disk = &guest->disks[link->item];
    struct config_place place = disk_place(c, link->guest, link->item, "disk");
    const char *names[CONFIG_MAX_DISKS], *nearest;
    char where[POSITION];

    switch (link->fault) {
    case CONFIG_LINK_WRITE:
        config_check_complain(
            c, disk_place(c, link->guest, link->item, "read-only"),
            "disk \"%s\" is read-only; with overlay = \"yes\" the guest can write all the same",
            disk->disk_name);
        break;
    case CONFIG_LINK_SHARED:
    case CONFIG_LINK_BASE:
        config_place_text(c->source, disk_place(c, link->other_guest, link->other_item, "disk"), where,
                          sizeof(where));
        config_check_complain(
            c, place,
            link->fault == CONFIG_LINK_SHARED
                ? "disk \"%s\" is written by disk%u of guest \"%s\", at %s, too: make one read-only, "
                  "give both an overlay, or make the disk shared"
                : "disk \"%s\" cannot be the base of an overlay: disk%u of guest \"%s\" writes it, at %s",
            disk->disk_name, (unsigned)other->disks[link->other_item].number, other->name, where);
        break;
    case CONFIG_LINK_OVERLAY:
        if (overlay_memory_place(c).property < 0) { /* else it is wrong: that is said */
            config_check_complain(
                c, disk_place(c, link->guest, link->item, "overlay"),
                "there is no memory for overlays: give service { overlay-memory = \"64M\"; }");
        }
        break;
    default:
        for (uint32_t i = 0; i < config->disk_count; i++) {
            names[i] = config->disks[i].name;
        }
        nearest = config_nearest_of(names, config->disk_count, disk->disk_name);
        config_check_complain(c, place,
                              nearest != NULL ? "unknown disk \"%s\"; did you mean \"%s\"?"
                                              : "unknown disk \"%s\"; disks { ... } defines them",
                              disk->disk_name, nearest);
        break;
    }
}

static void check_room(struct config_checker *c) {
    config_check_complain(c, overlay_memory_place(c),
                          "\"overlay-memory\" must be at least \"%uM\": 1M for each of the overlays",
                          (unsigned)config_overlays(c->config));
}

static void check_file(struct config_checker *c, const struct config_link *link) {
    const struct config_file *file = link->file;
    bool is_disk = file->guest == CONFIG_NO_GUEST;
    int node = config_record_offset(c->source->fdt, "disks", link->disk);
    struct config_place place = {
        .node = node, .property = config_property_offset(c->source->fdt, node, "file"), .element = 1};

    config_check_complain(
        c, place,
        is_disk ? "file \"%.60s\" is disk \"%s\", too: both need read-only = \"yes\""
                : "file \"%.60s\" is of guest \"%s\", too: the disk needs read-only = \"yes\"",
        file->name, is_disk ? c->config->disks[file->disk].name : c->config->guests[file->guest].name);
}

static struct config_place record_place(const struct config_checker *c, const char *list, uint32_t index,
                                        const char *property) {
    int node = config_record_offset(c->source->fdt, list, index);

    return (struct config_place){
        .node = node, .property = config_property_offset(c->source->fdt, node, property), .element = 1};
}

static void check_same(struct config_checker *c, const struct config_link *link) {
    const struct config *config = c->config;
    bool uplink = link->fault == CONFIG_LINK_UPLINK;
    const char *list = uplink ? "networks" : "disks", *property = uplink ? "uplink" : "device";
    char where[POSITION];

    config_check_complain(
        c, record_place(c, list, link->item, property), "\"%.64s\" is the %s of %s \"%s\", at %s, too",
        uplink ? config->networks[link->item].uplink : config->disks[link->item].device, property,
        uplink ? "network" : "disk",
        uplink ? config->networks[link->other_item].name : config->disks[link->other_item].name,
        config_place_text(c->source, record_place(c, list, link->other_item, property), where,
                          sizeof(where)));
}

static struct config_place passed_place(const struct config_checker *c, uint32_t guest, uint32_t item) {
    struct config_place place = record_place(c, "guests", guest, "passthrough");

    place.element = item + 1;
    return place;
}

static void check_passed(struct config_checker *c, const struct config_link *link) {
    const struct config *config = c->config;
    bool guest = link->fault == CONFIG_LINK_PASSED_GUEST, uplink = link->fault == CONFIG_LINK_PASSED_UPLINK;
    struct config_place other = guest ? passed_place(c, link->other_guest, link->other_item)
                                      : record_place(c, uplink ? "networks" : "disks", link->other_item,
                                                     uplink ? "uplink" : "device");
    char where[POSITION];

    config_check_complain(c, passed_place(c, link->guest, link->item),
                          "\"%.16s\" is of %s \"%s\", at %s, too",
                          config->guests[link->guest].passthrough[link->item],
                          guest    ? "guest"
                          : uplink ? "network"
                                   : "disk",
                          guest    ? config->guests[link->other_guest].name
                          : uplink ? config->networks[link->other_item].name
                                   : config->disks[link->other_item].name,
                          config_place_text(c->source, other, where, sizeof(where)));
}

void config_check_link(void *context, const struct config_link *link) {
    struct config_checker *c = context;

    switch (link->fault) {
    case CONFIG_LINK_NETWORK:
    case CONFIG_LINK_MAC:
    case CONFIG_LINK_QUEUES:
        check_net(c, link);
        break;
    case CONFIG_LINK_DISK:
    case CONFIG_LINK_WRITE:
    case CONFIG_LINK_SHARED:
    case CONFIG_LINK_BASE:
    case CONFIG_LINK_OVERLAY:
        check_disk(c, link);
        break;
    case CONFIG_LINK_ROOM:
        check_room(c);
        break;
    case CONFIG_LINK_FILE:
        check_file(c, link);
        break;
    case CONFIG_LINK_UPLINK:
    case CONFIG_LINK_DEVICE:
        check_same(c, link);
        break;
    case CONFIG_LINK_PASSED_GUEST:
    case CONFIG_LINK_PASSED_UPLINK:
    case CONFIG_LINK_PASSED_DISK:
        check_passed(c, link);
        break;
    case CONFIG_LINK_DEVICES:
        config_check_complain(
            c, config_check_at_node(config_record_offset(c->source->fdt, "guests", link->guest)),
            "with guest \"%s\" there are more than %u virtio devices", c->config->guests[link->guest].name,
            CONFIG_MAX_DEVICES);
        break;
    }
}
