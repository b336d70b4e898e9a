// SPDX-License-Identifier: Apache-2.0
// The hypervisor's heap: pages out of 2 MiB blocks that stay mapped, and small objects in slabs of one size.
// A slab's bitmap lies apart from its objects, so that freeing twice or freeing the wrong thing is seen.
#include "core/memory.h"

#include <string.h>
#include "core/log.h"
#include "core/memory_internal.h"

#define BLOCK_ORDER 9u /* a whole block */
#define SLAB_MAGIC  0x534c4142u
#define SLAB_MAP    4u /* words: 256 objects */
#define SMALL_MAX   2048u

/* At the start of each slab, which is aligned to its size. */
struct slab {
    struct slab *next; /* in the list of slabs with room */
    struct slab *previous;
    uint32_t magic;
    uint16_t class_number;
    uint16_t free;
    uint64_t map[SLAB_MAP]; /* 1: free */
};
#define SLAB_HEAD 64u
_Static_assert(sizeof(struct slab) <= SLAB_HEAD, "the objects of a slab start behind its head");

static struct slab_class {
    uint16_t size;
    uint8_t order; /* pages of a slab */
} const classes[] = {
    {16, 0},  {32, 0},  {48, 0},  {64, 0},  {96, 0},   {128, 0},  {192, 0},
    {256, 0}, {384, 1}, {512, 1}, {768, 2}, {1024, 2}, {1536, 2}, {2048, 2},
};
_Static_assert(array_count(classes) == MEMORY_CLASSES, "a list for each class");

static unsigned class_objects(unsigned number) {
    return (unsigned)((PAGE_SIZE << classes[number].order) - SLAB_HEAD) / classes[number].size;
}

static unsigned class_of(size_t size) {
    unsigned number = 0;
    while (classes[number].size < size)
        number++;
    return number;
}

/* --- pages; the lock is held --- */

/* Adds a block to the heap. */
static bool heap_grow(void) {
    uint32_t index = memory.heap_fixed ? BLOCK_NONE : block_take(0);
    if (index == BLOCK_NONE)
        return false;
    if (arch_heap_map(block_physical(index)) != 0) {
        block_give(index, 0);
        return false;
    }
    struct block *block = &memory.block[index];
    block->state = BLOCK_HEAP;
    block->clean = 0;
    block->free_pages = 0;
    memset(block->map, 0, sizeof(block->map));
    memory.heap += LARGE_PAGE_SIZE;
    pages_give(&memory.heap_list, index, 0, BLOCK_PAGES);
    return true;
}

static void *pages_allocate(unsigned order) {
    uint32_t index;
    unsigned page;
    if (!pages_take(&memory.heap_list, order, &index, &page)) {
        if (!heap_grow())
            return NULL;
        bug_if(!pages_take(&memory.heap_list, order, &index, &page));
    }
    return arch_heap_virtual(block_physical(index) + page * PAGE_SIZE);
}

static void pages_release(void *pages, unsigned count) {
    uint64_t physical = arch_heap_physical(pages);
    uint32_t index = block_index(physical);
    bug_if((physical & (PAGE_SIZE - 1)) != 0 || memory.block[index].state != BLOCK_HEAP);
    pages_give(&memory.heap_list, index, (unsigned)((physical >> PAGE_SHIFT) % BLOCK_PAGES), count);
}

static void account_add(struct memory_account *account, uint64_t bytes) {
    memory.heap_used += bytes;
    if (account != NULL)
        account->overhead += bytes;
}

static void account_subtract(struct memory_account *account, uint64_t bytes) {
    memory.heap_used -= bytes;
    if (account != NULL)
        account->overhead -= bytes;
}

void *heap_pages(unsigned order, struct memory_account *account) {
    bug_if(order > BLOCK_ORDER);
    spin_lock(&memory.lock);
    void *pages = pages_allocate(order);
    if (pages != NULL)
        account_add(account, PAGE_SIZE << order);
    spin_unlock(&memory.lock);
    if (pages != NULL)
        memset(pages, 0, PAGE_SIZE << order);
    return pages;
}

void heap_pages_free(void *pages, unsigned order, struct memory_account *account) {
    if (pages == NULL)
        return;
    bug_if(order > BLOCK_ORDER);
    spin_lock(&memory.lock);
    pages_release(pages, 1u << order);
    account_subtract(account, PAGE_SIZE << order);
    spin_unlock(&memory.lock);
}

/* --- objects of whole pages --- */

static unsigned pages_of(size_t size) {
    return (unsigned)((size + PAGE_SIZE - 1) >> PAGE_SHIFT);
}

/* Takes a power of two of pages and gives back those at the end that are too many. */
static void *large_allocate(size_t size, struct memory_account *account) {
    if (size > LARGE_PAGE_SIZE)
        return NULL;
    unsigned count = pages_of(size), order = 0;
    while (1u << order < count)
        order++;
    spin_lock(&memory.lock);
    char *pages = pages_allocate(order);
    if (pages != NULL) {
        if (count < 1u << order)
            pages_release(pages + count * PAGE_SIZE, (1u << order) - count);
        account_add(account, count * PAGE_SIZE);
    }
    spin_unlock(&memory.lock);
    if (pages != NULL)
        memset(pages, 0, count * PAGE_SIZE);
    return pages;
}

static void large_free(void *object, size_t size, struct memory_account *account) {
    bug_if(size > LARGE_PAGE_SIZE);
    unsigned count = pages_of(size);
    spin_lock(&memory.lock);
    pages_release(object, count);
    account_subtract(account, count * PAGE_SIZE);
    spin_unlock(&memory.lock);
}

/* --- small objects; the lock is held --- */

static void slab_link(struct slab *slab) {
    struct slab **head = &memory.slabs[slab->class_number];
    slab->next = *head;
    slab->previous = NULL;
    if (*head != NULL)
        (*head)->previous = slab;
    *head = slab;
}

static void slab_unlink(struct slab *slab) {
    if (slab->previous != NULL)
        slab->previous->next = slab->next;
    else
        memory.slabs[slab->class_number] = slab->next;
    if (slab->next != NULL)
        slab->next->previous = slab->previous;
}

static struct slab *slab_create(unsigned number) {
    struct slab *slab = pages_allocate(classes[number].order);
    if (slab == NULL)
        return NULL;
    unsigned objects = class_objects(number);
    memset(slab, 0, SLAB_HEAD);
    slab->magic = SLAB_MAGIC;
    slab->class_number = (uint16_t)number;
    slab->free = (uint16_t)objects;
    for (unsigned i = 0; i < objects; i++)
        slab->map[i / 64] |= 1ull << i % 64;
    slab_link(slab);
    return slab;
}

static void *slab_take(unsigned number) {
    struct slab *slab = memory.slabs[number] != NULL ? memory.slabs[number] : slab_create(number);
    if (slab == NULL)
        return NULL;
    unsigned word = 0;
    while (slab->map[word] == 0)
        word++;
    unsigned object = word * 64 + (unsigned)__builtin_ctzll(slab->map[word]);
    slab->map[word] &= slab->map[word] - 1;
    if (--slab->free == 0)
        slab_unlink(slab);
    return (char *)slab + SLAB_HEAD + object * classes[number].size;
}

static void slab_give(void *at, unsigned number) {
    uint64_t size = PAGE_SIZE << classes[number].order;
    struct slab *slab = (struct slab *)((uintptr_t)at & ~(uintptr_t)(size - 1));
    bug_if(slab->magic != SLAB_MAGIC || slab->class_number != number);
    size_t offset = (size_t)((char *)at - (char *)slab) - SLAB_HEAD;
    size_t object = offset / classes[number].size;
    bug_if(offset % classes[number].size != 0 || object >= class_objects(number));
    bug_if((slab->map[object / 64] & 1ull << object % 64) != 0);
    slab->map[object / 64] |= 1ull << object % 64;
    if (slab->free++ == 0)
        slab_link(slab);
    /* An empty slab goes back, but for the last one with room. */
    if (slab->free == class_objects(number) && (slab->next != NULL || slab->previous != NULL)) {
        slab_unlink(slab);
        slab->magic = 0;
        pages_release(slab, 1u << classes[number].order);
    }
}

void *heap_allocate(size_t size, struct memory_account *account) {
    if (size > SMALL_MAX)
        return large_allocate(size, account);
    unsigned number = class_of(size);
    spin_lock(&memory.lock);
    void *object = slab_take(number);
    if (object != NULL)
        account_add(account, classes[number].size);
    spin_unlock(&memory.lock);
    if (object != NULL)
        memset(object, 0, classes[number].size);
    return object;
}

void heap_free(void *object, size_t size, struct memory_account *account) {
    if (object == NULL)
        return;
    if (size > SMALL_MAX) {
        large_free(object, size, account);
        return;
    }
    unsigned number = class_of(size);
    spin_lock(&memory.lock);
    slab_give(object, number);
    account_subtract(account, classes[number].size);
    spin_unlock(&memory.lock);
}
