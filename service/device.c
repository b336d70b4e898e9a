// SPDX-License-Identifier: Apache-2.0
// Virtio devices of guests over PCI (see service/device.h).
#include "service/device.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include "service/call.h"
#include "service/log.h"
#include "service/window.h"

/* A device's record in the board: kept while this program starts anew, void once the VM has. */
struct device_record {
    struct virtio_record virtio;
    uint32_t resets; /* of the VM */
};
_Static_assert(sizeof(struct device_record) <= SERVICE_RECORD_SIZE, "the board has room for a record");

static struct service_board *board;
static struct device *devices;

void device_init(struct service_board *service_board) {
    board = service_board;
    devices = NULL;
}

struct device *device_of(const struct virtio_device *virtio) {
    const struct virtio_pci *pci = virtio->owner;
    return pci->owner;
}

/* ---- what the transport calls */

static int interrupt(struct virtio_pci *pci, unsigned vector) {
    const struct device *device = pci->owner;
    return service_call_interrupt(device->number, vector);
}

static void line(struct virtio_pci *pci, bool level) {
    const struct device *device = pci->owner;
    (void)service_call_line(device->number, level);
}

static void note(struct virtio_device *virtio, const char *text) {
    const struct device *device = device_of(virtio);
    service_note(device->vm, "%s", text); /* which names the device */
}

/* ---- what the loop calls */

static struct device *of_loop(struct loop_device *loop) {
    return (struct device *)((char *)loop - offsetof(struct device, loop));
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

static void work_run(struct loop_work *work) {
    struct device *device = (struct device *)((char *)work - offsetof(struct device, work));

    if (device->run && device->run(device))
        loop_queue(work);
}

void device_again(struct device *device) {
    loop_queue(&device->work);
}

/* ---- their life */

static struct device_record *record_of(unsigned number) {
    return (struct device_record *)(void *)((char *)board + board->record_offset +
                                            (size_t)number * SERVICE_RECORD_SIZE);
}

static uint32_t resets_of(unsigned vm) {
    return __atomic_load_n(&board->vm[vm].resets, __ATOMIC_RELAXED);
}

static void mark(struct device *device) {
    device->resets = *device->marked = resets_of(device->vm);
}

/* The number of the PCI function, which is made unless the hypervisor knows it already. */
static int function_of(const struct device *device, unsigned devfn) {
    static struct service_device description; /* the hypervisor reads it: in our own memory */
    int number = loop_find(device->loop.token);

    if (number >= 0)
        return number;
    virtio_pci_describe(device->virtio, device->vm, devfn, device->loop.token, &description);
    number = service_call_device(&description);
    /* What another device of that number left is none of this one's. */
    if (number >= 0)
        memset(record_of((unsigned)number), 0, SERVICE_RECORD_SIZE);
    return number;
}

int device_add(struct device *device, struct virtio_device *virtio, unsigned vm, unsigned devfn,
               uint32_t token) {
    device->loop = (struct loop_device){
        .token = token, .doorbell = doorbell, .read = device_read, .write = device_write};
    device->work.run = work_run;
    device->virtio = virtio;
    device->vm = vm;
    if (!window_mapped(vm))
        return -ENOMEM;
    int number = function_of(device, devfn);
    if (number < 0)
        return number;

    struct device_record *record = record_of((unsigned)number);
    device->number = (unsigned)number;
    device->marked = &record->resets;
    if (record->resets != resets_of(vm))
        memset(record, 0, sizeof(*record));
    mark(device);
    device->pci.interrupt = interrupt;
    device->pci.line = line;
    device->pci.owner = device;
    virtio->name = device->name;
    virtio->memory = window_memory(vm);
    virtio->record = &record->virtio;
    virtio->features_offered |= VIRTIO_VERSION_1 | VIRTIO_RING_INDIRECT | VIRTIO_RING_EVENT |
                                VIRTIO_RING_PACKED | VIRTIO_RING_IN_ORDER;
    virtio->log = note;
    /* A record that is not sound has its line in the log; the device goes on without. */
    (void)virtio_pci_init(&device->pci, virtio);
    loop_attach(device->number, &device->loop);
    device->next = devices;
    devices = device;
    return 0;
}

void device_vm_changed(unsigned vm) {
    uint32_t resets = resets_of(vm);

    for (struct device *device = devices; device; device = device->next)
        if (device->vm == vm && device->resets != resets) {
            virtio_pci_reset(device->virtio);
            mark(device);
        }
    __atomic_store_n(&board->vm_settled[vm], resets, __ATOMIC_RELEASE);
}
