// SPDX-License-Identifier: Apache-2.0
// The service VM's own memory: pages, and blocks of any size. For start-up and for what comes and goes
// seldom; nothing on a data path allocates.
#ifndef SAGUARO_SERVICE_HEAP_H
#define SAGUARO_SERVICE_HEAP_H

#include <stddef.h>

#define HEAP_PAGE      4096u
#define HEAP_ALIGNMENT 16u /* of blocks */

/* [start, start + size) is the heap from now on: what was in another before is forgotten. */
void heap_init(void *start, size_t size);

/* `count` pages that lie together, zeroed; NULL: there are none. */
void *heap_pages(size_t count);
/* Gives back pages: all that one heap_pages() gave, or a part of them. */
void heap_free_pages(void *pages, size_t count);

/* A zeroed block, aligned to HEAP_ALIGNMENT; NULL: there is no memory, or `size` is 0. */
void *heap_allocate(size_t size);
/* NULL is allowed. What heap_allocate() did not give, or what is free already, ends this run. */
void heap_free(void *block);

/* Bytes in free pages. */
size_t heap_available(void);

#endif
