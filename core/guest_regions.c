// SPDX-License-Identifier: Apache-2.0
// The guest-physical map: placing parts of the backing and taking them away.
#include <errno.h>
#include <string.h>
#include "core/guest_memory.h"
#include "core/vm.h"

#define FOREIGN_STEP 32u

/* A list of regions under construction: a replaced range may leave two rests of a region. */
struct regions {
    unsigned count;
    struct guest_region region[GUEST_MAX_REGIONS + 2];
};

static void regions_add(struct regions *out, uint64_t base, uint64_t end, const struct guest_region *of) {
    if (base < end && out->count < array_count(out->region))
        out->region[out->count++] = (struct guest_region){
            .base = base, .size = end - base, .offset = of->offset + (base - of->base), .kind = of->kind};
}

/* The regions without what lies in [base, end), and with `added` in its place (NULL: nothing). */
static void regions_without(const struct guest_memory *memory, uint64_t base, uint64_t end,
                            const struct guest_region *added, struct regions *out) {
    bool placed = added == NULL;
    out->count = 0;
    for (unsigned i = 0; i < memory->region_count; i++) {
        const struct guest_region *old = &memory->region[i];
        uint64_t old_end = old->base + old->size;
        regions_add(out, old->base, old_end < base ? old_end : base, old);
        if (!placed && old_end > base) {
            regions_add(out, base, end, added);
            placed = true;
        }
        regions_add(out, old->base > end ? old->base : end, old_end, old);
    }
    if (!placed)
        regions_add(out, base, end, added);
}

static void regions_store(struct guest_memory *memory, const struct guest_region *region, unsigned count) {
    __atomic_store_n(&memory->sequence, memory->sequence + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    memcpy(memory->region, region, count * sizeof(region[0]));
    memory->region_count = count;
    __atomic_store_n(&memory->sequence, memory->sequence + 1, __ATOMIC_RELEASE);
}

static int tell(struct vm *vm, const struct guest_region *region, bool present) {
    return vm->memory.changed != NULL ? vm->memory.changed(vm, region, present) : 0;
}

/* The change failed half-way: the old regions come back, and their mapping as far as memory allows. */
static void restore(struct vm *vm, const struct guest_region *old, unsigned count, uint64_t base,
                    uint64_t end) {
    struct guest_region hole = {.base = base, .size = end - base};
    regions_store(&vm->memory, old, count);
    tell(vm, &hole, false);
    for (unsigned i = 0; i < count; i++) {
        uint64_t from = old[i].base > base ? old[i].base : base;
        uint64_t to = old[i].base + old[i].size < end ? old[i].base + old[i].size : end;
        if (from < to) {
            struct guest_region part = {.base = from,
                                        .size = to - from,
                                        .offset = old[i].offset + (from - old[i].base),
                                        .kind = old[i].kind};
            tell(vm, &part, true);
        }
    }
}

/* What the CPUs have noted of writes to [base, end) goes with the mapping that it is noted in: all of the
 * VM's memory that is seen there counts as written. */
static void mark_replaced(struct vm *vm, uint64_t base, uint64_t end) {
    const struct guest_memory *memory = &vm->memory;
    for (unsigned i = 0; memory->logging && i < memory->region_count; i++) {
        const struct guest_region *old = &memory->region[i];
        uint64_t from = old->base > base ? old->base : base;
        uint64_t to = old->base + old->size < end ? old->base + old->size : end;
        if (from < to && (old->kind == GUEST_RAM || old->kind == GUEST_ROM))
            (void)guest_mark_backing(vm, old->offset + (from - old->base), to - from);
    }
}

static int change(struct vm *vm, uint64_t base, uint64_t end, const struct guest_region *added) {
    struct guest_memory *memory = &vm->memory;
    struct regions new;
    struct guest_region old[GUEST_MAX_REGIONS];
    spin_lock(&memory->lock);
    unsigned old_count = memory->region_count;
    memcpy(old, memory->region, old_count * sizeof(old[0]));
    regions_without(memory, base, end, added, &new);
    int error = new.count > GUEST_MAX_REGIONS ? -ENOSPC : 0;
    if (error == 0) {
        struct guest_region hole = {.base = base, .size = end - base};
        mark_replaced(vm, base, end);
        regions_store(memory, new.region, new.count);
        error = tell(vm, added != NULL ? added : &hole, added != NULL);
        if (error != 0)
            restore(vm, old, old_count, base, end);
    }
    spin_unlock(&memory->lock);
    return error;
}

static bool range_valid(uint64_t base, uint64_t size) {
    return size != 0 && ((base | size) & (PAGE_SIZE - 1)) == 0 && base + size > base;
}

int guest_memory_place(struct vm *vm, uint64_t base, uint64_t size, uint64_t offset,
                       enum guest_region_kind kind) {
    if (!range_valid(base, size) || (offset & (PAGE_SIZE - 1)) != 0 || offset > vm->memory.size ||
        size > vm->memory.size - offset)
        return -EINVAL;
    struct guest_region region = {.base = base, .size = size, .offset = offset, .kind = kind};
    return change(vm, base, base + size, &region);
}

/* What is not the VM's own, by its physical address. */
static int place_physical(struct vm *vm, uint64_t base, uint64_t size, uint64_t physical,
                          enum guest_region_kind kind) {
    if (!range_valid(base, size) || !range_valid(physical, size))
        return -EINVAL;
    struct guest_region region = {.base = base, .size = size, .offset = physical, .kind = kind};
    return change(vm, base, base + size, &region);
}

int guest_memory_place_device(struct vm *vm, uint64_t base, uint64_t size, uint64_t physical) {
    return place_physical(vm, base, size, physical, GUEST_SHOWN_DEVICE);
}

int guest_memory_place_shown(struct vm *vm, uint64_t base, uint64_t size, uint64_t physical) {
    return place_physical(vm, base, size, physical, GUEST_SHOWN_READ);
}

int guest_memory_remove(struct vm *vm, uint64_t base, uint64_t size) {
    if (!range_valid(base, size))
        return -EINVAL;
    return change(vm, base, base + size, NULL);
}

static int tell_foreign(struct vm *vm, const struct guest_foreign *foreign, bool present) {
    const struct guest_region region = {
        .base = foreign->base, .size = foreign->size, .kind = guest_foreign_kind(foreign)};

    spin_lock(&vm->memory.lock);
    int error = tell(vm, &region, present);
    spin_unlock(&vm->memory.lock);
    return error;
}

int guest_memory_show(struct vm *vm, const struct guest_foreign *foreign) {
    struct guest_memory *memory = &vm->memory;
    uint64_t end = foreign->base + foreign->size;

    if (((foreign->base | foreign->size | foreign->physical) & (PAGE_SIZE - 1)) != 0 || foreign->size == 0 ||
        end < foreign->base || (foreign->of != NULL && foreign->size > foreign->of->size))
        return -EINVAL;
    for (uint32_t i = 0; i < memory->region_count; i++)
        if (memory->region[i].base < end && foreign->base < memory->region[i].base + memory->region[i].size)
            return -EINVAL;
    for (uint32_t i = 0; i < memory->foreign_count; i++)
        if (memory->foreign[i].base < end &&
            foreign->base < memory->foreign[i].base + memory->foreign[i].size)
            return -EINVAL;
    if (memory->foreign_count == memory->foreign_room) {
        uint32_t room = memory->foreign_room + FOREIGN_STEP;
        struct guest_foreign *more = heap_allocate(room * sizeof(*more), &memory->account);
        if (more == NULL)
            return -ENOMEM;
        if (memory->foreign_count != 0)
            memcpy(more, memory->foreign, memory->foreign_count * sizeof(*more));
        heap_free(memory->foreign, memory->foreign_room * sizeof(*more), &memory->account);
        memory->foreign = more;
        memory->foreign_room = room;
    }
    memory->foreign[memory->foreign_count++] = *foreign;
    int error = tell_foreign(vm, foreign, true);
    if (error != 0)
        guest_memory_hide(vm, foreign->base);
    return error;
}

int guest_memory_hide(struct vm *vm, uint64_t base) {
    struct guest_memory *memory = &vm->memory;
    uint32_t i = 0;

    while (i < memory->foreign_count && memory->foreign[i].base != base)
        i++;
    if (i == memory->foreign_count)
        return -ENOENT;
    const struct guest_foreign gone = memory->foreign[i];
    memory->foreign[i] = memory->foreign[--memory->foreign_count];
    return tell_foreign(vm, &gone, false);
}
