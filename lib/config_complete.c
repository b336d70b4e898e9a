// SPDX-License-Identifier: Apache-2.0
// What holds between the nodes of a config: networks and disks that guests name, who may write what, defaults
// that depend on other nodes.
#include "lib/config_schema.h"

#include "abi/service.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static_assert(CONFIG_MAX_DEVICES == SERVICE_MAX_DEVICES && CONFIG_MAX_GUESTS <= SERVICE_MAX_VMS &&
                  CONFIG_MAX_VCPUS <= SERVICE_MAX_VCPUS && CONFIG_MAX_DISKS < SERVICE_MAX_FILES &&
                  CONFIG_MAX_NAME < SERVICE_NAME_SIZE && CONFIG_MAX_NETS <= SERVICE_MMIO_DISK &&
                  SERVICE_MMIO_DISK + CONFIG_MAX_GUEST_DISKS <= SERVICE_MMIO_ENTROPY &&
                  CONFIG_FIRST_SLOT + CONFIG_MAX_NETS + CONFIG_MAX_GUEST_DISKS + 3 <= CONFIG_IOMMU_SLOT,
              "what a config may have, the service VM can be told of");

#define NOT_FOUND UINT32_MAX

struct completion {
    struct config *config;
    enum config_arch arch;
    void (*found)(void *context, const struct config_link *link);
    void *context;
    unsigned count;
};

static void report(struct completion *c, const struct config_link *link) {
    c->count++;
    if (c->found != NULL) {
        c->found(c->context, link);
    }
}

/* Disks of one kind. */
static uint32_t count_disks(const struct config_guest *guest, enum config_disk_type type) {
    uint32_t count = 0;

    for (uint32_t i = 0; i < guest->disk_count; i++) {
        count += guest->disks[i].type == (uint32_t)type;
    }
    return count;
}

uint32_t config_devices(const struct config_guest *guest) {
    uint32_t controllers = count_disks(guest, CONFIG_DISK_AHCI) != 0 ? 1 : 0;

    return guest->net_count + count_disks(guest, CONFIG_DISK_VIRTIO) + controllers + guest->entropy +
           guest->virtio_console + guest->balloon + (guest->iommu != CONFIG_IOMMU_NONE);
}

uint32_t config_mmio_places(const struct config_guest *guest) {
    bool all = guest->transport == CONFIG_TRANSPORT_MMIO;
    uint32_t places = 0;

    for (uint32_t i = 0; i < guest->net_count; i++) {
        if (guest->nets[i].transport == CONFIG_TRANSPORT_MMIO) {
            places |= 1u << (SERVICE_MMIO_NET + guest->nets[i].number);
        }
    }
    for (uint32_t i = 0; i < guest->disk_count; i++) {
        if (guest->disks[i].transport == CONFIG_TRANSPORT_MMIO) {
            places |= 1u << (SERVICE_MMIO_DISK + guest->disks[i].number);
        }
    }
    if (all && guest->entropy != 0) {
        places |= 1u << SERVICE_MMIO_ENTROPY;
    }
    if (all && guest->virtio_console != 0) {
        places |= 1u << SERVICE_MMIO_CONSOLE;
    }
    if (all && guest->balloon != 0) {
        places |= 1u << SERVICE_MMIO_BALLOON;
    }
    return places;
}

uint32_t config_overlays(const struct config *config) {
    uint32_t overlays = 0;

    for (uint32_t guest = 0; guest < config->guest_count; guest++) {
        for (uint32_t item = 0; item < config->guests[guest].disk_count; item++) {
            overlays += config->guests[guest].disks[item].overlay;
        }
    }
    return overlays;
}

uint64_t config_memory(const struct config *config) {
    /* All limits together are far from 2^64. */
    uint64_t memory = config->service.memory + config->service.overlay_memory +
                      (uint64_t)config_iommus(config) * SERVICE_IOMMU_SIZE;

    for (uint32_t i = 0; i < config->disk_count; i++) {
        memory += config->disks[i].memory;
    }
    for (uint32_t i = 0; i < config->guest_count; i++) {
        memory += config->guests[i].memory;
    }
    return memory;
}

void config_serial(const struct config_guest *guest, const struct config_guest_disk *disk,
                   char serial[CONFIG_MAX_SERIAL + 1]) {
    if (disk->serial != NULL) {
        snprintf(serial, CONFIG_MAX_SERIAL + 1, "%s", disk->serial);
    } else { /* "-disk" and one digit after it */
        snprintf(serial, CONFIG_MAX_SERIAL + 1, "%.14s-disk%u", guest->name, (unsigned)(disk->number % 10));
    }
}

static void complete_image(struct config_guest *guest) {
    for (unsigned kind = 0; kind < CONFIG_IMAGES; kind++) {
        if (guest->images[kind] != NULL) {
            guest->image_kind = kind;
            guest->image = guest->images[kind];
        }
    }
}

static uint32_t find_network(const struct config *config, const char *name) {
    for (uint32_t i = 0; i < config->network_count; i++) {
        if (strcmp(config->networks[i].name, name) == 0) {
            return i;
        }
    }
    return NOT_FOUND;
}

static uint32_t find_disk(const struct config *config, const char *name) {
    for (uint32_t i = 0; i < config->disk_count; i++) {
        if (strcmp(config->disks[i].name, name) == 0) {
            return i;
        }
    }
    return NOT_FOUND;
}

/* A card before this one, in the config's order, with the same address in the same network. */
static bool find_mac(const struct config *config, struct config_link *link) {
    const struct config_net *net = &config->guests[link->guest].nets[link->item];

    for (uint32_t guest = 0; guest <= link->guest; guest++) {
        uint32_t count = guest == link->guest ? link->item : config->guests[guest].net_count;

        for (uint32_t item = 0; item < count; item++) {
            const struct config_net *other = &config->guests[guest].nets[item];

            if (other->network == net->network && memcmp(other->mac, net->mac, sizeof(net->mac)) == 0) {
                link->other_guest = guest;
                link->other_item = item;
                return true;
            }
        }
    }
    return false;
}

static void complete_net(struct completion *c, uint32_t guest_index, uint32_t item) {
    static const uint8_t none[6];
    struct config_guest *guest = &c->config->guests[guest_index];
    struct config_net *net = &guest->nets[item];
    struct config_link link = {.guest = guest_index, .item = item};

    if (memcmp(net->mac, none, sizeof(none)) == 0) {
        config_make_mac(c->config->host_name, guest->name, net->number, net->mac);
    }
    if (net->transport == CONFIG_UNSET) {
        net->transport = net->type == CONFIG_NET_VIRTIO ? guest->transport : CONFIG_TRANSPORT_PCI;
    }
    if (net->queues > guest->vcpus) {
        link.fault = CONFIG_LINK_QUEUES;
        report(c, &link);
    }
    net->network = NOT_FOUND;
    if (net->network_name == NULL) {
        return;
    }
    net->network = find_network(c->config, net->network_name);
    link.fault = net->network == NOT_FOUND ? CONFIG_LINK_NETWORK : CONFIG_LINK_MAC;
    if (net->network == NOT_FOUND || find_mac(c->config, &link)) {
        report(c, &link);
    }
}

static void complete_guest_disk(struct completion *c, uint32_t guest_index, uint32_t item) {
    struct config_guest_disk *disk = &c->config->guests[guest_index].disks[item];
    struct config_link link = {.guest = guest_index, .item = item};
    bool base_read_only = false;

    if (disk->transport == CONFIG_UNSET) {
        disk->transport = disk->type == CONFIG_DISK_VIRTIO ? c->config->guests[guest_index].transport
                                                           : CONFIG_TRANSPORT_PCI;
    }
    disk->disk = disk->disk_name != NULL ? find_disk(c->config, disk->disk_name) : NOT_FOUND;
    if (disk->disk != NOT_FOUND) {
        base_read_only = c->config->disks[disk->disk].read_only != 0;
    } else if (disk->disk_name != NULL) {
        link.fault = CONFIG_LINK_DISK;
        report(c, &link);
    }
    if (disk->read_only == CONFIG_UNSET) {
        disk->read_only = base_read_only && disk->overlay == 0;
    } else if (disk->read_only == 0 && base_read_only && disk->overlay == 0) {
        link.fault = CONFIG_LINK_WRITE;
        report(c, &link);
        disk->read_only = 1;
    }
}

static bool has_virtio(const struct config_guest *guest) {
    bool found =
        count_disks(guest, CONFIG_DISK_VIRTIO) != 0 || guest->virtio_console == 1 || guest->balloon == 1;

    for (uint32_t i = 0; i < guest->net_count; i++) {
        found = found || guest->nets[i].type == CONFIG_NET_VIRTIO;
    }
    return found;
}

static void complete_guest(struct completion *c, uint32_t index) {
    struct config_guest *guest = &c->config->guests[index];

    complete_image(guest);
    for (uint32_t i = 0; i < guest->net_count; i++) {
        complete_net(c, index, i);
    }
    for (uint32_t i = 0; i < guest->disk_count; i++) {
        complete_guest_disk(c, index, i);
    }
    if (guest->entropy == CONFIG_UNSET) {
        guest->entropy = has_virtio(guest);
    }
}

static bool writes(const struct config_guest_disk *disk) {
    return disk->read_only == 0 && disk->overlay == 0;
}

/* Whether two disks of guests show the same place of a disk. */
static bool overlap(const struct config_guest_disk *a, const struct config_guest_disk *b) {
    return a->disk == b->disk && (a->partition == b->partition || a->partition == 0 || b->partition == 0);
}

/* Who else writes what this disk of a guest shows; with `before`, only those before it in the config. */
static bool find_writer(const struct config *config, struct config_link *link, bool before) {
    const struct config_guest_disk *disk = &config->guests[link->guest].disks[link->item];

    for (uint32_t guest = 0; guest < config->guest_count; guest++) {
        for (uint32_t item = 0; item < config->guests[guest].disk_count; item++) {
            const struct config_guest_disk *other = &config->guests[guest].disks[item];

            if (other == disk) {
                if (before) {
                    return false;
                }
                continue;
            }
            if (writes(other) && overlap(disk, other)) {
                link->other_guest = guest;
                link->other_item = item;
                return true;
            }
        }
    }
    return false;
}

static void check_writers(struct completion *c, uint32_t guest, uint32_t item) {
    const struct config_guest_disk *disk = &c->config->guests[guest].disks[item];
    struct config_link link = {.guest = guest, .item = item};

    if (disk->disk == NOT_FOUND) {
        return;
    }
    link.fault = disk->overlay != 0 ? CONFIG_LINK_BASE : CONFIG_LINK_SHARED;
    if (disk->overlay != 0 ? find_writer(c->config, &link, false)
                           : writes(disk) && c->config->disks[disk->disk].shared == 0 &&
                                 find_writer(c->config, &link, true)) {
        report(c, &link);
    }
}

/* A file is in memory once: a disk that may be written cannot be something else, too. */
struct file_check {
    struct completion *completion;
    uint32_t disk;
};

static int check_file(void *context, const struct config_file *file) {
    const struct file_check *check = context;
    const struct config_disk *disks = check->completion->config->disks, *disk = &disks[check->disk];
    struct config_link link = {.fault = CONFIG_LINK_FILE, .disk = check->disk, .file = file};
    bool read_only = disk->read_only != 0;

    if (file->guest == CONFIG_NO_GUEST) {
        if (file->disk == check->disk) {
            return 1; /* what follows is checked when its turn comes */
        }
        read_only = read_only && disks[file->disk].read_only != 0;
    }
    if (read_only || strcmp(file->name, disk->file) != 0) {
        return 0;
    }
    report(check->completion, &link);
    return 1;
}

/* A card is in one network, a disk of the machine is one disk: two switches, or two writers that do not know
 * of each other, would use it. */
static void check_same_uplinks(struct completion *c, uint32_t index) {
    const struct config_network *networks = c->config->networks;

    for (uint32_t other = 0; networks[index].uplink != NULL && other < index; other++) {
        const struct config_link link = {.fault = CONFIG_LINK_UPLINK, .item = index, .other_item = other};

        if (networks[other].uplink != NULL &&
            config_same_device(networks[index].uplink, networks[other].uplink)) {
            report(c, &link);
            return;
        }
    }
}

static void check_same_devices(struct completion *c, uint32_t index) {
    const struct config_disk *disks = c->config->disks;

    for (uint32_t other = 0; disks[index].device != NULL && other < index; other++) {
        const struct config_link link = {.fault = CONFIG_LINK_DEVICE, .item = index, .other_item = other};

        if (disks[other].device != NULL && config_same_device(disks[index].device, disks[other].device)) {
            report(c, &link);
            return;
        }
    }
}

/* A function of the machine is one guest's, and nobody else's. Cards and disks that are named otherwise than
 * by their PCI address are seen when the machine starts: the service VM does not find them. */
static void check_passed(struct completion *c, uint32_t guest, uint32_t item) {
    const struct config *config = c->config;
    const char *passed = config->guests[guest].passthrough[item];
    struct config_link link = {.guest = guest, .item = item};

    for (uint32_t other = 0; other < guest; other++) {
        for (uint32_t i = 0; i < config->guests[other].passthrough_count; i++) {
            if (config_same_device(passed, config->guests[other].passthrough[i])) {
                link.fault = CONFIG_LINK_PASSED_GUEST;
                link.other_guest = other;
                link.other_item = i;
                report(c, &link);
                return;
            }
        }
    }
    for (uint32_t i = 0; i < config->network_count; i++) {
        if (config->networks[i].uplink != NULL && config_same_device(passed, config->networks[i].uplink)) {
            link.fault = CONFIG_LINK_PASSED_UPLINK;
            link.other_item = i;
            report(c, &link);
        }
    }
    for (uint32_t i = 0; i < config->disk_count; i++) {
        if (config->disks[i].device != NULL && config_same_device(passed, config->disks[i].device)) {
            link.fault = CONFIG_LINK_PASSED_DISK;
            link.other_item = i;
            report(c, &link);
        }
    }
}

/* All overlays share one piece of memory. */
static void check_overlay_memory(struct completion *c) {
    const struct config *config = c->config;

    if (config->service.overlay_memory != 0) {
        const struct config_link link = {.fault = CONFIG_LINK_ROOM};

        if (config->service.overlay_memory / CONFIG_MIN_OVERLAY < config_overlays(config)) {
            report(c, &link);
        }
        return;
    }
    for (uint32_t guest = 0; guest < config->guest_count; guest++) {
        for (uint32_t item = 0; item < config->guests[guest].disk_count; item++) {
            const struct config_link link = {.fault = CONFIG_LINK_OVERLAY, .guest = guest, .item = item};

            if (config->guests[guest].disks[item].overlay != 0) {
                report(c, &link);
                return; /* one such line is enough */
            }
        }
    }
}

static void count_devices(struct completion *c) {
    uint32_t devices = 0;

    for (uint32_t i = 0; i < c->config->guest_count; i++) {
        const struct config_link link = {.fault = CONFIG_LINK_DEVICES, .guest = i};
        uint32_t before = devices;

        devices += config_devices(&c->config->guests[i]);
        if (before <= CONFIG_MAX_DEVICES && devices > CONFIG_MAX_DEVICES) {
            report(c, &link);
        }
    }
    /* Networks and disks take of its memory also where no guest uses them. */
    if (c->config->service.memory == 0) {
        c->config->service.memory = devices + c->config->network_count + c->config->disk_count == 0
                                        ? CONFIG_SMALL_SERVICE
                                    : c->arch == CONFIG_ARCH_PPC ? CONFIG_PPC_SERVICE
                                                                 : CONFIG_SERVICE;
    }
}

unsigned config_complete(struct config *config, enum config_arch arch,
                         void (*found)(void *context, const struct config_link *link), void *context) {
    struct completion completion = {config, arch, found, context, 0};

    for (uint32_t i = 0; i < config->guest_count; i++) {
        complete_guest(&completion, i);
    }
    for (uint32_t i = 0; i < config->guest_count; i++) {
        for (uint32_t item = 0; item < config->guests[i].disk_count; item++) {
            check_writers(&completion, i, item);
        }
        for (uint32_t item = 0; item < config->guests[i].passthrough_count; item++) {
            check_passed(&completion, i, item);
        }
    }
    for (uint32_t i = 0; i < config->disk_count; i++) {
        struct file_check check = {&completion, i};

        if (config->disks[i].file != NULL) {
            config_walk_files(config, check_file, &check);
        }
        check_same_devices(&completion, i);
    }
    for (uint32_t i = 0; i < config->network_count; i++) {
        check_same_uplinks(&completion, i);
    }
    check_overlay_memory(&completion);
    count_devices(&completion);
    return completion.count;
}
