// SPDX-License-Identifier: Apache-2.0
// A split virtqueue, the driver's side (virtio 1.2, 2.7): a ring in DMA memory. Who uses it says which
// descriptors make up a buffer. What the device may not change, which buffers it has and how much of each it
// may write, is kept in memory of our own.
#ifndef SAGUARO_DRIVERS_PCI_VIRTIO_RING_H
#define SAGUARO_DRIVERS_PCI_VIRTIO_RING_H

#include "drivers/pci/pci.h"

#define VRING_MAX_SIZE 256u /* descriptors, a power of two */
#define VRING_NO_NEXT  0xffffu

struct vring {
    uint8_t *memory;            /* NULL: not yet */
    uint64_t dma;               /* of the memory: the descriptor table, the available ring, the used ring */
    volatile uint8_t *doorbell; /* the transport's: a register */
    uint16_t size;              /* descriptors, a power of two */
    bool event;                 /* VIRTIO_F_EVENT_IDX was negotiated */
    bool listening;             /* we want interrupts */
    uint16_t available, used;
    uint16_t told;             /* `available` when the device was last asked whether it wants to know */
    uint16_t flights;          /* buffers that the device has */
    const char *broken;        /* what the device did wrong; nothing is taken any more */
    bool busy[VRING_MAX_SIZE]; /* by head: the device has it */
    uint32_t writable[VRING_MAX_SIZE]; /* by head: bytes that the device may write */
};

/* Allocates memory for a ring of any size. 0, -ENOMEM. */
int vring_init(struct vring *ring, const struct pci_host *host);
/* An empty ring; the device knows nothing of the old one any more, and no interrupts are wanted. `size`: a
 * power of two up to VRING_MAX_SIZE. */
void vring_reset(struct vring *ring, uint16_t size, bool event);
/* The device's addresses of the two rings behind the descriptor table, which is at ring->dma. */
uint64_t vring_available_dma(const struct vring *ring);
uint64_t vring_used_dma(const struct vring *ring);

/* Writes descriptor `index`, which the device does not have: `size` bytes at the device's address `dma`,
 * written by the device or read; then descriptor `next`, or VRING_NO_NEXT. */
void vring_describe(struct vring *ring, unsigned index, uint64_t dma, uint32_t size, bool write,
                    unsigned next);
/* Gives the device the buffer whose first descriptor is `head` and whose parts that it writes have
 * `writable` bytes. There are never more of these than descriptors. */
void vring_offer(struct vring *ring, unsigned head, uint32_t writable);
/* Whether the device wants to be told of what was offered since the last call. */
bool vring_wants_kick(struct vring *ring);

/* Takes a buffer that the device is done with. 1: *head, *written (not more than it may write) are set; 0:
 * there is none; -EPROTO: ring->broken says what the device did. */
int vring_take(struct vring *ring, unsigned *head, uint32_t *written);
/* Asks for interrupts or none. True: buffers were used meanwhile, look again. */
bool vring_listen(struct vring *ring, bool on);

#endif
