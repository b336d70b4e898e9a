// SPDX-License-Identifier: Apache-2.0
// The functions of the machine that a guest has to itself, all of them: one domain of the IOMMU, in which the
// guest's RAM is where the guest sees it, and their lives beside the guest's.
#ifndef SAGUARO_DEVICES_GUEST_PASSTHROUGH_H
#define SAGUARO_DEVICES_GUEST_PASSTHROUGH_H

#include <stdbool.h>

struct vm;
struct part;
struct guest_region;

/* "passthrough": does nothing for a VM whose config names no function. Behind the PCI host in a platform. */
extern const struct part passthrough_part;

/* The VM's guest_memory.changed() was called: with its lock held. 0, -EINVAL or -ENOMEM. */
int guest_passthrough_memory(struct vm *vm, const struct guest_region *region, bool present);

#endif
