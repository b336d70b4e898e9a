// SPDX-License-Identifier: Apache-2.0
// A virtio device on PCI, the driver's side of the modern transport (virtio 1.2, 3.1 and 4.1): where its
// structures are, status, features, queues, configuration. Nothing of the device is believed unchecked.
#ifndef SAGUARO_DRIVERS_PCI_VIRTIO_PCI_H
#define SAGUARO_DRIVERS_PCI_VIRTIO_PCI_H

#include "drivers/pci/virtio_ring.h"

#define VPCI_RESET_TIME        (500 * 1000000ull) /* ns within which a reset is to be over */

/* Features that are no class's: accepted wherever they are offered (6.1, 6.2). DMA addresses are what the
 * host says they are, and all accesses are ordered for a real device. */
#define VPCI_F_ACCESS_PLATFORM (1ull << 33)
#define VPCI_F_ORDER_PLATFORM  (1ull << 36)

enum vpci_state {
    VPCI_SOUND,
    VPCI_NEEDS_RESET, /* it says that it cannot go on */
    VPCI_GONE,        /* all ones are read: it is not there any more */
};

struct vpci {
    struct pci_device *pci;
    /* Its structures (4.1.4), mapped. */
    volatile uint8_t *common, *isr, *config, *notify;
    uint32_t config_size, notify_size, notify_multiplier; /* bytes */
    bool msix;                                            /* it has MSI-X, so queues are given vectors */
    uint64_t features;                                    /* negotiated */
    const char *why;                                      /* what the last error was, in words */
};

/* Whether the function is a virtio device with this ID (VIRTIO_ID_*), whatever its interfaces are. */
bool vpci_matches(const struct pci_device *pci, unsigned id);
/* Finds and maps its structures: the first usable one of each type. 0; -ENOTSUP: it has no sound modern
 * interface. All functions that return errors set `why` then. */
int vpci_init(struct vpci *device, struct pci_device *pci);
/* 0; -ETIMEDOUT: it does not come to an end; -EIO: it is gone. */
int vpci_reset(struct vpci *device);
/* After a reset, what the device offers. */
uint64_t vpci_offered(struct vpci *device);
/* Takes those of `wanted` that are offered, up to FEATURES_OK. -ENOTSUP: one of `required` is not offered, or
 * the device does not agree. */
int vpci_negotiate(struct vpci *device, uint64_t wanted, uint64_t required);
/* Asks the host for `wanted` interrupts, with the first one for changes of configuration. -EIO: the device
 * does not take the vector. */
int vpci_set_vectors(struct vpci *device, unsigned wanted);
/* Descriptors of queue `index`, a power of two up to VRING_MAX_SIZE; 0: there is no such queue. */
uint16_t vpci_queue_size(struct vpci *device, unsigned index);
/* Gives the device an empty ring, which is initialised, as queue `index`, of up to `most` descriptors (a
 * power of two). Its interrupt is the last of the function's. -ENOTSUP: there is no such queue; -EIO. */
int vpci_enable_queue(struct vpci *device, unsigned index, struct vring *ring, uint16_t most);
/* DRIVER_OK. */
void vpci_start(struct vpci *device);
/* Ends DMA whatever the device does: a reset, if it answers, then mastering is off. Nothing is to be done for
 * one whose structures were never found. */
void vpci_stop(struct vpci *device);

enum vpci_state vpci_state(struct vpci *device);
/* Tells the device of buffers in the queue, if it wants to know. */
void vpci_kick(unsigned index, struct vring *ring);
/* Why an interrupt came: true if the configuration may have changed. `vectors` as poll() is given them. */
bool vpci_acknowledge(struct vpci *device, uint32_t vectors);

/* The configuration's field of 1, 2, 4 or 8 bytes at `offset`, read while the configuration stands still
 * where the device allows that; 0 if it lies beyond the end. */
uint64_t vpci_config(struct vpci *device, unsigned offset, unsigned size);

#endif
