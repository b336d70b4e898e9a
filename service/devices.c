// SPDX-License-Identifier: Apache-2.0
// The devices of all guests, as the config says: networks and cards, disks and what lies between a disk and
// its guest (partition, overlay), sources of random numbers, consoles.
#include "service/devices.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include "service/ahci_device.h"
#include "service/arch.h"
#include "service/balloon_device.h"
#include "service/call.h"
#include "service/clock.h"
#include "service/console.h"
#include "service/device.h"
#include "service/e1000_device.h"
#include "service/figures.h"
#include "service/heap.h"
#include "service/hostdisks.h"
#include "service/iommu_device.h"
#include "service/log.h"
#include "service/overlays.h"
#include "virtio/blk.h"
#include "virtio/disk_memory.h"
#include "virtio/net.h"
#include "virtio/partition.h"
#include "virtio/rng.h"

#define FIRST_SLOT  CONFIG_FIRST_SLOT        /* on a guest's bus 0; each device has a slot of its own */
#define RANDOM_WAIT (10 * CLOCK_MILLISECOND) /* until a source that had no more is asked again */

_Static_assert(CONFIG_MAX_GUEST_DISKS <= AHCI_MAX_PORTS, "a port for each disk");

struct net_device {
    struct device device;
    struct net net;
    struct loop_timer late;
};

/* What may lie between a disk and its guest. */
struct disk_layers {
    struct disk_part part;
    struct overlay overlay;
};

struct blk_device {
    struct device device;
    struct virtio_blk blk;
    struct disk_layers layers;
};

struct rng_device {
    struct device device;
    struct virtio_rng rng;
    struct loop_timer more;
};

static struct service_board *board;
static const struct config *config;
static struct ether_switch *networks[CONFIG_MAX_NETWORKS];
static struct disk *disks[CONFIG_MAX_DISKS]; /* NULL: it could not be made */
static struct virtio_iommu *iommu; /* of the guest whose devices are being made; NULL: it has none */
static unsigned iommus;            /* guests so far that have one */

/* A virtio device's place: its slot is that of its index among the guest's devices, or its place over MMIO is
 * `mmio`. */
static struct device_place place_of(unsigned vm, unsigned index, uint32_t transport, unsigned mmio) {
    bool over_mmio = transport == CONFIG_TRANSPORT_MMIO;

    return (struct device_place){.mmio = over_mmio,
                                 .at = (uint8_t)(over_mmio ? mmio : (FIRST_SLOT + index) << 3),
                                 .token = vm << 8 | (index + 1),
                                 .iommu = over_mmio ? NULL : iommu};
}

/* ---- networks */

/* A network's time is in ms; as near as makes no difference, and without a division. */
static void net_before(struct device *device) {
    struct net_device *net = (struct net_device *)device;
    switch_tick(net->net.port.network, clock_now() >> 20);
}

static bool net_work(struct device *device) {
    net_before(device);
    return net_run(&((struct net_device *)device)->net);
}

static void net_again(struct net *net) {
    device_again(device_of(&net->device));
}

static void net_expired(struct loop_timer *timer) {
    net_late(&((struct net_device *)(void *)((char *)timer - offsetof(struct net_device, late)))->net);
}

static void net_later(struct net *net) {
    struct net_device *made = (struct net_device *)device_of(&net->device);

    if (!made->late.set)
        loop_set_timer(&made->late, clock_now() + NET_LATE);
}

static int make_net(unsigned vm, unsigned index, const struct config_net *card) {
    static struct virtio_record none; /* until the device has a place in the board */
    struct net_device *made = heap_allocate(sizeof(*made));

    if (!made || !networks[card->network])
        return -ENOMEM;
    struct net_setup setup = {
        .network = networks[card->network],
        .locked = card->mac_lock != 0,
        .pairs = (uint8_t)card->queues,
        .mtu = (uint16_t)card->mtu,
        .rate = config->networks[card->network].broadcast_limit,
        .again = net_again,
        .later = net_later,
    };
    memcpy(setup.mac, card->mac, sizeof(setup.mac));
    memset(&none, 0, sizeof(none));
    snprintf(made->device.name, sizeof(made->device.name), "net%u", (unsigned)card->number);
    made->device.before = net_before;
    made->device.run = net_work;
    made->late.expired = net_expired;
    made->net.device.name = made->device.name;
    made->net.device.record = &none;
    struct device_place place = place_of(vm, index, card->transport, SERVICE_MMIO_NET + card->number);
    int error = net_init(&made->net, &setup);
    if (!error)
        error = device_add(&made->device, &made->net.device, vm, &place);
    if (!error)
        figures_add_port(vm, &made->net.port);
    return error;
}

static int make_e1000(unsigned vm, unsigned index, const struct config_net *card) {
    if (!networks[card->network])
        return -ENOMEM;
    struct e1000_setup setup = {
        .network = networks[card->network],
        .locked = card->mac_lock != 0,
        .mtu = (uint16_t)card->mtu,
        .rate = config->networks[card->network].broadcast_limit,
    };
    memcpy(setup.mac, card->mac, sizeof(setup.mac));
    return e1000_device_make(vm, (FIRST_SLOT + index) << 3, vm << 8 | (index + 1), card->number, &setup);
}

static int make_card(unsigned vm, unsigned index, const struct config_net *card) {
    return card->type == CONFIG_NET_E1000 ? make_e1000(vm, index, card) : make_net(vm, index, card);
}

static void make_networks(void) {
    memset(networks, 0, sizeof(networks));
    for (unsigned i = 0; i < config->network_count; i++) {
        networks[i] = heap_allocate(sizeof(*networks[i]));
        if (!networks[i])
            continue;
        switch_init(networks[i], config->networks[i].name, (uint32_t)arch_counter());
        figures_add_network(i, networks[i]);
    }
}

struct ether_switch *devices_network(unsigned index) {
    return index < CONFIG_MAX_NETWORKS ? networks[index] : NULL;
}

/* ---- disks */

static bool blk_work(struct device *device) {
    virtio_blk_run(&((struct blk_device *)device)->blk);
    return false; /* it asks for itself */
}

static bool blk_idle(const struct plain_device *device) {
    return virtio_blk_idle(&((const struct blk_device *)(const void *)device)->blk);
}

static void blk_again(struct virtio_blk *blk) {
    device_again(device_of(&blk->device));
}

/* What the disk holds: a file that the loader put into memory, or memory alone. */
static const struct service_file *contents_of(const struct config_disk *disk) {
    for (unsigned i = 0; i < board->file_count && i < SERVICE_MAX_FILES; i++) {
        const char *name = board->file[i].name;
        if (disk->file ? !strcmp(name, disk->file) : name[0] == ':' && !strcmp(name + 1, disk->name))
            return &board->file[i];
    }
    return NULL;
}

static int make_disk(unsigned number) {
    const struct config_disk *disk = &config->disks[number];
    const struct service_file *file = contents_of(disk);

    if (!file)
        return -ENOENT;
    void *data = arch_map(file->address, file->size, true);
    struct disk_memory *made = heap_allocate(sizeof(*made));
    if (!data || !made)
        return -ENOMEM;
    int error = disk_memory_init(made, data, file->size, disk->read_only != 0);
    if (!error)
        disks[number] = &made->disk;
    return error;
}

/* For one search after the other; NULL: the next one takes new memory, for a disk that did not answer in time
 * may do so later, and keeps what there was. */
static struct partition_search *search;
static bool silent[CONFIG_MAX_DISKS]; /* such a disk: it is not waited for again */

static void make_disks(void) {
    memset(disks, 0, sizeof(disks));
    memset(silent, 0, sizeof(silent));
    search = NULL;
    for (unsigned i = 0; i < config->disk_count; i++) {
        if (config->disks[i].device) { /* what is wrong with it was said when it was looked for */
            disks[i] = hostdisks_get(i);
            figures_add_disk(i, disks[i]);
            continue;
        }
        int error = make_disk(i);
        figures_add_disk(i, disks[i]);
        if (error)
            service_log(LOG_ERROR, "disk %s cannot be used: error %d", config->disks[i].name, -error);
    }
}

/* The partition, if the guest's disk is one. 0, or why not. */
static int choose_partition(struct disk_layers *layers, const struct config_guest_disk *disk,
                            struct disk **which) {
    bool read_only = disk->read_only || disk->overlay || (*which)->read_only;

    if (!disk->partition)
        return 0;
    if (silent[disk->disk]) {
        service_log(LOG_ERROR, "disk %s: partition %u: the disk did not answer before", disk->disk_name,
                    (unsigned)disk->partition);
        return -ETIMEDOUT;
    }
    if (!search)
        search = heap_allocate(sizeof(*search));
    if (!search)
        return -ENOMEM;
    int error = partition_find(search, *which, disk->partition);
    if (error) {
        service_log(LOG_ERROR, "disk %s: partition %u: %s", disk->disk_name, (unsigned)disk->partition,
                    search->why);
        silent[disk->disk] = error == -ETIMEDOUT;
        search = silent[disk->disk] ? NULL : search;
        return error;
    }
    error = disk_part_init(&layers->part, *which, search->first, search->sectors, read_only);
    *which = &layers->part.disk;
    return error;
}

/* The config is the same in each run. */
static unsigned overlay_number(const struct config_guest *guest, const struct config_guest_disk *disk) {
    return (unsigned)(guest - config->guests) * CONFIG_MAX_GUEST_DISKS + disk->number;
}

/* The disk as the guest has it: *which. 0, or why there is none. */
static int open_disk(struct disk_layers *layers, unsigned vm, const struct config_guest *guest,
                     const struct config_guest_disk *disk, struct disk **which) {
    char name[DEVICE_NAME_SIZE];

    if (!disks[disk->disk])
        return -ENOENT;
    *which = disks[disk->disk];
    int error = choose_partition(layers, disk, which);
    if (error || !disk->overlay)
        return error;
    snprintf(name, sizeof(name), "disk%u", (unsigned)disk->number);
    *which = overlays_open(&layers->overlay, overlay_number(guest, disk), vm, name, *which);
    return 0;
}

static int make_blk(unsigned vm, unsigned index, const struct config_guest *guest,
                    const struct config_guest_disk *disk) {
    struct blk_device *made = heap_allocate(sizeof(*made));
    char serial[CONFIG_MAX_SERIAL + 1];
    struct disk *which;

    if (!made)
        return -ENOMEM;
    int error = open_disk(&made->layers, vm, guest, disk, &which);
    if (error)
        return error;
    snprintf(made->device.name, sizeof(made->device.name), "disk%u", (unsigned)disk->number);
    made->device.run = blk_work;
    made->device.plain.idle = blk_idle;
    config_serial(guest, disk, serial);
    virtio_blk_init(&made->blk, which, serial,
                    guest->vcpus < VIRTIO_BLK_MAX_QUEUES ? guest->vcpus : VIRTIO_BLK_MAX_QUEUES,
                    disk->read_only != 0, blk_again);
    struct device_place place = place_of(vm, index, disk->transport, SERVICE_MMIO_DISK + disk->number);
    error = device_add(&made->device, &made->blk.device, vm, &place);
    if (!error)
        figures_add_user(vm, disk, &made->blk.counters);
    return error;
}

/* One port of the guest's controller; an empty one if the disk cannot be had. */
static int make_ahci_port(struct ahci_device *controller, unsigned vm, const struct config_guest *guest,
                          const struct config_guest_disk *disk) {
    struct disk_layers *layers = heap_allocate(sizeof(*layers));
    char serial[CONFIG_MAX_SERIAL + 1];
    struct disk *which = NULL;
    int error = layers ? open_disk(layers, vm, guest, disk, &which) : -ENOMEM;

    config_serial(guest, disk, serial);
    ahci_device_port(controller, disk->number, error ? NULL : which, serial, disk->read_only != 0);
    if (!error)
        figures_add_user(vm, disk, &controller->ahci.port[controller->ahci.ports - 1].counters);
    return error;
}

/* ---- random numbers */

static size_t rng_entropy(void *context, uint8_t *bytes, size_t size) {
    struct rng_device *made = context;
    int count =
        service_call_entropy(bytes, size < SERVICE_MAX_ENTROPY ? (uint32_t)size : SERVICE_MAX_ENTROPY);

    if (count <= 0) {
        loop_set_timer(&made->more, clock_now() + RANDOM_WAIT);
        return 0;
    }
    return (size_t)count < size ? (size_t)count : size;
}

static void rng_more(struct loop_timer *timer) {
    struct rng_device *made = (struct rng_device *)((char *)timer - offsetof(struct rng_device, more));
    virtio_rng_run(&made->rng);
}

static bool rng_work(struct device *device) {
    virtio_rng_run(&((struct rng_device *)device)->rng);
    return false; /* it asks for itself */
}

static void rng_again(struct virtio_rng *rng) {
    device_again(device_of(&rng->device));
}

static int make_rng(unsigned vm, unsigned index, uint32_t transport) {
    struct rng_device *made = heap_allocate(sizeof(*made));

    if (!made)
        return -ENOMEM;
    snprintf(made->device.name, sizeof(made->device.name), "entropy");
    made->device.run = rng_work;
    made->more.expired = rng_more;
    virtio_rng_init(&made->rng, rng_entropy, made, rng_again);
    struct device_place place = place_of(vm, index, transport, SERVICE_MMIO_ENTROPY);
    return device_add(&made->device, &made->rng.device, vm, &place);
}

/* Whether the machine has a source, which guests may be shown. */
static bool find_entropy(void) {
    uint8_t byte;
    bool wanted = false;

    for (unsigned i = 0; i < config->guest_count; i++)
        wanted = wanted || config->guests[i].entropy;
    if (!wanted)
        return false;
    bool found = service_call_entropy(&byte, sizeof(byte)) != -ENODEV;
    if (!found)
        service_log(LOG_WARNING, "this machine has no source of random numbers: guests have none from it");
    return found;
}

/* ---- all of them */

/* The VM of that name; SERVICE_MAX_VMS: there is none. */
static unsigned vm_of(const char *name) {
    unsigned vm = 0;

    while (vm < SERVICE_MAX_VMS && strncmp(board->vm[vm].name, name, SERVICE_NAME_SIZE))
        vm++;
    return vm;
}

static void complain(const struct config_guest *guest, const char *kind, unsigned number, int error) {
    if (error)
        service_log(LOG_ERROR, "guest %s: %s%u cannot be made: error %d", guest->name, kind, number, -error);
}

/* All of the guest's AHCI disks, in their order. */
static void make_ahci(unsigned vm, unsigned index, const struct config_guest *guest) {
    struct ahci_device *made = heap_allocate(sizeof(*made));
    int error = made ? 0 : -ENOMEM;

    for (unsigned i = 0; made && i < guest->disk_count; i++)
        if (guest->disks[i].type == CONFIG_DISK_AHCI)
            complain(guest, "disk", guest->disks[i].number,
                     make_ahci_port(made, vm, guest, &guest->disks[i]));
    if (made)
        error = ahci_device_add(made, vm, (FIRST_SLOT + index) << 3, vm << 8 | (index + 1));
    if (error)
        service_log(LOG_ERROR, "guest %s: its AHCI controller cannot be made: error %d", guest->name, -error);
}

/* The guest's IOMMU, if it is to have one: before what is behind it. False: it could not be made, and devices
 * would reach what they must not. */
static bool make_iommu(unsigned vm, const struct config_guest *guest) {
    iommu = NULL;
    if (guest->iommu == CONFIG_IOMMU_NONE)
        return true;
    int error = iommu_device_make(vm, iommus, guest, vm << 8 | (CONFIG_IOMMU_SLOT - FIRST_SLOT + 1),
                                  board->vm[vm].dma_bits, &iommu);
    if (error)
        service_log(LOG_ERROR, "guest %s: its IOMMU cannot be made: error %d: it has no devices", guest->name,
                    -error);
    return !error;
}

/* A device keeps its place whatever becomes of the others. The controller of all AHCI disks has that of the
 * first of them. */
static void make_guest(const struct config_guest *guest, bool entropy) {
    unsigned vm = vm_of(guest->name), index = 0;
    bool controller = false;

    if (vm == SERVICE_MAX_VMS) {
        service_log(LOG_ERROR, "guest %s: there is no such VM", guest->name);
        return;
    }
    if (!make_iommu(vm, guest))
        return;
    for (unsigned i = 0; i < guest->net_count; i++)
        complain(guest, "net", guest->nets[i].number, make_card(vm, index++, &guest->nets[i]));
    for (unsigned i = 0; i < guest->disk_count; i++) {
        const struct config_guest_disk *disk = &guest->disks[i];
        if (disk->type == CONFIG_DISK_VIRTIO) {
            complain(guest, "disk", disk->number, make_blk(vm, index++, guest, disk));
        } else if (!controller) {
            make_ahci(vm, index++, guest);
            controller = true;
        }
    }
    if (entropy && guest->entropy)
        complain(guest, "entropy", 0, make_rng(vm, index, guest->transport));
    index += guest->entropy;
    struct device_place place = place_of(vm, index, guest->transport, SERVICE_MMIO_CONSOLE);
    if (guest->virtio_console)
        complain(guest, "console", 0, console_make(vm, &place));
    index += guest->virtio_console;
    place = place_of(vm, index, guest->transport, SERVICE_MMIO_BALLOON);
    place.iommu = NULL;
    if (guest->balloon)
        complain(guest, "balloon", 0, balloon_device_make(vm, &place));
}

void devices_init(struct service_board *service_board, const struct config *service_config) {
    board = service_board;
    config = service_config;
    plain_device_init(board);
    console_init();
    balloon_device_init();
    make_networks();
    make_disks();
    bool entropy = find_entropy();
    iommus = 0;
    for (unsigned i = 0; i < config->guest_count; i++) {
        make_guest(&config->guests[i], entropy);
        iommus += config->guests[i].iommu != CONFIG_IOMMU_NONE;
    }
    overlays_settle();
}

void devices_vm_changed(unsigned vm) {
    plain_device_vm_changed(vm);
}
