// SPDX-License-Identifier: Apache-2.0
// The hypervisor's own address space, PML4 slots 256-271 alone: heap, per-CPU windows, devices, stacks,
// image.
#ifndef SAGUARO_ARCH_X86_HOST_MAP_H
#define SAGUARO_ARCH_X86_HOST_MAP_H

#include <stdbool.h>
#include "arch/x86/x86_cpu.h"
#include "core/memory.h"

#define HEAP_BASE   0xffff800000000000ull /* + physical address; only 2 MiB pages of the heap are mapped */
#define HEAP_LIMIT  (1ull << 42)          /* physical memory above is not used for the heap: slots 256-263 */
#define WINDOW_BASE 0xffff840000000000ull /* slot 264: 4 MiB for each CPU */
#define DEVICE_BASE 0xffff848000000000ull /* slot 265 */
#define STACK_BASE  0xffff850000000000ull /* slot 266 */
#define IMAGE_BASE  0xffff870000000000ull /* slot 270 */
#define MAP_SLOT    256u                  /* first slot of ours; 16 of them */

/*
 * First step, on the loader's tables: hooks the heap into them, so that arch_heap_map() works, and takes a 2
 * MiB block of free memory (`reserve`, aligned, below HEAP_LIMIT, reached at its physical address now) for
 * the heap's tables.
 */
void host_map_early(uint64_t reserve);

/* Second step, once the heap works: builds our own tables. `image` is where the image's first page lies in
 * physical memory. 0 or -ENOMEM. */
int host_map_build(uint64_t image);

/* Loads our own tables on this CPU: from then on nothing of the loader's is mapped. */
void host_map_load(void);
/* Physical address of the root. */
uint64_t host_map_root(void);

/* Maps device registers, uncached, or a frame buffer, write-combining; for good. NULL: no memory or address
 * space, or the range is empty or wraps. Any alignment. */
void *map_device(uint64_t physical, uint64_t size);
void *map_combining(uint64_t physical, uint64_t size);
/* The same for ordinary memory, cached. */
void *map_memory(uint64_t physical, uint64_t size);

/* A stack of 2^order pages with an unmapped page on each side. 0 or -ENOMEM. */
int stack_create(struct x86_stack *stack, unsigned order);

/* True when our own tables map `address` and let it be read. For reports: takes no lock. */
bool host_map_readable(uint64_t address);

/*
 * A root for a moment when something has to lie at its physical address (starting a CPU, calling the
 * firmware): the upper half is ours. Takes a page below 4 GiB when the machine's free memory allowed it. 0:
 * none left.
 */
uint64_t *host_map_temporary_root(uint64_t *physical);
/* Maps a range (not twice the same) at its physical address, executable, in such a root. 0, -EINVAL, -ENOMEM.
 */
int host_map_identity(uint64_t *root, uint64_t physical, uint64_t size);

/* Windows (see core/arch.h). window_forget() unmaps what this CPU's show: called when core.window_vm changes.
 */
int window_init(struct x86_cpu *cpu); /* 0 or -ENOMEM */
void window_forget(void);

/* Where a new CPU's window entries are (host_map.c for window.c). */
uint64_t *host_map_window_directory(void);

#endif
