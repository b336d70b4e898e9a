// SPDX-License-Identifier: Apache-2.0
// Which physical memory may be used, and where in it the heap lies. Pure.
#ifndef SAGUARO_ARCH_PPC_MEMORY_MAP_H
#define SAGUARO_ARCH_PPC_MEMORY_MAP_H

#include "arch/ppc/machine.h"

/* The machine's memory without the image (all below `image_end`), the tree's reservations and the bundle:
 * whole pages, sorted, without overlaps. Returns how many ranges, at most `limit`: what comes after is left
 * out. */
unsigned memory_map_usable(const struct machine *machine, uint64_t image_end, struct memory_range *ranges,
                           unsigned limit);

/* Finds a place for the heap: about a sixteenth of all memory, of 4, 16 or 64 MiB, aligned to its size, as
 * high as there is one. False: not even 4 MiB. */
bool memory_map_heap(const struct memory_range *ranges, unsigned count, struct memory_range *heap);

#endif
