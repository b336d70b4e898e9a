// SPDX-License-Identifier: Apache-2.0
// The hypervisor's side of a device on no bus that the service VM answers for (abi/service.h): its place, its
// interrupt status and line are kept here; accesses to its registers become requests and doorbells
// (core/service.h).
#ifndef SAGUARO_DEVICES_SERVICE_MMIO_H
#define SAGUARO_DEVICES_SERVICE_MMIO_H

#include <stdint.h>
#include "abi/service.h"

struct vm;
struct service_mmio;

/* Makes device `number` as `description`, a copy that nobody else writes, says, and shows it to the VM. Each
 * field is checked but `vm`, which has led to `vm`. 0; -EINVAL: a field is wrong; -EEXIST: the place is
 * taken; -ENOSPC: the VM has too many devices; -ENOMEM. */
int service_mmio_create(struct vm *vm, unsigned number, const struct service_device *description,
                        struct service_mmio **out);
/* Power-on: no interrupt. */
void service_mmio_reset(struct service_mmio *m);
/* The service VM changes the interrupt status: bits of `clear` go, then those of `set` come. 0; -ENODEV: the
 * device has no status. */
int service_mmio_status(struct service_mmio *m, uint32_t clear, uint32_t set);

/* The devices of that kind that a guest has by its config, for the tables that tell it of them: bit n: place
 * n. None that this machine cannot have. */
uint32_t service_mmio_places(const struct vm *vm);

#endif
