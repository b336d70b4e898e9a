// SPDX-License-Identifier: Apache-2.0
// Requests as NVM Express commands (NVM Express 1.4, 6): cut into pieces of a slot's memory each, sent in the
// order in which they came, up to NVME_SLOTS at a time, completed in any order.
#include "drivers/block/nvme.h"

#include <errno.h>
#include <string.h>
#include "virtio/bytes.h"

#define MAX_DISCARD     (1u << 22) /* sectors of one command */
#define DISCARD         (1u << 2)  /* Dataset Management: AD */
#define ZEROES_UNMAP    (1u << 25) /* Write Zeroes: DEAC */
#define GENERATION_MASK 0x3ffu     /* of a slot's use, in command identifiers above the slot's number */

_Static_assert((GENERATION_MASK + 1) * NVME_SLOTS <= 0x8000, "no identifier is ffff, which has a meaning");

void nvme_request_init(struct nvme *nvme) {
    for (unsigned i = 0; i < NVME_SLOTS; i++) {
        nvme->opens[i].next = nvme->open_free;
        nvme->open_free = &nvme->opens[i];
    }
}

/* ---- sending */

static struct nvme_slot *free_slot(struct nvme *nvme) {
    for (unsigned i = 0; i < nvme->slots; i++)
        if (!nvme->slot[i].open)
            return &nvme->slot[i];
    return NULL;
}

/* Begins with the first request that waits. NULL: none does, or too many were begun. */
static struct nvme_open *begin(struct nvme *nvme) {
    struct disk_request *request = nvme->first;
    struct nvme_open *open = nvme->open_free;

    if (!request || !open)
        return NULL;
    nvme->first = request->next;
    nvme->open_free = open->next;
    *open = (struct nvme_open){.request = request};
    if (nvme->open_first)
        nvme->open_last->next = open;
    else
        nvme->open_first = open;
    nvme->open_last = open;
    return open;
}

/* The request that is to be gone on with. */
static struct nvme_open *next_open(struct nvme *nvme) {
    for (struct nvme_open *open = nvme->open_first; open; open = open->next)
        if (!open->all_sent)
            return open;
    return begin(nvme);
}

/* The first `size` bytes of the slot's memory as a command's data (4.3). */
static void set_data(struct nvme_command *command, const struct nvme_slot *slot, size_t size) {
    command->prp1 = slot->data_dma;
    if (size > 2 * NVME_PAGE)
        command->prp2 = slot->list_dma;
    else if (size > NVME_PAGE)
        command->prp2 = slot->data_dma + NVME_PAGE;
}

/* How many of `left` sectors one command takes. */
static uint64_t piece_size(const struct nvme *nvme, enum disk_operation operation, uint64_t left) {
    uint64_t most = nvme->identity.transfer / DISK_SECTOR;
    if (operation == DISK_DISCARD)
        most = MAX_DISCARD;
    else if (operation == DISK_WRITE_ZEROES && nvme->identity.zeroes)
        most = nvme->identity.zeroes / DISK_SECTOR;
    return left < most ? left : most;
}

/* Where the data of the slot's piece lie in its request's. */
static struct disk_cursor cursor_of(const struct nvme_slot *slot) {
    struct disk_request rest = *slot->open->request;
    struct disk_cursor cursor;

    rest.skip += slot->offset * DISK_SECTOR;
    disk_cursor_init(&cursor, &rest);
    return cursor;
}

/* The command for the slot's piece. */
static void make_command(const struct nvme *nvme, struct nvme_slot *slot, struct nvme_command *command) {
    const struct disk_request *request = slot->open->request;
    const unsigned shift = nvme->identity.shift - 9;
    const uint64_t first = (request->sector + slot->offset) >> shift;
    const uint32_t blocks = (uint32_t)(slot->sectors >> shift);
    const size_t size = (size_t)slot->sectors * DISK_SECTOR; /* of data, where there are some */
    struct disk_cursor cursor;

    *command = (struct nvme_command){.namespace = NVME_NAMESPACE,
                                     .word = {(uint32_t)first, (uint32_t)(first >> 32), blocks - 1}};
    switch (request->operation) {
    case DISK_READ:
        command->opcode = NVME_READ;
        set_data(command, slot, size);
        break;
    case DISK_WRITE:
        command->opcode = NVME_WRITE;
        cursor = cursor_of(slot);
        disk_cursor_read(&cursor, slot->data, size);
        set_data(command, slot, size);
        break;
    case DISK_WRITE_ZEROES:
        if (nvme->identity.zeroes) {
            command->opcode = NVME_WRITE_ZEROES;
            if (request->unmap && nvme->identity.zeroes_unmaps)
                command->word[2] |= ZEROES_UNMAP;
        } else {
            command->opcode = NVME_WRITE;
            memset(slot->data, 0, size);
            set_data(command, slot, size);
        }
        break;
    case DISK_DISCARD: /* one range: attributes, blocks, the first one */
        bytes_put32(slot->data, 0);
        bytes_put32(slot->data + 4, blocks);
        bytes_put64(slot->data + 8, first);
        *command =
            (struct nvme_command){.opcode = NVME_DATASET, .namespace = NVME_NAMESPACE, .word = {0, DISCARD}};
        set_data(command, slot, 16);
        break;
    case DISK_FLUSH:
        *command = (struct nvme_command){.opcode = NVME_FLUSH, .namespace = NVME_NAMESPACE};
        break;
    }
}

static void send_piece(struct nvme *nvme, struct nvme_slot *slot, struct nvme_open *open) {
    const struct disk_request *request = open->request;
    const bool flush = request->operation == DISK_FLUSH;
    struct nvme_command command;

    slot->open = open;
    slot->offset = open->sent;
    slot->sectors = flush ? 0 : piece_size(nvme, request->operation, request->count - open->sent);
    slot->copies = request->operation == DISK_READ;
    make_command(nvme, slot, &command);
    nvme->generation = (nvme->generation + 1) & GENERATION_MASK;
    slot->id = (uint16_t)(nvme->generation * NVME_SLOTS + (unsigned)(slot - nvme->slot));
    slot->sent_at = nvme->block.pci->host->now();
    open->pieces++;
    open->sent += slot->sectors;
    open->all_sent = flush || open->sent == request->count;
    nvme_queue_send(&nvme->io, &command, slot->id);
}

void nvme_request_send(struct nvme *nvme) {
    while (nvme->state == NVME_RUNNING && !nvme->broken) {
        struct nvme_slot *slot = free_slot(nvme);
        struct nvme_open *open = slot ? next_open(nvme) : NULL;
        if (!open)
            return;
        send_piece(nvme, slot, open);
    }
}

/* ---- the end of requests */

static void end(struct nvme *nvme, struct disk_request *request, int error) {
    if (error)
        nvme->block.counters.errors++;
    request->done(request, error);
}

static void close(struct nvme *nvme, struct nvme_open *open) {
    struct nvme_open *before = NULL;
    for (struct nvme_open *other = nvme->open_first; other != open; other = other->next)
        before = other;
    if (before)
        before->next = open->next;
    else
        nvme->open_first = open->next;
    if (nvme->open_last == open)
        nvme->open_last = before;
    open->next = nvme->open_free;
    nvme->open_free = open;
}

/* A success after a restart: it has helped once all that was repeated is done. */
static void note_success(struct nvme *nvme) {
    for (const struct nvme_open *open = nvme->open_first; open; open = open->next)
        if (open->repeated)
            return;
    nvme->restarted = false;
}

static void complete(struct nvme *nvme, struct nvme_slot *slot, uint16_t status) {
    struct nvme_open *open = slot->open;

    if (status) { /* the rest of the request need not be sent */
        open->error = -EIO;
        open->all_sent = true;
    } else if (slot->copies) {
        struct disk_cursor cursor = cursor_of(slot);
        disk_cursor_write(&cursor, slot->data, (size_t)slot->sectors * DISK_SECTOR);
    }
    slot->open = NULL;
    if (--open->pieces || !open->all_sent)
        return;
    struct disk_request *request = open->request;
    const int error = open->error;
    close(nvme, open);
    if (!error && nvme->restarted)
        note_success(nvme);
    end(nvme, request, error);
}

void nvme_request_poll(struct nvme *nvme) {
    struct nvme_queue *queue = &nvme->io;
    struct nvme_completion completion;

    for (unsigned i = 1; i < queue->entries && nvme->state == NVME_RUNNING && !nvme->broken; i++) {
        if (!nvme_queue_take(queue, &completion))
            break;
        pci_mine(nvme->block.pci);
        /* The controller always has room for the completions of all that can be open. */
        if (nvme_queue_untold(queue) + nvme->slots >= queue->entries)
            nvme_queue_tell(queue);
        struct nvme_slot *slot = &nvme->slot[completion.id % NVME_SLOTS];
        if (!slot->open || slot->id != completion.id || completion.submission_queue != queue->number ||
            completion.submission_head >= queue->entries)
            nvme->broken = "the controller completes what it was not given";
        else
            complete(nvme, slot, completion.status);
    }
    if (nvme->state == NVME_RUNNING)
        nvme_queue_tell(queue);
    nvme_request_send(nvme);
}

bool nvme_request_is_late(const struct nvme *nvme) {
    const uint64_t now = nvme->block.pci->host->now();
    for (unsigned i = 0; i < nvme->slots; i++)
        if (nvme->slot[i].open && now - nvme->slot[i].sent_at > BLOCK_TIMEOUT)
            return true;
    return false;
}

void nvme_request_repeat(struct nvme *nvme) {
    for (unsigned i = 0; i < nvme->slots; i++)
        nvme->slot[i].open = NULL;
    for (struct nvme_open *open = nvme->open_first; open; open = open->next)
        *open = (struct nvme_open){.request = open->request, .repeated = true, .next = open->next};
}

void nvme_request_end_all(struct nvme *nvme, int error) {
    for (unsigned i = 0; i < nvme->slots; i++)
        nvme->slot[i].open = NULL;
    while (nvme->open_first) {
        struct nvme_open *open = nvme->open_first;
        struct disk_request *request = open->request;
        close(nvme, open);
        end(nvme, request, error);
    }
    while (nvme->first) {
        struct disk_request *request = nvme->first;
        nvme->first = request->next;
        end(nvme, request, error);
    }
}

/* ---- struct disk */

static void submit(struct disk *disk, struct disk_request *request) {
    struct nvme *nvme = nvme_of((struct block *)((char *)disk - offsetof(struct block, disk)));

    if (request->operation == DISK_READ)
        nvme->block.counters.reads++;
    else if (request->operation == DISK_FLUSH)
        nvme->block.counters.flushes++;
    else
        nvme->block.counters.writes++;
    if (nvme->state == NVME_OFF || nvme->state == NVME_DEAD) {
        end(nvme, request, -EIO);
        return;
    }
    /* Without a cache nothing has to become safe; without a command nothing is given back. */
    if ((request->operation == DISK_FLUSH && !nvme->identity.cached) ||
        (request->operation == DISK_DISCARD && !nvme->identity.discards)) {
        end(nvme, request, 0);
        return;
    }
    request->next = NULL;
    if (nvme->first)
        nvme->last->next = request;
    else
        nvme->first = request;
    nvme->last = request;
    nvme_request_send(nvme);
}

static void poll(struct disk *disk) {
    struct block *block = (struct block *)((char *)disk - offsetof(struct block, disk));
    nvme_block.poll(block, 0);
}

const struct disk_operations nvme_disk_operations = {.submit = submit, .poll = poll};
