// SPDX-License-Identifier: Apache-2.0
// The heap (see service/heap.h). Free pages are a list of runs in order of address, joined where they touch;
// each run describes itself at its start. Blocks up to half a page are cut from pages by size class and stay
// with their class when they are freed; larger ones are pages.
#include "service/heap.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "service/log.h"

/* At the start of a run of free pages. */
struct run {
    struct run *next;
    size_t pages;
};

/* Before each block. 16 bytes on each machine, so that the block is aligned. */
struct header {
    uint32_t magic;
    uint32_t class; /* of its size, or CLASSES for pages */
    uint32_t pages; /* with CLASSES: how many */
    uint32_t unused;
};
_Static_assert(sizeof(struct header) == HEAP_ALIGNMENT, "the header keeps blocks aligned");

#define MAGIC_USED  0x75736564u
#define MAGIC_FREE  0x66726565u
#define CLASSES     7u
#define CLASS_FIRST 32u /* bytes of the smallest class with its header; the next is twice as large */
#define CLASS_LAST  (CLASS_FIRST << (CLASSES - 1))
_Static_assert(CLASS_LAST <= HEAP_PAGE / 2, "a page holds two blocks of the largest class");

struct free_block {
    struct header header;
    struct free_block *next;
};

static struct run *runs;
static size_t available; /* pages */
static struct free_block *free_blocks[CLASSES];

static uint8_t *run_end(const struct run *run) {
    return (uint8_t *)(uintptr_t)run + run->pages * HEAP_PAGE;
}

void heap_init(void *start, size_t size) {
    uintptr_t first = ((uintptr_t)start + HEAP_PAGE - 1) & ~(uintptr_t)(HEAP_PAGE - 1);
    uintptr_t end = ((uintptr_t)start + size) & ~(uintptr_t)(HEAP_PAGE - 1);

    runs = NULL;
    available = 0;
    memset(free_blocks, 0, sizeof(free_blocks));
    if (end > first)
        heap_free_pages((void *)first, (end - first) / HEAP_PAGE);
}

void *heap_pages(size_t count) {
    if (!count)
        return NULL;
    for (struct run **link = &runs; *link; link = &(*link)->next) {
        struct run *run = *link;
        if (run->pages < count)
            continue;
        /* From its end: then the run and its place in the list stay, unless all of it goes. */
        run->pages -= count;
        uint8_t *pages = run_end(run);
        if (!run->pages)
            *link = run->next;
        available -= count;
        memset(pages, 0, count * HEAP_PAGE);
        return pages;
    }
    return NULL;
}

void heap_free_pages(void *pages, size_t count) {
    struct run *before = NULL, *after = runs, *run = pages;

    if (!pages || !count)
        return;
    while (after && (uint8_t *)after < (uint8_t *)pages) {
        before = after;
        after = after->next;
    }
    if ((uintptr_t)pages % HEAP_PAGE || (before && run_end(before) > (uint8_t *)pages) ||
        (after && count > (size_t)((uint8_t *)after - (uint8_t *)pages) / HEAP_PAGE))
        service_fatal("heap: pages at %p are freed that are not in use", pages);
    available += count;
    run->next = after;
    run->pages = count;
    if (before)
        before->next = run;
    else
        runs = run;
    if (after && run_end(run) == (uint8_t *)after) {
        run->pages += after->pages;
        run->next = after->next;
    }
    if (before && run_end(before) == (uint8_t *)run) {
        before->pages += run->pages;
        before->next = run->next;
    }
}

/* A page more for a class. False: there is none. */
static bool class_fill(unsigned class) {
    size_t size = (size_t)CLASS_FIRST << class;
    uint8_t *page = heap_pages(1);

    if (!page)
        return false;
    for (size_t at = 0; at < HEAP_PAGE; at += size) {
        struct free_block *block = (struct free_block *)(void *)(page + at);
        block->header.magic = MAGIC_FREE;
        block->header.class = class;
        block->next = free_blocks[class];
        free_blocks[class] = block;
    }
    return true;
}

void *heap_allocate(size_t size) {
    struct header *header;

    if (!size || size > SIZE_MAX - HEAP_PAGE - sizeof(*header))
        return NULL;
    size += sizeof(*header);
    if (size > CLASS_LAST) {
        size_t pages = (size + HEAP_PAGE - 1) / HEAP_PAGE;
        header = pages <= UINT32_MAX ? heap_pages(pages) : NULL;
        if (!header)
            return NULL;
        header->class = CLASSES;
        header->pages = (uint32_t)pages;
        header->magic = MAGIC_USED;
        return header + 1;
    }
    unsigned class = 0;
    while ((size_t)CLASS_FIRST << class < size)
        class ++;
    if (!free_blocks[class] && !class_fill(class))
        return NULL;
    struct free_block *block = free_blocks[class];
    free_blocks[class] = block->next;
    header = &block->header;
    header->magic = MAGIC_USED;
    memset(header + 1, 0, ((size_t)CLASS_FIRST << class) - sizeof(*header));
    return header + 1;
}

void heap_free(void *block) {
    if (!block)
        return;
    struct header *header = (struct header *)block - 1;
    if ((uintptr_t)block % HEAP_ALIGNMENT || header->magic != MAGIC_USED || header->class > CLASSES)
        service_fatal("heap: a block at %p is freed that is not in use", block);
    header->magic = MAGIC_FREE;
    if (header->class == CLASSES) {
        heap_free_pages(header, header->pages);
        return;
    }
    struct free_block *free = (struct free_block *)(void *)header;
    free->next = free_blocks[header->class];
    free_blocks[header->class] = free;
}

size_t heap_available(void) {
    return available * HEAP_PAGE;
}
