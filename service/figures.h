// SPDX-License-Identifier: Apache-2.0
// What the monitor is told of networks and disks (abi/figures.h): who makes one says where its counters are;
// they are looked at when the hypervisor asks, and never else.
#ifndef SAGUARO_SERVICE_FIGURES_H
#define SAGUARO_SERVICE_FIGURES_H

#include "abi/service.h"
#include "drivers/block/block.h"
#include "lib/config.h"
#include "virtio/switch.h"

/* The board and the config, before networks and disks are made. Nothing is known after this. What is added is
 * kept by address, and stays. */
void figures_init(struct service_board *board, const struct config *config);

/* The switch of network `index` of the config. */
void figures_add_network(unsigned index, const struct ether_switch *network);
/* A port of VM `vm`; its name is the device's. */
void figures_add_port(unsigned vm, const struct switch_port *port);
/* A card of the machine's, an uplink. *running: it was started and has not failed. */
void figures_add_uplink(const struct switch_port *port, const char *driver, const char *address,
                        const bool *running);

/* Disk `index` of the config; NULL: it cannot be used. */
void figures_add_disk(unsigned index, const struct disk *disk);
/* The device of the machine's that it is. */
void figures_add_device(unsigned index, const struct block *block, const char *address);
/* A guest's disk as the config has it, and what went through it. */
void figures_add_user(unsigned vm, const struct config_guest_disk *disk,
                      const struct disk_counters *counters);

/* SERVICE_EVENT_FIGURES: gathers all and hands it over. */
void figures_answer(void);

#endif
