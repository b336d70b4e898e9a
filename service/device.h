// SPDX-License-Identifier: Apache-2.0
// A virtio device of a guest's, over PCI or MMIO, between three sides: the virtio device itself, the event
// loop, and the hypervisor, which shows it to the guest (service/plain_device.h).
#ifndef SAGUARO_SERVICE_DEVICE_H
#define SAGUARO_SERVICE_DEVICE_H

#include "service/plain_device.h"
#include "virtio/iommu.h"
#include "virtio/mmio.h"
#include "virtio/pci.h"

#define DEVICE_NAME_SIZE 24u

/* Where a guest finds a device. */
struct device_place {
    bool mmio;
    uint8_t at;                 /* over MMIO: SERVICE_MMIO_*; over PCI: slot << 3 | function on bus 0 */
    uint32_t token;             /* its name for the hypervisor, the same in each run, not 0 */
    struct virtio_iommu *iommu; /* over PCI: the guest's, if the device is behind it; NULL: it is not */
};

struct device {
    struct plain_device plain;
    struct device_place place;
    union {
        struct virtio_pci pci;
        struct virtio_mmio mmio;
    } transport;
    struct virtio_device *virtio;
    /* Set by the maker before device_add(); NULL where there is nothing to do. */
    void (*before)(struct device *device);    /* before doorbells are handed on */
    bool (*run)(struct device *device);       /* what device_again() asked for. True: there is more */
    void (*restarted)(struct device *device); /* the VM was started anew: before the device's reset */
    char name[DEVICE_NAME_SIZE];              /* "net0" */
    bool messages;                            /* MSI-X was on when an interrupt was sent last */
};

/*
 * Shows `virtio` to VM `vm`, or takes it up where it was before a restart. Its class, features without the
 * ring's, queues and size of the configuration are set; all else is filled in here. 0 or plain_device_add()'s
 * error.
 */
int device_add(struct device *device, struct virtio_device *virtio, unsigned vm,
               const struct device_place *place);
/* Has run() called soon, once. */
void device_again(struct device *device);
/* The struct device of a virtio device that was added. */
struct device *device_of(const struct virtio_device *virtio);

#endif
