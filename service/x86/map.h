// SPDX-License-Identifier: Apache-2.0
// The page tables that the service VM's program runs on: made by start.S, extended by arch_map().
#ifndef SAGUARO_SERVICE_X86_MAP_H
#define SAGUARO_SERVICE_X86_MAP_H

#include <stddef.h>
#include <stdint.h>

/* Our memory: its guest-physical address, below 4 GiB, a multiple of 2 MiB, and its size. Takes away the
 * mappings of the image outside its own place. What is left for the heap: address and, in *size, bytes. */
void *map_init(uint32_t memory, uint32_t memory_size, size_t *size);

#endif
