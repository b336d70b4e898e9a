// SPDX-License-Identifier: Apache-2.0
// Partitions of a disk by number: GPT (UEFI 2.10, 5.3), or the older table of the master boot record with
// logical partitions.
#ifndef SAGUARO_VIRTIO_PARTITION_H
#define SAGUARO_VIRTIO_PARTITION_H

#include "virtio/disk.h"

#define PARTITION_MAX   128u   /* largest number that is looked for */
#define PARTITION_PIECE 16384u /* bytes that are read at once: the usual table of a GPT */

/* Caller's memory; large, and in use by the disk if a search ends with -ETIMEDOUT. */
struct partition_search {
    /* the result */
    uint64_t first; /* sectors of DISK_SECTOR bytes */
    uint64_t sectors;
    const char *why; /* in words what is wrong, to follow "partition N: " */
    /* its own */
    struct disk *disk;
    struct disk_request request;
    struct virtq_segment segment;
    bool done;
    int error;
    uint32_t polls;               /* looks at the disk that are left */
    uint8_t head[DISK_MAX_BLOCK]; /* GPT's header */
    uint8_t block[PARTITION_PIECE];
};

/* Finds partition `number`, from 1 on; of an MBR 1 to 4 are primary ones and 5 onwards logical ones. Waits
 * for the disk, whose answers all together may take as long as four that only just come in time; there are
 * some 200 at most. 0: first and sectors are set, and lie on the disk; -ENOENT: there is no such partition,
 * or no partition table; -EINVAL: the table is damaged; -EIO, -ETIMEDOUT: the disk cannot be read. */
int partition_find(struct partition_search *search, struct disk *disk, unsigned number);

#endif
