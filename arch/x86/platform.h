// SPDX-License-Identifier: Apache-2.0
// What the loader handed over, checked and copied into the hypervisor's own memory.
#ifndef SAGUARO_ARCH_X86_PLATFORM_H
#define SAGUARO_ARCH_X86_PLATFORM_H

#include <stdbool.h>
#include "abi/handover.h"
#include "core/main.h"
#include "core/memory.h"

struct platform_info {
    struct handover handover; /* its addresses are physical; what they name is copied below */
    struct boot_info boot;    /* config and files, as core_start() wants them */
    const char *config_name;
    const char *command_line;
    const struct handover_memory *memory; /* the whole map, sorted */
    unsigned memory_count;
    const struct handover_cpu *cpus;
    unsigned cpu_count; /* 0: MP Services were absent */
};

/* Valid from platform_copy() on. */
const struct platform_info *platform_info(void);

/* Steps of the start-up, on the loader's tables. platform_open() checks the block: NULL, or what is wrong
 * with it. */
const char *platform_open(uint64_t handover);
/* The frames that may be used, at most `limit` ranges, without `reserve`, a 2 MiB block that is kept out of
 * them (below 4 GiB if there is one; 0: none found). Returns how many. */
unsigned platform_usable(struct memory_range *ranges, unsigned limit, uint64_t *reserve);
/* Copies everything into the heap. 0 or -ENOMEM. */
int platform_copy(void);

/* Type (enum handover_memory_type) of the range that holds [physical, physical + size); 0: none, or several.
 */
unsigned platform_memory_type(uint64_t physical, uint64_t size);

/* True if the loader's command line has the option `name`, alone or as name=value. The value, if any, goes
 * into `value` (cut to `size` bytes with its NUL); NULL and 0: not wanted. */
bool platform_option(const char *name, char *value, size_t size);

#endif
