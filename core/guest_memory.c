// SPDX-License-Identifier: Apache-2.0
// Guest memory: the backing frames, the regions that place them, and every access of the hypervisor's to
// them. Readers of the regions take no lock (see bus.c): a stale answer concerns the guest's own memory
// alone.
#include "core/guest_memory.h"

#include <errno.h>
#include <string.h>
#include "core/log.h"
#include "core/vm.h"

struct place {
    uint64_t offset;
    uint64_t physical;
    uint64_t contiguous; /* bytes to the end of the region or of the 2 MiB block */
    enum guest_region_kind kind;
};

/* --- the backing --- */

static void backing_free(struct guest_memory *memory) {
    for (uint64_t i = 0; memory->block != NULL && i < memory->block_count;) {
        unsigned shift = memory->block_shift[i];
        if (shift == 0)
            break; /* as far as it was allocated */
        frame_free(memory->block[i], shift, &memory->account);
        i += 1ull << (shift - LARGE_PAGE_SHIFT);
    }
    heap_free(memory->block, memory->block_count * sizeof(memory->block[0]), &memory->account);
    heap_free(memory->block_shift, memory->block_count, &memory->account);
    heap_free(memory->dirty, memory->size / PAGE_SIZE / 8, &memory->account);
    heap_free(memory->taken, memory->size / PAGE_SIZE / 8, &memory->account);
    heap_free(memory->foreign, memory->foreign_room * sizeof(memory->foreign[0]), &memory->account);
    memory->block = NULL;
    memory->block_shift = NULL;
    memory->dirty = memory->taken = NULL;
    memory->foreign = NULL;
    memory->foreign_count = memory->foreign_room = 0;
    memory->logging = memory->bound = false;
    memory->block_count = memory->size = 0;
    memory->region_count = 0;
}

/* Takes a frame for the backing from block `i` on; returns how many blocks it holds, 0: no memory. */
static uint64_t backing_add(struct guest_memory *memory, uint64_t i, unsigned shift) {
    uint64_t physical = frame_allocate_stale(shift, &memory->account);
    if (physical == 0)
        return 0;
    uint64_t count = 1ull << (shift - LARGE_PAGE_SHIFT);
    for (uint64_t j = 0; j < count; j++) {
        memory->block[i + j] = physical + j * LARGE_PAGE_SIZE;
        memory->block_shift[i + j] = (uint8_t)shift;
    }
    return count;
}

/* Makes the records of `count` blocks, none of which has memory yet. 0 or -ENOMEM: there are none. */
static int backing_init(struct guest_memory *memory, uint64_t count) {
    if (count > LARGE_PAGE_SIZE / sizeof(memory->block[0]))
        return -ENOMEM; /* 512 GiB: as much as one heap object can describe */
    memory->block = heap_allocate(count * sizeof(memory->block[0]), &memory->account);
    memory->block_shift = heap_allocate(count, &memory->account);
    if (memory->block == NULL || memory->block_shift == NULL) {
        heap_free(memory->block, count * sizeof(memory->block[0]), &memory->account);
        heap_free(memory->block_shift, count, &memory->account);
        memory->block = NULL;
        memory->block_shift = NULL;
        return -ENOMEM;
    }
    memory->block_count = count;
    memory->size = count << LARGE_PAGE_SHIFT;
    return 0;
}

int guest_memory_create(struct vm *vm, uint64_t size) {
    struct guest_memory *memory = &vm->memory;
    if (size == 0 || size > UINT64_MAX - LARGE_PAGE_SIZE)
        return -EINVAL;
    uint64_t count = (size + LARGE_PAGE_SIZE - 1) >> LARGE_PAGE_SHIFT;
    int error = backing_init(memory, count);
    if (error != 0)
        return error;
    bool complete = true;
    const uint64_t huge = 1ull << (HUGE_PAGE_SHIFT - LARGE_PAGE_SHIFT);
    for (uint64_t i = 0; complete && i < count;) {
        uint64_t added = 0;
        if (i % huge == 0 && count - i >= huge)
            added = backing_add(memory, i, HUGE_PAGE_SHIFT);
        if (added == 0)
            added = backing_add(memory, i, LARGE_PAGE_SHIFT);
        complete = added != 0;
        i += added;
    }
    if (complete)
        return 0;
    backing_free(memory);
    return -ENOMEM;
}

int guest_memory_create_row(struct vm *vm, uint64_t apart, uint64_t size, uint64_t from, uint64_t limit,
                            uint64_t *physical) {
    struct guest_memory *memory = &vm->memory;
    if (((apart | size) & (LARGE_PAGE_SIZE - 1)) != 0 || apart == 0 || size <= apart)
        return -EINVAL;
    uint64_t first = apart >> LARGE_PAGE_SHIFT, count = size >> LARGE_PAGE_SHIFT;
    int error = backing_init(memory, count);
    if (error != 0)
        return error;
    /* The row first: the others might lie in its way. */
    *physical = frame_allocate_row(count - first, from, limit, &memory->account);
    bool complete = *physical != 0;
    for (uint64_t i = 0; complete && i < first; i++)
        complete = backing_add(memory, i, LARGE_PAGE_SHIFT) != 0;
    for (uint64_t i = first; *physical != 0 && i < count; i++) {
        memory->block[i] = *physical + ((i - first) << LARGE_PAGE_SHIFT);
        memory->block_shift[i] = LARGE_PAGE_SHIFT;
    }
    memory->bound = complete;
    if (complete)
        return 0;
    for (uint64_t i = first; *physical != 0 && i < count; i++) {
        frame_free(memory->block[i], LARGE_PAGE_SHIFT, &memory->account);
        memory->block_shift[i] = 0;
    }
    backing_free(memory);
    return -ENOMEM;
}

int guest_memory_create_below(struct vm *vm, unsigned shift, uint64_t limit, uint64_t *physical) {
    struct guest_memory *memory = &vm->memory;
    uint64_t count = 1ull << (shift - LARGE_PAGE_SHIFT);

    int error = backing_init(memory, count);
    if (error != 0)
        return error;
    *physical = frame_allocate_below(shift, limit, &memory->account);
    if (*physical == 0) {
        backing_free(memory);
        return -ENOMEM;
    }
    for (uint64_t i = 0; i < count; i++) {
        memory->block[i] = *physical + i * LARGE_PAGE_SIZE;
        memory->block_shift[i] = (uint8_t)shift;
    }
    return 0;
}

void guest_memory_destroy(struct vm *vm) {
    backing_free(&vm->memory);
}

void guest_memory_scrub(struct vm *vm) {
    struct guest_memory *memory = &vm->memory;
    for (uint64_t i = 0; i < memory->block_count; i++)
        memset(arch_window_map_large(memory->block[i]), 0, LARGE_PAGE_SIZE);
    if (memory->logging)
        memset(memory->dirty, 0xff, memory->size / PAGE_SIZE / 8);
}

uint64_t guest_memory_backing(const struct guest_memory *memory, uint64_t offset, uint64_t *contiguous) {
    uint64_t i = offset >> LARGE_PAGE_SHIFT;
    uint64_t size = 1ull << memory->block_shift[i];
    uint64_t physical = memory->block[i] + (offset & (LARGE_PAGE_SIZE - 1));
    *contiguous = size - (physical & (size - 1));
    return physical;
}

/* --- finding a place --- */

/* What is shown at `gpa` of memory that is not the VM's own. */
static int foreign_find(const struct guest_memory *memory, uint64_t gpa, struct place *place) {
    for (uint32_t i = 0; i < memory->foreign_count; i++) {
        const struct guest_foreign *foreign = &memory->foreign[i];
        uint64_t within = gpa - foreign->base;
        if (within >= foreign->size)
            continue;
        place->offset = UINT64_MAX;
        place->physical = foreign->physical + within;
        place->contiguous = foreign->size - within;
        place->kind = guest_foreign_kind(foreign);
        if (foreign->of != NULL) {
            place->physical =
                foreign->of->block[within >> LARGE_PAGE_SHIFT] + (within & (LARGE_PAGE_SIZE - 1));
            uint64_t room = LARGE_PAGE_SIZE - (within & (LARGE_PAGE_SIZE - 1));
            if (room < place->contiguous)
                place->contiguous = room;
        }
        return 0;
    }
    return -EFAULT;
}

static int memory_find(const struct guest_memory *memory, uint64_t gpa, struct place *place) {
    uint32_t sequence;
    struct guest_region region;
    do {
        sequence = __atomic_load_n(&memory->sequence, __ATOMIC_ACQUIRE) & ~1u;
        unsigned at = 0;
        for (unsigned count = memory->region_count; count > 1;) {
            unsigned half = count / 2;
            at += memory->region[at + half].base <= gpa ? half : 0;
            count -= half;
        }
        region = memory->region[at];
        if (memory->region_count == 0)
            region.size = 0;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (__atomic_load_n(&memory->sequence, __ATOMIC_RELAXED) != sequence);
    uint64_t within = gpa - region.base;
    if (within >= region.size)
        return foreign_find(memory, gpa, place);
    if (region.kind == GUEST_SHOWN_READ || region.kind == GUEST_SHOWN_DEVICE) {
        *place = (struct place){.offset = UINT64_MAX,
                                .physical = region.offset + within,
                                .contiguous = region.size - within,
                                .kind = region.kind};
        return 0;
    }
    uint64_t offset = region.offset + within;
    uint64_t room = LARGE_PAGE_SIZE - (offset & (LARGE_PAGE_SIZE - 1));
    place->offset = offset;
    place->physical = memory->block[offset >> LARGE_PAGE_SHIFT] + (offset & (LARGE_PAGE_SIZE - 1));
    place->contiguous = room < region.size - within ? room : region.size - within;
    place->kind = region.kind;
    return 0;
}

int guest_memory_translate(struct vm *vm, uint64_t gpa, uint64_t *physical, uint64_t *contiguous,
                           enum guest_region_kind *kind) {
    struct place place;
    int error = memory_find(&vm->memory, gpa, &place);
    if (error != 0)
        return error;
    if (physical != NULL)
        *physical = place.physical;
    if (contiguous != NULL)
        *contiguous = place.contiguous;
    if (kind != NULL)
        *kind = place.kind;
    return 0;
}

/* Whether the hypervisor may write there: to the VM's own memory alone, and to RAM alone if `ram`. */
static inline bool may_write(const struct place *place, bool ram) {
    return place->kind == GUEST_RAM || (!ram && place->kind == GUEST_ROM);
}

/* Whether all of a range may be written. */
static bool range_may_be_written(const struct guest_memory *memory, uint64_t gpa, uint64_t size, bool ram) {
    if (size != 0 && gpa + (size - 1) < gpa)
        return false;
    while (size != 0) {
        struct place place;
        if (memory_find(memory, gpa, &place) != 0 || !may_write(&place, ram))
            return false;
        uint64_t part = size < place.contiguous ? size : place.contiguous;
        gpa += part;
        size -= part;
    }
    return true;
}

/* --- reading and writing --- */

/* Moves bytes; what a CPU would move in one piece is moved in one piece. */
static inline void move(void *to, const void *from, size_t size) {
    if (size <= 8 && (size & (size - 1)) == 0 && (((uintptr_t)to | (uintptr_t)from) & (size - 1)) == 0) {
        switch (size) {
        case 1:
            *(volatile uint8_t *)to = *(const volatile uint8_t *)from;
            return;
        case 2:
            *(volatile uint16_t *)to = *(const volatile uint16_t *)from;
            return;
        case 4:
            *(volatile uint32_t *)to = *(const volatile uint32_t *)from;
            return;
        case 8:
            *(volatile uint64_t *)to = *(const volatile uint64_t *)from;
            return;
        }
    }
    memcpy(to, from, size);
}

#define WORD_BYTES (64 * PAGE_SIZE) /* that one word of the log is about */

/* After the write, and always: a look at the bit could come before the write is seen by others. */
static void mark_word(struct guest_memory *memory, uint64_t offset, uint64_t pages) {
    __atomic_fetch_or(&memory->dirty[offset / WORD_BYTES], pages, __ATOMIC_SEQ_CST);
}

static void mark_page(struct guest_memory *memory, uint64_t offset) {
    mark_word(memory, offset, 1ull << (offset >> PAGE_SHIFT & 63));
}

static inline uint64_t page_room(uint64_t address) {
    return PAGE_SIZE - (address & (PAGE_SIZE - 1));
}

static inline void *window(uint64_t physical) {
    return (char *)arch_window_map(physical & ~(PAGE_SIZE - 1)) + (physical & (PAGE_SIZE - 1));
}

int guest_read(struct vm *vm, uint64_t gpa, void *buffer, size_t size) {
    char *to = buffer;
    if (size != 0 && gpa + (size - 1) < gpa)
        return -EFAULT;
    while (size != 0) {
        struct place place;
        if (memory_find(&vm->memory, gpa, &place) != 0 || place.kind == GUEST_SHOWN_DEVICE)
            return -EFAULT;
        uint64_t room = page_room(place.physical);
        size_t part = size < room ? size : (size_t)room;
        move(to, window(place.physical), part);
        to += part;
        gpa += part;
        size -= part;
    }
    return 0;
}

static int memory_write(struct guest_memory *memory, uint64_t gpa, const void *buffer, size_t size,
                        bool ram) {
    const char *from = buffer;
    /* Within one page the check below comes before anything is written. */
    if (size > page_room(gpa) && !range_may_be_written(memory, gpa, size, ram))
        return -EFAULT;
    while (size != 0) {
        struct place place;
        if (memory_find(memory, gpa, &place) != 0 || !may_write(&place, ram))
            return -EFAULT;
        uint64_t room = page_room(place.physical);
        size_t part = size < room ? size : (size_t)room;
        void *to = window(place.physical);
        move(to, from, part);
        if (!ram)
            arch_code_store(to, part);
        if (memory->logging)
            mark_page(memory, place.offset);
        from += part;
        gpa += part;
        size -= part;
    }
    return 0;
}

int guest_write(struct vm *vm, uint64_t gpa, const void *buffer, size_t size) {
    return memory_write(&vm->memory, gpa, buffer, size, true);
}

int guest_load(struct vm *vm, uint64_t gpa, const void *buffer, size_t size) {
    return memory_write(&vm->memory, gpa, buffer, size, false);
}

/* A locked instruction may be misaligned where the guest's was; the CPU sees to it (Intel SDM vol.
 * 3, 8.1.2.2). */
__attribute__((no_sanitize("alignment"))) static bool exchange(void *at, unsigned size, void *expected,
                                                               const void *desired) {
    switch (size) {
    case 1:
        return __atomic_compare_exchange_n((uint8_t *)at, (uint8_t *)expected, *(const uint8_t *)desired,
                                           false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    case 2:
        return __atomic_compare_exchange_n((uint16_t *)at, (uint16_t *)expected, *(const uint16_t *)desired,
                                           false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    case 4:
        return __atomic_compare_exchange_n((uint32_t *)at, (uint32_t *)expected, *(const uint32_t *)desired,
                                           false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    case 8:
        return __atomic_compare_exchange_n((uint64_t *)at, (uint64_t *)expected, *(const uint64_t *)desired,
                                           false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    default:
        return arch_compare_exchange_16(at, expected, desired);
    }
}

int guest_compare_exchange(struct vm *vm, uint64_t gpa, unsigned size, void *expected, const void *desired) {
    struct place place;
    if (size == 0 || size > 16 || (size & (size - 1)) != 0 || size > page_room(gpa) ||
        (size == 16 && (gpa & 15) != 0))
        return -EFAULT;
    if (memory_find(&vm->memory, gpa, &place) != 0 || place.kind != GUEST_RAM)
        return -EFAULT;
    bool done = exchange(window(place.physical), size, expected, desired);
    if (done && vm->memory.logging)
        mark_page(&vm->memory, place.offset);
    return done ? 1 : 0;
}

void *guest_page(struct vm *vm, uint64_t gpa) {
    struct place place;
    if (memory_find(&vm->memory, gpa & ~(PAGE_SIZE - 1), &place) != 0 || place.kind == GUEST_SHOWN_DEVICE)
        return NULL;
    return arch_window_map(place.physical);
}

void guest_mark_dirty(struct vm *vm, uint64_t gpa, uint64_t size) {
    struct guest_memory *memory = &vm->memory;
    if (!memory->logging || size == 0 || gpa + (size - 1) < gpa)
        return;
    while (size != 0) {
        struct place place;
        uint64_t part = page_room(gpa);
        if (memory_find(memory, gpa, &place) != 0)
            return;
        if (may_write(&place, false))
            mark_page(memory, place.offset);
        if (part >= size)
            return;
        gpa += part;
        size -= part;
    }
}

int guest_mark_backing(struct vm *vm, uint64_t offset, uint64_t size) {
    struct guest_memory *memory = &vm->memory;
    if (offset > memory->size || size > memory->size - offset)
        return -EINVAL;
    /* All of a large VM's memory takes one call: a word at a time, where it is whole. */
    for (uint64_t at = offset, end = offset + size, part; memory->logging && at < end; at += part) {
        part = at % WORD_BYTES == 0 && end - at >= WORD_BYTES ? WORD_BYTES : PAGE_SIZE;
        if (part == WORD_BYTES)
            mark_word(memory, at, UINT64_MAX);
        else
            mark_page(memory, at);
    }
    return 0;
}
