// SPDX-License-Identifier: Apache-2.0
// AHCI controllers of guests (see service/ahci_device.h).
#include "service/ahci_device.h"

#include <stddef.h>
#include <stdio.h>
#include "service/call.h"
#include "service/log.h"
#include "service/window.h"

_Static_assert(sizeof(struct ahci_record) <= PLAIN_DEVICE_RECORD, "the board has room for a record");

static struct ahci_device *of_ahci(struct ahci *ahci) {
    return (struct ahci_device *)((char *)ahci - offsetof(struct ahci_device, ahci));
}

static struct ahci_device *of_loop(struct loop_device *loop) {
    return (struct ahci_device *)((char *)loop - offsetof(struct ahci_device, plain.loop));
}

static struct ahci_device *of_plain(struct plain_device *plain) {
    return (struct ahci_device *)((char *)plain - offsetof(struct ahci_device, plain));
}

/* ---- what the controller calls */

static void line(struct ahci *ahci, bool level) {
    (void)service_call_line(of_ahci(ahci)->plain.number, level);
}

static void again(struct ahci *ahci) {
    loop_queue(&of_ahci(ahci)->plain.work);
}

static void note(struct ahci *ahci, const char *text) {
    service_note(of_ahci(ahci)->plain.vm, "%s", text); /* which names the disk */
}

/* ---- what the loop and the hypervisor want */

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

static void run(struct loop_work *work) {
    ahci_run(&((struct ahci_device *)((char *)work - offsetof(struct ahci_device, plain.work)))->ahci);
}

static void describe(struct plain_device *plain, struct service_device *out) {
    ahci_describe(&of_plain(plain)->ahci, out);
    out->token = plain->loop.token;
    out->vm = (uint16_t)plain->vm;
    out->devfn = (uint8_t)plain->devfn;
}

static void reset(struct plain_device *plain) {
    ahci_reset(&of_plain(plain)->ahci);
}

static bool idle(const struct plain_device *plain) {
    return ahci_idle(
        &((const struct ahci_device *)((const char *)plain - offsetof(struct ahci_device, plain)))->ahci);
}

/* ---- making one */

void ahci_device_port(struct ahci_device *device, unsigned number, struct disk *disk, const char *serial,
                      bool read_only) {
    char *name = device->name[device->ahci.ports];

    snprintf(name, AHCI_DEVICE_NAME_SIZE, "disk%u", number % 10);
    ahci_add_port(&device->ahci, disk, name, serial, read_only);
}

int ahci_device_add(struct ahci_device *device, unsigned vm, unsigned devfn, uint32_t token) {
    void *record;

    device->plain.loop =
        (struct loop_device){.doorbell = doorbell, .read = device_read, .write = device_write};
    device->plain.work.run = run;
    device->plain.describe = describe;
    device->plain.reset = reset;
    device->plain.idle = idle;
    int error = plain_device_add(&device->plain, vm, devfn, token, &record);
    if (error)
        return error;
    device->ahci.memory = window_memory(vm);
    device->ahci.line = line;
    device->ahci.again = again;
    device->ahci.log = note;
    if (ahci_init(&device->ahci, record) != 0)
        service_note(vm, "the AHCI controller's record was not sound: it starts anew");
    plain_device_attach(&device->plain);
    return 0;
}
