// SPDX-License-Identifier: Apache-2.0
// The devices that the config gives to guests.
#ifndef SAGUARO_SERVICE_DEVICES_H
#define SAGUARO_SERVICE_DEVICES_H

#include "abi/service.h"
#include "lib/config.h"
#include "virtio/switch.h"

/* After hostdisks_init(). Makes all devices and attaches them to the loop, or takes up those that are there
 * from before a restart. A device that cannot be made is an error in the log; the others are made. */
void devices_init(struct service_board *board, const struct config *config);
/* The switch of a network of the config; NULL: it could not be made. */
struct ether_switch *devices_network(unsigned index);
/* The board says other things of VM `vm`: if it was started anew, its devices are as after power-on. Before
 * window_update(). */
void devices_vm_changed(unsigned vm);

#endif
