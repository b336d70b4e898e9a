// SPDX-License-Identifier: Apache-2.0
// A virtio device of a guest's over PCI, between three sides: the virtio device itself, the event loop, and
// the hypervisor, which shows the guest its PCI function (service/plain_device.h).
#ifndef SAGUARO_SERVICE_DEVICE_H
#define SAGUARO_SERVICE_DEVICE_H

#include "service/plain_device.h"
#include "virtio/pci.h"

#define DEVICE_NAME_SIZE 24u

struct device {
    struct plain_device plain;
    struct virtio_pci pci;
    struct virtio_device *virtio;
    /* Set by the maker before device_add(); NULL where there is nothing to do. */
    void (*before)(struct device *device); /* before doorbells are handed on */
    bool (*run)(struct device *device);    /* what device_again() asked for. True: there is more */
    char name[DEVICE_NAME_SIZE];           /* "net0" */
    bool messages;                         /* MSI-X was on when an interrupt was sent last */
};

/*
 * Shows `virtio` to VM `vm` on bus 0, or takes it up where it was before a restart. Its class, features
 * without the ring's, queues and size of the configuration are set; all else is filled in here. `token`: its
 * name for the hypervisor, the same in each run, not 0. 0 or plain_device_add()'s error.
 */
int device_add(struct device *device, struct virtio_device *virtio, unsigned vm, unsigned devfn,
               uint32_t token);
/* Has run() called soon, once. */
void device_again(struct device *device);
/* The struct device of a virtio device that was added. */
struct device *device_of(const struct virtio_device *virtio);

#endif
