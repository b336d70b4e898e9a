// SPDX-License-Identifier: Apache-2.0
// AHCI controllers of guests (see service/ahci_device.h).
#include "service/ahci_device.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include "service/call.h"
#include "service/log.h"
#include "service/window.h"

/* A controller's record in the board: kept while this program starts anew, void once the VM has. */
struct board_record {
    struct ahci_record ahci;
    uint32_t resets; /* of the VM */
};
_Static_assert(sizeof(struct board_record) <= SERVICE_RECORD_SIZE, "the board has room for a record");

static struct service_board *board;
static struct ahci_device *devices;

void ahci_device_init(struct service_board *service_board) {
    board = service_board;
    devices = NULL;
}

/* ---- what the controller calls */

static struct ahci_device *of_ahci(struct ahci *ahci) {
    return (struct ahci_device *)((char *)ahci - offsetof(struct ahci_device, ahci));
}

static void line(struct ahci *ahci, bool level) {
    (void)service_call_line(of_ahci(ahci)->number, level);
}

static void again(struct ahci *ahci) {
    loop_queue(&of_ahci(ahci)->work);
}

static void note(struct ahci *ahci, const char *text) {
    service_note(of_ahci(ahci)->vm, "%s", text); /* which names the disk */
}

/* ---- what the loop calls */

static struct ahci_device *of_loop(struct loop_device *loop) {
    return (struct ahci_device *)((char *)loop - offsetof(struct ahci_device, loop));
}

/* It has none; after a restart the loop says that all were rung, all the same. */
static void doorbell(struct loop_device *loop, uint32_t bits) {
    (void)loop;
    (void)bits;
}

static uint64_t device_read(struct loop_device *loop, unsigned bar, uint32_t offset, unsigned size) {
    return ahci_read(&of_loop(loop)->ahci, bar, offset, size);
}

static void device_write(struct loop_device *loop, unsigned bar, uint32_t offset, unsigned size,
                         uint64_t value) {
    ahci_write(&of_loop(loop)->ahci, bar, offset, size, value);
}

static void work_run(struct loop_work *work) {
    ahci_run(&((struct ahci_device *)((char *)work - offsetof(struct ahci_device, work)))->ahci);
}

/* ---- their life */

static struct board_record *record_of(unsigned number) {
    return (struct board_record *)(void *)((char *)board + board->record_offset +
                                           (size_t)number * SERVICE_RECORD_SIZE);
}

static uint32_t resets_of(unsigned vm) {
    return __atomic_load_n(&board->vm[vm].resets, __ATOMIC_RELAXED);
}

void ahci_device_port(struct ahci_device *device, unsigned number, struct disk *disk, const char *serial,
                      bool read_only) {
    char *name = device->name[device->ahci.ports];

    snprintf(name, AHCI_DEVICE_NAME_SIZE, "disk%u", number % 10);
    ahci_add_port(&device->ahci, disk, name, serial, read_only);
}

/* The number of the PCI function, which is made unless the hypervisor knows it already. */
static int function_of(const struct ahci_device *device, unsigned devfn) {
    static struct service_device description; /* the hypervisor reads it: in our own memory */
    int number = loop_find(device->loop.token);

    if (number >= 0)
        return number;
    ahci_describe(&device->ahci, &description);
    description.token = device->loop.token;
    description.vm = (uint16_t)device->vm;
    description.devfn = (uint8_t)devfn;
    number = service_call_device(&description);
    /* What another device of that number left is none of this one's. */
    if (number >= 0)
        memset(record_of((unsigned)number), 0, SERVICE_RECORD_SIZE);
    return number;
}

int ahci_device_add(struct ahci_device *device, unsigned vm, unsigned devfn, uint32_t token) {
    device->loop = (struct loop_device){
        .token = token, .doorbell = doorbell, .read = device_read, .write = device_write};
    device->work.run = work_run;
    device->vm = vm;
    if (!window_mapped(vm))
        return -ENOMEM;
    int number = function_of(device, devfn);
    if (number < 0)
        return number;

    struct board_record *record = record_of((unsigned)number);
    device->number = (unsigned)number;
    device->marked = &record->resets;
    if (record->resets != resets_of(vm))
        memset(record, 0, sizeof(*record));
    record->resets = resets_of(vm);
    device->ahci.memory = window_memory(vm);
    device->ahci.line = line;
    device->ahci.again = again;
    device->ahci.log = note;
    if (ahci_init(&device->ahci, &record->ahci) != 0)
        service_note(vm, "the AHCI controller's record was not sound: it starts anew");
    loop_attach(device->number, &device->loop);
    device->next = devices;
    devices = device;
    return 0;
}

void ahci_device_vm_changed(unsigned vm) {
    uint32_t resets = resets_of(vm);

    for (struct ahci_device *device = devices; device; device = device->next)
        if (device->vm == vm && *device->marked != resets) {
            ahci_reset(&device->ahci);
            *device->marked = resets;
        }
}
