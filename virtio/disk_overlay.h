// SPDX-License-Identifier: Apache-2.0
// Copy on write: a disk that shows another, read-only one, and keeps what is written to it in memory. Several
// overlays may share a base.
#ifndef SAGUARO_VIRTIO_DISK_OVERLAY_H
#define SAGUARO_VIRTIO_DISK_OVERLAY_H

#include "virtio/disk.h"

#define DISK_OVERLAY_BLOCK   0x10000u /* bytes: what is copied at once */
#define DISK_OVERLAY_SECTORS (DISK_OVERLAY_BLOCK / DISK_SECTOR)

/* Where the memory comes from: blocks of DISK_OVERLAY_BLOCK bytes, aligned for pointers. */
struct disk_overlay_memory {
    void *(*take)(void *context); /* NULL: there is none; then the write is an I/O error */
    void (*give)(void *context, void *block);
    /* disk_overlay_resume() alone: `block` was taken before this program was started anew, and still is.
     * False: it cannot be, or twice. */
    bool (*claim)(void *context, void *block);
    void (*log)(void *context, const char *text); /* a line for the log */
    void *context;
};

struct disk_overlay {
    struct disk disk;
    struct disk *base;
    const struct disk_overlay_memory *memory;
    uint8_t ***table; /* two levels of pointers: per block NULL (as in the base), or what is there now */
    uint64_t blocks;  /* taken from `memory`, tables included */
    bool full;        /* it was said in the log that memory has run out: once, a guest can cause it often */
    /* One request is worked on at a time, the others wait in order. */
    struct disk_request *first, *last;
    uint64_t done; /* sectors of the first one */
    bool running, waiting;
    int error;                       /* of `part` when it is done */
    struct disk_request part;        /* what the base is asked for */
    struct virtq_segment segment;    /* its data, when a block is filled from the base */
    uint8_t *filling, **filling_for; /* that block, and where it will be entered */
};

/* An overlay of all of `base`, which nobody may write to as long as it is there. 0; -ENOMEM; -EFBIG: the base
 * is too large for the table (4 TiB where pointers have 64 bits, else 16 TiB). */
int disk_overlay_init(struct disk_overlay *overlay, struct disk *base,
                      const struct disk_overlay_memory *memory);
/* The same after a start anew, if the blocks are where they were: `table` is overlay->table from before.
 * -EINVAL: claim() refused one of its blocks; all of it has to be given up. */
int disk_overlay_resume(struct disk_overlay *overlay, struct disk *base,
                        const struct disk_overlay_memory *memory, void *table);
/* Gives all memory back: what was written is gone. -EBUSY: there are requests. */
int disk_overlay_destroy(struct disk_overlay *overlay);

#endif
