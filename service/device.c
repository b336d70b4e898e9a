// SPDX-License-Identifier: Apache-2.0
// Virtio devices of guests over PCI and MMIO (see service/device.h).
#include "service/device.h"

#include <errno.h>
#include <stddef.h>
#include "service/call.h"
#include "service/log.h"
#include "service/window.h"

_Static_assert(sizeof(struct virtio_record) <= PLAIN_DEVICE_RECORD, "the board has room for a record");

/* Its owner is the transport. */
struct device *device_of(const struct virtio_device *virtio) {
    return (struct device *)((char *)virtio->owner - offsetof(struct device, transport));
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

static void status(struct virtio_mmio *mmio, uint32_t clear, uint32_t set) {
    const struct device *device = mmio->owner;
    (void)service_call_status(device->plain.number, clear, set);
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
    const struct device *device = of_loop(loop);

    return device->place.mmio ? virtio_mmio_read(device->virtio, offset, size)
                              : virtio_pci_read(device->virtio, bar, offset, size);
}

static void device_write(struct loop_device *loop, unsigned bar, uint32_t offset, unsigned size,
                         uint64_t value) {
    const struct device *device = of_loop(loop);

    if (device->place.mmio)
        virtio_mmio_write(device->virtio, offset, size, value);
    else
        virtio_pci_write(device->virtio, bar, offset, size, value);
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
    if (device->place.mmio)
        virtio_mmio_describe(device->virtio, plain->vm, device->place.at, plain->loop.token, out);
    else
        virtio_pci_describe(device->virtio, plain->vm, plain->devfn, plain->loop.token, out);
}

static void reset(struct plain_device *plain) {
    struct device *device = of_plain(plain);

    device->messages = false;
    if (device->restarted)
        device->restarted(device);
    if (device->place.mmio)
        virtio_mmio_reset(device->virtio);
    else
        virtio_pci_reset(device->virtio);
}

/* A record that is not sound has its line in the log; the device goes on without. */
static void start(struct device *device) {
    if (device->place.mmio) {
        device->transport.mmio = (struct virtio_mmio){.status = status, .owner = device};
        (void)virtio_mmio_init(&device->transport.mmio, device->virtio);
    } else {
        device->transport.pci = (struct virtio_pci){.interrupt = interrupt, .line = line, .owner = device};
        (void)virtio_pci_init(&device->transport.pci, device->virtio);
    }
}

int device_add(struct device *device, struct virtio_device *virtio, unsigned vm,
               const struct device_place *place) {
    void *record;

    device->plain.loop = (struct loop_device){
        .doorbell = doorbell, .read = device_read, .write = device_write, .refused = refused};
    device->plain.work.run = work_run;
    device->plain.describe = describe;
    device->plain.reset = reset;
    device->virtio = virtio;
    device->place = *place;
    int error = plain_device_add(&device->plain, vm, place->mmio ? 0 : place->at, place->token, &record);
    if (error)
        return error;
    virtio->name = device->name;
    virtio->memory = window_memory(vm);
    if (place->iommu) {
        virtio->memory = virtio_iommu_add(place->iommu, place->at >> 3, virtio, virtio->memory);
        virtio->features_offered |= VIRTIO_PLATFORM;
    }
    virtio->record = record;
    virtio->features_offered |= VIRTIO_VERSION_1 | VIRTIO_RING_INDIRECT | VIRTIO_RING_EVENT |
                                VIRTIO_RING_PACKED | VIRTIO_RING_IN_ORDER;
    virtio->log = note;
    start(device);
    plain_device_attach(&device->plain);
    return 0;
}
