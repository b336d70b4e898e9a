// SPDX-License-Identifier: Apache-2.0
// Guests' virtio consoles (see service/console.h). What the hypervisor does not take now stays in the guest's
// queue, what the guest does not take in the hypervisor: nothing is lost, and nobody asks again and again.
#include "service/console.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "service/call.h"
#include "service/device.h"
#include "service/heap.h"
#include "virtio/console.h"

#define COLUMNS 80u /* of a terminal of which nothing is known */
#define ROWS    24u

_Static_assert(VIRTIO_CONSOLE_PIECE <= SERVICE_MAX_CONSOLE, "a call takes a piece");

struct console_device {
    struct device device;
    struct virtio_console console;
    bool open; /* as the hypervisor was told */
};

static struct console_device *consoles[SERVICE_MAX_VMS];

static void tell_open(struct console_device *made, bool open) {
    made->open = open;
    (void)service_call_console_open(made->device.plain.vm, open);
}

static void opened(void *context, bool open) {
    tell_open(context, open);
}

/* What the hypervisor refuses with an error it will never take. */
static size_t output(void *context, const uint8_t *bytes, size_t size) {
    const struct console_device *made = context;
    uint32_t piece = size < SERVICE_MAX_CONSOLE ? (uint32_t)size : SERVICE_MAX_CONSOLE;
    int taken = service_call_console_write(made->device.plain.vm, bytes, piece);

    return taken < 0 || (uint32_t)taken > piece ? piece : (size_t)taken;
}

/* The hypervisor keeps it until it is told that the guest has it. */
static size_t input(void *context, uint32_t from, uint8_t *bytes, size_t size) {
    const struct console_device *made = context;
    int count = service_call_console_read(made->device.plain.vm, bytes, (uint32_t)size, from);

    return count < 0 || (size_t)count > size ? 0 : (size_t)count;
}

static bool work(struct device *device) {
    struct console_device *made = (struct console_device *)device;

    virtio_console_run(&made->console);
    if (made->open && !virtio_running(&made->console.device))
        tell_open(made, false); /* its driver has broken the rules */
    return false;               /* it asks for itself */
}

/* A doorbell may show that the driver breaks the rules: work() looks at that. */
static void before(struct device *device) {
    device_again(device);
}

static void again(struct virtio_console *console) {
    device_again(device_of(&console->device));
}

void console_event(unsigned vm) {
    struct console_device *made = vm < SERVICE_MAX_VMS ? consoles[vm] : NULL;

    if (!made)
        return;
    virtio_console_typed(&made->console);
    device_again(&made->device);
}

int console_make(unsigned vm, const struct device_place *place) {
    struct console_device *made = heap_allocate(sizeof(*made));

    if (!made)
        return -ENOMEM;
    snprintf(made->device.name, sizeof(made->device.name), "console");
    made->device.before = before;
    made->device.run = work;
    virtio_console_init(&made->console, output, input, made, again);
    made->console.opened = opened;
    made->console.columns = COLUMNS;
    made->console.rows = ROWS;
    int error = device_add(&made->device, &made->console.device, vm, place);
    if (error)
        return error;
    /* After a restart, or a reset that we have not seen, the hypervisor may think otherwise. */
    tell_open(made, virtio_running(&made->console.device));
    device_again(&made->device);
    consoles[vm] = made;
    return 0;
}

void console_init(void) {
    memset(consoles, 0, sizeof(consoles));
}
