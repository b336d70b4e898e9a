// SPDX-License-Identifier: Apache-2.0
// Guests' virtio consoles, between the service VM and the operator's console: what is printed waits in a ring
// until the host's devices take it without making anybody wait, what is typed until the service VM says
// that the guest has it.
#include <errno.h>
#include <string.h>

#include "core/console.h"
#include "core/service_internal.h"

#define INPUT     1024u         /* bytes */
#define OUTPUT    2048u         /* bytes */
#define PIECE     64u           /* of output, handed over at once */
#define PIECES    16u           /* in one run */
#define HOST_ROOM 2048u         /* bytes of the host's devices that are left to others */
#define PATIENCE  1000000000ull /* ns without progress, then the host's devices are made to take some */
#define PERIOD    1000000ull    /* ns between runs */

struct bytes {
    uint32_t first, count, size;
    uint8_t *byte;
};

struct service_console {
    struct vm *vm;
    struct spinlock lock;
    uint32_t open; /* atomic */
    bool refused;  /* the service VM is to hear when there is room */
    bool draining; /* `drain` is armed, or runs */
    struct timer drain;
    uint64_t shown;             /* time_now() when output began to wait, or when some was shown last */
    struct bytes input, output; /* rings */
    uint32_t input_at;          /* number of the first byte of `input`, since it was opened */
    uint8_t typed[INPUT], printed[OUTPUT];
};

/* Made before guests run, for good. */
static struct service_console *consoles[VM_MAX];

static struct service_console *console_of(uint32_t vm) {
    return vm < vm_count() ? consoles[vm] : NULL;
}

static uint32_t ring_put(struct bytes *ring, const uint8_t *bytes, size_t count) {
    uint32_t done = 0;

    for (; done < count && ring->count < ring->size; done++)
        ring->byte[(ring->first + ring->count++) % ring->size] = bytes[done];
    return done;
}

static uint32_t ring_copy(const struct bytes *ring, uint8_t *bytes, uint32_t room) {
    uint32_t done = 0;

    for (; done < room && done < ring->count; done++)
        bytes[done] = ring->byte[(ring->first + done) % ring->size];
    return done;
}

static void ring_drop(struct bytes *ring, uint32_t count) {
    ring->first = (ring->first + count) % ring->size;
    ring->count -= count;
}

static void tell(const struct service_console *console) {
    __atomic_fetch_or(&service.board->consoles, 1u << console->vm->id, __ATOMIC_SEQ_CST);
    service_event(SERVICE_EVENT_CONSOLE);
}

/* ---- output */

static uint32_t take_printed(struct service_console *console, uint8_t piece[PIECE]) {
    spin_lock(&console->lock);
    uint32_t count = ring_copy(&console->output, piece, PIECE);
    ring_drop(&console->output, count);
    spin_unlock(&console->lock);
    return count;
}

/* A device that is stuck notices it, and gives up what it holds, when it is written to. */
static bool may_show(const struct service_console *console) {
    return console_room() >= HOST_ROOM || time_now() - console->shown >= PATIENCE;
}

static void drain(struct timer *timer) {
    struct service_console *console = container_of(timer, struct service_console, drain);

    for (unsigned i = 0; i < PIECES && may_show(console); i++) {
        uint8_t piece[PIECE];
        uint32_t count = take_printed(console, piece);
        if (!count)
            break;
        console_guest_output_virtio(console->vm, piece, count);
        console->shown = time_now();
    }
    spin_lock(&console->lock);
    bool room = console->refused && console->output.count <= OUTPUT / 2;
    console->refused = console->refused && !room;
    console->draining = console->output.count != 0;
    if (console->draining)
        timer_arm(&console->drain, time_now() + PERIOD);
    spin_unlock(&console->lock);
    if (room)
        tell(console);
}

int32_t service_console_write(uint32_t vm, uint32_t address, uint32_t length) {
    struct service_console *console = console_of(vm);
    uint8_t bytes[SERVICE_MAX_CONSOLE];

    if (!console)
        return -ENOENT;
    if (!length || length > sizeof(bytes))
        return -EINVAL;
    int error = guest_read(service.vm, address, bytes, length);
    if (error)
        return error;
    spin_lock(&console->lock);
    uint32_t taken = ring_put(&console->output, bytes, length);
    console->refused = console->refused || taken < length;
    if (!console->draining) {
        console->draining = true;
        console->shown = time_now();
        timer_arm(&console->drain, time_now());
    }
    spin_unlock(&console->lock);
    return (int32_t)taken;
}

/* ---- input */

static bool is_open(void *device) {
    const struct service_console *console = device;
    return __atomic_load_n(&console->open, __ATOMIC_ACQUIRE) != 0;
}

static size_t type(void *device, const uint8_t *bytes, size_t count) {
    struct service_console *console = device;

    spin_lock(&console->lock);
    uint32_t taken = console->open ? ring_put(&console->input, bytes, count) : 0;
    spin_unlock(&console->lock);
    if (taken)
        tell(console);
    return taken;
}

/* The guest has what is before `from`. */
static int forget(struct service_console *console, uint32_t from) {
    uint32_t count = from - console->input_at;

    if (count > console->input.count)
        return -ERANGE;
    ring_drop(&console->input, count);
    console->input_at = from;
    return 0;
}

int32_t service_console_read(uint32_t vm, uint32_t address, uint32_t room, uint32_t from) {
    struct service_console *console = console_of(vm);
    uint8_t bytes[SERVICE_MAX_CONSOLE];
    uint32_t count = 0;

    if (!console)
        return -ENOENT;
    if (room > sizeof(bytes))
        return -EINVAL;
    spin_lock(&console->lock);
    int error = forget(console, from);
    if (!error)
        count = ring_copy(&console->input, bytes, room);
    spin_unlock(&console->lock);
    if (error)
        return error;
    console_guest_ready(console->vm);
    error = count ? guest_write(service.vm, address, bytes, count) : 0;
    return error ? error : (int32_t)count;
}

/* ---- whether it takes input */

static void set_open(struct service_console *console, bool open) {
    spin_lock(&console->lock);
    __atomic_store_n(&console->open, open ? 1 : 0, __ATOMIC_RELEASE);
    if (!open) {
        ring_drop(&console->input, console->input.count);
        console->input_at = 0;
    }
    spin_unlock(&console->lock);
    console_guest_ready(console->vm);
}

int32_t service_console_open(uint32_t vm, uint32_t open) {
    struct service_console *console = console_of(vm);

    if (!console)
        return -ENOENT;
    if (open > 1)
        return -EINVAL;
    set_open(console, open != 0);
    return 0;
}

void service_console_close(const struct vm *vm) {
    if (console_of(vm->id))
        set_open(console_of(vm->id), false);
}

int service_console_create(struct vm *vm) {
    struct service_console *console = heap_allocate(sizeof(*console), &vm->memory.account);

    if (!console)
        return -ENOMEM;
    console->vm = vm;
    console->input = (struct bytes){.size = INPUT, .byte = console->typed};
    console->output = (struct bytes){.size = OUTPUT, .byte = console->printed};
    timer_init(&console->drain, drain);
    consoles[vm->id] = console;
    console_guest_attach_virtio(
        vm, &(struct console_receiver){.input = type, .device = console, .open = is_open});
    return 0;
}
