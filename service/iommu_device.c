// SPDX-License-Identifier: Apache-2.0
// Guests' IOMMUs (see service/iommu_device.h).
#include "service/iommu_device.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include "service/call.h"
#include "service/clock.h"
#include "service/device.h"
#include "service/heap.h"
#include "service/log.h"

#define DRAIN_WAIT CLOCK_MILLISECOND /* until it is looked again whether a disk has let go */

struct iommu_device {
    struct device device;
    struct virtio_iommu iommu;
    struct loop_timer drain;
    unsigned vm;
};

static struct iommu_kept *kept;
static unsigned kept_count;

static struct iommu_device *made_of(struct virtio_iommu *iommu) {
    return (struct iommu_device *)((char *)iommu - offsetof(struct iommu_device, iommu));
}

static bool work(struct device *device) {
    virtio_iommu_run(&((struct iommu_device *)device)->iommu);
    return false; /* it asks for itself */
}

static void again(struct virtio_iommu *iommu) {
    device_again(&made_of(iommu)->device);
}

static void later(struct virtio_iommu *iommu) {
    loop_set_timer(&made_of(iommu)->drain, clock_now() + DRAIN_WAIT);
}

static void drain(struct loop_timer *timer) {
    virtio_iommu_run(
        &((struct iommu_device *)(void *)((char *)timer - offsetof(struct iommu_device, drain)))->iommu);
}

static void restarted(struct device *device) {
    virtio_iommu_restart(&((struct iommu_device *)device)->iommu);
}

/* ---- functions of the machine that the guest has */

_Static_assert(CONFIG_PASSED_SLOT == VIRTIO_IOMMU_PASSED_SLOT, "the places of these functions");

static int confine(struct virtio_iommu *iommu, unsigned number, bool on) {
    return service_call_dma_confine(made_of(iommu)->vm, number, on);
}

static struct service_dma dma_of(const struct iommu_mapping *piece) {
    return (struct service_dma){.address = piece->start,
                                .size = piece->end - piece->start + 1,
                                .gpa = piece->physical,
                                .writable = (piece->flags & IOMMU_MAP_WRITE) != 0};
}

static void unmap(struct virtio_iommu *iommu, unsigned number, const struct iommu_mapping *piece) {
    struct service_dma dma = dma_of(piece);
    int error = service_call_dma_unmap(made_of(iommu)->vm, number, &dma);

    if (error < 0) /* the hypervisor has no memory to split its tables with: nothing else can be done */
        service_fatal("VM %u: DMA of its function %u cannot be stopped: error %d", made_of(iommu)->vm, number,
                      -error);
}

/* Tables of IOMMUs know nothing that may be written and not read. */
static int map(struct virtio_iommu *iommu, unsigned number, const struct iommu_mapping *piece) {
    struct service_dma dma = dma_of(piece);

    if (!(piece->flags & (IOMMU_MAP_READ | IOMMU_MAP_WRITE)))
        return 0;
    return service_call_dma_map(made_of(iommu)->vm, number, &dma);
}

static const struct virtio_iommu_machine machine = {.confine = confine, .map = map, .unmap = unmap};

/* ---- making them */

/* A guest does not begin before what it had mapped in its last run is gone. */
static bool idle(const struct plain_device *device) {
    return virtio_iommu_idle(&((const struct iommu_device *)(const void *)device)->iommu);
}

void iommu_device_init(void *memory, uint64_t size) {
    kept = memory;
    kept_count = memory ? (unsigned)(size / sizeof(*kept)) : 0;
}

int iommu_device_make(unsigned vm, unsigned number, const struct config_guest *guest, uint32_t token,
                      unsigned bits, struct virtio_iommu **iommu) {
    struct iommu_device *made = heap_allocate(sizeof(*made));
    uint32_t slots = config_iommu_slots(guest);
    const struct device_place place = {.at = CONFIG_IOMMU_SLOT << 3, .token = token};

    if (!made || number >= kept_count)
        return -ENOMEM;
    snprintf(made->device.name, sizeof(made->device.name), "iommu");
    made->device.run = work;
    made->device.restarted = restarted;
    made->device.plain.idle = idle;
    made->drain.expired = drain;
    made->vm = vm;
    if (!bits)
        slots &= (1u << CONFIG_PASSED_SLOT) - 1;
    virtio_iommu_init(&made->iommu, &kept[number], slots, again, later);
    if (bits)
        virtio_iommu_machine(&made->iommu, &machine, bits);
    *iommu = &made->iommu;
    int error = device_add(&made->device, &made->iommu.device, vm, &place);
    if (!error && !virtio_iommu_idle(&made->iommu)) /* our program ended in the midst of a reset */
        device_again(&made->device);
    return error;
}
