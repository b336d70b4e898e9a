// SPDX-License-Identifier: Apache-2.0
// Devices of guests: number, record, and their VM's starts (see service/plain_device.h).
#include "service/plain_device.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include "service/call.h"
#include "service/window.h"

/* A device's record in the board: kept while this program starts anew, void once the VM has. */
struct device_record {
    uint64_t own[PLAIN_DEVICE_RECORD / sizeof(uint64_t)];
    uint32_t resets; /* of the VM */
    uint32_t unused;
};
_Static_assert(sizeof(struct device_record) == SERVICE_RECORD_SIZE, "the record is all that there is");

static struct service_board *board;
static struct plain_device *devices;
static uint32_t settling; /* bit n: VM n's devices were reset, and the hypervisor has not been told */
static uint32_t settling_for[SERVICE_MAX_VMS]; /* the VM's `resets` then */

void plain_device_init(struct service_board *service_board) {
    board = service_board;
    devices = NULL;
    settling = 0;
}

static struct device_record *record_of(unsigned number) {
    return (struct device_record *)(void *)((char *)board + board->record_offset +
                                            (size_t)number * SERVICE_RECORD_SIZE);
}

static uint32_t resets_of(unsigned vm) {
    return __atomic_load_n(&board->vm[vm].resets, __ATOMIC_RELAXED);
}

static void mark(struct plain_device *device) {
    device->resets = *device->marked = resets_of(device->vm);
}

/* The number of the device, which is made unless the hypervisor knows it already. */
static int function_of(struct plain_device *device) {
    static struct service_device description; /* the hypervisor reads it: in our own memory */
    int number = loop_find(device->loop.token);

    if (number >= 0)
        return number;
    device->describe(device, &description);
    number = service_call_device(&description);
    /* What another device of that number left is none of this one's. */
    if (number >= 0)
        memset(record_of((unsigned)number), 0, SERVICE_RECORD_SIZE);
    return number;
}

int plain_device_add(struct plain_device *device, unsigned vm, unsigned devfn, uint32_t token,
                     void **own_record) {
    device->loop.token = token;
    device->vm = vm;
    device->devfn = devfn;
    if (!window_mapped(vm))
        return -ENOMEM;
    int number = function_of(device);
    if (number < 0)
        return number;

    struct device_record *record = record_of((unsigned)number);
    device->number = (unsigned)number;
    device->marked = &record->resets;
    if (record->resets != resets_of(vm))
        memset(record, 0, sizeof(*record));
    mark(device);
    *own_record = record->own;
    return 0;
}

void plain_device_attach(struct plain_device *device) {
    loop_attach(device->number, &device->loop);
    device->next = devices;
    devices = device;
}

void plain_device_vm_changed(unsigned vm) {
    uint32_t resets = resets_of(vm);

    for (struct plain_device *device = devices; device; device = device->next)
        if (device->vm == vm && device->resets != resets) {
            device->reset(device);
            mark(device);
        }
    settling |= 1u << vm;
    settling_for[vm] = resets;
    plain_device_settle();
}

/* A disk may take its time: until it has done what it was asked for, the VM's RAM is not to be cleared. */
static bool idle(unsigned vm) {
    for (const struct plain_device *device = devices; device; device = device->next)
        if (device->vm == vm && device->idle && !device->idle(device))
            return false;
    return true;
}

void plain_device_settle(void) {
    for (uint32_t left = settling; left; left &= left - 1) {
        unsigned vm = (unsigned)__builtin_ctz(left);
        if (!idle(vm))
            continue;
        settling &= ~(1u << vm);
        __atomic_store_n(&board->vm_settled[vm], settling_for[vm], __ATOMIC_RELEASE);
    }
}
