// SPDX-License-Identifier: Apache-2.0
// virtio-blk (virtio 1.2, 5.2): shows a disk (virtio/disk.h) to a guest.
#ifndef SAGUARO_VIRTIO_BLK_H
#define SAGUARO_VIRTIO_BLK_H

#include "virtio/device.h"
#include "virtio/disk.h"

#define VIRTIO_BLK_MAX_QUEUES 4u
#define VIRTIO_BLK_SLOTS      32u /* requests that are worked on at the same time; bits of a word */
#define VIRTIO_BLK_RANGES     16u /* of one discard or write zeroes request */
#define VIRTIO_BLK_ID_SIZE    20u

struct virtio_blk;

/* Sectors of a request that are still to be done. */
struct virtio_blk_range {
    uint64_t sector;
    uint64_t count;
};

/* A request that was taken from a queue, until it is given back. Its disk requests follow one another. */
struct virtio_blk_slot {
    struct virtio_blk *blk;
    uint32_t type;   /* VIRTIO_BLK_T_* */
    uint8_t queue;   /* where it came from */
    uint8_t status;  /* what the driver will be told, if it is not overtaken by an error */
    bool flush;      /* a flush of the disk is still to be done, after all ranges */
    bool changes;    /* the contents of sectors [first, end) */
    bool stale;      /* the device was reset meanwhile: when the disk is done with it, it is forgotten */
    bool unmap;      /* the driver allows to give space back */
    int error;       /* of the last disk request */
    uint64_t first;  /* all its sectors lie in [first, end) */
    uint64_t end;    /* 0: none */
    uint64_t passed; /* bytes of its data that are done */
    unsigned ranges, range;
    struct virtio_blk_range work[VIRTIO_BLK_RANGES];
    struct disk_request request;
    struct virtq_buffer buffer;
};

struct virtio_blk {
    struct virtio_device device;
    struct disk *disk;
    /* Has more to do than it may do at once, or a disk request is done: call virtio_blk_run() soon, not from
     * here. */
    void (*again)(struct virtio_blk *blk);
    char id[VIRTIO_BLK_ID_SIZE]; /* padded with NUL */
    bool read_only;
    bool running;                    /* in virtio_blk_run() */
    unsigned next_queue;             /* that is looked at first */
    uint32_t free;                   /* bit n: slot n is free */
    uint32_t busy;                   /* bit n: slot n is at the disk, or will go on there */
    uint8_t ready[VIRTIO_BLK_SLOTS]; /* a ring: slots that the disk is done with, or that have not begun */
    unsigned ready_first, ready_count;
    struct virtio_blk_slot *waiting; /* taken, but overlaps with another one: nothing is taken meanwhile */
    uint32_t used;                   /* bit n: something was given back to queue n, and not yet signalled */
    struct disk_counters counters;   /* errors: the disk's */
    struct virtio_blk_slot slot[VIRTIO_BLK_SLOTS];
};

/*
 * Makes a block device of `disk` with 1 to VIRTIO_BLK_MAX_QUEUES queues and `id` (its first
 * VIRTIO_BLK_ID_SIZE bytes) as serial number. Sets the device's class, its features without the ring's, the
 * numbers and sizes of queues and configuration; the caller sets the other fields of `device`, adds the
 * ring's features, and calls virtio_device_init().
 */
void virtio_blk_init(struct virtio_blk *blk, struct disk *disk, const char *id, unsigned queues,
                     bool read_only, void (*again)(struct virtio_blk *blk));

/* Works on what there is to do, up to a limit (then again() is called). */
void virtio_blk_run(struct virtio_blk *blk);

/* Whether the disk has no request of this device, so that the guest's memory is not touched by it. */
bool virtio_blk_idle(const struct virtio_blk *blk);

#endif
