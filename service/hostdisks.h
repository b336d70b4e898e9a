// SPDX-License-Identifier: Apache-2.0
// The machine's disks that the config names, as disks that guests' devices can lie on.
#ifndef SAGUARO_SERVICE_HOSTDISKS_H
#define SAGUARO_SERVICE_HOSTDISKS_H

#include "lib/config.h"
#include "virtio/disk.h"

/* Finds and starts them, after host_pci_init() and before guests' disks are made, which may have requests
 * from before a restart. What cannot be found or used is an error in the log. Waits for devices, up to some
 * seconds for each. */
void hostdisks_init(const struct config *config);

/* What disk `index` of the config is made of; NULL: it has no device, or that cannot be used. */
struct disk *hostdisks_get(unsigned index);

#endif
