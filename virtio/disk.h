// SPDX-License-Identifier: Apache-2.0
// A disk behind a table of functions: what virtio/blk.h shows to a guest. Requests are asynchronous; a disk
// may complete one before disk_submit() returns.
#ifndef SAGUARO_VIRTIO_DISK_H
#define SAGUARO_VIRTIO_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "virtio/queue.h"

#define DISK_SECTOR    512u  /* bytes; the unit of all positions and sizes here */
#define DISK_MAX_BLOCK 4096u /* bytes of a logical block */

enum disk_operation {
    DISK_READ,
    DISK_WRITE,
    DISK_FLUSH,        /* what was written and completed before becomes safe; no sectors */
    DISK_DISCARD,      /* the contents are no longer needed; what is read afterwards is not defined */
    DISK_WRITE_ZEROES, /* zeroes are read afterwards */
};

struct disk;

/* The caller's memory, in use until done() is called. */
struct disk_request {
    enum disk_operation operation;
    bool unmap;      /* write zeroes: the space may be given back */
    uint64_t sector; /* the first one. A disk that lies on another one changes it. */
    uint64_t count;  /* sectors: at least 1, or 0 for a flush */
    /* read, write: the data are `count` sectors behind the first `skip` bytes of these segments. They may lie
     * in a guest's memory and change at any time. */
    const struct virtq_segment *segment;
    unsigned segments;
    uint64_t skip;
    /* error: 0, or a negative errno; what a failed request has written, or read, is not defined. Called once,
     * perhaps before disk_submit() returns; may submit again, this request too. */
    void (*done)(struct disk_request *request, int error);
    /* the disk's own while it has the request */
    struct disk_request *next;
};

/* What went through a guest's device, since it was made. */
struct disk_counters {
    uint64_t reads, read_bytes;
    uint64_t writes, written_bytes;
    uint64_t others; /* flush, discard, zeroes */
    uint64_t errors; /* that the guest was told; they are not in the others */
};

/* Counts a request that is done, of `bytes` bytes of data. */
static inline void disk_count(struct disk_counters *counters, enum disk_operation operation, uint64_t bytes) {
    if (operation == DISK_READ) {
        counters->reads++;
        counters->read_bytes += bytes;
    } else if (operation == DISK_WRITE) {
        counters->writes++;
        counters->written_bytes += bytes;
    } else {
        counters->others++;
    }
}

struct disk_operations {
    /* A request that disk_submit() has checked. */
    void (*submit)(struct disk *disk, struct disk_request *request);
    /* Looks whether requests are done, for callers that wait. NULL: no request ever stays open. */
    void (*poll)(struct disk *disk);
};

struct disk {
    const struct disk_operations *operations;
    uint64_t sectors;
    uint32_t block;    /* bytes of a logical block, a power of two from DISK_SECTOR to DISK_MAX_BLOCK:
                          requests consist of whole ones */
    uint32_t physical; /* bytes of a physical block, a power of two from `block` on */
    uint32_t optimal;  /* bytes that are best moved at once, a multiple of `block`; 0: not known */
    bool read_only;
    bool cached;   /* what was written may be lost until a flush */
    bool discards; /* a discard gives space back */
};

/* Hands a request to the disk, which calls its done(), with -EROFS or -EINVAL if the disk does not take it:
 * read-only, sectors that are not there, parts of a block, fewer data than sectors. */
void disk_submit(struct disk *disk, struct disk_request *request);

/* Whether [sector, sector + count) lies on a disk of `sectors` and holds at least one. */
static inline bool disk_holds(uint64_t sectors, uint64_t sector, uint64_t count) {
    return count != 0 && sector < sectors && count <= sectors - sector;
}

/* Where one is in a request's data. */
struct disk_cursor {
    const struct virtq_segment *segment;
    unsigned left; /* segments from there on */
    uint32_t at;   /* bytes of the first of them that were passed */
};
void disk_cursor_init(struct disk_cursor *cursor, const struct disk_request *request);
/* Copies the next `size` bytes of the data to `to`, or from `from` (NULL: zeroes) into them. A checked
 * request's data do not end before its sectors do. */
void disk_cursor_read(struct disk_cursor *cursor, void *to, size_t size);
void disk_cursor_write(struct disk_cursor *cursor, const void *from, size_t size);

/* A part of a disk as a disk. */
struct disk_part {
    struct disk disk;
    struct disk *base;
    uint64_t first;
};
/* Sectors [first, first + sectors) of `base`; 0, or -EINVAL: they are not there, or not whole blocks. */
int disk_part_init(struct disk_part *part, struct disk *base, uint64_t first, uint64_t sectors,
                   bool read_only);

#endif
