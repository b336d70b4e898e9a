// SPDX-License-Identifier: Apache-2.0
// A virtio device of a guest's over PCI, between three sides: the virtio device itself, the event loop, and
// the hypervisor, which shows the guest its PCI function.
#ifndef SAGUARO_SERVICE_DEVICE_H
#define SAGUARO_SERVICE_DEVICE_H

#include "service/loop.h"
#include "virtio/pci.h"

#define DEVICE_NAME_SIZE 24u

struct device {
    struct loop_device loop;
    struct loop_work work;
    struct virtio_pci pci;
    struct virtio_device *virtio;
    /* Set by the maker before device_add(); NULL where there is nothing to do. */
    void (*before)(struct device *device); /* before doorbells are handed on */
    bool (*run)(struct device *device);    /* what device_again() asked for. True: there is more */
    char name[DEVICE_NAME_SIZE];           /* "net0" */
    /* device_add()'s own */
    unsigned vm;
    unsigned number;  /* the hypervisor's */
    uint32_t resets;  /* of the VM, for which the record is true */
    uint32_t *marked; /* where that is kept over a restart, with the record */
    struct device *next;
};

/* The board, before all else. */
void device_init(struct service_board *board);
/*
 * Shows `virtio` to VM `vm` on bus 0, or takes it up where it was before a restart. Its class, features
 * without the ring's, queues and size of the configuration are set; all else is filled in here. `token`: its
 * name for the hypervisor, the same in each run, not 0. 0; -ENOMEM: there was no room for the VM's RAM; or
 * SERVICE_CALL_DEVICE's error.
 */
int device_add(struct device *device, struct virtio_device *virtio, unsigned vm, unsigned devfn,
               uint32_t token);
/* Has run() called soon, once. */
void device_again(struct device *device);
/* The struct device of a virtio device that was added. */
struct device *device_of(const struct virtio_device *virtio);
/* The board says other things of a VM: if it was started anew, its devices are as after power-on. */
void device_vm_changed(unsigned vm);

#endif
