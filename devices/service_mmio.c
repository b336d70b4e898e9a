// SPDX-License-Identifier: Apache-2.0
// The hypervisor's side of a device on no bus that the service VM answers for.
#include "devices/service_mmio.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "core/service.h"
#include "core/vm.h"
#include "devices/service_region.h"
#include "lib/config.h"

static_assert(SERVICE_MMIO_PLACES <= 32, "a set of places fits in 32 bits");

/*
 * Regions never change. `lock` guards the status and the line, on all CPUs: guests' accesses and the service
 * VM's calls, which take no other lock before it; inside it are those that arch_mmio_line() needs.
 */
struct service_mmio {
    struct vm *vm;
    unsigned number, place;
    uint32_t select;       /* offset of the doorbells' register, or SERVICE_MMIO_SIZE */
    uint32_t select_count; /* of doorbells */
    struct service_region region[SERVICE_DEVICE_REGIONS];
    unsigned region_count;
    bool has_status;
    struct spinlock lock;
    uint32_t status; /* atomic */
    bool line;       /* as it was last driven */
};

/* ---- the interrupt */

static void set_status(struct service_mmio *m, uint32_t clear, uint32_t set) {
    spin_lock(&m->lock);
    uint32_t status = (m->status & ~clear) | set;
    __atomic_store_n(&m->status, status, __ATOMIC_RELAXED);
    if (m->line != (status != 0)) {
        m->line = status != 0;
        arch_mmio_line(m->vm, m->place, m->line);
    }
    spin_unlock(&m->lock);
}

int service_mmio_status(struct service_mmio *m, uint32_t clear, uint32_t set) {
    if (!m->has_status)
        return -ENODEV;
    set_status(m, clear, set);
    return 0;
}

void service_mmio_reset(struct service_mmio *m) {
    set_status(m, UINT32_MAX, 0);
}

/* ---- registers */

static const struct service_region *region_of(const struct service_mmio *m, uint64_t offset, unsigned size) {
    return service_region_find(m->region, m->region_count, 0, offset, size);
}

static int mmio_read(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value) {
    struct service_mmio *m = device;
    const struct service_region *region = region_of(m, offset, size);
    uint64_t answer = 0;
    int error = 0;

    if (!region)
        return 0; /* *value is 0 */
    if (region->kind == SERVICE_REGION_REQUEST)
        error = service_request(vcpu, m->number, 0, offset, size, false, &answer);
    else if (region->kind == SERVICE_REGION_STATUS && offset == region->offset && size == 4)
        answer = __atomic_load_n(&m->status, __ATOMIC_RELAXED);
    *value = arch_pci_value(answer, size);
    return error;
}

static int mmio_write(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value) {
    struct service_mmio *m = device;

    value = arch_pci_value(value, size);
    if (offset == m->select) {
        if (size == 4 && value < m->select_count)
            service_doorbell(m->number, (unsigned)value);
        return 0;
    }
    const struct service_region *region = region_of(m, offset, size);
    if (!region)
        return 0;
    if (region->kind == SERVICE_REGION_REQUEST)
        return service_request(vcpu, m->number, 0, offset, size, true, &value);
    if (region->kind == SERVICE_REGION_STATUS && offset == region->offset + 4 && size == 4)
        set_status(m, (uint32_t)value, 0);
    return 0;
}

static const struct bus_ops mmio_ops = {.read = mmio_read, .write = mmio_write};

/* ---- what the description has to be */

static bool region_sound(const struct service_device *d, const struct service_region *r) {
    (void)d;
    switch (r->kind) {
    case SERVICE_REGION_REQUEST:
        return true;
    case SERVICE_REGION_SELECT:
        return r->size == 4 && r->stride >= 1 && r->stride <= SERVICE_DOORBELLS;
    case SERVICE_REGION_STATUS:
        return r->size == 8;
    default:
        return false;
    }
}

static bool regions_sound(const struct service_device *d) {
    return service_regions_sound(d, region_sound) &&
           service_region_count(d, SERVICE_REGION_SELECT, -1) <= 1 &&
           service_region_count(d, SERVICE_REGION_STATUS, -1) <= 1;
}

static bool description_sound(const struct service_device *d) {
    for (unsigned i = 1; i < sizeof(d->bar_size) / sizeof(d->bar_size[0]); i++)
        if (d->bar_size[i])
            return false;
    return d->token && d->bus == SERVICE_BUS_MMIO && d->place < SERVICE_MMIO_PLACES && !d->vectors &&
           d->bar_size[0] == SERVICE_MMIO_SIZE && regions_sound(d);
}

/* ---- making one */

static void set_regions(struct service_mmio *m, const struct service_device *d) {
    m->select = SERVICE_MMIO_SIZE;
    while (m->region_count < SERVICE_DEVICE_REGIONS &&
           d->region[m->region_count].kind != SERVICE_REGION_NONE) {
        const struct service_region *r = &d->region[m->region_count];
        m->region[m->region_count++] = *r;
        m->has_status = m->has_status || r->kind == SERVICE_REGION_STATUS;
        if (r->kind == SERVICE_REGION_SELECT) {
            m->select = r->offset;
            m->select_count = r->stride;
        }
    }
}

int service_mmio_create(struct vm *vm, unsigned number, const struct service_device *description,
                        struct service_mmio **out) {
    if (!description_sound(description))
        return -EINVAL;
    struct service_mmio *m = heap_allocate(sizeof(*m), &vm->memory.account);
    if (!m)
        return -ENOMEM;
    m->vm = vm;
    m->number = number;
    m->place = description->place;
    set_regions(m, description);
    int error = bus_add(&vm->bus[BUS_MEMORY], arch_mmio_place(m->place), SERVICE_MMIO_SIZE, &mmio_ops, m,
                        "MMIO device");
    if (error)
        heap_free(m, sizeof(*m), &vm->memory.account);
    else
        *out = m;
    return error;
}

/* ---- what guests are told of */

uint32_t service_mmio_places(const struct vm *vm) {
    uint32_t places = config_mmio_places(vm->config);
    uint8_t byte;

    if (places & 1u << SERVICE_MMIO_ENTROPY && arch_entropy(&byte, sizeof(byte)) == -ENODEV)
        places &= ~(1u << SERVICE_MMIO_ENTROPY);
    return places;
}
