// SPDX-License-Identifier: Apache-2.0
// A device of a guest's, whatever it is: its number at the hypervisor, made or found by its token; its
// record in the board; and what happens when its VM starts anew. Virtio devices (service/device.h) and
// emulated cards stand on this.
#ifndef SAGUARO_SERVICE_PLAIN_DEVICE_H
#define SAGUARO_SERVICE_PLAIN_DEVICE_H

#include "service/loop.h"

#define PLAIN_DEVICE_RECORD (SERVICE_RECORD_SIZE - 8u) /* bytes that a device may use of its record */

struct plain_device {
    /* Set by the maker before plain_device_add(): functions of `loop`, and `work` if it is used. */
    struct loop_device loop;
    struct loop_work work;
    /* What the hypervisor is to show: VM, place and token are set below. */
    void (*describe)(struct plain_device *device, struct service_device *out);
    /* The VM was started anew: as after power-on. */
    void (*reset)(struct plain_device *device);
    /* Whether nothing that was begun before a reset still touches the VM's RAM; NULL: nothing ever does. */
    bool (*idle)(const struct plain_device *device);
    /* plain_device_add()'s own */
    unsigned vm, devfn;
    unsigned number;  /* the hypervisor's */
    uint32_t resets;  /* of the VM, for which the record is true */
    uint32_t *marked; /* where that is kept over a restart, with the record */
    struct plain_device *next;
};

/* The board, before all else. No device is known after this. */
void plain_device_init(struct service_board *board);
/*
 * Shows the device to VM `vm` (devfn: its place if that is on bus 0), or takes it up where it was before a
 * restart. `token`: its name for the hypervisor, the same in each run, not 0. *record: PLAIN_DEVICE_RECORD
 * bytes, 8-byte aligned, all zero unless they are what the device left there in this run of its VM. The loop
 * does not know it yet: plain_device_attach(). 0; -ENOMEM: there was no room for the VM's RAM; or
 * SERVICE_CALL_DEVICE's error.
 */
int plain_device_add(struct plain_device *device, unsigned vm, unsigned devfn, uint32_t token, void **record);
/* Events come from now on. */
void plain_device_attach(struct plain_device *device);
/* The board says other things of a VM: if it was started anew, its devices are reset. */
void plain_device_vm_changed(unsigned vm);
/* Tells the hypervisor of VMs whose devices were reset and are idle now. To be called in each turn. */
void plain_device_settle(void);

#endif
