// SPDX-License-Identifier: Apache-2.0
// Virtio devices of guests over PCI (see service/device.h).
#include "service/device.h"

#include <errno.h>
#include <stddef.h>
#include "service/call.h"
#include "service/log.h"
#include "service/window.h"

_Static_assert(sizeof(struct virtio_record) <= PLAIN_DEVICE_RECORD, "the board has room for a record");

struct device *device_of(const struct virtio_device *virtio) {
    const struct virtio_pci *pci = virtio->owner;
    return pci->owner;
}

/* ---- what the transport calls */

/* Where MSI-X was on the last time, the message goes with the others of the turn. */
static int interrupt(struct virtio_pci *pci, unsigned vector) {
    struct device *device = pci->owner;

    if (device->messages) {
        loop_interrupt(device->plain.number, vector);
        return 0;
    }
    int result = service_call_interrupt(device->plain.number, vector);
    device->messages = result != -ENXIO;
    return result;
}

static void line(struct virtio_pci *pci, bool level) {
    const struct device *device = pci->owner;
    (void)service_call_line(device->plain.number, level);
}

static void note(struct virtio_device *virtio, const char *text) {
    const struct device *device = device_of(virtio);
    service_note(device->plain.vm, "%s", text); /* which names the device */
}

/* ---- what the loop calls */

static struct device *of_loop(struct loop_device *loop) {
    return (struct device *)((char *)loop - offsetof(struct device, plain.loop));
}

static void doorbell(struct loop_device *loop, uint32_t bits) {
    struct device *device = of_loop(loop);

    if (device->before)
        device->before(device);
    for (; bits; bits &= bits - 1) {
        unsigned queue = (unsigned)__builtin_ctz(bits);
        if (queue < device->virtio->queue_count)
            virtio_device_notify(device->virtio, queue);
    }
}

static uint64_t device_read(struct loop_device *loop, unsigned bar, uint32_t offset, unsigned size) {
    return virtio_pci_read(of_loop(loop)->virtio, bar, offset, size);
}

static void device_write(struct loop_device *loop, unsigned bar, uint32_t offset, unsigned size,
                         uint64_t value) {
    virtio_pci_write(of_loop(loop)->virtio, bar, offset, size, value);
}

static void refused(struct loop_device *loop) {
    struct device *device = of_loop(loop);

    device->messages = false;
    virtio_pci_refused(device->virtio);
}

static void work_run(struct loop_work *work) {
    struct device *device = (struct device *)((char *)work - offsetof(struct device, plain.work));

    if (device->run && device->run(device))
        loop_queue(work);
}

void device_again(struct device *device) {
    loop_queue(&device->plain.work);
}

/* ---- their life */

static struct device *of_plain(struct plain_device *plain) {
    return (struct device *)((char *)plain - offsetof(struct device, plain));
}

static void describe(struct plain_device *plain, struct service_device *out) {
    const struct device *device = of_plain(plain);
    virtio_pci_describe(device->virtio, plain->vm, plain->devfn, plain->loop.token, out);
}

static void reset(struct plain_device *plain) {
    struct device *device = of_plain(plain);

    device->messages = false;
    virtio_pci_reset(device->virtio);
}

int device_add(struct device *device, struct virtio_device *virtio, unsigned vm, unsigned devfn,
               uint32_t token) {
    void *record;

    device->plain.loop = (struct loop_device){
        .doorbell = doorbell, .read = device_read, .write = device_write, .refused = refused};
    device->plain.work.run = work_run;
    device->plain.describe = describe;
    device->plain.reset = reset;
    device->virtio = virtio;
    int error = plain_device_add(&device->plain, vm, devfn, token, &record);
    if (error)
        return error;
    device->pci.interrupt = interrupt;
    device->pci.line = line;
    device->pci.owner = device;
    virtio->name = device->name;
    virtio->memory = window_memory(vm);
    virtio->record = record;
    virtio->features_offered |= VIRTIO_VERSION_1 | VIRTIO_RING_INDIRECT | VIRTIO_RING_EVENT |
                                VIRTIO_RING_PACKED | VIRTIO_RING_IN_ORDER;
    virtio->log = note;
    /* A record that is not sound has its line in the log; the device goes on without. */
    (void)virtio_pci_init(&device->pci, virtio);
    plain_device_attach(&device->plain);
    return 0;
}
