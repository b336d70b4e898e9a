// SPDX-License-Identifier: Apache-2.0
// The hypervisor's mappings beyond its image: the heap, the SoC's registers, and while the machine starts
// what the firmware left in memory. arch/ppc/layout.h has the addresses.
#ifndef SAGUARO_ARCH_PPC_HOST_MAP_H
#define SAGUARO_ARCH_PPC_HOST_MAP_H

#include <stdint.h>
#include "abi/ppc/vcpu.h"

/* What start.S writes into a new CPU's TLB1: the heap, then CCSR. */
extern struct ppc_tlb_entry host_tlb1[2];

/* Sizes that a heap may have: one page of the TLB. */
#define HEAP_SIZE_SMALL  0x400000u
#define HEAP_SIZE_MIDDLE 0x1000000u
#define HEAP_SIZE_LARGE  0x4000000u

/* Maps the heap on the boot CPU; `physical` is aligned to `size`, one of the above. */
void host_map_heap(uint64_t physical, uint32_t size);
/* Maps the SoC's registers on the boot CPU at CCSR_BASE; `physical` is aligned to 1 MiB. */
void host_map_ccsr(uint64_t physical);

/* Maps [physical, physical + size) read-only at the boot map's place, instead of what was there. Boot CPU,
 * before any guest runs. NULL: it is too large (some GiB) or empty. */
const void *host_map_boot(uint64_t physical, uint64_t size);
void host_map_boot_end(void);

/* Maps the page that holds `physical` read-write, uncached, and returns the address that shows `physical`;
 * NULL with UINT64_MAX: unmaps it. One at a time, for the CPU that calls. */
void *host_map_spare(uint64_t physical);

#endif
