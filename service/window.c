// SPDX-License-Identifier: Apache-2.0
// Windows onto guests' RAM (see service/window.h). What the board says of a VM's memory is copied under its
// sequence counter and looked up in the copy; the copy is made anew when the counter has changed.
#include "service/window.h"

#include <stddef.h>
#include <string.h>
#include "service/arch.h"
#include "service/call.h"
#include "service/log.h"

#define PAGE_SHIFT 12u
#define MAX_RUNS   32u     /* of written pages, before they are reported */
#define LOOK_BACK  8u      /* runs that a new page may join */
#define MOST_PAGES 16384u  /* reported at once where all are: a call is not to take long */
#define MAX_TRIES  100000u /* well under a millisecond; the hypervisor's changes take a few microseconds */

struct run {
    uint32_t first, end; /* pages of the window */
};

struct window {
    struct virtio_memory memory; /* first: what it is reached by */
    const struct service_vm *vm; /* on the board */
    uint8_t *base;               /* NULL: nothing is mapped */
    uint64_t physical, size;     /* of what is mapped */
    uint32_t sequence;           /* of the copy below */
    unsigned ram_count;          /* 0 as well while the board says other than what is mapped */
    unsigned last;               /* where the last address was found */
    struct service_ram ram[SERVICE_MAX_REGIONS];
    bool unnoted; /* something was written that is in no run */
    unsigned run_count;
    struct run run[MAX_RUNS];
};

static struct window windows[SERVICE_MAX_VMS];
static uint32_t written; /* bit n: windows[n] has runs */
_Static_assert(SERVICE_MAX_VMS <= 32, "a bit for each VM");

static unsigned number_of(const struct window *window) {
    return (unsigned)(window - windows);
}

/* Copies what the board says of a VM. False: it is being changed all the time, *copy is of no use. */
static bool read_vm(unsigned number, struct service_vm *copy, uint32_t *sequence) {
    const struct service_vm *vm = windows[number].vm;

    for (unsigned i = 0; i < MAX_TRIES; i++) {
        *sequence = __atomic_load_n(&vm->sequence, __ATOMIC_ACQUIRE);
        if (*sequence & 1)
            continue;
        memcpy(copy, vm, sizeof(*copy));
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__atomic_load_n(&vm->sequence, __ATOMIC_RELAXED) == *sequence)
            return true;
    }
    return false;
}

static bool inside(const struct service_ram *ram, uint64_t size) {
    return ram->size && ram->size <= size && ram->offset <= size - ram->size &&
           ram->base <= UINT64_MAX - ram->size;
}

/* The copy as `vm` says, as far as it is about what is mapped. */
static void take_ram(struct window *window, const struct service_vm *vm) {
    window->ram_count = 0;
    window->last = 0;
    if (!window->base || !vm->served || vm->window != window->physical || vm->window_size != window->size)
        return;
    for (unsigned i = 0; i < vm->ram_count && i < SERVICE_MAX_REGIONS; i++)
        if (inside(&vm->ram[i], window->size))
            window->ram[window->ram_count++] = vm->ram[i];
}

static void refresh(struct window *window) {
    struct service_vm vm;

    if (read_vm(number_of(window), &vm, &window->sequence))
        take_ram(window, &vm);
    else
        window->ram_count = 0; /* until the counter, which is odd, changes */
}

static bool holds(const struct service_ram *ram, uint64_t gpa) {
    return gpa >= ram->base && gpa - ram->base < ram->size;
}

static const struct service_ram *search(struct window *window, uint64_t gpa) {
    for (unsigned i = 0; i < window->ram_count; i++)
        if (holds(&window->ram[i], gpa)) {
            window->last = i;
            return &window->ram[i];
        }
    return NULL;
}

/* Several times for each buffer: nearly always where the last one was. */
static inline const struct service_ram *find(struct window *window, uint64_t gpa) {
    const struct service_ram *ram = &window->ram[window->last];

    return window->last < window->ram_count && holds(ram, gpa) ? ram : search(window, gpa);
}

static void *map(struct virtio_memory *memory, uint64_t gpa, uint64_t *contiguous) {
    struct window *window = (struct window *)memory;

    if (__atomic_load_n(&window->vm->sequence, __ATOMIC_ACQUIRE) != window->sequence)
        refresh(window);
    const struct service_ram *ram = find(window, gpa);
    if (!ram)
        return NULL;
    uint64_t within = gpa - ram->base;
    *contiguous = ram->size - within;
    return window->base + (size_t)(ram->offset + within);
}

/* ---- written pages */

/* Whether anybody wants to know what was written so far: if not, who asks later finds all of it there. */
static bool is_logged(const struct window *window) {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return __atomic_load_n(&window->vm->logged, __ATOMIC_RELAXED) != 0;
}

static void report_run(struct window *window, uint32_t first, uint32_t end) {
    int error = service_call_dirty(number_of(window), first, end - first);

    if (error < 0)
        service_log(LOG_ERROR, "VM %u: written pages %u to %u are not taken: error %d", number_of(window),
                    (unsigned)first, (unsigned)end, -error);
}

static void report_all(struct window *window) {
    uint32_t end = (uint32_t)(window->size >> PAGE_SHIFT);

    for (uint32_t first = 0; first < end; first += MOST_PAGES)
        report_run(window, first, end - first < MOST_PAGES ? end : first + MOST_PAGES);
}

static void report(struct window *window) {
    bool logged = is_logged(window);

    if (logged && window->unnoted)
        report_all(window);
    else if (logged)
        for (unsigned i = 0; i < window->run_count; i++)
            report_run(window, window->run[i].first, window->run[i].end);
    window->unnoted = false;
    window->run_count = 0;
    written &= ~(1u << number_of(window));
}

static void note(struct window *window, uint32_t first, uint32_t end) {
    unsigned oldest = window->run_count > LOOK_BACK ? window->run_count - LOOK_BACK : 0;

    for (unsigned i = window->run_count; i > oldest; i--) {
        struct run *run = &window->run[i - 1];
        if (first > run->end || end < run->first)
            continue;
        if (first < run->first)
            run->first = first;
        if (end > run->end)
            run->end = end;
        return;
    }
    if (window->run_count == MAX_RUNS)
        report(window);
    window->run[window->run_count].first = first;
    window->run[window->run_count].end = end;
    window->run_count++;
    written |= 1u << number_of(window);
}

/* By the copy as it was when the writer asked for the address: what the board says since is about other
 * pages. */
__attribute__((noinline)) static void note_all(struct window *window, uint64_t gpa, uint64_t size) {
    while (size) {
        const struct service_ram *ram = find(window, gpa);
        if (!ram)
            return;
        uint64_t within = gpa - ram->base;
        uint64_t part = size < ram->size - within ? size : ram->size - within;
        uint64_t offset = ram->offset + within;
        note(window, (uint32_t)(offset >> PAGE_SHIFT), (uint32_t)((offset + part - 1) >> PAGE_SHIFT) + 1);
        gpa += part;
        size -= part;
    }
}

__attribute__((noinline)) static void leave_unnoted(struct window *window) {
    window->unnoted = true;
    written |= 1u << number_of(window);
}

/* Mostly nobody wants to know. Without a barrier that is a guess: report() looks again, and if the log has
 * begun meanwhile, all pages count as written. */
static void dirty(struct virtio_memory *memory, uint64_t gpa, uint64_t size) {
    struct window *window = (struct window *)memory;

    if (__atomic_load_n(&window->vm->logged, __ATOMIC_RELAXED))
        note_all(window, gpa, size);
    else if (!window->unnoted)
        leave_unnoted(window);
}

void window_flush(void) {
    while (written)
        report(&windows[__builtin_ctz(written)]);
}

/* ---- mapping */

void window_update(unsigned number) {
    struct window *window = &windows[number];
    struct service_vm vm;

    if (!read_vm(number, &vm, &window->sequence)) {
        service_log(LOG_ERROR, "VM %u: the hypervisor does not finish changing it", number);
        window->ram_count = 0;
        return;
    }
    bool wanted = vm.served && vm.window_size;
    if (window->base && !(wanted && vm.window == window->physical && vm.window_size == window->size)) {
        report(window);
        arch_unmap(window->base, window->size);
        window->base = NULL;
    }
    if (wanted && !window->base) {
        window->base = arch_map(vm.window, vm.window_size, true);
        window->physical = vm.window;
        window->size = vm.window_size;
        if (!window->base)
            service_log(LOG_ERROR, "%.*s: there is no room for its RAM (%u MiB)", (int)sizeof(vm.name),
                        vm.name, (unsigned)(vm.window_size >> 20));
    }
    take_ram(window, &vm);
}

void window_init(const struct service_board *service_board) {
    for (unsigned i = 0; i < SERVICE_MAX_VMS; i++) {
        windows[i].vm = &service_board->vm[i];
        windows[i].memory.map = map;
        windows[i].memory.dirty = dirty;
        window_update(i);
    }
}

struct virtio_memory *window_memory(unsigned vm) {
    return &windows[vm].memory;
}

bool window_mapped(unsigned vm) {
    return windows[vm].base != NULL;
}
