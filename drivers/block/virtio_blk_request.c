// SPDX-License-Identifier: Apache-2.0
// Requests on their way through a virtio disk (virtio 1.2, 5.2.6): in pieces, through bounce buffers.
#include <errno.h>
#include <string.h>
#include "drivers/block/virtio_blk_internal.h"
#include "virtio/bytes.h"

#define S_OK        0u
#define S_UNSUPP    2u
#define S_NONE      0xffu /* no status: what stands there before the device writes one */
#define RANGE_UNMAP 1u
#define ROUNDS      1024u /* times that one call looks for more; then the next tick does */

/* ---- one slot */

static uint8_t *control_of(const struct blk_driver *driver, unsigned index) {
    return driver->control + index * BLK_CONTROL_SIZE;
}

/* Describes the slot's buffer by its three descriptors and gives it to the device. */
static void put(struct blk_driver *driver, unsigned index) {
    const struct blk_slot *slot = &driver->slot[index];
    unsigned head = index * BLK_DESCRIPTORS, status = head + 2;
    uint64_t control = driver->control_dma + index * BLK_CONTROL_SIZE;
    bool reads = slot->type == BLK_T_IN || slot->type == BLK_T_GET_ID;
    bool range = slot->type == BLK_T_DISCARD || slot->type == BLK_T_ZEROES;
    uint32_t size = range ? BLK_RANGE_SIZE : slot->size;

    control_of(driver, index)[BLK_STATUS] = S_NONE;
    vring_describe(&driver->ring, head, control + BLK_HEADER, BLK_HEADER_SIZE, false,
                   size ? head + 1 : status);
    if (size)
        vring_describe(&driver->ring, head + 1, range ? control + BLK_RANGE : slot->dma, size, reads, status);
    vring_describe(&driver->ring, status, control + BLK_STATUS, 1, true, VRING_NO_NEXT);
    vring_offer(&driver->ring, head, (reads ? size : 0) + 1);
}

void blk_offer(struct blk_driver *driver, unsigned index, uint64_t sector, uint64_t count, bool unmap) {
    struct blk_slot *slot = &driver->slot[index];
    uint8_t *control = control_of(driver, index);
    bool range = slot->type == BLK_T_DISCARD || slot->type == BLK_T_ZEROES;

    memset(control, 0, BLK_CONTROL_SIZE);
    bytes_put32(control + BLK_HEADER, slot->type);
    bytes_put64(control + BLK_HEADER + 8, range ? 0 : sector);
    if (range) {
        bytes_put64(control + BLK_RANGE, sector);
        bytes_put32(control + BLK_RANGE + 8, (uint32_t)count);
        bytes_put32(control + BLK_RANGE + 12, unmap ? RANGE_UNMAP : 0);
    }
    slot->since = driver->block.pci->host->now();
    slot->order = driver->order++;
    slot->repeated = false;
    put(driver, index);
}

int blk_status(const struct blk_driver *driver, unsigned index) {
    switch (*(const volatile uint8_t *)(control_of(driver, index) + BLK_STATUS)) {
    case S_OK:
        return 0;
    case S_UNSUPP:
        return -EOPNOTSUPP;
    default:
        return -EIO;
    }
}

bool blk_late(const struct blk_driver *driver) {
    uint64_t now = driver->block.pci->host->now();

    for (unsigned i = 0; i < driver->slots; i++) {
        if (driver->slot[i].open && now - driver->slot[i].since > BLOCK_TIMEOUT)
            return true;
    }
    return false;
}

/* ---- to the device */

/* Where the data of a slot begin in its request's. */
static void cursor_at(const struct blk_slot *slot, struct disk_cursor *cursor) {
    struct disk_request rest = *slot->open->request;

    rest.skip += slot->skip;
    disk_cursor_init(cursor, &rest);
}

/* The type for the device, and how many sectors of a request it may have at once. */
static uint32_t type_of(const struct blk_driver *driver, const struct disk_request *request, uint32_t *most) {
    const struct blk_limits *limits = &driver->limits;

    *most = limits->piece;
    switch (request->operation) {
    case DISK_READ:
        return BLK_T_IN;
    case DISK_FLUSH:
        return BLK_T_FLUSH;
    case DISK_DISCARD:
        *most = limits->most_discard;
        return BLK_T_DISCARD;
    case DISK_WRITE_ZEROES:
        if (limits->most_zeroes == 0)
            return BLK_T_OUT; /* of zeroes */
        *most = limits->most_zeroes;
        return BLK_T_ZEROES;
    default:
        return BLK_T_OUT;
    }
}

/* Sends the next piece of the current request. */
static void send_piece(struct blk_driver *driver, unsigned index) {
    struct blk_open *open = driver->current;
    const struct disk_request *request = open->request;
    struct blk_slot *slot = &driver->slot[index];
    struct disk_cursor cursor;
    uint32_t most;

    slot->type = type_of(driver, request, &most);
    slot->open = open;
    open->slots++;
    uint64_t count = request->count - open->passed;
    count = count < most ? count : most;
    slot->skip = open->passed * DISK_SECTOR;
    slot->size = slot->type == BLK_T_IN || slot->type == BLK_T_OUT ? (uint32_t)count * DISK_SECTOR : 0;
    if (request->operation == DISK_WRITE) {
        cursor_at(slot, &cursor);
        disk_cursor_read(&cursor, slot->data, slot->size);
    } else if (slot->type == BLK_T_OUT) {
        memset(slot->data, 0, slot->size);
    }
    blk_offer(driver, index, request->operation == DISK_FLUSH ? 0 : request->sector + open->passed, count,
              request->unmap && driver->limits.unmaps && slot->type == BLK_T_ZEROES);
    open->passed += count;
    if (open->passed == request->count)
        driver->current = NULL;
}

/* Makes the request that has waited longest the current one. False: there is none. There is an entry for it:
 * all others have a slot each. */
static bool next_request(struct blk_driver *driver) {
    struct blk_open *open = driver->open;

    if (!driver->first)
        return false;
    while (open->request)
        open++;
    *open = (struct blk_open){.request = driver->first};
    driver->first = open->request->next;
    driver->current = open;
    return true;
}

/* Sends what there are slots for. Calls nobody. */
static void issue(struct blk_driver *driver) {
    if (driver->trouble)
        return;
    for (unsigned i = 0; i < driver->slots; i++) {
        if (driver->slot[i].open)
            continue;
        if (!driver->current && !next_request(driver))
            break;
        send_piece(driver, i);
    }
    vpci_kick(BLK_QUEUE, &driver->ring);
}

void blk_submit(struct disk *disk, struct disk_request *request) {
    struct blk_driver *driver = (struct blk_driver *)(void *)disk; /* the first of its first */

    if (!driver->running || driver->block.failed) {
        driver->block.counters.errors++;
        request->done(request, -EIO);
        return;
    }
    if ((request->operation == DISK_FLUSH && !disk->cached) ||
        (request->operation == DISK_DISCARD && driver->limits.most_discard == 0)) {
        request->done(request, 0);
        return;
    }
    request->next = NULL;
    if (driver->first)
        driver->last->next = request;
    else
        driver->first = request;
    driver->last = request;
    issue(driver);
}

/* ---- back from it */

/* The last thing that is done with the request: its owner may submit it again. */
static void finish(struct blk_driver *driver, struct blk_open *open) {
    struct disk_request *request = open->request;
    struct block_counters *counters = &driver->block.counters;
    int error = open->error;

    open->request = NULL;
    if (error)
        counters->errors++;
    else if (request->operation == DISK_READ)
        counters->reads++;
    else if (request->operation == DISK_FLUSH)
        counters->flushes++;
    else
        counters->writes++;
    request->done(request, error);
}

/* What was repeated after a reset is done: so the reset has helped. */
static void forget_reset(struct blk_driver *driver) {
    for (unsigned i = 0; driver->tried && i < driver->slots; i++) {
        if (driver->slot[i].open && driver->slot[i].repeated)
            return;
    }
    driver->tried = false;
}

/* The device is done with a slot. */
static void complete(struct blk_driver *driver, unsigned index) {
    struct blk_slot *slot = &driver->slot[index];
    struct blk_open *open = slot->open;
    int error = blk_status(driver, index);
    struct disk_cursor cursor;

    if (error && !open->error)
        open->error = error;
    if (slot->type == BLK_T_IN && !open->error) {
        cursor_at(slot, &cursor);
        disk_cursor_write(&cursor, slot->data, slot->size);
    }
    slot->open = NULL;
    open->slots--;
    forget_reset(driver);
    if (open->error && driver->current == open)
        driver->current = NULL; /* what has not gone yet need not go */
    if (open->slots == 0 && driver->current != open)
        finish(driver, open);
}

void blk_run(struct blk_driver *driver) {
    struct vring *ring = &driver->ring;
    unsigned head;
    uint32_t written;

    for (unsigned i = 0; i < ROUNDS && driver->running && !driver->block.failed && !driver->trouble; i++) {
        int result = vring_take(ring, &head, &written);
        if (result < 0) {
            driver->trouble = ring->broken;
        } else if (result > 0) {
            complete(driver, head / BLK_DESCRIPTORS);
        } else {
            issue(driver);
            if (driver->block.pci->vectors == 0 || !vring_listen(ring, true))
                return;
        }
    }
}

/* ---- when the device fails */

void blk_repeat(struct blk_driver *driver) {
    uint64_t last = 0;

    for (unsigned n = 0; n < driver->slots; n++) {
        struct blk_slot *next = NULL;
        for (unsigned i = 0; i < driver->slots; i++) {
            struct blk_slot *slot = &driver->slot[i];
            if (slot->open && slot->order >= last && (!next || slot->order < next->order))
                next = slot;
        }
        if (!next)
            break;
        last = next->order + 1;
        next->since = driver->block.pci->host->now();
        next->repeated = true;
        put(driver, (unsigned)(next - driver->slot));
    }
    issue(driver);
}

void blk_abandon(struct blk_driver *driver) {
    struct disk_request *waiting = driver->first;

    driver->current = NULL;
    driver->first = driver->last = NULL;
    for (unsigned i = 0; i < BLK_SLOTS; i++)
        driver->slot[i].open = NULL;
    for (unsigned i = 0; i < BLK_SLOTS + 1; i++) {
        struct blk_open *open = &driver->open[i];
        if (open->request) {
            open->error = -EIO;
            finish(driver, open);
        }
    }
    while (waiting) {
        struct disk_request *request = waiting;
        waiting = request->next;
        driver->block.counters.errors++;
        request->done(request, -EIO);
    }
}
