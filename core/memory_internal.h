// SPDX-License-Identifier: Apache-2.0
// What memory.c (frames) and heap.c share: a record for each 2 MiB of physical memory, and the page maps of
// blocks that are given out in smaller pieces.
#ifndef SAGUARO_CORE_MEMORY_INTERNAL_H
#define SAGUARO_CORE_MEMORY_INTERNAL_H

#include "core/atomic.h"
#include "core/memory.h"

#define BLOCK_PAGES    512u /* pages of a block of 2 MiB */
#define BLOCK_NONE     UINT32_MAX

#define MEMORY_ORDERS  (HUGE_PAGE_SHIFT - LARGE_PAGE_SHIFT + 1) /* 2 MiB .. 1 GiB */
#define MEMORY_CLASSES 14u                                      /* sizes of small objects */

enum block_state {
    BLOCK_HOLE,   /* no free RAM when the machine started; never given out */
    BLOCK_INNER,  /* not the first block of a free or used run */
    BLOCK_FREE,   /* first block of a free run of 2^order blocks */
    BLOCK_USED,   /* first block of an allocated run */
    BLOCK_FRAMES, /* given out in frames of less than 2 MiB; map says which are free */
    BLOCK_HEAP,   /* mapped for good; map says which pages are free */
};

/* 0.007 % of the memory it describes. */
struct block {
    uint32_t next; /* in the free list of its order, or in a page pool's list */
    uint32_t previous;
    uint8_t state; /* enum block_state */
    uint8_t order;
    uint8_t clean; /* the whole block is zero; only of use while it is not in a page pool */
    uint8_t listed;
    uint32_t free_pages;
    uint64_t map[BLOCK_PAGES / 64];  /* FRAMES, HEAP: 1 is a free page */
    uint64_t zero[BLOCK_PAGES / 64]; /* FRAMES: 1 is a free page that is zero */
};

struct memory {
    struct spinlock lock; /* guards everything here, and accounts */
    struct block *block;
    uint32_t free_list[MEMORY_ORDERS];
    uint32_t frames_list;               /* blocks with free frames */
    uint32_t heap_list;                 /* blocks with free heap pages */
    struct slab *slabs[MEMORY_CLASSES]; /* with room, by class of object; see heap.c */
    uint64_t total;                     /* bytes */
    uint64_t free;                      /* bytes, of blocks and frames */
    uint64_t heap;
    uint64_t heap_used;
    bool heap_fixed; /* the heap is what it was at the start, and grows no more */
};
extern struct memory memory;

/* All with the lock held. */
uint32_t block_take(unsigned order); /* BLOCK_NONE: no memory */
/* The same, ending at or below a physical address, which is at least 1 GiB. */
uint32_t block_take_below(unsigned order, uint64_t limit);
/* `count` blocks in a row, the lowest between two physical addresses; each is given back by itself. */
uint32_t block_take_row(uint64_t count, uint64_t from, uint64_t limit);
void block_give(uint32_t index, unsigned order);
uint64_t block_physical(uint32_t index);
/* The block that holds an address; stops the machine if it is none of ours. */
uint32_t block_index(uint64_t physical);

/* Takes 2^order free pages (order 0..9), aligned to their number, out of a list of blocks. False: none. */
bool pages_take(uint32_t *list, unsigned order, uint32_t *index, unsigned *page);
/* Puts `count` pages back; it is a bug if one of them is free. */
void pages_give(uint32_t *list, uint32_t index, unsigned page, unsigned count);

void block_list_add(uint32_t *list, uint32_t index);
void block_list_remove(uint32_t *list, uint32_t index);

#endif
