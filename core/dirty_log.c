// SPDX-License-Identifier: Apache-2.0
// The log of written pages. A collection takes the bitmap first and has the CPUs begin anew with what it took
// after that: so a write is noted before or after, never in between.
#include "core/dirty_log.h"

#include <errno.h>
#include <string.h>
#include "core/log.h"
#include "core/service.h"
#include "core/vm.h"

#define BATCH 64u /* runs of pages that the CPUs are told of at once */

static uint64_t bitmap_bytes(const struct guest_memory *memory) {
    return memory->size / PAGE_SIZE / 8;
}

bool dirty_log_runs(const struct vm *vm) {
    return vm->memory.logging;
}

int dirty_log_start(struct vm *vm) {
    struct guest_memory *memory = &vm->memory;
    uint64_t bytes = bitmap_bytes(memory);

    if (memory->logging)
        return -EALREADY;
    /* Once made they stay: another CPU may be about to set a bit. */
    if (!memory->dirty)
        memory->dirty = heap_allocate(bytes, &memory->account);
    if (!memory->taken)
        memory->taken = heap_allocate(bytes, &memory->account);
    if (!memory->dirty || !memory->taken)
        return -ENOMEM;
    memset(memory->dirty, 0xff, bytes);
    __atomic_store_n(&memory->logging, true, __ATOMIC_RELEASE);
    service_guest_logged(vm, true);
    int error = arch_dirty_start(vm);
    if (error) {
        service_guest_logged(vm, false);
        __atomic_store_n(&memory->logging, false, __ATOMIC_RELEASE);
    }
    return error;
}

void dirty_log_stop(struct vm *vm) {
    if (!vm->memory.logging)
        return;
    arch_dirty_stop(vm);
    service_guest_logged(vm, false);
    __atomic_store_n(&vm->memory.logging, false, __ATOMIC_RELEASE);
}

/* The next run of set bits from page *page on, below `end`; false: there is none. */
static bool next_run(const uint64_t *bitmap, uint64_t end, uint64_t *page, uint64_t *count) {
    uint64_t at = *page;

    while (at < end && !(bitmap[at / 64] >> at % 64)) {
        at = (at / 64 + 1) * 64;
    }
    if (at >= end)
        return false;
    at += (unsigned)__builtin_ctzll(bitmap[at / 64] >> at % 64);
    if (at >= end)
        return false;
    uint64_t last = at;
    while (last < end && (bitmap[last / 64] >> last % 64 & 1))
        last += bitmap[last / 64] == UINT64_MAX && last % 64 == 0 && end - last >= 64 ? 64 : 1;
    *page = at;
    *count = last - at;
    return true;
}

/* Has the CPUs note the next write to what was taken. Regions are where the guest sees the backing. */
static void clean(struct vm *vm) {
    struct guest_memory *memory = &vm->memory;
    struct memory_range batch[BATCH];
    unsigned used = 0;

    spin_lock(&memory->lock);
    for (unsigned i = 0; i < memory->region_count; i++) {
        const struct guest_region *region = &memory->region[i];
        if (region->kind != GUEST_RAM && region->kind != GUEST_ROM)
            continue; /* not in the backing */
        uint64_t end = (region->offset + region->size) / PAGE_SIZE, count;
        for (uint64_t page = region->offset / PAGE_SIZE; next_run(memory->taken, end, &page, &count);
             page += count) {
            batch[used++] =
                (struct memory_range){page * PAGE_SIZE - region->offset + region->base, count * PAGE_SIZE};
            if (used == BATCH) {
                arch_dirty_clean(vm, batch, used);
                used = 0;
            }
        }
    }
    spin_unlock(&memory->lock);
    if (used)
        arch_dirty_clean(vm, batch, used);
}

int dirty_log_collect(struct vm *vm, void (*found)(void *context, uint64_t offset, uint64_t size),
                      void *context) {
    struct guest_memory *memory = &vm->memory;
    uint64_t words = bitmap_bytes(memory) / 8;

    if (!memory->logging)
        return -EINVAL;
    int error = arch_dirty_gather(vm);
    if (error)
        return error;
    for (uint64_t i = 0; i < words; i++)
        memory->taken[i] = __atomic_load_n(&memory->dirty[i], __ATOMIC_RELAXED)
                               ? __atomic_exchange_n(&memory->dirty[i], 0, __ATOMIC_ACQ_REL)
                               : 0;
    clean(vm);
    error = arch_dirty_settle(vm);
    if (error) {
        for (uint64_t i = 0; i < words; i++)
            if (memory->taken[i])
                __atomic_fetch_or(&memory->dirty[i], memory->taken[i], __ATOMIC_RELEASE);
        return error;
    }
    uint64_t count;
    for (uint64_t page = 0; found && next_run(memory->taken, words * 64, &page, &count); page += count)
        found(context, page * PAGE_SIZE, count * PAGE_SIZE);
    return 0;
}
