// SPDX-License-Identifier: Apache-2.0
// A physical disk behind a table of functions: a struct disk (virtio/disk.h) that a PCI function holds. A
// driver copies data into and out of DMA memory of its own, in pieces: no disk ever reaches a guest's memory.
#ifndef SAGUARO_DRIVERS_BLOCK_BLOCK_H
#define SAGUARO_DRIVERS_BLOCK_BLOCK_H

#include "drivers/pci/pci.h"
#include "virtio/disk.h"

#define BLOCK_SERIAL  64u
#define BLOCK_TIMEOUT (30 * 1000000000ull) /* ns from a request to the disk until it is taken for dead */

struct block;

struct block_class {
    const char *name; /* "virtio-blk" */
    bool (*matches)(const struct pci_device *pci);
    size_t size; /* bytes of the driver's structure, which begins with struct block; zeroed by who allocates
                    it */
    /* `pci` is claimed and mastering is off. Resets the device, starts it, reads what the disk is:
     * block->disk (but `operations`' done requests come only through poll()), serial. 0 or a negative errno,
     * and `why`. May wait for the device for up to some seconds, with a limit. */
    int (*start)(struct block *block);
    /* DMA has ended when it returns; open requests are done with -EIO. */
    void (*stop)(struct block *block);
    /* An interrupt came, or it is time to look (0): completes requests, sends waiting ones. */
    void (*poll)(struct block *block, uint32_t vectors);
    /* About once a second. A request that is late beyond BLOCK_TIMEOUT, or a device that is gone (all ones)
     * or says that it failed: the device is reset and started again, once, with all open requests repeated in
     * order; if that does not help, they and all later ones are done with -EIO, and `failed` is set. */
    void (*tick)(struct block *block);
};

struct block_counters {
    uint64_t reads, writes, flushes, errors;
    uint64_t interrupts, resets;
};

struct block {
    struct disk disk; /* submit() of its operations queues what has no room yet; in the order of submission */
    const struct block_class *class;
    struct pci_device *pci;
    char serial[BLOCK_SERIAL + 1]; /* printable, without spaces at its ends; "" if it has none */
    const char *why;
    bool failed;
    struct block_counters counters;
    void (*changed)(struct block *block); /* `failed` is another; may be NULL */
    void *owner;
};

extern const struct block_class virtio_blk_block; /* virtio 1.2, 5.2, over PCI, modern */
extern const struct block_class nvme_block;       /* NVM Express 1.4, the first name space */

#endif
