// SPDX-License-Identifier: Apache-2.0
// The RAM of the VMs that we serve: mapped at start, or when the hypervisor says that it has changed, and
// reached by the guests' own addresses. Pages that were written are collected and reported to the hypervisor.
#ifndef SAGUARO_SERVICE_WINDOW_H
#define SAGUARO_SERVICE_WINDOW_H

#include <stdbool.h>
#include "abi/service.h"
#include "virtio/memory.h"

/* Maps the windows of all VMs that the board says we serve. The board stays the source of what lies where. */
void window_init(const struct service_board *board);
/* VM `vm` has changed: its window is mapped, mapped elsewhere or taken away as the board says. Nothing may
 * hold an address in a window that goes: devices are reset before. */
void window_update(unsigned vm);
/* The VM's memory; all of it is "no RAM" while the VM is not served. Valid at any time after window_init().
 */
struct virtio_memory *window_memory(unsigned vm);
/* Whether the VM's RAM is mapped; not while it is not served, or if there was no room for it. */
bool window_mapped(unsigned vm);
/* Tells the hypervisor which pages were written since the last call. */
void window_flush(void);

#endif
