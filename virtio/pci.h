// SPDX-License-Identifier: Apache-2.0
// Virtio over PCI, without the legacy interface (virtio 1.2, 4.1): what the function looks like, its
// registers, its interrupts.
#ifndef SAGUARO_VIRTIO_PCI_H
#define SAGUARO_VIRTIO_PCI_H

#include "abi/service.h"
#include "virtio/device.h"

/* BAR 0: the structures of 4.1.4, a page each. BAR 1: the MSI-X table and its pending bits. */
#define VIRTIO_PCI_COMMON        0x0000u
#define VIRTIO_PCI_ISR           0x1000u
#define VIRTIO_PCI_CONFIG        0x2000u
#define VIRTIO_PCI_NOTIFY        0x3000u /* queue n's doorbell: VIRTIO_PCI_NOTIFY_STRIDE * n further */
#define VIRTIO_PCI_NOTIFY_STRIDE 4u
#define VIRTIO_PCI_BAR0_SIZE     0x4000u
#define VIRTIO_PCI_BAR1_SIZE     0x1000u
#define VIRTIO_PCI_PBA           0x0800u /* in BAR 1 */

struct virtio_pci {
    /* Sends the message of an MSI-X vector; of VIRTIO_NO_VECTOR or one that does not exist: none. -ENXIO:
     * MSI-X is off, whatever the vector; any other result: it is on. */
    int (*interrupt)(struct virtio_pci *pci, unsigned vector);
    void (*line)(struct virtio_pci *pci, bool level); /* of INTA */
    void *owner;                                      /* of those two */
    bool raised;                                      /* INTA, as it was last set */
};

/* Fills in what SERVICE_CALL_DEVICE wants to know of `device`, whose class, queue_count and config_size are
 * set: config_size is up to 4096. vm, devfn and token: see struct service_device. */
void virtio_pci_describe(const struct virtio_device *device, unsigned vm, unsigned devfn, uint32_t token,
                         struct service_device *out);

/* Makes `pci`, whose functions are filled in, the transport of `device`, and starts it: virtio_device_init(),
 * whose result it has. The functions may be called from here on: so the function exists already. */
int virtio_pci_init(struct virtio_pci *pci, struct virtio_device *device);

/* The guest's access to BAR `bar` of such a device: 1, 2, 4 or 8 bytes, of any alignment. Where there is no
 * register it reads as 0 and a write does nothing. */
uint64_t virtio_pci_read(struct virtio_device *device, unsigned bar, unsigned offset, unsigned size);
void virtio_pci_write(struct virtio_device *device, unsigned bar, unsigned offset, unsigned size,
                      uint64_t value);

/* A message that interrupt() took was not sent after all, since MSI-X is off: INTA instead. */
void virtio_pci_refused(struct virtio_device *device);

/* The guest was started anew: as after power-on, INTA low. */
void virtio_pci_reset(struct virtio_device *device);

#endif
