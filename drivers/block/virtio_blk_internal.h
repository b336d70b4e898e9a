// SPDX-License-Identifier: Apache-2.0
// What the files of the driver for virtio disks share: its state, and requests on their way through it.
//
// A request of the disk's owner waits in a list until it is the current one, of which pieces go to the device
// through slots, a bounce buffer each; once all its pieces have gone the next one is current. It is done when
// all its pieces are.
#ifndef SAGUARO_DRIVERS_BLOCK_VIRTIO_BLK_INTERNAL_H
#define SAGUARO_DRIVERS_BLOCK_VIRTIO_BLK_INTERNAL_H

#include "drivers/block/block.h"
#include "drivers/pci/virtio_pci.h"

#define BLK_QUEUE        0u
#define BLK_SLOTS        32u
#define BLK_DESCRIPTORS  3u       /* of a slot: header, data, status. Slot n has those from 3 * n on */
#define BLK_SLOT_SIZE    0x20000u /* bytes of a bounce buffer */
#define BLK_ID_SIZE      20u      /* bytes of a serial number (5.2.6) */

#define BLK_F_RO         (1ull << 5) /* 5.2.3 */
#define BLK_F_SIZE_MAX   (1ull << 1)
#define BLK_F_BLK_SIZE   (1ull << 6)
#define BLK_F_FLUSH      (1ull << 9)
#define BLK_F_TOPOLOGY   (1ull << 10)
#define BLK_F_DISCARD    (1ull << 13)
#define BLK_F_ZEROES     (1ull << 14)

#define BLK_T_IN         0u /* 5.2.6 */
#define BLK_T_OUT        1u
#define BLK_T_FLUSH      4u
#define BLK_T_GET_ID     8u
#define BLK_T_DISCARD    11u
#define BLK_T_ZEROES     13u

/* A slot's part of the control memory, which begins at BLK_CONTROL_SIZE times its number. */
#define BLK_CONTROL_SIZE 64u
#define BLK_HEADER       0u /* offsets in it */
#define BLK_HEADER_SIZE  16u
#define BLK_RANGE        16u /* struct virtio_blk_discard_write_zeroes */
#define BLK_RANGE_SIZE   16u
#define BLK_STATUS       32u

/* A request of which some piece has gone to the device, or will next. */
struct blk_open {
    struct disk_request *request; /* NULL: free */
    uint64_t passed;              /* sectors whose pieces have gone */
    unsigned slots;               /* that it has */
    int error;
};

/* A piece at the device. */
struct blk_slot {
    struct blk_open *open; /* NULL: free */
    uint8_t *data;         /* its bounce buffer */
    uint64_t dma;
    uint32_t type; /* BLK_T_* */
    uint32_t size; /* bytes of data */
    uint64_t skip; /* bytes of the request before them */
    uint64_t since, order;
    bool repeated; /* it was at the device already, before a reset */
};

/* What the configuration says, checked (5.2.4). */
struct blk_limits {
    uint64_t sectors;
    uint32_t block, physical, optimal;  /* as in struct disk */
    uint32_t piece;                     /* sectors of a read or write at most; these are whole blocks */
    uint32_t most_discard, most_zeroes; /* sectors of one request; 0: it does not do that */
    bool unmaps;                        /* write zeroes may give space back */
};

struct blk_driver {
    struct block block;
    struct vpci device;
    struct vring ring;
    uint64_t wanted; /* features */
    struct blk_limits limits;
    bool running;        /* start() has succeeded, stop() was not called */
    bool tried;          /* it was reset, and what was repeated is not done yet */
    const char *trouble; /* why it has to be reset; nothing goes to the device meanwhile */
    uint8_t *control;
    uint64_t control_dma;
    unsigned slots; /* in use: as many as the queue has room for */
    uint64_t order; /* of the next piece */
    struct blk_slot slot[BLK_SLOTS];
    struct blk_open open[BLK_SLOTS + 1]; /* the current one may have no slot */
    struct blk_open *current;
    struct disk_request *first, *last; /* waiting */
};

/* Puts a slot, whose type, size and data are set, into the ring: for `sector`, `count` sectors. */
void blk_offer(struct blk_driver *driver, unsigned index, uint64_t sector, uint64_t count, bool unmap);
/* 0 or the error that the device says of a slot that it is done with. */
int blk_status(const struct blk_driver *driver, unsigned index);
/* struct disk's. */
void blk_submit(struct disk *disk, struct disk_request *request);
/* Takes what the device is done with, sends what waits; sets `trouble` if the ring is not sound. */
void blk_run(struct blk_driver *driver);
/* Gives the device, which was reset, all pieces again that it had, in their order. */
void blk_repeat(struct blk_driver *driver);
/* The device has ended: all requests are done with -EIO. `running` is false, or block.failed is true. */
void blk_abandon(struct blk_driver *driver);
/* Whether a piece has been at the device for too long. */
bool blk_late(const struct blk_driver *driver);

#endif
