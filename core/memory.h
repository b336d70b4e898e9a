// SPDX-License-Identifier: Apache-2.0
// Physical memory: frames for guests (4K, 2M, 1G; never mapped by the hypervisor except through windows) and
// the heap for the hypervisor's own objects (mapped read-write, never executable). Two pools over one buddy
// allocator.
#ifndef SAGUARO_CORE_MEMORY_H
#define SAGUARO_CORE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#define PAGE_SHIFT       12
#define PAGE_SIZE        4096ull
#define LARGE_PAGE_SHIFT 21
#define LARGE_PAGE_SIZE  (1ull << LARGE_PAGE_SHIFT)
#define HUGE_PAGE_SHIFT  30
#define HUGE_PAGE_SIZE   (1ull << HUGE_PAGE_SHIFT)

struct vm;

/* Who a frame is accounted to. NULL: the hypervisor. */
struct memory_account {
    uint64_t frames;   /* bytes of guest RAM */
    uint64_t overhead; /* bytes of heap: tables, vCPUs, devices */
};

struct memory_range {
    uint64_t base;
    uint64_t size;
};

/* Tells the allocator of free RAM: called for each usable range while the machine starts (at most 64). Parts
 * of the ranges are used for the allocator's own records through arch_heap_map(). */
int memory_init(const struct memory_range *ranges, unsigned count);
/* The same where only one region can be mapped for the heap: `heap` (2 MiB aligned, inside one of the ranges)
 * is the whole of it and does not grow. */
int memory_init_heap(const struct memory_range *ranges, unsigned count, const struct memory_range *heap);

/* Allocates 2^shift bytes, aligned to their size; shift 12..30. Contents are zero. Returns the physical
 * address, or 0: no memory. */
uint64_t frame_allocate(unsigned shift, struct memory_account *account);
/* The same for shift 21..30, but it may hold what the firmware or a boot program left in it: the caller
 * scrubs it before anybody else sees it. (What one VM had is always scrubbed when it is freed.) */
uint64_t frame_allocate_stale(unsigned shift, struct memory_account *account);
/* The same, ending at or below the physical address `limit`, at least 1 GiB: for those that a device must
 * reach. */
uint64_t frame_allocate_below(unsigned shift, uint64_t limit, struct memory_account *account);
/* `count` frames of 2 MiB in a row, at least one, the lowest that lie in [from, limit); stale. Each is freed
 * by itself. */
uint64_t frame_allocate_row(uint64_t count, uint64_t from, uint64_t limit, struct memory_account *account);
/* Frees it; it is scrubbed before anyone gets it again. */
void frame_free(uint64_t physical, unsigned shift, struct memory_account *account);

/* The hypervisor's own pages: zeroed, mapped read-write. 2^order pages, order 0..9, contiguous and naturally
 * aligned. NULL: no memory. */
void *heap_pages(unsigned order, struct memory_account *account);
void heap_pages_free(void *pages, unsigned order, struct memory_account *account);

/* Small objects: zeroed, 16-byte aligned up to 2048 bytes; above that whole pages. NULL: no memory. */
void *heap_allocate(size_t size, struct memory_account *account);
void heap_free(void *object, size_t size, struct memory_account *account);

struct memory_statistics {
    uint64_t total; /* bytes given to memory_init() */
    uint64_t free;  /* bytes not allocated */
    uint64_t heap;  /* bytes in the heap, used or not */
    uint64_t heap_used;
    uint64_t largest; /* bytes of the largest free block */
};
void memory_statistics(struct memory_statistics *out);

#endif
