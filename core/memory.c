// SPDX-License-Identifier: Apache-2.0
// Physical memory: a buddy allocator of blocks from 2 MiB to 1 GiB, and a pool of blocks that are given out
// in smaller frames. Its records lie in the first free blocks; what these have left over is the first of the
// heap.
#include "core/memory.h"

#include <errno.h>
#include <string.h>
#include "core/log.h"
#include "core/memory_internal.h"

#define MAX_RANGES 64
#define LOW_MEMORY 0x100000ull /* what firmware and start-up code of other CPUs may use is left alone */

struct memory memory;

/* Usable memory, sorted, with neighbours joined; and spans of blocks that hold it. A block's index counts
 * through all spans. */
static struct memory_range usable[MAX_RANGES];
static unsigned usable_count;
static struct span {
    uint64_t first; /* block number: physical address / 2 MiB */
    uint64_t end;
    uint32_t index; /* of the first */
} spans[MAX_RANGES];
static unsigned span_count;

/* --- addresses --- */

static const struct span *span_of_index(uint32_t index) {
    unsigned i = span_count - 1;
    while (spans[i].index > index)
        i--;
    return &spans[i];
}

uint64_t block_physical(uint32_t index) {
    const struct span *span = span_of_index(index);
    return (span->first + (index - span->index)) << LARGE_PAGE_SHIFT;
}

uint32_t block_index(uint64_t physical) {
    uint64_t number = physical >> LARGE_PAGE_SHIFT;
    for (unsigned i = 0; i < span_count; i++) {
        if (number >= spans[i].first && number < spans[i].end)
            return spans[i].index + (uint32_t)(number - spans[i].first);
    }
    panic("bug: no memory of ours at %#llx", (unsigned long long)physical);
}

/* --- lists --- */

void block_list_add(uint32_t *list, uint32_t index) {
    struct block *block = &memory.block[index];
    block->next = *list;
    block->previous = BLOCK_NONE;
    block->listed = 1;
    if (*list != BLOCK_NONE)
        memory.block[*list].previous = index;
    *list = index;
}

void block_list_remove(uint32_t *list, uint32_t index) {
    struct block *block = &memory.block[index];
    if (block->previous != BLOCK_NONE)
        memory.block[block->previous].next = block->next;
    else
        *list = block->next;
    if (block->next != BLOCK_NONE)
        memory.block[block->next].previous = block->previous;
    block->listed = 0;
}

/* --- blocks: the buddies --- */

static void free_run_add(uint32_t index, unsigned order) {
    memory.block[index].state = BLOCK_FREE;
    memory.block[index].order = (uint8_t)order;
    block_list_add(&memory.free_list[order], index);
}

/* The first free run of 2^from blocks whose first 2^order end at or below `limit`, or BLOCK_NONE. */
static uint32_t run_below(unsigned from, unsigned order, uint64_t limit) {
    uint32_t at = memory.free_list[from];
    while (at != BLOCK_NONE && block_physical(at) > limit - (LARGE_PAGE_SIZE << order))
        at = memory.block[at].next;
    return at;
}

uint32_t block_take_below(unsigned order, uint64_t limit) {
    unsigned from = order;
    uint32_t index = BLOCK_NONE;
    while (from < MEMORY_ORDERS && (index = run_below(from, order, limit)) == BLOCK_NONE)
        from++;
    if (index == BLOCK_NONE)
        return BLOCK_NONE;
    block_list_remove(&memory.free_list[from], index);
    while (from > order) {
        from--;
        free_run_add(index + (1u << from), from);
    }
    memory.block[index].state = BLOCK_USED;
    memory.block[index].order = (uint8_t)order;
    memory.free -= LARGE_PAGE_SIZE << order;
    return index;
}

uint32_t block_take(unsigned order) {
    return block_take_below(order, UINT64_MAX);
}

void block_give(uint32_t index, unsigned order) {
    const struct span *span = span_of_index(index);
    memory.free += LARGE_PAGE_SIZE << order;
    while (order < MEMORY_ORDERS - 1) {
        uint64_t number = span->first + (index - span->index);
        uint64_t buddy_number = number ^ (1ull << order);
        if (buddy_number < span->first || buddy_number + (1ull << order) > span->end)
            break;
        uint32_t buddy = span->index + (uint32_t)(buddy_number - span->first);
        if (memory.block[buddy].state != BLOCK_FREE || memory.block[buddy].order != order)
            break;
        block_list_remove(&memory.free_list[order], buddy);
        memory.block[buddy].state = BLOCK_INNER;
        memory.block[index].state = BLOCK_INNER;
        if (buddy < index)
            index = buddy;
        order++;
    }
    free_run_add(index, order);
}

/* The first block of the free run that a block is in; BLOCK_NONE: it is not free. */
static uint32_t run_of(uint32_t index) {
    const struct span *span = span_of_index(index);
    for (unsigned order = 0; order < MEMORY_ORDERS; order++) {
        uint64_t number = (span->first + (index - span->index)) & ~((1ull << order) - 1);
        if (number < span->first)
            break;
        uint32_t first = span->index + (uint32_t)(number - span->first);
        if (memory.block[first].state == BLOCK_FREE && memory.block[first].order >= order)
            return index - first < 1u << memory.block[first].order ? first : BLOCK_NONE;
    }
    return BLOCK_NONE;
}

/* The first of `count` free blocks in a row of a span, all in [from, limit), or BLOCK_NONE. */
static uint32_t row_find(const struct span *span, uint64_t count, uint64_t from, uint64_t limit) {
    uint64_t row = 0; /* free blocks right before `number` */
    for (uint64_t number = span->first; number < span->end && row < count; number++) {
        uint64_t base = number << LARGE_PAGE_SHIFT;
        uint32_t index = span->index + (uint32_t)(number - span->first);
        bool fits = base >= from && base <= limit - LARGE_PAGE_SIZE;
        row = fits && run_of(index) != BLOCK_NONE ? row + 1 : 0;
        if (row == count)
            return index - (uint32_t)(count - 1);
    }
    return BLOCK_NONE;
}

/* Takes one block out of the free run that it is in. */
static void block_cut(uint32_t index) {
    uint32_t first = run_of(index);
    unsigned order = memory.block[first].order;
    block_list_remove(&memory.free_list[order], first);
    while (order > 0) {
        order--;
        uint32_t upper = first + (1u << order);
        free_run_add(index < upper ? upper : first, order);
        first = index < upper ? first : upper;
    }
    memory.block[index].state = BLOCK_USED;
    memory.block[index].order = 0;
    memory.free -= LARGE_PAGE_SIZE;
}

uint32_t block_take_row(uint64_t count, uint64_t from, uint64_t limit) {
    uint32_t index = BLOCK_NONE;
    for (unsigned i = 0; i < span_count && index == BLOCK_NONE; i++)
        index = row_find(&spans[i], count, from, limit);
    for (uint64_t i = 0; i < count && index != BLOCK_NONE; i++)
        block_cut(index + (uint32_t)i);
    return index;
}

/* --- pages of a block --- */

/* The first aligned run of 2^order ones, or BLOCK_PAGES. */
static unsigned map_find(const uint64_t *map, unsigned order) {
    static const uint64_t aligned[] = {UINT64_MAX,
                                       0x5555555555555555ull,
                                       0x1111111111111111ull,
                                       0x0101010101010101ull,
                                       0x0001000100010001ull,
                                       0x0000000100000001ull};
    if (order >= array_count(aligned)) {
        unsigned words = 1u << (order - 6);
        for (unsigned i = 0; i < BLOCK_PAGES / 64; i += words) {
            uint64_t all = UINT64_MAX;
            for (unsigned j = 0; j < words; j++)
                all &= map[i + j];
            if (all == UINT64_MAX)
                return i * 64;
        }
        return BLOCK_PAGES;
    }
    for (unsigned i = 0; i < BLOCK_PAGES / 64; i++) {
        uint64_t runs = map[i];
        for (unsigned k = 0; k < order; k++)
            runs &= runs >> (1u << k);
        runs &= aligned[order];
        if (runs != 0)
            return i * 64 + (unsigned)__builtin_ctzll(runs);
    }
    return BLOCK_PAGES;
}

bool pages_take(uint32_t *list, unsigned order, uint32_t *index, unsigned *page) {
    unsigned count = 1u << order;
    for (uint32_t at = *list; at != BLOCK_NONE; at = memory.block[at].next) {
        struct block *block = &memory.block[at];
        if (block->free_pages < count)
            continue;
        unsigned first = map_find(block->map, order);
        if (first == BLOCK_PAGES)
            continue;
        for (unsigned i = first; i < first + count; i++)
            block->map[i / 64] &= ~(1ull << i % 64);
        block->free_pages -= count;
        if (block->free_pages == 0)
            block_list_remove(list, at);
        *index = at;
        *page = first;
        return true;
    }
    return false;
}

void pages_give(uint32_t *list, uint32_t index, unsigned page, unsigned count) {
    struct block *block = &memory.block[index];
    bug_if(page + count > BLOCK_PAGES);
    for (unsigned i = page; i < page + count; i++) {
        bug_if((block->map[i / 64] & 1ull << i % 64) != 0);
        block->map[i / 64] |= 1ull << i % 64;
    }
    block->free_pages += count;
    if (!block->listed)
        block_list_add(list, index);
}

/* --- frames --- */

static void scrub_block(uint64_t physical) {
    memset(arch_window_map_large(physical), 0, LARGE_PAGE_SIZE);
}

static void scrub_page(uint64_t physical) {
    memset(arch_window_map(physical), 0, PAGE_SIZE);
}

static uint64_t blocks_allocate(unsigned order, uint64_t limit, struct memory_account *account, bool scrub) {
    spin_lock(&memory.lock);
    uint32_t index = block_take_below(order, limit);
    if (index != BLOCK_NONE && account != NULL)
        account->frames += LARGE_PAGE_SIZE << order;
    spin_unlock(&memory.lock);
    if (index == BLOCK_NONE)
        return 0;
    uint64_t physical = block_physical(index);
    for (uint32_t i = 0; i < 1u << order; i++) {
        if (scrub && !memory.block[index + i].clean)
            scrub_block(physical + i * LARGE_PAGE_SIZE);
        memory.block[index + i].clean = 0; /* it will be written to */
    }
    return physical;
}

static void blocks_free(uint64_t physical, unsigned order, struct memory_account *account) {
    uint32_t index = block_index(physical);
    bug_if(memory.block[index].state != BLOCK_USED || memory.block[index].order != order);
    for (uint32_t i = 0; i < 1u << order; i++) {
        scrub_block(physical + i * LARGE_PAGE_SIZE);
        memory.block[index + i].clean = 1;
    }
    spin_lock(&memory.lock);
    block_give(index, order);
    if (account != NULL)
        account->frames -= LARGE_PAGE_SIZE << order;
    spin_unlock(&memory.lock);
}

/* Turns a free block into one for frames. */
static bool frames_grow(void) {
    uint32_t index = block_take(0);
    if (index == BLOCK_NONE)
        return false;
    struct block *block = &memory.block[index];
    block->state = BLOCK_FRAMES;
    block->free_pages = BLOCK_PAGES;
    memset(block->map, 0xff, sizeof(block->map));
    memset(block->zero, block->clean ? 0xff : 0, sizeof(block->zero));
    block->clean = 0;
    block_list_add(&memory.frames_list, index);
    memory.free += LARGE_PAGE_SIZE;
    return true;
}

/* Turns a block for frames that are all free back into an ordinary one. */
static void frames_shrink(uint32_t index) {
    struct block *block = &memory.block[index];
    block_list_remove(&memory.frames_list, index);
    block->clean = 1;
    for (unsigned i = 0; i < array_count(block->zero); i++)
        block->clean &= block->zero[i] == UINT64_MAX;
    memory.free -= LARGE_PAGE_SIZE;
    block_give(index, 0);
}

uint64_t frame_allocate(unsigned shift, struct memory_account *account) {
    bug_if(shift < PAGE_SHIFT || shift > HUGE_PAGE_SHIFT);
    if (shift >= LARGE_PAGE_SHIFT)
        return blocks_allocate(shift - LARGE_PAGE_SHIFT, UINT64_MAX, account, true);
    unsigned order = shift - PAGE_SHIFT, page;
    uint32_t index;
    spin_lock(&memory.lock);
    bool found = pages_take(&memory.frames_list, order, &index, &page) ||
                 (frames_grow() && pages_take(&memory.frames_list, order, &index, &page));
    uint64_t physical = 0, dirty[BLOCK_PAGES / 64] = {0};
    if (found) {
        struct block *block = &memory.block[index];
        physical = block_physical(index) + page * PAGE_SIZE;
        for (unsigned i = page; i < page + (1u << order); i++) {
            dirty[i / 64] |= ~block->zero[i / 64] & 1ull << i % 64;
            block->zero[i / 64] &= ~(1ull << i % 64);
        }
        memory.free -= 1ull << shift;
        if (account != NULL)
            account->frames += 1ull << shift;
    }
    spin_unlock(&memory.lock);
    for (unsigned i = 0; found && i < 1u << order; i++) {
        if ((dirty[(page + i) / 64] & 1ull << (page + i) % 64) != 0)
            scrub_page(physical + i * PAGE_SIZE);
    }
    return physical;
}

uint64_t frame_allocate_stale(unsigned shift, struct memory_account *account) {
    bug_if(shift < LARGE_PAGE_SHIFT || shift > HUGE_PAGE_SHIFT);
    return blocks_allocate(shift - LARGE_PAGE_SHIFT, UINT64_MAX, account, false);
}

uint64_t frame_allocate_below(unsigned shift, uint64_t limit, struct memory_account *account) {
    bug_if(shift < LARGE_PAGE_SHIFT || shift > HUGE_PAGE_SHIFT || limit < HUGE_PAGE_SIZE);
    return blocks_allocate(shift - LARGE_PAGE_SHIFT, limit, account, false);
}

uint64_t frame_allocate_row(uint64_t count, uint64_t from, uint64_t limit, struct memory_account *account) {
    bug_if(count == 0 || limit < LARGE_PAGE_SIZE);
    spin_lock(&memory.lock);
    uint32_t index = block_take_row(count, from, limit);
    if (index != BLOCK_NONE && account != NULL)
        account->frames += count << LARGE_PAGE_SHIFT;
    spin_unlock(&memory.lock);
    for (uint64_t i = 0; i < count && index != BLOCK_NONE; i++)
        memory.block[index + i].clean = 0; /* it will be written to */
    return index != BLOCK_NONE ? block_physical(index) : 0;
}

void frame_free(uint64_t physical, unsigned shift, struct memory_account *account) {
    bug_if(shift < PAGE_SHIFT || shift > HUGE_PAGE_SHIFT || (physical & ((1ull << shift) - 1)) != 0);
    if (shift >= LARGE_PAGE_SHIFT) {
        blocks_free(physical, shift - LARGE_PAGE_SHIFT, account);
        return;
    }
    uint32_t index = block_index(physical);
    struct block *block = &memory.block[index];
    unsigned page = (unsigned)((physical >> PAGE_SHIFT) % BLOCK_PAGES), count = 1u << (shift - PAGE_SHIFT);
    bug_if(block->state != BLOCK_FRAMES);
    for (unsigned i = 0; i < count; i++)
        scrub_page(physical + i * PAGE_SIZE);
    spin_lock(&memory.lock);
    pages_give(&memory.frames_list, index, page, count);
    for (unsigned i = page; i < page + count; i++)
        block->zero[i / 64] |= 1ull << i % 64;
    memory.free += 1ull << shift;
    if (account != NULL)
        account->frames -= 1ull << shift;
    if (block->free_pages == BLOCK_PAGES)
        frames_shrink(index);
    spin_unlock(&memory.lock);
}

void memory_statistics(struct memory_statistics *out) {
    spin_lock(&memory.lock);
    *out = (struct memory_statistics){
        .total = memory.total, .free = memory.free, .heap = memory.heap, .heap_used = memory.heap_used};
    for (unsigned order = MEMORY_ORDERS; order-- > 0 && out->largest == 0;) {
        if (memory.free_list[order] != BLOCK_NONE)
            out->largest = LARGE_PAGE_SIZE << order;
    }
    for (unsigned order = LARGE_PAGE_SHIFT - PAGE_SHIFT; order-- > 0 && out->largest == 0;) {
        for (uint32_t at = memory.frames_list; at != BLOCK_NONE; at = memory.block[at].next) {
            if (map_find(memory.block[at].map, order) != BLOCK_PAGES)
                out->largest = PAGE_SIZE << order;
        }
    }
    spin_unlock(&memory.lock);
}

/* --- start --- */

/* Sorts the ranges into `usable`, whole pages above LOW_MEMORY alone. */
static int usable_add(const struct memory_range *range) {
    uint64_t end = range->base + range->size;
    if (end < range->base)
        return -EINVAL;
    memory.total += range->size;
    uint64_t base = range->base < LOW_MEMORY ? LOW_MEMORY : range->base;
    if (base > UINT64_MAX - PAGE_SIZE)
        return 0;
    base = (base + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
    end &= ~(PAGE_SIZE - 1);
    if (base >= end)
        return 0;
    unsigned at = usable_count++;
    for (; at > 0 && usable[at - 1].base > base; at--)
        usable[at] = usable[at - 1];
    usable[at] = (struct memory_range){.base = base, .size = end - base};
    return 0;
}

static int usable_join(void) {
    unsigned out = 0;
    for (unsigned i = 0; i < usable_count; i++) {
        struct memory_range *last = out != 0 ? &usable[out - 1] : NULL;
        if (last != NULL && last->base + last->size > usable[i].base)
            return -EINVAL;
        if (last != NULL && last->base + last->size == usable[i].base)
            last->size += usable[i].size;
        else
            usable[out++] = usable[i];
    }
    usable_count = out;
    return 0;
}

/* Makes spans of blocks; returns how many blocks there are. */
static uint64_t spans_make(void) {
    uint64_t count = 0;
    for (unsigned i = 0; i < usable_count; i++) {
        uint64_t first = usable[i].base >> LARGE_PAGE_SHIFT;
        uint64_t end = ((usable[i].base + usable[i].size - 1) >> LARGE_PAGE_SHIFT) + 1;
        struct span *last = span_count != 0 ? &spans[span_count - 1] : NULL;
        if (last != NULL && first <= last->end) {
            count += end - last->end;
            last->end = end;
        } else {
            spans[span_count++] = (struct span){.first = first, .end = end, .index = (uint32_t)count};
            count += end - first;
        }
    }
    return count;
}

/* Maps the first `blocks` free blocks in a row that can be mapped; returns their address, or 0. */
static uint64_t records_map(uint64_t blocks) {
    for (unsigned i = 0; i < usable_count; i++) {
        uint64_t base = (usable[i].base + LARGE_PAGE_SIZE - 1) & ~(LARGE_PAGE_SIZE - 1);
        uint64_t end = (usable[i].base + usable[i].size) & ~(LARGE_PAGE_SIZE - 1);
        if (base >= end || (end - base) >> LARGE_PAGE_SHIFT < blocks)
            continue;
        uint64_t mapped = 0;
        while (mapped < blocks && arch_heap_map(base + mapped * LARGE_PAGE_SIZE) == 0)
            mapped++;
        if (mapped == blocks)
            return base;
    }
    return 0;
}

/* The pages of one block that are in a usable range go into its map. */
static void block_fill(uint32_t index, uint64_t base, uint64_t end) {
    struct block *block = &memory.block[index];
    uint64_t start = block_physical(index);
    for (uint64_t at = base; at < end; at += PAGE_SIZE) {
        uint64_t page = (at - start) >> PAGE_SHIFT;
        block->map[page / 64] |= 1ull << page % 64;
    }
    block->free_pages += (uint32_t)((end - base) >> PAGE_SHIFT);
    memory.free += end - base;
}

/* Hands everything that is free to the pools; [skip, skip_end) is the heap. */
static void blocks_release(uint64_t skip, uint64_t skip_end) {
    for (unsigned i = 0; i < usable_count; i++) {
        uint64_t at = usable[i].base, end = usable[i].base + usable[i].size;
        while (at < end) {
            uint64_t next = (at | (LARGE_PAGE_SIZE - 1)) + 1;
            if (next > end)
                next = end;
            uint32_t index = block_index(at);
            if (at >= skip && at < skip_end) {
                /* heap.c has it */
            } else if (next - at == LARGE_PAGE_SIZE) {
                block_give(index, 0);
            } else {
                block_fill(index, at, next);
                if (memory.block[index].state == BLOCK_HOLE) {
                    memory.block[index].state = BLOCK_FRAMES;
                    block_list_add(&memory.frames_list, index);
                }
            }
            at = next;
        }
    }
}

/* Maps the region that is to be the heap; returns its address, or 0: it is none, or not big enough. */
static uint64_t heap_region_map(const struct memory_range *heap, uint64_t blocks) {
    uint64_t end = heap->base + heap->size;
    if (((heap->base | heap->size) & (LARGE_PAGE_SIZE - 1)) != 0 || heap->size >> LARGE_PAGE_SHIFT < blocks)
        return 0;
    for (unsigned i = 0; i < usable_count; i++) {
        if (heap->base < usable[i].base || end > usable[i].base + usable[i].size || end < heap->base)
            continue;
        for (uint64_t at = heap->base; at < end; at += LARGE_PAGE_SIZE) {
            if (arch_heap_map(at) != 0)
                return 0;
        }
        return heap->base;
    }
    return 0;
}

/* [base, end) is the heap; its first `records` bytes are taken. */
static void heap_start(uint64_t base, uint64_t end, uint64_t records) {
    memory.heap = end - base;
    memory.heap_used = (records + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
    uint64_t taken = memory.heap_used;
    for (uint64_t at = base; at < end; at += LARGE_PAGE_SIZE) {
        uint32_t index = block_index(at);
        unsigned used = (unsigned)((taken < LARGE_PAGE_SIZE ? taken : LARGE_PAGE_SIZE) >> PAGE_SHIFT);
        memory.block[index].state = BLOCK_HEAP;
        if (used < BLOCK_PAGES)
            pages_give(&memory.heap_list, index, used, BLOCK_PAGES - used);
        taken -= used * PAGE_SIZE;
    }
}

int memory_init_heap(const struct memory_range *ranges, unsigned count, const struct memory_range *heap) {
    memset(&memory, 0, sizeof(memory));
    usable_count = span_count = 0;
    for (unsigned i = 0; i < MEMORY_ORDERS; i++)
        memory.free_list[i] = BLOCK_NONE;
    memory.frames_list = memory.heap_list = BLOCK_NONE;
    if (count > MAX_RANGES)
        return -EINVAL;
    for (unsigned i = 0; i < count; i++) {
        int error = usable_add(&ranges[i]);
        if (error != 0)
            return error;
    }
    int error = usable_join();
    if (error != 0)
        return error;
    uint64_t blocks = spans_make();
    if (blocks == 0)
        return -ENOMEM;
    if (blocks >= BLOCK_NONE)
        return -EINVAL;
    uint64_t bytes = blocks * sizeof(struct block);
    uint64_t needed = (bytes + LARGE_PAGE_SIZE - 1) >> LARGE_PAGE_SHIFT;
    uint64_t records = heap != NULL ? heap_region_map(heap, needed) : records_map(needed);
    if (records == 0)
        return -ENOMEM;
    memory.block = arch_heap_virtual(records);
    memset(memory.block, 0, bytes);
    memory.heap_fixed = heap != NULL;
    uint64_t end = records + (heap != NULL ? heap->size : needed * LARGE_PAGE_SIZE);
    heap_start(records, end, bytes);
    blocks_release(records, end);
    return 0;
}

int memory_init(const struct memory_range *ranges, unsigned count) {
    return memory_init_heap(ranges, count, NULL);
}
