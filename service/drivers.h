// SPDX-License-Identifier: Apache-2.0
// The drivers for the machine's devices that the service VM's program has.
#ifndef SAGUARO_SERVICE_DRIVERS_H
#define SAGUARO_SERVICE_DRIVERS_H

#include "drivers/block/block.h"
#include "drivers/net/nic.h"

/* Each list ends with NULL; the first that is for a function drives it. */
extern const struct nic_class *const nic_classes[];
extern const struct block_class *const block_classes[];

#endif
