// SPDX-License-Identifier: Apache-2.0
// Emulated 82540EMs of guests (see service/e1000_device.h).
#include "service/e1000_device.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include "service/call.h"
#include "service/clock.h"
#include "service/figures.h"
#include "service/heap.h"
#include "service/log.h"
#include "service/plain_device.h"
#include "service/window.h"

struct e1000_device {
    struct plain_device plain;
    struct e1000_card card;
    char name[8]; /* "net0" */
};
_Static_assert(sizeof(struct e1000_record) <= PLAIN_DEVICE_RECORD, "the board has room for a record");

static struct e1000_device *of_card(struct e1000_card *card) {
    return (struct e1000_device *)((char *)card - offsetof(struct e1000_device, card));
}

static struct e1000_device *of_loop(struct loop_device *loop) {
    return (struct e1000_device *)((char *)loop - offsetof(struct e1000_device, plain.loop));
}

static struct e1000_device *of_plain(struct plain_device *plain) {
    return (struct e1000_device *)((char *)plain - offsetof(struct e1000_device, plain));
}

/* ---- what the card calls */

static void line(struct e1000_card *card, bool level) {
    (void)service_call_line(of_card(card)->plain.number, level);
}

static void again(struct e1000_card *card) {
    loop_queue(&of_card(card)->plain.work);
}

static void note(struct e1000_card *card, const char *text) {
    service_note(of_card(card)->plain.vm, "%s", text);
}

/* ---- what the loop and the hypervisor want */

/* It has none; bits are set once after a restart. */
static void doorbell(struct loop_device *loop, uint32_t bits) {
    (void)loop;
    (void)bits;
}

static uint64_t read(struct loop_device *loop, unsigned bar, uint32_t offset, unsigned size) {
    return e1000_card_read(&of_loop(loop)->card, bar, offset, size);
}

static void write(struct loop_device *loop, unsigned bar, uint32_t offset, unsigned size, uint64_t value) {
    e1000_card_write(&of_loop(loop)->card, bar, offset, size, value);
}

/* A network's time is in ms; as near as makes no difference, and without a division. */
static void run(struct loop_work *work) {
    struct e1000_device *device =
        (struct e1000_device *)((char *)work - offsetof(struct e1000_device, plain.work));

    switch_tick(device->card.port.network, clock_now() >> 20);
    if (e1000_card_run(&device->card))
        loop_queue(work);
}

static void describe(struct plain_device *plain, struct service_device *out) {
    e1000_card_describe(plain->vm, plain->devfn, plain->loop.token, out);
}

static void reset(struct plain_device *plain) {
    e1000_card_reset(&of_plain(plain)->card);
}

int e1000_device_make(unsigned vm, unsigned devfn, uint32_t token, unsigned number,
                      const struct e1000_setup *setup) {
    struct e1000_device *device = heap_allocate(sizeof(*device));
    void *record;

    if (!device)
        return -ENOMEM;
    snprintf(device->name, sizeof(device->name), "net%u", number % 10);
    device->plain.loop = (struct loop_device){.doorbell = doorbell, .read = read, .write = write};
    device->plain.work.run = run;
    device->plain.describe = describe;
    device->plain.reset = reset;
    device->card.name = device->name;
    device->card.memory = window_memory(vm);
    device->card.line = line;
    device->card.again = again;
    device->card.note = note;
    int error = e1000_card_init(&device->card, setup);
    if (!error)
        error = plain_device_add(&device->plain, vm, devfn, token, &record);
    if (error)
        return error;
    device->card.record = record;
    e1000_card_start(&device->card);
    plain_device_attach(&device->plain);
    figures_add_port(vm, &device->card.port);
    return 0;
}
