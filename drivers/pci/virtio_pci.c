// SPDX-License-Identifier: Apache-2.0
// A virtio device on PCI, the driver's side of the modern transport (virtio 1.2, 3.1 and 4.1).
#include "drivers/pci/virtio_pci.h"

#include <errno.h>
#include <string.h>
#include "virtio/device.h"

#define VIRTIO_VENDOR     0x1af4u
#define DEVICE_MODERN     0x1040u /* and the device's ID (4.1.2.1) */
#define DEVICE_NET        0x1000u /* transitional ones, which have the modern interface, too */
#define DEVICE_BLOCK      0x1001u

#define CAPABILITY_VENDOR 0x09u
#define CAPABILITY_MSIX   0x11u

/* A structure's capability (4.1.4). */
#define CAP_LENGTH        2u
#define CAP_TYPE          3u
#define CAP_BAR           4u
#define CAP_OFFSET        8u
#define CAP_SIZE          12u
#define CAP_MULTIPLIER    16u
#define CAP_BYTES         16u
#define CAP_NOTIFY_BYTES  20u

#define TYPE_COMMON       1u
#define TYPE_NOTIFY       2u
#define TYPE_ISR          3u
#define TYPE_DEVICE       4u

/* The common configuration (4.1.4.3). */
#define FEATURE_SELECT    0x00u
#define FEATURE           0x04u
#define OWN_SELECT        0x08u
#define OWN_FEATURE       0x0cu
#define CONFIG_VECTOR     0x10u
#define STATUS            0x14u
#define GENERATION        0x15u
#define QUEUE_SELECT      0x16u
#define QUEUE_SIZE        0x18u
#define QUEUE_VECTOR      0x1au
#define QUEUE_ENABLE      0x1cu
#define QUEUE_NOTIFY      0x1eu
#define QUEUE_DESCRIPTORS 0x20u
#define QUEUE_AVAILABLE   0x28u
#define QUEUE_USED        0x30u
#define COMMON_SIZE       0x38u

#define ALL_ONES          0xffu
#define GENERATIONS       16u /* tries to read a configuration that does not change meanwhile */

/* 4.1.2.1 */
bool vpci_matches(const struct pci_device *pci, unsigned id) {
    uint16_t device = pci_id(pci);

    if (pci_vendor(pci) != VIRTIO_VENDOR)
        return false;
    return device == DEVICE_MODERN + id || (id == VIRTIO_ID_NET && device == DEVICE_NET) ||
           (id == VIRTIO_ID_BLOCK && device == DEVICE_BLOCK);
}

static int fail(struct vpci *device, int error, const char *why) {
    device->why = why;
    return error;
}

/* ---- where its structures are */

/* The first structure of a type that has `least` bytes, at a multiple of `alignment`, in a BAR; its
 * capability in *capability, its size in *size. NULL: there is none. */
static volatile uint8_t *find(struct vpci *device, uint8_t type, uint32_t least, uint32_t alignment,
                              unsigned *capability, uint32_t *size) {
    struct pci_device *pci = device->pci;
    uint32_t bytes = type == TYPE_NOTIFY ? CAP_NOTIFY_BYTES : CAP_BYTES;

    for (unsigned at = pci_capability(pci, CAPABILITY_VENDOR, 0); at;
         at = pci_capability(pci, CAPABILITY_VENDOR, at)) {
        uint32_t offset = pci_config(pci, at + CAP_OFFSET, 4);
        *size = pci_config(pci, at + CAP_SIZE, 4);
        if (pci_config(pci, at + CAP_TYPE, 1) != type || pci_config(pci, at + CAP_LENGTH, 1) < bytes ||
            *size < least || offset % alignment)
            continue;
        volatile uint8_t *structure = pci_map(pci, pci_config(pci, at + CAP_BAR, 1), offset, *size);
        if (structure) {
            *capability = at;
            return structure;
        }
    }
    *size = 0;
    return NULL;
}

int vpci_init(struct vpci *device, struct pci_device *pci) {
    unsigned capability;
    uint32_t size;

    *device = (struct vpci){.pci = pci, .msix = pci_capability(pci, CAPABILITY_MSIX, 0) != 0};
    device->common = find(device, TYPE_COMMON, COMMON_SIZE, 4, &capability, &size);
    device->isr = find(device, TYPE_ISR, 1, 1, &capability, &size);
    device->config = find(device, TYPE_DEVICE, 4, 4, &capability, &device->config_size);
    device->notify = find(device, TYPE_NOTIFY, 2, 2, &capability, &device->notify_size);
    if (device->notify)
        device->notify_multiplier = pci_config(pci, capability + CAP_MULTIPLIER, 4);
    if (!device->common || !device->isr || !device->config || !device->notify)
        return fail(device, -ENOTSUP, "it has no modern virtio interface");
    return 0;
}

/* ---- status and features */

static uint8_t status(struct vpci *device) {
    return pci_read8(device->common + STATUS);
}

static void add_status(struct vpci *device, uint8_t bits) {
    pci_write8(device->common + STATUS, status(device) | bits);
}

int vpci_reset(struct vpci *device) {
    const struct pci_host *host = device->pci->host;
    uint64_t start = host->now();

    if (status(device) == ALL_ONES)
        return fail(device, -EIO, "it is gone");
    pci_write8(device->common + STATUS, 0);
    while (status(device) != 0) {
        if (host->now() - start > VPCI_RESET_TIME)
            return fail(device, -ETIMEDOUT, "it does not answer to a reset");
    }
    return 0;
}

uint64_t vpci_offered(struct vpci *device) {
    uint64_t offered;

    pci_write32(device->common + FEATURE_SELECT, 0);
    offered = pci_read32(device->common + FEATURE);
    pci_write32(device->common + FEATURE_SELECT, 1);
    return offered | (uint64_t)pci_read32(device->common + FEATURE) << 32;
}

int vpci_negotiate(struct vpci *device, uint64_t wanted, uint64_t required) {
    add_status(device, VIRTIO_STATUS_ACKNOWLEDGE);
    add_status(device, VIRTIO_STATUS_DRIVER);
    uint64_t offered = vpci_offered(device);
    if (required & ~offered)
        return fail(device, -ENOTSUP, "it does not offer what is needed of it");
    device->features = offered & wanted;
    pci_write32(device->common + OWN_SELECT, 0);
    pci_write32(device->common + OWN_FEATURE, (uint32_t)device->features);
    pci_write32(device->common + OWN_SELECT, 1);
    pci_write32(device->common + OWN_FEATURE, (uint32_t)(device->features >> 32));
    add_status(device, VIRTIO_STATUS_FEATURES_OK);
    if (!(status(device) & VIRTIO_STATUS_FEATURES_OK))
        return fail(device, -ENOTSUP, "it does not agree to the features");
    return 0;
}

void vpci_start(struct vpci *device) {
    add_status(device, VIRTIO_STATUS_DRIVER_OK);
}

void vpci_stop(struct vpci *device) {
    if (!device->common)
        return;
    vpci_reset(device);
    pci_set_master(device->pci, false);
}

enum vpci_state vpci_state(struct vpci *device) {
    uint8_t now = status(device);

    if (now == ALL_ONES)
        return VPCI_GONE;
    return now & VIRTIO_STATUS_NEEDS_RESET ? VPCI_NEEDS_RESET : VPCI_SOUND;
}

/* ---- interrupts */

/* Sets a vector register; the device may refuse (4.1.5.1.2.1). Without MSI-X there is nothing to set. */
static int set_vector(struct vpci *device, unsigned at, unsigned vector) {
    if (!device->msix || device->pci->vectors == 0)
        return 0;
    pci_write16(device->common + at, (uint16_t)vector);
    return pci_read16(device->common + at) == vector ? 0 : fail(device, -EIO, "it refuses an interrupt");
}

int vpci_set_vectors(struct vpci *device, unsigned wanted) {
    int error = pci_set_vectors(device->pci, wanted);

    if (error)
        return fail(device, error, "it gets no interrupts");
    return set_vector(device, CONFIG_VECTOR, 0);
}

bool vpci_acknowledge(struct vpci *device, uint32_t vectors) {
    if (device->pci->vectors > 1)
        return vectors & 1;
    /* One for all: perhaps a line, which reading this register lowers (4.1.4.5). */
    uint8_t isr = pci_read8(device->isr);
    if (isr)
        pci_mine(device->pci);
    if (vectors)
        pci_unmask(device->pci);
    return isr & VIRTIO_ISR_CONFIG;
}

/* ---- queues */

uint16_t vpci_queue_size(struct vpci *device, unsigned index) {
    pci_write16(device->common + QUEUE_SELECT, (uint16_t)index);
    uint16_t size = pci_read16(device->common + QUEUE_SIZE);
    if (size > VRING_MAX_SIZE)
        return VRING_MAX_SIZE;
    while (size & (size - 1))
        size &= size - 1; /* the largest power of two in it */
    return size;
}

/* Where the queue that is selected is notified (4.1.4.4); NULL: beyond the structure. */
static volatile uint8_t *doorbell(struct vpci *device) {
    uint64_t offset = (uint64_t)pci_read16(device->common + QUEUE_NOTIFY) * device->notify_multiplier;

    return offset > device->notify_size - 2u || offset % 2 ? NULL : device->notify + offset;
}

int vpci_enable_queue(struct vpci *device, unsigned index, struct vring *ring, uint16_t most) {
    volatile uint8_t *common = device->common;
    uint16_t size = vpci_queue_size(device, index);

    if (size == 0)
        return fail(device, -ENOTSUP, "it lacks a queue");
    size = size < most ? size : most;
    ring->doorbell = doorbell(device);
    if (!ring->doorbell)
        return fail(device, -EIO, "a queue's doorbell is not where it could be");
    vring_reset(ring, size, device->features & VIRTIO_RING_EVENT);
    pci_write16(common + QUEUE_SIZE, size);
    pci_write64(common + QUEUE_DESCRIPTORS, ring->dma);
    pci_write64(common + QUEUE_AVAILABLE, vring_available_dma(ring));
    pci_write64(common + QUEUE_USED, vring_used_dma(ring));
    int error = set_vector(device, QUEUE_VECTOR, device->pci->vectors - 1);
    if (error)
        return error;
    pci_write16(common + QUEUE_ENABLE, 1);
    if (pci_read16(common + QUEUE_SIZE) != size || pci_read16(common + QUEUE_ENABLE) != 1)
        return fail(device, -EIO, "it does not take a queue");
    return 0;
}

void vpci_kick(unsigned index, struct vring *ring) {
    if (vring_wants_kick(ring))
        pci_write16(ring->doorbell, (uint16_t)index);
}

/* ---- configuration */

/* 4.1.3.1: fields of 64 bits are read in halves. */
static uint64_t read_config(struct vpci *device, unsigned offset, unsigned size) {
    switch (size) {
    case 1:
        return pci_read8(device->config + offset);
    case 2:
        return pci_read16(device->config + offset);
    case 4:
        return pci_read32(device->config + offset);
    default:
        return pci_read64(device->config + offset);
    }
}

uint64_t vpci_config(struct vpci *device, unsigned offset, unsigned size) {
    uint64_t value = 0;

    if (offset + size > device->config_size)
        return 0;
    for (unsigned tries = 0; tries < GENERATIONS; tries++) {
        uint8_t before = pci_read8(device->common + GENERATION);
        value = read_config(device, offset, size);
        if (pci_read8(device->common + GENERATION) == before)
            break;
    }
    return value;
}
