// SPDX-License-Identifier: Apache-2.0
// What guests write over disks (virtio/disk_overlay.h), in memory that outlives a run of the service VM: its
// blocks, who has each, and where each overlay's table is. What a run finds there is checked before use.
#ifndef SAGUARO_SERVICE_OVERLAYS_H
#define SAGUARO_SERVICE_OVERLAYS_H

#include <stdint.h>
#include "lib/config.h"
#include "virtio/disk_overlay.h"

#define OVERLAYS_MAX  (CONFIG_MAX_GUESTS * CONFIG_MAX_GUEST_DISKS)
#define OVERLAYS_NAME 16u

struct overlay {
    struct disk_overlay disk;
    struct disk_overlay_memory memory;
    struct disk broken; /* shown instead if the overlay cannot be used */
    unsigned number, vm;
    char name[OVERLAYS_NAME]; /* "disk0" */
};

/* [memory, memory + size) is what overlays are kept in from now on: zeroes when the machine starts, later
 * what the run before left, at the same address. NULL, too little or damaged: no overlay can be used, after a
 * line in the log. */
void overlays_init(void *memory, uint64_t size);

/*
 * Overlay `number`, below OVERLAYS_MAX, the same in each run, over all of `base`: fresh, or as the run before
 * left it. `vm` and `name` are for the log. Returns its disk. If it cannot be used, that one's requests are
 * I/O errors, after a line in the log; what was in a damaged one is given up for good.
 */
struct disk *overlays_open(struct overlay *overlay, unsigned number, unsigned vm, const char *name,
                           struct disk *base);

/* All overlays of this run are open: blocks that the run before had not entered in a table yet, or had taken
 * out of it, are free. */
void overlays_settle(void);

#endif
