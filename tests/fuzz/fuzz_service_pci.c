// SPDX-License-Identifier: Apache-2.0
// A PCI function of the service VM's with any description, under any accesses of its guest and calls of the
// service VM: BARs never cover RAM or other ranges, what reaches the service VM lies inside a region of the
// description, and a state that was saved can be loaded.
// fuzz-sources: devices/service_pci.c devices/pci_bar.c devices/pci_msix.c devices/pci_function.c
// fuzz-sources: core/bus.c lib/state.c
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "core/service.h"
#include "core/vm.h"
#include "devices/pci_function.h"
#include "devices/service_pci.h"
#include "lib/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct cpu *test_cpu;
uint64_t test_time;

#define RAM   0x400000ull
#define OTHER 0x500000ull /* a page that belongs to another device */

static struct vm vm;
static struct vcpu vcpu;
static struct pci_function *function;
static struct service_device description;
static bool pin;

static void check(bool holds) {
    if (!holds)
        abort();
}

void *heap_allocate(size_t size, struct memory_account *account) {
    (void)account;
    return calloc(1, size);
}

void heap_free(void *object, size_t size, struct memory_account *account) {
    (void)size;
    (void)account;
    free(object);
}

int arch_pci_add(struct vm *which, struct pci_function *added) {
    (void)which;
    function = added;
    return 0;
}

void arch_pci_remove(struct vm *which, struct pci_function *removed) {
    (void)which;
    check(removed == function);
    pin = false;
}

void arch_pci_line(struct vm *which, struct pci_function *of, bool level) {
    (void)which;
    check(of == function && level != pin);
    pin = level;
}

uint64_t arch_pci_memory(struct vm *which, uint32_t address) {
    (void)which;
    return address >> 28 == 15 ? UINT64_MAX : address;
}

uint64_t arch_pci_value(uint64_t value, unsigned size) {
    (void)size;
    return value;
}

int arch_msi(struct vm *which, uint64_t address, uint32_t data) {
    (void)which;
    (void)data;
    check(!(address & 3) && !pin && (function->config[4] & 4));
    return 0;
}

static const struct service_region *region_at(unsigned bar, uint64_t offset, unsigned kind) {
    for (unsigned i = 0; i < SERVICE_DEVICE_REGIONS && description.region[i].kind; i++) {
        const struct service_region *r = &description.region[i];
        if (r->bar == bar && r->kind == kind && offset >= r->offset && offset - r->offset < r->size)
            return r;
    }
    return NULL;
}

int service_request(struct vcpu *by, unsigned number, unsigned bar, uint64_t offset, unsigned size,
                    bool write, uint64_t *value) {
    const struct service_region *r = region_at(bar, offset, SERVICE_REGION_REQUEST);
    check(by == &vcpu && number == 1 && r && size <= r->size - (offset - r->offset));
    *value = write ? *value : offset;
    return offset & 8 ? -EAGAIN : 0;
}

void service_doorbell(unsigned number, unsigned bit) {
    check(number == 1 && bit < 32);
}

/* ---- the input ---- */

struct input {
    const uint8_t *data;
    size_t left;
};

static uint32_t take(struct input *in, unsigned size) {
    uint32_t value = 0;
    for (unsigned i = 0; i < size && in->left; i++, in->left--)
        value = value << 8 | *in->data++;
    return value;
}

/* Mostly such as are taken. */
static void describe(struct input *in) {
    uint32_t odd = take(in, 2);
    memset(&description, 0, sizeof(description));
    description.token = 1;
    description.devfn = (uint8_t)take(in, 1);
    description.bar_size[0] = 0x1000u << take(in, 1) % 9;
    description.bar_size[1] = 0x4000;
    description.bar_size[take(in, 1) % 6] = odd & 1 ? take(in, 4) : 0x2000;
    description.msix = odd & 2 ? (uint8_t)take(in, 1) : 0x40;
    description.config[description.msix] = 0x11;
    description.vectors = odd & 4 ? (uint16_t)take(in, 2) : 1 + take(in, 1) % 64;
    description.region[0] = (struct service_region){.size = 0x400, .bar = 1, .kind = SERVICE_REGION_MSIX};
    description.region[1] =
        (struct service_region){.offset = 0x400, .size = 8, .bar = 1, .kind = SERVICE_REGION_PBA};
    description.region[2] = (struct service_region){
        .offset = 0x1000, .size = 0x40, .stride = 4, .bar = 1, .kind = SERVICE_REGION_DOORBELL};
    description.region[3] =
        (struct service_region){.offset = 0x2000, .size = 0x1800, .bar = 1, .kind = SERVICE_REGION_REQUEST};
    for (unsigned i = 4; i < SERVICE_DEVICE_REGIONS && odd & 8u << i; i++)
        description.region[i] = (struct service_region){.offset = take(in, 3),
                                                        .size = take(in, 3),
                                                        .stride = (uint16_t)take(in, 2),
                                                        .bar = (uint8_t)take(in, 1),
                                                        .kind = (uint8_t)take(in, 1) % 6};
    description.config[0x3d] = (uint8_t)take(in, 1) % 6;
    for (unsigned i = 0; odd & 16 && i < 16; i++)
        description.writable[take(in, 1)] = (uint8_t)take(in, 1);
}

static void look(const struct service_function *f) {
    (void)f;
    uint64_t page = 0;
    for (; page < RAM; page += 0x1000)
        check(!bus_find(&vm.bus[BUS_MEMORY], page));
    const struct bus_range *other = bus_find(&vm.bus[BUS_MEMORY], OTHER);
    check(other && other->base == OTHER && other->size == 0x1000);
    check(!bus_find(&vm.bus[BUS_MEMORY], 0xf0000000));
    check(!(function->config[4] & 2) ? !bus_find(&vm.bus[BUS_MEMORY], 0x800000) : true);
}

/* Saves, resets, loads, saves: the same. */
static void travel(struct service_function *f) {
    static uint8_t first[4096] __attribute__((aligned(8))), second[4096] __attribute__((aligned(8)));
    struct state_writer writer;
    struct state_reader reader;
    state_writer_init(&writer, first, sizeof(first));
    state_begin(&writer, "test", 0, SERVICE_PCI_STATE_VERSION);
    service_pci_save(f, &writer);
    state_end(&writer);
    int64_t size = state_finish(&writer);
    check(size > 0 && !state_reader_init(&reader, first, (size_t)size) && state_next(&reader));
    service_pci_reset(f);
    check(!pin);
    check(!service_pci_load(f, &reader));
    state_writer_init(&writer, second, sizeof(second));
    state_begin(&writer, "test", 0, SERVICE_PCI_STATE_VERSION);
    service_pci_save(f, &writer);
    state_end(&writer);
    check(state_finish(&writer) == size && !memcmp(first, second, (size_t)size));
}

static void step(struct service_function *f, struct input *in) {
    static const uint32_t places[] = {0, 0x3ff000, RAM, OTHER, 0x600000, 0x800000, 0xefffc000, 0xfffff000};
    unsigned size = 1u << take(in, 1) % 4;
    uint64_t value = take(in, 4) * 0x100000001ull;
    uint64_t address = places[take(in, 1) % 8] + take(in, 2);
    unsigned offset = take(in, 1);
    switch (take(in, 1) % 10) {
    case 0:
        bus_read(&vm.bus[BUS_MEMORY], &vcpu, address, size, &value);
        break;
    case 1:
    case 2:
        bus_write(&vm.bus[BUS_MEMORY], &vcpu, address, size, value);
        break;
    case 3:
        function->ops->write(&vm, function, 0x10 + offset % 6 * 4, 4, (uint32_t)address);
        break;
    case 4:
        function->ops->write(&vm, function, 4, 2, (uint32_t)value);
        break;
    case 5:
        size = size > 4 ? 4 : size;
        function->ops->write(&vm, function, offset & ~(size - 1), size, (uint32_t)value);
        break;
    case 6:
        service_pci_interrupt(f, (uint32_t)value % 70);
        break;
    case 7:
        service_pci_line(f, value & 1);
        break;
    case 8:
        if (offset >= 0x40) /* what it changes in the header does not travel */
            service_pci_config(f, offset, size, (uint32_t)value);
        break;
    default:
        travel(f);
        break;
    }
}

static int nobody_read(void *device, struct vcpu *by, uint64_t offset, unsigned size, uint64_t *value) {
    (void)device;
    (void)by;
    (void)offset;
    (void)size;
    *value = 0;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct bus_ops nobody = {.read = nobody_read};
    struct input in = {data, size};
    struct service_function *f;
    memset(&vm, 0, sizeof(vm));
    pin = false;
    check(!bus_init(&vm.bus[BUS_MEMORY]));
    check(!bus_add(&vm.bus[BUS_MEMORY], OTHER, 0x1000, &nobody, NULL, "other"));
    vm.memory.region_count = 1;
    vm.memory.region[0] = (struct guest_region){.size = RAM};
    describe(&in);
    if (!service_pci_create(&vm, 1, &description, &f)) {
        for (unsigned steps = 0; in.left && steps < 200; steps++) {
            step(f, &in);
            look(f);
        }
        service_pci_destroy(f);
        check(!pin && !bus_find(&vm.bus[BUS_MEMORY], RAM));
    }
    bus_destroy(&vm.bus[BUS_MEMORY]);
    return 0;
}
