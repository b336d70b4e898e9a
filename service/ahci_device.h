// SPDX-License-Identifier: Apache-2.0
// A guest's AHCI controller (virtio/ahci.h) between the event loop and the hypervisor, which shows the guest
// its PCI function; as service/device.h is for virtio devices.
#ifndef SAGUARO_SERVICE_AHCI_DEVICE_H
#define SAGUARO_SERVICE_AHCI_DEVICE_H

#include "service/loop.h"
#include "virtio/ahci.h"

#define AHCI_DEVICE_NAME_SIZE 8u /* "disk7" */

/* Zeroed by the maker, who adds the ports with ahci_device_port(). */
struct ahci_device {
    struct loop_device loop;
    struct loop_work work;
    struct ahci ahci;
    char name[AHCI_MAX_PORTS][AHCI_DEVICE_NAME_SIZE];
    unsigned vm;
    unsigned number;  /* the hypervisor's */
    uint32_t *marked; /* with the record: the VM's resets for which it is true */
    struct ahci_device *next;
};

/* The board, before all else. */
void ahci_device_init(struct service_board *board);
/* The next port, of the guest's disk `number`, with `disk` or, NULL, nothing; see ahci_add_port(). */
void ahci_device_port(struct ahci_device *device, unsigned number, struct disk *disk, const char *serial,
                      bool read_only);
/*
 * Shows the controller with all its ports to VM `vm` on bus 0, or takes it up where it was before a restart.
 * `token`: its name for the hypervisor, the same in each run, not 0. 0; -ENOMEM: there was no room for the
 * VM's RAM; or SERVICE_CALL_DEVICE's error.
 */
int ahci_device_add(struct ahci_device *device, unsigned vm, unsigned devfn, uint32_t token);
/* The board says other things of a VM: if it was started anew, its controller is as after power-on. Before
 * device_vm_changed(), which tells the hypervisor that this is done. */
void ahci_device_vm_changed(unsigned vm);

#endif
