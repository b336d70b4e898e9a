// SPDX-License-Identifier: Apache-2.0
// Guests' IOMMUs (virtio/iommu.h): the memory in which they outlive our program, their place on the bus, and
// the time that they wait for a disk.
#ifndef SAGUARO_SERVICE_IOMMU_DEVICE_H
#define SAGUARO_SERVICE_IOMMU_DEVICE_H

#include <stdint.h>
#include "lib/config.h"
#include "virtio/iommu.h"

/* [memory, memory + size) is what all of them keep, SERVICE_IOMMU_SIZE each: zeroes when the machine starts,
 * later what the run before left. NULL: there is none. */
void iommu_device_init(void *memory, uint64_t size);

/* Makes that of VM `vm`, the `number`-th guest of the config that has one, or takes it up where it was before
 * a restart; before the devices behind it. `bits`: struct service_vm's dma_bits. 0; -ENOMEM; or
 * device_add()'s error. */
int iommu_device_make(unsigned vm, unsigned number, const struct config_guest *guest, uint32_t token,
                      unsigned bits, struct virtio_iommu **iommu);

#endif
