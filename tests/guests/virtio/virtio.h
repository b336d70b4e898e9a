// SPDX-License-Identifier: Apache-2.0
// What the files of the virtio guest share: PCI functions, the driver's side of a virtio device and of its
// rings (virtio 1.2, 2.7, 2.8, 4.1), and the checks.
#ifndef SAGUARO_TESTS_GUESTS_VIRTIO_VIRTIO_H
#define SAGUARO_TESTS_GUESTS_VIRTIO_VIRTIO_H

#include <string.h>

#include "tests/guests/runtime/guest.h"

#define WAIT_MS             30000u /* until something that has to come is given up: the machine may be a slow one */
#define IDLE_MS             60u /* how long something that must not come is waited for */

/* ---- PCI (pci.c) */

#define PCI_COMMAND         0x04
#define PCI_COMMAND_MEMORY  0x0002u
#define PCI_COMMAND_MASTER  0x0004u
#define PCI_COMMAND_NO_INTX 0x0400u
#define PCI_STATUS_INTX     0x0008u
#define PCI_BAR0            0x10
#define MSIX_ENABLE         0x8000u
#define MSIX_MASK           0x4000u
#define BAR_SPACE           0xc0000000u /* where this guest puts its BARs */

/* Where a structure lies. */
struct place {
    unsigned bar;
    uint32_t offset, size;
};

struct virtio {
    unsigned devfn;
    unsigned id;     /* 1: net, 2: blk, ... */
    uint32_t bar[2]; /* their addresses */
    uint32_t bar_size[2];
    struct place common, notify, isr, config;
    uint32_t multiplier;
    unsigned msix; /* the capability's offset */
    unsigned vectors;
    struct place table, pending;
    uint64_t features; /* negotiated */
};

uint32_t pci_read(const struct virtio *v, unsigned offset, unsigned size);
void pci_write(const struct virtio *v, unsigned offset, unsigned size, uint32_t value);
/* The virtio functions of bus 0, in order; each gets its BARs' places, and the command register 6. */
unsigned virtio_find(struct virtio *list, unsigned most);
void virtio_place(struct virtio *v); /* BARs and command register as v says */
void virtio_command(const struct virtio *v, uint32_t command);
void msix_control(const struct virtio *v, uint32_t bits); /* MSIX_ENABLE, MSIX_MASK */
void msix_entry(const struct virtio *v, unsigned entry, uint64_t address, uint32_t data, bool masked);
void msix_mask(const struct virtio *v, unsigned entry, bool masked);
bool msix_pending(const struct virtio *v, unsigned entry);

/* ---- the device (device.c) */

#define S_ACKNOWLEDGE           1u
#define S_DRIVER                2u
#define S_DRIVER_OK             4u
#define S_FEATURES_OK           8u
#define S_NEEDS_RESET           64u
#define S_ALL                   (S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK)

#define F_INDIRECT              (1ull << 28)
#define F_EVENT                 (1ull << 29)
#define F_VERSION_1             (1ull << 32)
#define F_PLATFORM              (1ull << 33)
#define F_PACKED                (1ull << 34)
#define F_IN_ORDER              (1ull << 35)

#define C_DEVICE_FEATURE_SELECT 0x00u
#define C_DEVICE_FEATURE        0x04u
#define C_DRIVER_FEATURE_SELECT 0x08u
#define C_DRIVER_FEATURE        0x0cu
#define C_CONFIG_VECTOR         0x10u
#define C_NUM_QUEUES            0x12u
#define C_STATUS                0x14u
#define C_GENERATION            0x15u
#define C_QUEUE_SELECT          0x16u
#define C_QUEUE_SIZE            0x18u
#define C_QUEUE_VECTOR          0x1au
#define C_QUEUE_ENABLE          0x1cu
#define C_QUEUE_NOTIFY_OFF      0x1eu
#define C_QUEUE_DESC            0x20u
#define C_QUEUE_DRIVER          0x28u
#define C_QUEUE_DEVICE          0x30u
#define C_SIZE                  0x38u

/* Reads and writes of the common and of the device's own configuration. */
uint32_t common_read(const struct virtio *v, unsigned offset, unsigned size);
void common_write(const struct virtio *v, unsigned offset, unsigned size, uint32_t value);
uint32_t config_read(const struct virtio *v, unsigned offset, unsigned size);
void config_write(const struct virtio *v, unsigned offset, unsigned size, uint32_t value);
uint8_t isr_read(const struct virtio *v);
uint8_t status_read(const struct virtio *v);
void status_write(const struct virtio *v, uint8_t status);
uint64_t features_read(const struct virtio *v);
void features_write(const struct virtio *v, uint64_t features);
bool virtio_reset(const struct virtio *v); /* whether the status became 0 */
/* Reset, then all steps up to FEATURES_OK with these features and VERSION_1. Whether it stayed set. */
bool virtio_negotiate(struct virtio *v, uint64_t features);
bool virtio_wait_status(const struct virtio *v, uint8_t bits); /* until one of them is set */
/* A doorbell, `offset` into the notification area. */
void virtio_notify(const struct virtio *v, uint32_t offset, unsigned queue);

/* ---- rings (ring.c) */

#define RING_MOST     256u
#define RING_NEXT     1u
#define RING_WRITE    2u
#define RING_INDIRECT 4u

struct descriptor {
    uint64_t address;
    uint32_t size;
    uint16_t third, fourth; /* split: flags, next; packed: ID, flags */
};

/* Areas as large as they can get, each on a page of its own. */
struct ring {
    struct descriptor table[RING_MOST] __attribute__((aligned(4096)));
    uint16_t driver[2048] __attribute__((aligned(4096))); /* available ring, or event suppression */
    uint16_t device[2048] __attribute__((aligned(4096)));
    struct descriptor indirect[RING_MOST] __attribute__((aligned(4096)));
    struct virtio *v;
    unsigned index, size;
    uint32_t doorbell; /* in the notification area */
    bool packed, event;
    uint16_t next;             /* split: the available index; packed: the next free entry */
    uint16_t used;             /* split: the used index that is seen next; packed: the entry */
    uint16_t free;             /* split: the next free descriptor */
    bool wrap, uwrap;          /* packed: wrap counters of `next` and `used` */
    uint16_t count[RING_MOST]; /* packed: how many entries the buffer of this ID takes */
    uint16_t id;               /* packed: the next buffer's */
};

struct piece {
    const void *data;
    uint32_t size;
    bool write; /* by the device */
};

/* Sets queue `index` up, with the features that were negotiated. Whether the device took it. */
bool ring_enable(struct ring *r, struct virtio *v, unsigned index, unsigned size, uint16_t vector);
void ring_clear(struct ring *r, struct virtio *v, unsigned index, unsigned size); /* our side alone */
/* Makes a buffer available; there must be room. How the driver knows it again. */
unsigned ring_add(struct ring *r, const struct piece *pieces, unsigned count, bool indirect);
/* Split: makes the chain from this descriptor on available, whatever it is. */
void ring_offer(struct ring *r, uint16_t head);
void ring_set(struct ring *r, unsigned at, uint64_t address, uint32_t size, unsigned flags, unsigned next);
void ring_kick(const struct ring *r);
bool ring_used(struct ring *r, unsigned *id, uint32_t *written); /* whether one was used; takes it */
bool ring_wait(struct ring *r, unsigned *id, uint32_t *written); /* for WAIT_MS */
/* Whether an interrupt is wanted: not at all, or always; with event index: once this many more are used. */
void ring_interrupt(struct ring *r, bool wanted);
void ring_interrupt_after(struct ring *r, unsigned buffers);

/* ---- disks (blk.c) */

#define SECTOR       512u
#define BLK_IN       0u
#define BLK_OUT      1u
#define BLK_FLUSH    4u
#define BLK_GET_ID   8u
#define BLK_ZEROES   13u
#define BLK_OK       0u
#define BLK_IOERR    1u
#define BLK_UNSUPP   2u
#define BLK_NONE     0xffu /* it was not answered */
#define BLK_F_RO     (1ull << 5)
#define BLK_F_FLUSH  (1ull << 9)
#define BLK_F_ZEROES (1ull << 14)

struct blk_header {
    uint32_t type, reserved;
    uint64_t sector;
};

/* Brings a disk up with one queue. */
bool blk_start(struct virtio *v, struct ring *r, uint64_t features, unsigned size, uint16_t vector);
/* One request, through to its status; *written: as the used ring says. */
uint8_t blk_request(struct ring *r, uint32_t type, uint64_t sector, void *data, uint32_t size,
                    uint32_t *written);
bool blk_works(struct virtio *v, struct ring *r); /* from a reset on: a sector is written and read back */

/* ---- cards (net.c) */

#define NET_F_MAC       (1ull << 5)
#define NET_F_MRG_RXBUF (1ull << 15)
#define NET_F_CTRL_VQ   (1ull << 17)
#define NET_F_CTRL_RX   (1ull << 18)
#define NET_HEADER      12u
#define NET_BUFFERS     8u
#define NET_BUFFER      1600u

struct card {
    struct virtio *v;
    struct ring receive, send, control;
    uint8_t mac[6];
    uint32_t size; /* of its receive buffers */
    uint8_t buffer[NET_BUFFERS][NET_BUFFER];
    unsigned owner[RING_MOST]; /* buffer of a ring's head or ID */
};

bool net_start(struct card *c, struct virtio *v, uint64_t features, unsigned size, uint32_t buffer_size);
void net_send(struct card *c, const uint8_t *frame, uint32_t size);
/* The next frame from `source` with our type, within `ms`. Its size; 0: none. *buffers: how many it took. */
uint32_t net_receive(struct card *c, const uint8_t *source, uint8_t *frame, unsigned ms, unsigned *buffers);
/* A frame of our type, from and to, with a body that depends on `seed`. */
void net_frame(uint8_t *frame, const uint8_t *to, const uint8_t *from, uint32_t size, uint32_t seed);
bool net_works(struct card *one, struct virtio *a, struct card *other,
               struct virtio *b); /* from a reset on */

/* ---- the IOMMU's driver (iommu.c) */

#define IOMMU_DEVFN (23u << 3)
#define IOMMU_OK    0u
#define IOMMU_INVAL 4u
#define IOMMU_RANGE 5u
#define IOMMU_NOENT 6u
#define IOMMU_FAULT 7u
#define IOMMU_NONE  0xffu /* it did not answer */
#define IOMMU_READ  1u
#define IOMMU_WRITE 2u
#define PAGE        4096u

/* From a reset on, with all of its features, and buffers for faults. */
bool iommu_start(struct virtio *v);
/* Requests; their status. An endpoint is a function of bus 0. */
uint8_t iommu_attach(uint32_t domain, unsigned devfn);
uint8_t iommu_detach(uint32_t domain, unsigned devfn);
uint8_t iommu_map(uint32_t domain, uint64_t at, const void *memory, uint32_t size, uint32_t flags);
uint8_t iommu_unmap(uint32_t domain, uint64_t at, uint64_t size);
uint8_t iommu_probe(unsigned devfn, uint8_t properties[64]);
/* Whether the next fault, which is waited for, is this one. */
bool iommu_faulted(uint8_t reason, uint32_t access, unsigned devfn, uint64_t address);

/* ---- what the guest is made of; each works on functions that were found, and leaves them reset. */

void check_pci(struct virtio *v);
void check_bars(struct virtio *disk, struct ring *r);
void check_device(struct virtio *v, struct ring *r);
void check_interrupts(struct virtio *disk, struct ring *r);
void check_blk(struct virtio *disk, struct virtio *read_only, struct ring *r);
void check_net(struct virtio *a, struct virtio *b, struct card *one, struct card *other);
void check_mmio(struct ring *r);                                       /* of a disk that is on no bus */
void check_iommu(struct virtio *list, unsigned count, struct ring *r); /* two disks behind it */
void check_passed(struct virtio *list, unsigned count); /* a function of the machine behind it */
void hostile_blk(struct virtio *disk, struct ring *r);
void hostile_net(struct virtio *a, struct virtio *b, struct card *one, struct card *other);
void noise(struct virtio *disk, struct virtio *a, struct virtio *b, struct ring *r, struct card *one,
           struct card *other);

#endif
