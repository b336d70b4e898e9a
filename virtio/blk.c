// SPDX-License-Identifier: Apache-2.0
// virtio-blk (virtio 1.2, 5.2): features, configuration, and requests on their way through the disk.
//
// Order: requests go to the disk in the order in which they were taken. One that touches sectors of another
// that is still at the disk, where one of both changes them, waits, and all behind it. So whoever repeats all
// requests that were not given back, in order, comes to the same contents: that is what happens when this
// program starts anew.
#include "virtio/blk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "abi/service.h"
#include "virtio/bytes.h"

#define F_SIZE_MAX       (1ull << 1)
#define F_SEG_MAX        (1ull << 2)
#define F_RO             (1ull << 5)
#define F_BLK_SIZE       (1ull << 6)
#define F_FLUSH          (1ull << 9)
#define F_TOPOLOGY       (1ull << 10)
#define F_CONFIG_WCE     (1ull << 11)
#define F_MQ             (1ull << 12)
#define F_DISCARD        (1ull << 13)
#define F_WRITE_ZEROES   (1ull << 14)

#define T_IN             0u
#define T_OUT            1u
#define T_FLUSH          4u
#define T_GET_ID         8u
#define T_DISCARD        11u
#define T_WRITE_ZEROES   13u

#define S_OK             0u
#define S_IOERR          1u
#define S_UNSUPP         2u

#define HEADER           16u /* bytes before the data: type, reserved, sector */
#define RANGE            16u /* bytes of struct virtio_blk_discard_write_zeroes */
#define RANGE_UNMAP      1u  /* its flag */

#define QUEUE_SIZE       256u
#define SEGMENTS         (QUEUE_SIZE - 2) /* of data, as announced: without header and status */
#define SEGMENT_SIZE     0x100000u        /* bytes, as announced; longer ones are taken too */
#define RANGE_SECTORS    0x10000u         /* of one range, as announced */

/* A request goes to the disk in pieces of up to PIECE sectors, that end at multiples of it. A run starts as
 * many as BUDGET sectors, and counts EACH more for every request and piece. */
#define PIECE            2048u
#define BUDGET           16384u
#define EACH             64u

/* Offsets in the configuration (5.2.4). */
#define CONFIG_SIZE      60u
#define CONFIG_WRITEBACK 32u

/* What lies in record->own. */
enum { OWN_CACHE, OWN_SIZE };
enum { CACHE_DEFAULT, CACHE_WRITETHROUGH, CACHE_WRITEBACK };

static struct virtio_blk *blk_of(struct virtio_device *device) {
    return (struct virtio_blk *)((char *)device - offsetof(struct virtio_blk, device));
}

static unsigned slot_number(const struct virtio_blk_slot *slot) {
    return (unsigned)(slot - slot->blk->slot);
}

/* ---- configuration */

/* Whether the driver counts on writes being safe only after a flush (5.2.5.2, 5.2.6.2). */
static bool writeback(struct virtio_blk *blk) {
    struct virtio_device *device = &blk->device;
    const uint8_t cache = device->record->own[OWN_CACHE];
    if (!virtio_has(device, F_FLUSH))
        return virtio_has(device, F_CONFIG_WCE) && cache == CACHE_WRITEBACK;
    if (!virtio_has(device, F_CONFIG_WCE))
        return true;
    return cache == CACHE_DEFAULT ? blk->disk->cached : cache == CACHE_WRITEBACK;
}

static uint32_t config_read(struct virtio_device *device, unsigned offset, unsigned size) {
    struct virtio_blk *blk = blk_of(device);
    const struct disk *disk = blk->disk;
    uint8_t config[CONFIG_SIZE] = {0};

    bytes_put64(config, disk->sectors);
    bytes_put32(config + 8, SEGMENT_SIZE);
    bytes_put32(config + 12, SEGMENTS);
    bytes_put32(config + 20, disk->block);
    config[24] = (uint8_t)__builtin_ctz(disk->physical / disk->block);
    bytes_put16(config + 26, (uint16_t)(disk->physical / disk->block));
    bytes_put32(config + 28, disk->optimal / disk->block);
    config[CONFIG_WRITEBACK] = writeback(blk);
    bytes_put16(config + 34, (uint16_t)device->queue_count);
    if (device->features_offered & F_DISCARD) {
        const uint32_t unit = disk->optimal ? disk->optimal : disk->physical;
        bytes_put32(config + 36, RANGE_SECTORS);
        bytes_put32(config + 40, VIRTIO_BLK_RANGES);
        bytes_put32(config + 44, unit / DISK_SECTOR);
    }
    if (device->features_offered & F_WRITE_ZEROES) {
        bytes_put32(config + 48, RANGE_SECTORS);
        bytes_put32(config + 52, VIRTIO_BLK_RANGES);
        config[56] = disk->discards;
    }
    return bytes_get(config + offset, size);
}

static void config_write(struct virtio_device *device, unsigned offset, unsigned size, uint32_t value) {
    if (offset == CONFIG_WRITEBACK && size == 1 && virtio_has(device, F_CONFIG_WCE))
        device->record->own[OWN_CACHE] = value & 1 ? CACHE_WRITEBACK : CACHE_WRITETHROUGH;
}

/* ---- the way back to the driver */

static void free_slot(struct virtio_blk_slot *slot) {
    const uint32_t bit = 1u << slot_number(slot);
    slot->blk->busy &= ~bit;
    slot->blk->free |= bit;
}

/* The disk has written to the first `size` bytes of the buffer's writable part. */
static void mark_dirty(const struct virtio_blk_slot *slot, uint64_t size) {
    const struct virtq_segment *segment = slot->buffer.segment + slot->buffer.readable;
    struct virtio_memory *memory = slot->blk->device.memory;
    for (unsigned i = 0; i < slot->buffer.writable && size; i++, segment++) {
        const uint64_t piece = size < segment->size ? size : segment->size;
        memory->dirty(memory, segment->gpa, piece);
        size -= piece;
    }
}

/* Gives the buffer back. Its last writable byte is the status; `data` bytes were written at its beginning.
 * What is reported as written begins there too (2.7.8): nothing, if there is a gap before the status. */
static void finish(struct virtio_blk_slot *slot, uint64_t data) {
    struct virtio_device *device = &slot->blk->device;
    const uint64_t status_at = slot->buffer.write_size - 1;
    if (virtio_running(device)) {
        virtq_write(&device->queue[slot->queue], &slot->buffer, (size_t)status_at, &slot->status, 1);
        virtio_device_finish(device, slot->queue, &slot->buffer, data == status_at ? (uint32_t)data + 1 : 0);
        slot->blk->used |= 1u << slot->queue;
    }
    free_slot(slot);
}

static void refuse(struct virtio_blk_slot *slot, uint8_t status) {
    slot->status = status;
    finish(slot, 0);
}

/* ---- through the disk */

static void disk_done(struct disk_request *request, int error) {
    struct virtio_blk_slot *slot =
        (struct virtio_blk_slot *)((char *)request - offsetof(struct virtio_blk_slot, request));
    struct virtio_blk *blk = slot->blk;
    slot->error = error;
    blk->ready[(blk->ready_first + blk->ready_count++) % VIRTIO_BLK_SLOTS] = (uint8_t)slot_number(slot);
    if (!blk->running)
        blk->again(blk);
}

static enum disk_operation operation(uint32_t type) {
    switch (type) {
    case T_IN:
        return DISK_READ;
    case T_OUT:
        return DISK_WRITE;
    case T_FLUSH:
        return DISK_FLUSH;
    case T_DISCARD:
        return DISK_DISCARD;
    default:
        return DISK_WRITE_ZEROES;
    }
}

/* Hands the next piece to the disk. Returns its sectors, or 0: there is none. */
static uint32_t next_piece(struct virtio_blk_slot *slot) {
    struct disk_request *request = &slot->request;
    while (slot->range < slot->ranges && !slot->work[slot->range].count)
        slot->range++;
    *request = (struct disk_request){.done = disk_done};
    if (slot->range < slot->ranges) {
        struct virtio_blk_range *range = &slot->work[slot->range];
        const uint64_t piece = PIECE - range->sector % PIECE;
        request->operation = operation(slot->type);
        request->sector = range->sector;
        request->count = range->count < piece ? range->count : piece;
        request->unmap = slot->unmap;
        request->segment = slot->buffer.segment + (slot->type == T_IN ? slot->buffer.readable : 0);
        request->segments = slot->type == T_IN ? slot->buffer.writable : slot->buffer.readable;
        request->skip = slot->passed + (slot->type == T_IN ? 0 : HEADER);
        range->sector += request->count;
        range->count -= request->count;
        slot->passed += request->count * DISK_SECTOR;
    } else if (slot->flush) {
        request->operation = DISK_FLUSH;
        slot->flush = false;
    } else {
        return 0;
    }
    const uint32_t count = (uint32_t)request->count;
    disk_submit(slot->blk->disk, request);
    return count + EACH;
}

static void report_error(struct virtio_blk_slot *slot) {
    struct virtio_blk *blk = slot->blk;
    char text[SERVICE_MAX_TEXT];
    blk->counters.errors++;
    if (blk->counters.errors & (blk->counters.errors - 1)) /* the 1st, 2nd, 4th, ... is told */
        return;
    snprintf(text, sizeof(text), "%s: I/O error %d, request type %u, sectors from %llu on (%llu so far)",
             blk->device.name, slot->error, (unsigned)slot->type, (unsigned long long)slot->first,
             (unsigned long long)blk->counters.errors);
    blk->device.log(&blk->device, text);
}

/* Goes on with a slot that the disk is done with. Returns what it costs. */
static uint32_t go_on(struct virtio_blk_slot *slot) {
    const uint64_t data = slot->type == T_IN ? slot->passed : 0;
    if (slot->stale) {
        mark_dirty(slot, data);
        free_slot(slot);
        return 0;
    }
    if (slot->error) {
        report_error(slot);
        mark_dirty(slot, data);
        refuse(slot, slot->error == -EOPNOTSUPP ? S_UNSUPP : S_IOERR);
        return 0;
    }
    uint32_t cost = next_piece(slot);
    if (!cost) {
        disk_count(&slot->blk->counters, operation(slot->type), slot->passed);
        mark_dirty(slot, data);
        finish(slot, data);
    }
    return cost;
}

/* ---- the way from the driver */

/* Discard and write zeroes: reads the ranges. S_OK or what the driver is to be told. */
static uint8_t read_ranges(struct virtio_blk_slot *slot) {
    struct virtio_blk *blk = slot->blk;
    const uint64_t size = slot->buffer.read_size - HEADER;
    if (size == 0 || size % RANGE || size / RANGE > VIRTIO_BLK_RANGES)
        return S_IOERR;
    for (unsigned i = 0; i < size / RANGE; i++) {
        uint8_t bytes[RANGE];
        virtq_read(&blk->device.queue[slot->queue], &slot->buffer, HEADER + i * RANGE, bytes, RANGE);
        const struct virtio_blk_range range = {bytes_get64(bytes), bytes_get32(bytes + 8)};
        const uint32_t flags = bytes_get32(bytes + 12);
        if (flags & ~(slot->type == T_DISCARD ? 0 : RANGE_UNMAP))
            return S_UNSUPP;
        if (range.count > RANGE_SECTORS || !disk_holds(blk->disk->sectors, range.sector, range.count))
            return S_IOERR;
        /* One range that must stay allocated makes all so. */
        slot->unmap = (i == 0 || slot->unmap) && flags & RANGE_UNMAP;
        slot->work[slot->ranges++] = range;
        slot->first = range.sector < slot->first ? range.sector : slot->first;
        slot->end = range.sector + range.count > slot->end ? range.sector + range.count : slot->end;
    }
    return S_OK;
}

/* Read and write: where, and how much. */
static uint8_t read_extent(struct virtio_blk_slot *slot, uint64_t sector) {
    const uint64_t size = slot->type == T_IN ? slot->buffer.write_size - 1 : slot->buffer.read_size - HEADER;
    const uint64_t count = size / DISK_SECTOR;
    if (size % DISK_SECTOR || !disk_holds(slot->blk->disk->sectors, sector, count))
        return S_IOERR;
    slot->work[slot->ranges++] = (struct virtio_blk_range){sector, count};
    slot->first = sector;
    slot->end = sector + count;
    return S_OK;
}

static void get_id(struct virtio_blk_slot *slot) {
    struct virtio_blk *blk = slot->blk;
    const uint64_t room = slot->buffer.write_size - 1;
    const size_t size = room < VIRTIO_BLK_ID_SIZE ? (size_t)room : VIRTIO_BLK_ID_SIZE;
    virtq_write(&blk->device.queue[slot->queue], &slot->buffer, 0, blk->id, size);
    finish(slot, size);
}

/* Whether it has to wait for one that is at the disk. */
static bool overlaps(const struct virtio_blk_slot *slot) {
    const struct virtio_blk *blk = slot->blk;
    for (uint32_t left = blk->busy; left; left &= left - 1) {
        const struct virtio_blk_slot *other = &blk->slot[__builtin_ctz(left)];
        if ((slot->changes || other->changes) && slot->first < other->end && other->first < slot->end)
            return true;
    }
    return false;
}

static uint32_t start_slot(struct virtio_blk_slot *slot) {
    slot->blk->busy |= 1u << slot_number(slot);
    return next_piece(slot);
}

/* Reads the header. Returns what is so wrong that the driver cannot be answered, or NULL. */
static const char *malformed(const struct virtio_blk_slot *slot, uint8_t header[HEADER]) {
    const struct virtq_buffer *buffer = &slot->buffer;
    if (buffer->read_size > UINT32_MAX || buffer->write_size > UINT32_MAX)
        return "a request has more than 4 GiB"; /* 2.7.5 */
    if (buffer->write_size < 1)
        return "a request has no room for its status";
    if (virtq_read(&slot->blk->device.queue[slot->queue], buffer, 0, header, HEADER) < HEADER)
        return "a request is shorter than its header";
    return NULL;
}

/* A buffer was taken into the slot: looks what it asks for and begins. Returns what it costs. */
static uint32_t begin(struct virtio_blk_slot *slot) {
    struct virtio_blk *blk = slot->blk;
    struct virtio_device *device = &blk->device;
    uint8_t header[HEADER], status = S_OK;

    const char *wrong = malformed(slot, header);
    if (wrong) {
        virtio_device_break(device, wrong);
        free_slot(slot);
        return EACH;
    }
    slot->type = bytes_get32(header);
    slot->status = S_OK;
    slot->flush = slot->changes = slot->stale = slot->unmap = false;
    slot->error = 0;
    slot->first = UINT64_MAX;
    slot->end = slot->passed = 0;
    slot->ranges = slot->range = 0;

    switch (slot->type) {
    case T_IN:
        status = read_extent(slot, bytes_get64(header + 8));
        break;
    case T_OUT:
        slot->changes = true;
        status = blk->read_only ? S_IOERR : read_extent(slot, bytes_get64(header + 8));
        slot->flush = !writeback(blk) && blk->disk->cached;
        break;
    case T_FLUSH:
        slot->flush = true;
        break;
    case T_GET_ID:
        get_id(slot);
        return EACH;
    case T_DISCARD:
    case T_WRITE_ZEROES:
        slot->changes = true;
        status = virtio_has(device, slot->type == T_DISCARD ? F_DISCARD : F_WRITE_ZEROES) ? read_ranges(slot)
                                                                                          : S_UNSUPP;
        slot->flush = slot->type == T_WRITE_ZEROES && !writeback(blk) && blk->disk->cached;
        break;
    default:
        status = S_UNSUPP;
    }
    if (status != S_OK) {
        refuse(slot, status);
        return EACH;
    }
    if (overlaps(slot)) {
        blk->waiting = slot;
        return EACH;
    }
    return start_slot(slot);
}

/* Takes the next buffer of queue `index`. Asks to be notified if there is none, and only then. */
static bool take(struct virtio_blk *blk, unsigned index, struct virtio_blk_slot *slot) {
    struct virtq *queue = &blk->device.queue[index];
    if (!queue->size)
        return false;
    bool taken = virtio_device_take(&blk->device, index, &slot->buffer);
    if (!taken && virtio_running(&blk->device) && virtq_listen(queue, true))
        taken = virtio_device_take(&blk->device, index, &slot->buffer);
    if (taken && queue->notify)
        virtq_listen(queue, false);
    return taken;
}

/* Begins with the next buffer, of each queue in turn. Returns what it costs, 0: there is none. */
static uint32_t take_any(struct virtio_blk *blk) {
    struct virtio_blk_slot *slot = &blk->slot[__builtin_ctz(blk->free)];
    for (unsigned i = 0; i < blk->device.queue_count; i++) {
        const unsigned index = blk->next_queue;
        blk->next_queue = (index + 1) % blk->device.queue_count;
        if (take(blk, index, slot)) {
            blk->free &= ~(1u << slot_number(slot));
            slot->queue = (uint8_t)index;
            return begin(slot);
        }
    }
    return 0;
}

void virtio_blk_run(struct virtio_blk *blk) {
    struct virtio_device *device = &blk->device;
    uint32_t cost = 0;

    if (blk->running)
        return;
    blk->running = true;
    while (cost < BUDGET) {
        uint32_t spent = 0;
        if (blk->ready_count) {
            struct virtio_blk_slot *slot = &blk->slot[blk->ready[blk->ready_first]];
            blk->ready_first = (blk->ready_first + 1) % VIRTIO_BLK_SLOTS;
            blk->ready_count--;
            cost += go_on(slot);
            continue;
        }
        if (!virtio_running(device))
            break;
        if (blk->waiting && !overlaps(blk->waiting)) {
            struct virtio_blk_slot *slot = blk->waiting;
            blk->waiting = NULL;
            spent = start_slot(slot);
        } else if (!blk->waiting && blk->free) {
            spent = take_any(blk);
        }
        if (!spent)
            break;
        cost += spent;
    }
    for (uint32_t used = blk->used; used; used &= used - 1)
        virtio_device_flush(device, (unsigned)__builtin_ctz(used));
    blk->used = 0;
    blk->running = false;
    if (cost >= BUDGET)
        blk->again(blk);
}

bool virtio_blk_idle(const struct virtio_blk *blk) {
    return blk->busy == 0;
}

static bool slot_holds(const struct virtio_blk_slot *slot, uint64_t first, uint64_t last) {
    unsigned count = (unsigned)slot->buffer.readable + slot->buffer.writable;

    for (unsigned i = 0; i < count; i++) {
        const struct virtq_segment *segment = &slot->buffer.segment[i];
        if (segment->address <= last && segment->address + (segment->size - 1) >= first)
            return true;
    }
    return false;
}

/* ---- the class */

/* One that waits begins as long as the device works. */
static bool holds(const struct virtio_device *device, uint64_t first, uint64_t last) {
    const struct virtio_blk *blk = (const struct virtio_blk *)(const void *)device;
    uint32_t taken = ~blk->free;

    if (blk->waiting && !virtio_running(device))
        taken &= ~(1u << slot_number(blk->waiting));
    for (; taken; taken &= taken - 1)
        if (slot_holds(&blk->slot[__builtin_ctz(taken)], first, last))
            return true;
    return false;
}

static void reset(struct virtio_device *device) {
    struct virtio_blk *blk = blk_of(device);
    for (uint32_t left = blk->busy; left; left &= left - 1)
        blk->slot[__builtin_ctz(left)].stale = true;
    if (blk->waiting)
        free_slot(blk->waiting);
    blk->waiting = NULL;
    blk->used = 0;
    memset(device->record->own, 0, OWN_SIZE);
}

static void start(struct virtio_device *device) {
    virtio_blk_run(blk_of(device));
}

static void notify(struct virtio_device *device, unsigned index) {
    (void)index;
    virtio_blk_run(blk_of(device));
}

static const struct virtio_class class = {.id = VIRTIO_ID_BLOCK,
                                          .name = "block device",
                                          .reset = reset,
                                          .start = start,
                                          .notify = notify,
                                          .config_read = config_read,
                                          .config_write = config_write,
                                          .holds = holds};

_Static_assert(offsetof(struct virtio_blk, device) == 0, "a device of this class is one of these");

void virtio_blk_init(struct virtio_blk *blk, struct disk *disk, const char *id, unsigned queues,
                     bool read_only, void (*again)(struct virtio_blk *blk)) {
    struct virtio_device *device = &blk->device;
    memset(blk, 0, sizeof(*blk));
    blk->disk = disk;
    blk->again = again;
    blk->read_only = read_only || disk->read_only;
    blk->free = UINT32_MAX;
    memcpy(blk->id, id, strnlen(id, VIRTIO_BLK_ID_SIZE));
    for (unsigned i = 0; i < VIRTIO_BLK_SLOTS; i++)
        blk->slot[i].blk = blk;
    device->class = &class;
    device->features_offered = VIRTIO_VERSION_1 | F_SIZE_MAX | F_SEG_MAX | F_BLK_SIZE | F_FLUSH | F_TOPOLOGY |
                               F_CONFIG_WCE | (queues > 1 ? F_MQ : 0);
    if (blk->read_only)
        device->features_offered |= F_RO;
    else
        device->features_offered |= F_WRITE_ZEROES | (disk->discards ? F_DISCARD : 0);
    device->queue_count = queues;
    device->config_size = CONFIG_SIZE;
    for (unsigned i = 0; i < queues; i++)
        device->queue_size[i] = QUEUE_SIZE;
}
