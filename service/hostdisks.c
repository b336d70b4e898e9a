// SPDX-License-Identifier: Apache-2.0
// The machine's disks (see service/hostdisks.h). A storage device is claimed if a disk names its address, or
// while a disk is without the device whose serial number it names; one that nobody wants is stopped again.
#include "service/hostdisks.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include "service/clock.h"
#include "service/drivers.h"
#include "service/figures.h"
#include "service/heap.h"
#include "service/host_pci.h"
#include "service/log.h"

#define LOOK_TIME (100 * CLOCK_MICROSECOND) /* between two looks of a caller that waits */
#define WHY_SIZE  80u

_Static_assert(CONFIG_MAX_DEVICE == BLOCK_SERIAL, "a config can name every serial number");

/* A storage device of the machine's that was looked at. */
struct storage {
    struct host_function function;
    const struct block_class *class; /* NULL: there is no driver */
    struct block *block;             /* NULL: not wanted, or it cannot be used */
    char serial[BLOCK_SERIAL + 1];
    uint64_t sectors;
    char why[WHY_SIZE]; /* it cannot be used; "" if it can */
    /* As a disk of the config. */
    const struct config_disk *config; /* NULL: it is none */
    struct disk disk;
    uint64_t ticked; /* when tick() was called last */
};

static struct storage *devices[SERVICE_MAX_PCI]; /* by function; NULL: not looked at */
static struct disk *disks[CONFIG_MAX_DISKS];

/* ---- the disk */

static struct storage *of_disk(struct disk *disk) {
    return (struct storage *)((char *)disk - offsetof(struct storage, disk));
}

static void submit(struct disk *disk, struct disk_request *request) {
    struct storage *storage = of_disk(disk);

    disk_submit(&storage->block->disk, request);
    host_pci_busy(&storage->function);
}

static void tick(struct host_function *function) {
    struct storage *storage = function->owner;

    storage->ticked = clock_now();
    storage->class->tick(storage->block);
}

/* For who waits outside the loop: time passes, and limits are kept. */
static void wait(struct disk *disk) {
    struct storage *storage = of_disk(disk);

    host_pci_pause(LOOK_TIME);
    storage->class->poll(storage->block, 0);
    if (clock_now() - storage->ticked >= CLOCK_SECOND)
        tick(&storage->function);
}

static const struct disk_operations operations = {.submit = submit, .poll = wait};

/* ---- what the driver and host_pci call */

static bool poll(struct host_function *function, uint32_t vectors) {
    struct storage *storage = function->owner;

    storage->class->poll(storage->block, vectors);
    return false;
}

static const char *why_of(const struct block *block) {
    return block->why ? block->why : "it does not say why";
}

static void changed(struct block *block) {
    const struct storage *storage = block->owner;

    if (block->failed)
        service_log(LOG_ERROR, "disk %s: %s has failed: %s: all requests are I/O errors",
                    storage->config->name, storage->function.name, why_of(block));
    else
        service_log(LOG_INFO, "disk %s: %s works again", storage->config->name, storage->function.name);
}

/* ---- finding them */

static const struct block_class *class_of(const struct pci_device *pci) {
    for (unsigned i = 0; block_classes[i]; i++)
        if (block_classes[i]->matches(pci))
            return block_classes[i];
    return NULL;
}

/* Claims the device and starts it. Why it cannot be used is in `why`. */
static void begin(struct storage *storage) {
    storage->class = class_of(&storage->function.pci);
    storage->block = host_pci_claim(&storage->function, storage->class ? storage->class->size : 0,
                                    storage->why, sizeof(storage->why));
    if (!storage->block)
        return;
    storage->block->class = storage->class;
    storage->block->pci = &storage->function.pci;
    int error = storage->class->start(storage->block);
    if (error)
        snprintf(storage->why, sizeof(storage->why), "%s, error %d", why_of(storage->block), -error);
    snprintf(storage->serial, sizeof(storage->serial), "%s", storage->block->serial);
    storage->sectors = storage->block->disk.sectors;
}

/* The device of a function, looked at if it was not; NULL: no memory. */
static struct storage *storage_of(unsigned number) {
    struct storage *storage = devices[number];

    if (storage)
        return storage;
    storage = heap_allocate(sizeof(*storage));
    if (!storage)
        return NULL;
    devices[number] = storage;
    host_pci_identify(&storage->function, number);
    storage->function.owner = storage;
    begin(storage);
    return storage;
}

static void use(struct storage *storage, unsigned index, const struct config_disk *config) {
    if (storage->config) {
        service_log(LOG_ERROR, "disk %s: its device %s is that of disk %s already", config->name,
                    config->device, storage->config->name);
        return;
    }
    if (storage->why[0]) {
        service_log(LOG_ERROR, "disk %s: its device %s cannot be used: %s", config->name, config->device,
                    storage->why);
        return;
    }
    storage->config = config;
    storage->disk = storage->block->disk;
    storage->disk.operations = &operations;
    storage->disk.read_only = storage->block->disk.read_only || config->read_only;
    storage->block->owner = storage;
    storage->block->changed = changed;
    storage->function.poll = poll;
    storage->function.tick = tick;
    storage->ticked = clock_now();
    disks[index] = &storage->disk;
    figures_add_device(index, storage->block, storage->function.name);
    service_log(LOG_INFO, "disk %s: %s at %s, serial number \"%s\", %llu MiB%s", config->name,
                storage->class->name, storage->function.name, storage->serial,
                (unsigned long long)(storage->sectors >> 11),
                storage->block->disk.read_only ? ", read-only" : "");
    host_pci_run(&storage->function);
}

/* The device with that serial number among those that were looked at; NULL: none. */
static struct storage *with_serial(const char *serial) {
    for (unsigned i = 0; i < host_pci_count(); i++)
        if (devices[i] && !devices[i]->why[0] && !strcmp(devices[i]->serial, serial))
            return devices[i];
    return NULL;
}

/* The device that the disk names, as far as devices were looked at; with an address, it is now. */
static struct storage *wanted(const struct config_disk *disk) {
    struct config_pci address;

    if (config_parse_pci(disk->device, &address))
        return with_serial(disk->device);
    int number = host_pci_find(&address, HOST_PCI_STORAGE);
    return number >= 0 ? storage_of((unsigned)number) : NULL;
}

static void not_there(const struct config_disk *disk) {
    struct log_list list;
    struct config_pci address;
    bool by_address = !config_parse_pci(disk->device, &address);

    log_list_begin(
        &list, LOG_ERROR,
        by_address ? "disk %s is not there: no disk of the machine has the address %s, there are:"
                   : "disk %s is not there: no disk of the machine has the serial number \"%s\", there are:",
        disk->name, disk->device);
    for (unsigned i = 0; i < host_pci_count(); i++) {
        const struct storage *storage = devices[i];
        if (storage && storage->why[0])
            log_list_add(&list, "%s (%s)", storage->function.name, storage->why);
        else if (storage)
            log_list_add(&list, "\"%s\" (%s at %s, %llu MiB)", storage->serial, storage->class->name,
                         storage->function.name, (unsigned long long)(storage->sectors >> 11));
    }
    log_list_end(&list);
}

/* How many disks want a device that none of those looked at is. */
static unsigned missing(const struct config *config) {
    unsigned count = 0;

    for (unsigned i = 0; i < config->disk_count; i++)
        count += config->disks[i].device && !wanted(&config->disks[i]);
    return count;
}

void hostdisks_init(const struct config *config) {
    memset(devices, 0, sizeof(devices));
    memset(disks, 0, sizeof(disks));
    for (unsigned i = 0; i < host_pci_count() && missing(config); i++)
        if (host_pci_kind(i) == HOST_PCI_STORAGE)
            (void)storage_of(i);
    for (unsigned i = 0; i < config->disk_count; i++) {
        const struct config_disk *disk = &config->disks[i];
        struct storage *storage = disk->device ? wanted(disk) : NULL;
        if (storage)
            use(storage, i, disk);
        else if (disk->device)
            not_there(disk);
    }
    for (unsigned i = 0; i < host_pci_count(); i++) {
        struct storage *storage = devices[i];
        if (!storage || storage->config || !storage->block)
            continue;
        if (!storage->why[0])
            storage->class->stop(storage->block);
        (void)pci_set_master(&storage->function.pci, false);
        heap_free(storage->block);
        storage->block = NULL;
    }
}

struct disk *hostdisks_get(unsigned index) {
    return index < CONFIG_MAX_DISKS ? disks[index] : NULL;
}
