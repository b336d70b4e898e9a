// SPDX-License-Identifier: Apache-2.0
// What the firmware left: the device tree, the bundle. Read while the machine starts, then kept in the heap.
#ifndef SAGUARO_ARCH_PPC_PLATFORM_H
#define SAGUARO_ARCH_PPC_PLATFORM_H

#include "arch/ppc/machine.h"
#include "core/main.h"

/* Reads the device tree at physical address `tree`. NULL, or what is wrong with it (see machine_read()). */
const char *platform_read_tree(uint64_t tree);
const struct machine *platform_machine(void);

/* Finds free memory, maps the heap, starts the allocator. 0 or -ENOMEM. */
int platform_start_memory(void);

/* Checks the bundle and keeps its config and names. 0, or negative with a sentence in `why` about what is
 * wrong. */
int platform_read_bundle(char *why, size_t why_size);
const struct boot_info *platform_boot_info(void);

#endif
