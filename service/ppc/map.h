// SPDX-License-Identifier: Apache-2.0
// What the service VM's program has mapped on PowerPC beside its image: ranges, whose pages get into TLB1
// when they are missed.
#ifndef SAGUARO_SERVICE_PPC_MAP_H
#define SAGUARO_SERVICE_PPC_MAP_H

#include <stdbool.h>
#include <stdint.h>

/* Our memory: its guest-physical address and its size. It is mapped as a whole from now on. */
void map_init(uint32_t memory, uint32_t size);
/* Fills an entry of TLB1 for this address. False: nothing is mapped there. */
bool map_fill(uint32_t address);

#endif
