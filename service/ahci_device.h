// SPDX-License-Identifier: Apache-2.0
// A guest's AHCI controller (virtio/ahci.h) between the event loop and the hypervisor, which shows the guest
// its PCI function; as service/device.h is for virtio devices.
#ifndef SAGUARO_SERVICE_AHCI_DEVICE_H
#define SAGUARO_SERVICE_AHCI_DEVICE_H

#include "service/plain_device.h"
#include "virtio/ahci.h"

#define AHCI_DEVICE_NAME_SIZE 8u /* "disk7" */

/* Zeroed by the maker, who adds the ports with ahci_device_port(). */
struct ahci_device {
    struct plain_device plain;
    struct ahci ahci;
    char name[AHCI_MAX_PORTS][AHCI_DEVICE_NAME_SIZE];
};

/* The next port, of the guest's disk `number`, with `disk` or, NULL, nothing; see ahci_add_port(). */
void ahci_device_port(struct ahci_device *device, unsigned number, struct disk *disk, const char *serial,
                      bool read_only);
/*
 * Shows the controller with all its ports to VM `vm` on bus 0, or takes it up where it was before a restart.
 * `token`: its name for the hypervisor, the same in each run, not 0. 0 or plain_device_add()'s error.
 */
int ahci_device_add(struct ahci_device *device, unsigned vm, unsigned devfn, uint32_t token);

#endif
