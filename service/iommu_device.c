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

/* ---- functions of the machine that the guest has: a mapping goes to the hypervisor in pieces */

_Static_assert(CONFIG_PASSED_SLOT == VIRTIO_IOMMU_PASSED_SLOT, "the places of these functions");

static int confine(struct virtio_iommu *iommu, unsigned number, bool on) {
    return service_call_dma_confine(made_of(iommu)->vm, number, on);
}

/* What of [mapping->start, end) begins at `at`. */
static struct service_dma piece(const struct iommu_mapping *mapping, uint64_t at, uint64_t end) {
    return (struct service_dma){.address = at,
                                .size = end - at < SERVICE_MAX_DMA ? end - at : SERVICE_MAX_DMA,
                                .gpa = mapping->physical + (at - mapping->start),
                                .writable = (mapping->flags & IOMMU_MAP_WRITE) != 0};
}

static void unmap_to(struct virtio_iommu *iommu, unsigned number, const struct iommu_mapping *mapping,
                     uint64_t end) {
    for (uint64_t at = mapping->start; at < end;) {
        struct service_dma dma = piece(mapping, at, end);
        int error = service_call_dma_unmap(made_of(iommu)->vm, number, &dma);
        if (error < 0) /* the hypervisor has no memory to split its tables with: nothing else can be done */
            service_fatal("VM %u: DMA of its function %u cannot be stopped: error %d", made_of(iommu)->vm,
                          number, -error);
        at += dma.size;
    }
}

static void unmap(struct virtio_iommu *iommu, unsigned number, const struct iommu_mapping *mapping) {
    unmap_to(iommu, number, mapping, mapping->end + 1);
}

/* Tables of IOMMUs know nothing that may be written and not read. */
static int map(struct virtio_iommu *iommu, unsigned number, const struct iommu_mapping *mapping) {
    if (!(mapping->flags & (IOMMU_MAP_READ | IOMMU_MAP_WRITE)))
        return 0;
    for (uint64_t at = mapping->start; at <= mapping->end;) {
        struct service_dma dma = piece(mapping, at, mapping->end + 1);
        int error = service_call_dma_map(made_of(iommu)->vm, number, &dma);
        if (error < 0) {
            unmap_to(iommu, number, mapping, at);
            return error;
        }
        at += dma.size;
    }
    return 0;
}

static const struct virtio_iommu_machine machine = {.confine = confine, .map = map, .unmap = unmap};

/* ---- making them */

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
    made->drain.expired = drain;
    made->vm = vm;
    if (!bits)
        slots &= (1u << CONFIG_PASSED_SLOT) - 1;
    virtio_iommu_init(&made->iommu, &kept[number], slots, again, later);
    if (bits)
        virtio_iommu_machine(&made->iommu, &machine, bits);
    *iommu = &made->iommu;
    return device_add(&made->device, &made->iommu.device, vm, &place);
}
