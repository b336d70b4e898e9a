// SPDX-License-Identifier: Apache-2.0
// Networks to the outside: the machine's network cards that the config names are ports of its switches.
#ifndef SAGUARO_SERVICE_UPLINKS_H
#define SAGUARO_SERVICE_UPLINKS_H

#include "lib/config.h"

/* Finds and starts the cards of all networks with an uplink, after devices_init(), which makes the switches,
 * and host_pci_init(). What cannot be found or used is an error in the log. */
void uplinks_init(const struct config *config);

#endif
