// SPDX-License-Identifier: Apache-2.0
// Disks in general: the check of a request, the way through its data, and a part of a disk as a disk.
#include "virtio/disk.h"

#include <errno.h>
#include <string.h>

/* Whether the segments hold `size` bytes behind the first `skip` ones. */
static bool has_data(const struct disk_request *request) {
    uint64_t held = 0;
    for (unsigned i = 0; i < request->segments; i++)
        held += request->segment[i].size;
    return request->skip <= held && request->count <= (held - request->skip) / DISK_SECTOR;
}

static int check(const struct disk *disk, const struct disk_request *request) {
    const uint32_t block = disk->block / DISK_SECTOR;
    if (request->operation == DISK_FLUSH)
        return 0;
    if (request->operation != DISK_READ && disk->read_only)
        return -EROFS;
    if (!disk_holds(disk->sectors, request->sector, request->count) ||
        (request->sector | request->count) & (block - 1))
        return -EINVAL;
    if (request->operation == DISK_READ || request->operation == DISK_WRITE)
        return has_data(request) ? 0 : -EINVAL;
    return 0;
}

void disk_submit(struct disk *disk, struct disk_request *request) {
    int error = check(disk, request);
    if (error)
        request->done(request, error);
    else
        disk->operations->submit(disk, request);
}

/* ---- the data */

void disk_cursor_init(struct disk_cursor *cursor, const struct disk_request *request) {
    uint64_t skip = request->skip;
    *cursor = (struct disk_cursor){.segment = request->segment, .left = request->segments};
    while (cursor->left && skip >= cursor->segment->size) {
        skip -= cursor->segment->size;
        cursor->segment++;
        cursor->left--;
    }
    cursor->at = (uint32_t)skip;
}

/* What lies together from the cursor on, at most `size` bytes; passes it. NULL: the data have ended. */
static uint8_t *next_piece(struct disk_cursor *cursor, size_t size, size_t *piece) {
    if (!cursor->left)
        return NULL;
    uint8_t *data = cursor->segment->data + cursor->at;
    const uint32_t rest = cursor->segment->size - cursor->at;
    if (size < rest) {
        *piece = size;
        cursor->at += (uint32_t)size;
    } else {
        *piece = rest;
        cursor->segment++;
        cursor->left--;
        cursor->at = 0;
    }
    return data;
}

void disk_cursor_read(struct disk_cursor *cursor, void *to, size_t size) {
    size_t piece;
    for (size_t done = 0; done < size; done += piece) {
        const uint8_t *data = next_piece(cursor, size - done, &piece);
        if (!data)
            return;
        memcpy((uint8_t *)to + done, data, piece);
    }
}

void disk_cursor_write(struct disk_cursor *cursor, const void *from, size_t size) {
    size_t piece;
    for (size_t done = 0; done < size; done += piece) {
        uint8_t *data = next_piece(cursor, size - done, &piece);
        if (!data)
            return;
        if (from)
            memcpy(data, (const uint8_t *)from + done, piece);
        else
            memset(data, 0, piece);
    }
}

/* ---- a part of a disk */

static struct disk_part *part_of(struct disk *disk) {
    return (struct disk_part *)((char *)disk - offsetof(struct disk_part, disk));
}

static void part_submit(struct disk *disk, struct disk_request *request) {
    struct disk_part *part = part_of(disk);
    request->sector += part->first;
    disk_submit(part->base, request);
}

static void part_poll(struct disk *disk) {
    struct disk_part *part = part_of(disk);
    if (part->base->operations->poll)
        part->base->operations->poll(part->base);
}

static const struct disk_operations part_operations = {.submit = part_submit, .poll = part_poll};

int disk_part_init(struct disk_part *part, struct disk *base, uint64_t first, uint64_t sectors,
                   bool read_only) {
    const uint32_t block = base->block / DISK_SECTOR;
    if (!disk_holds(base->sectors, first, sectors) || (first | sectors) & (block - 1))
        return -EINVAL;
    part->disk = *base;
    part->disk.operations = &part_operations;
    part->disk.sectors = sectors;
    part->disk.read_only = base->read_only || read_only;
    part->base = base;
    part->first = first;
    return 0;
}
