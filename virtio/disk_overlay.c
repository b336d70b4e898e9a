// SPDX-License-Identifier: Apache-2.0
// Copy on write in blocks. A block is as in the base until something of it is written; then it is copied
// first, unless all of it is written. A block of zeroes takes no memory. At every moment the tables make
// sense to a program that is started anew: an entry is set when its block is ready.
#include "virtio/disk_overlay.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ENTRIES (DISK_OVERLAY_BLOCK / sizeof(void *)) /* of a table */

#define ZEROES  ((uint8_t *)1) /* in a table: a block that is all zeroes */

static uint32_t smaller(uint64_t a, uint32_t b) {
    return a < b ? (uint32_t)a : b;
}

/* Sectors of block `number`: the disk's last one may be short. */
static uint32_t block_sectors(const struct disk_overlay *overlay, uint64_t number) {
    return smaller(overlay->disk.sectors - number * DISK_OVERLAY_SECTORS, DISK_OVERLAY_SECTORS);
}

static void *take(struct disk_overlay *overlay) {
    void *block = overlay->memory->take(overlay->memory->context);
    if (block) {
        overlay->blocks++;
    } else if (!overlay->full) {
        char text[96];
        overlay->full = true;
        snprintf(text, sizeof(text), "disk overlay: no memory left after %llu KiB, writes fail",
                 (unsigned long long)(overlay->blocks * (DISK_OVERLAY_BLOCK / 1024)));
        overlay->memory->log(overlay->memory->context, text);
    }
    return block;
}

static void give(struct disk_overlay *overlay, void *block) {
    overlay->blocks--;
    overlay->memory->give(overlay->memory->context, block);
}

static uint8_t *entry(const struct disk_overlay *overlay, uint64_t number) {
    uint8_t **leaf = overlay->table[number / ENTRIES];
    return leaf ? leaf[number % ENTRIES] : NULL;
}

/* Where the entry is, to be changed. NULL: no memory. */
static uint8_t **entry_place(struct disk_overlay *overlay, uint64_t number) {
    uint8_t ***place = &overlay->table[number / ENTRIES];
    if (!*place) {
        uint8_t **leaf = take(overlay);
        if (!leaf)
            return NULL;
        memset(leaf, 0, DISK_OVERLAY_BLOCK);
        __atomic_store_n(place, leaf, __ATOMIC_RELEASE);
    }
    return &(*place)[number % ENTRIES];
}

static void set_entry(uint8_t **place, uint8_t *block) {
    __atomic_store_n(place, block, __ATOMIC_RELEASE);
}

static void run(struct disk_overlay *overlay);

static void part_done(struct disk_request *part, int error) {
    struct disk_overlay *overlay =
        (struct disk_overlay *)((char *)part - offsetof(struct disk_overlay, part));
    overlay->waiting = false;
    overlay->error = error;
    if (overlay->filling) {
        if (error)
            give(overlay, overlay->filling);
        else
            set_entry(overlay->filling_for, overlay->filling);
        overlay->filling = NULL;
    } else {
        overlay->done += overlay->part.count;
    }
    run(overlay);
}

static void ask_base(struct disk_overlay *overlay, uint64_t sector, uint64_t count,
                     const struct virtq_segment *segment, unsigned segments, uint64_t skip) {
    overlay->waiting = true;
    overlay->part = (struct disk_request){.operation = DISK_READ,
                                          .sector = sector,
                                          .count = count,
                                          .segment = segment,
                                          .segments = segments,
                                          .skip = skip,
                                          .done = part_done};
    disk_submit(overlay->base, &overlay->part);
}

static bool is_present(const uint8_t *block) {
    return block && block != ZEROES;
}

/* Makes block `number`, whose entry is at *place, one that has memory, with what it holds.
 * 0: it is; 1: it is being filled from the base; -ENOSPC. */
static int make_present(struct disk_overlay *overlay, uint64_t number, uint8_t **place) {
    uint8_t *block;
    if (is_present(*place))
        return 0;
    block = take(overlay);
    if (!block)
        return -ENOSPC;
    if (*place == ZEROES) {
        memset(block, 0, DISK_OVERLAY_BLOCK);
        set_entry(place, block);
        return 0;
    }
    const uint32_t sectors = block_sectors(overlay, number);
    overlay->filling = block;
    overlay->filling_for = place;
    overlay->segment = (struct virtq_segment){.data = block, .size = sectors * DISK_SECTOR};
    ask_base(overlay, number * DISK_OVERLAY_SECTORS, sectors, &overlay->segment, 1, 0);
    return 1;
}

static void step_read(struct disk_overlay *overlay, const struct disk_request *request, uint64_t number,
                      uint32_t at, uint32_t count) {
    const uint8_t *block = entry(overlay, number);
    const uint64_t skip = request->skip + overlay->done * DISK_SECTOR;
    struct disk_cursor cursor;
    if (!block) {
        const uint64_t rest = request->count - overlay->done;
        uint64_t run = count;
        while (run < rest && !entry(overlay, ++number))
            run += smaller(rest - run, DISK_OVERLAY_SECTORS);
        ask_base(overlay, request->sector + overlay->done, run, request->segment, request->segments, skip);
        return;
    }
    disk_cursor_init(&cursor, &(struct disk_request){
                                  .segment = request->segment, .segments = request->segments, .skip = skip});
    disk_cursor_write(&cursor, block == ZEROES ? NULL : block + at * DISK_SECTOR, count * DISK_SECTOR);
    overlay->done += count;
}

/* Discard and write zeroes. What is only part of a block is left as it is by a discard. */
static int step_clear(struct disk_overlay *overlay, const struct disk_request *request, uint64_t number,
                      uint32_t at, uint32_t count) {
    const bool whole = count == block_sectors(overlay, number);
    const bool discard = request->operation == DISK_DISCARD;
    uint8_t *const block = entry(overlay, number);

    if ((whole || !discard) && block != ZEROES) {
        uint8_t **place = entry_place(overlay, number);
        if (!place)
            return discard ? 0 : -ENOSPC;
        if (whole && (!block || discard || request->unmap)) {
            set_entry(place, ZEROES);
            if (block)
                give(overlay, block);
        } else {
            int made = make_present(overlay, number, place);
            if (made)
                return made;
            memset(*place + at * DISK_SECTOR, 0, count * DISK_SECTOR);
        }
    }
    return 0;
}

/* A block that is written whole, and has no memory yet, is there once all of it is: our program may end in
 * between, and the guest with it. */
static int step_write(struct disk_overlay *overlay, const struct disk_request *request, uint64_t number,
                      uint32_t at, uint32_t count) {
    uint8_t **place = entry_place(overlay, number);
    struct disk_cursor cursor;
    if (!place)
        return -ENOSPC;
    const bool whole = count == block_sectors(overlay, number) && !is_present(*place);
    int made = whole ? 0 : make_present(overlay, number, place);
    if (made)
        return made;
    uint8_t *block = whole ? take(overlay) : *place;
    if (!block)
        return -ENOSPC;
    disk_cursor_init(&cursor, &(struct disk_request){.segment = request->segment,
                                                     .segments = request->segments,
                                                     .skip = request->skip + overlay->done * DISK_SECTOR});
    disk_cursor_read(&cursor, block + at * DISK_SECTOR, count * DISK_SECTOR);
    if (whole) {
        memset(block + count * DISK_SECTOR, 0, DISK_OVERLAY_BLOCK - count * DISK_SECTOR);
        set_entry(place, block);
    }
    return 0;
}

/* Goes on with the first request by one block, or by what the base has to give. */
static void step(struct disk_overlay *overlay) {
    const struct disk_request *request = overlay->first;
    const uint64_t sector = request->sector + overlay->done;
    const uint64_t number = sector / DISK_OVERLAY_SECTORS;
    const uint32_t at = (uint32_t)(sector % DISK_OVERLAY_SECTORS);
    const uint32_t count = smaller(request->count - overlay->done, DISK_OVERLAY_SECTORS - at);
    int result;

    if (request->operation == DISK_READ) {
        step_read(overlay, request, number, at, count);
        return;
    }
    result = request->operation == DISK_WRITE ? step_write(overlay, request, number, at, count)
                                              : step_clear(overlay, request, number, at, count);
    if (result < 0)
        overlay->error = result;
    else if (result == 0)
        overlay->done += count; /* else the block is being filled: then the same again */
}

/* Works until there is nothing to do or the base has to be waited for. A completion that comes meanwhile
 * returns here. */
static void run(struct disk_overlay *overlay) {
    if (overlay->running)
        return;
    overlay->running = true;
    while (overlay->first && !overlay->waiting) {
        struct disk_request *request = overlay->first;
        if (!overlay->error && overlay->done < request->count) {
            step(overlay);
            continue;
        }
        const int error = overlay->error;
        overlay->first = request->next;
        overlay->done = 0;
        overlay->error = 0;
        request->done(request, error);
    }
    overlay->running = false;
}

static struct disk_overlay *overlay_of(struct disk *disk) {
    return (struct disk_overlay *)((char *)disk - offsetof(struct disk_overlay, disk));
}

static void overlay_submit(struct disk *disk, struct disk_request *request) {
    struct disk_overlay *overlay = overlay_of(disk);
    request->next = NULL;
    if (request->operation == DISK_FLUSH)
        request->count = 0;
    if (overlay->first)
        overlay->last->next = request;
    else
        overlay->first = request;
    overlay->last = request;
    run(overlay);
}

static void overlay_poll(struct disk *disk) {
    struct disk_overlay *overlay = overlay_of(disk);
    if (overlay->base->operations->poll)
        overlay->base->operations->poll(overlay->base);
}

static const struct disk_operations operations = {.submit = overlay_submit, .poll = overlay_poll};

/* All but the table. */
static int prepare(struct disk_overlay *overlay, struct disk *base,
                   const struct disk_overlay_memory *memory) {
    if ((base->sectors - 1) / DISK_OVERLAY_SECTORS / ENTRIES >= ENTRIES)
        return -EFBIG;
    *overlay = (struct disk_overlay){.disk = *base, .base = base, .memory = memory};
    overlay->disk.operations = &operations;
    overlay->disk.read_only = false;
    overlay->disk.cached = false;
    overlay->disk.discards = true;
    overlay->disk.optimal = DISK_OVERLAY_BLOCK;
    return 0;
}

int disk_overlay_init(struct disk_overlay *overlay, struct disk *base,
                      const struct disk_overlay_memory *memory) {
    int error = prepare(overlay, base, memory);
    if (error)
        return error;
    overlay->table = take(overlay);
    if (!overlay->table)
        return -ENOMEM;
    memset(overlay->table, 0, DISK_OVERLAY_BLOCK);
    return 0;
}

static bool claim(struct disk_overlay *overlay, void *block) {
    overlay->blocks++;
    return overlay->memory->claim(overlay->memory->context, block);
}

int disk_overlay_resume(struct disk_overlay *overlay, struct disk *base,
                        const struct disk_overlay_memory *memory, void *table) {
    int error = prepare(overlay, base, memory);
    if (error)
        return error;
    if (!claim(overlay, table))
        return -EINVAL;
    overlay->table = table;
    for (size_t i = 0; i < ENTRIES; i++) {
        uint8_t **leaf = overlay->table[i];
        if (leaf && !claim(overlay, leaf))
            return -EINVAL;
        for (size_t j = 0; leaf && j < ENTRIES; j++)
            if (leaf[j] && leaf[j] != ZEROES && !claim(overlay, leaf[j]))
                return -EINVAL;
    }
    return 0;
}

int disk_overlay_destroy(struct disk_overlay *overlay) {
    if (overlay->first)
        return -EBUSY;
    for (size_t i = 0; i < ENTRIES; i++) {
        uint8_t **leaf = overlay->table[i];
        for (size_t j = 0; leaf && j < ENTRIES; j++)
            if (leaf[j] && leaf[j] != ZEROES)
                give(overlay, leaf[j]);
        if (leaf)
            give(overlay, leaf);
    }
    give(overlay, overlay->table);
    overlay->table = NULL;
    return 0;
}
