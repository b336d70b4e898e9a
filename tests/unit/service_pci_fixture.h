// SPDX-License-Identifier: Apache-2.0
// For unit tests of a PCI function that the service VM answers for: a VM's bus and memory, what the machine
// and the service VM are asked, and one description. Included by one file of a test program.
#ifndef SAGUARO_TESTS_SERVICE_PCI_FIXTURE_H
#define SAGUARO_TESTS_SERVICE_PCI_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/service.h"
#include "core/vm.h"
#include "devices/pci_function.h"
#include "devices/service_pci.h"
#include "lib/state.h"

struct cpu *test_cpu;
uint64_t test_time;

#define NUMBER  7u
#define RAM     0x10000000ull /* bytes, from 0 on */
#define ROM     0xfffc0000ull
#define OUTSIDE 0xd0002000u /* PCI addresses from here on are no CPU's... */
#define HIGHER  0xe0000000u /* ... up to here: from here on they are at another one */
#define SHIFT   0xb00000000ull
#define MSIX    0x98u

static struct {
    struct vm vm;
    struct vcpu vcpu;
    struct pci_function *function; /* on the bus */
    bool taken;                    /* arch_pci_add() finds its place so */
    bool big_endian;               /* the CPUs */
    bool pin;
    unsigned pins; /* changes of it */
    struct {
        uint64_t address;
        uint32_t data;
    } message[32];
    unsigned messages;
    uint32_t doorbells[32];
    struct {
        unsigned bar, size;
        uint64_t offset, value;
        bool write;
    } request;
    unsigned requests;
    int request_error;
    size_t heap;
    bool no_memory;
} world;

static struct service_device description;
static struct service_function *f;

/* ---- surroundings ---- */

void *heap_allocate(size_t size, struct memory_account *account) {
    (void)account;
    if (world.no_memory)
        return NULL;
    world.heap += size;
    return calloc(1, size);
}

void heap_free(void *object, size_t size, struct memory_account *account) {
    (void)account;
    world.heap -= size;
    free(object);
}

int arch_pci_add(struct vm *vm, struct pci_function *function) {
    assert_ptr_equal(vm, &world.vm);
    if (world.taken)
        return -EEXIST;
    world.function = function;
    return 0;
}

void arch_pci_remove(struct vm *vm, struct pci_function *function) {
    assert_ptr_equal(vm, &world.vm);
    assert_ptr_equal(function, world.function);
    world.function = NULL;
    world.pin = false;
}

void arch_pci_line(struct vm *vm, struct pci_function *function, bool level) {
    assert_ptr_equal(vm, &world.vm);
    assert_ptr_equal(function, world.function);
    assert_true(level != world.pin);
    world.pin = level;
    world.pins++;
}

uint64_t arch_pci_memory(struct vm *vm, uint32_t address) {
    assert_ptr_equal(vm, &world.vm);
    return address < OUTSIDE ? address : address < HIGHER ? UINT64_MAX : address + SHIFT;
}

uint64_t arch_pci_value(uint64_t value, unsigned size) {
    return world.big_endian ? __builtin_bswap64(value) >> 8 * (8 - size) : value;
}

int arch_msi(struct vm *vm, uint64_t address, uint32_t data) {
    assert_ptr_equal(vm, &world.vm);
    assert_in_range(world.messages, 0, array_count(world.message) - 1);
    world.message[world.messages].address = address;
    world.message[world.messages++].data = data;
    return 0;
}

int service_request(struct vcpu *vcpu, unsigned number, unsigned bar, uint64_t offset, unsigned size,
                    bool write, uint64_t *value) {
    assert_ptr_equal(vcpu, &world.vcpu);
    assert_int_equal(number, NUMBER);
    world.requests++;
    if (!world.request_error && !write)
        *value = world.request.value;
    if (write)
        world.request.value = *value;
    world.request.bar = bar;
    world.request.offset = offset;
    world.request.size = size;
    world.request.write = write;
    return world.request_error;
}

void service_doorbell(unsigned number, unsigned bit) {
    assert_int_equal(number, NUMBER);
    assert_in_range(bit, 0, 31);
    world.doorbells[bit]++;
}

/* ---- helpers ---- */

static inline uint32_t get(unsigned offset, unsigned size) {
    return world.function->ops->read(&world.vm, world.function, offset, size);
}

static inline void set(unsigned offset, unsigned size, uint32_t value) {
    world.function->ops->write(&world.vm, world.function, offset, size, value);
}

static inline uint64_t peek(uint64_t address, unsigned size) {
    uint64_t value = 0x1234567890abcdef;
    bus_read(&world.vm.bus[BUS_MEMORY], &world.vcpu, address, size, &value);
    return value;
}

static inline int poke(uint64_t address, unsigned size, uint64_t value) {
    return bus_write(&world.vm.bus[BUS_MEMORY], &world.vcpu, address, size, value);
}

/* BAR `n` answers at this address, and nowhere else. */
static inline bool is_at(uint64_t address) {
    const struct bus_range *range = bus_find(&world.vm.bus[BUS_MEMORY], address);
    return range && range->base == address;
}

static inline void describe(void) {
    description = (struct service_device){.token = 1, .devfn = 3 << 3, .msix = MSIX, .vectors = 4};
    description.bar_size[1] = 0x1000;
    description.bar_size[4] = 0x4000;
    const struct service_region regions[] = {
        {.offset = 0x800, .size = 64, .bar = 1, .kind = SERVICE_REGION_MSIX},
        {.offset = 0xc00, .size = 16, .bar = 1, .kind = SERVICE_REGION_PBA},
        {.offset = 0x0, .size = 0x38, .bar = 4, .kind = SERVICE_REGION_REQUEST},
        {.offset = 0x1000, .size = 0x80, .stride = 4, .bar = 4, .kind = SERVICE_REGION_DOORBELL},
        {.offset = 0x2000, .size = 0x1000, .bar = 4, .kind = SERVICE_REGION_REQUEST},
    };
    memcpy(description.region, regions, sizeof(regions));
    description.config[0] = 0xf4;
    description.config[1] = 0x1a;
    description.config[4] = 0xff; /* command, status: not all of it is the service VM's */
    description.config[6] = 0xff;
    description.config[0x0e] = 0x80;
    memset(&description.config[0x10], 0xff, 0x18);
    memset(&description.config[0x30], 0xff, 4);
    description.config[0x34] = MSIX;
    description.config[0x3d] = 1;
    description.config[MSIX] = 0x11;
    description.config[MSIX + 1] = 0x84;
    memset(&description.config[MSIX + 2], 0xff, 10);
    description.config[0x84] = 0x09;
    description.writable[0x3c] = 0xff;
    description.writable[0x88] = 0x0f;
    memset(&description.writable[0x0c], 0xff, 0x1c); /* the BARs and the header type are not for it to give */
    memset(&description.writable[0x30], 0xff, 4);
    memset(&description.writable[MSIX], 0xff, 12);
    description.writable[6] = 0xff;
    description.writable[0x3d] = 0xff;
}

static inline int create(void) {
    f = NULL;
    return service_pci_create(&world.vm, NUMBER, &description, &f);
}

static inline void world_init(void) {
    memset(&world, 0, sizeof(world));
    assert_int_equal(bus_init(&world.vm.bus[BUS_MEMORY]), 0);
    world.vm.memory.region_count = 2;
    world.vm.memory.region[0] = (struct guest_region){.base = 0, .size = RAM};
    world.vm.memory.region[1] = (struct guest_region){.base = ROM, .size = 0x40000, .kind = GUEST_ROM};
    world.vcpu.vm = &world.vm;
    describe();
}

static inline int start(void **state) {
    (void)state;
    world_init();
    assert_int_equal(create(), 0);
    return 0;
}

static inline int stop(void **state) {
    (void)state;
    service_pci_destroy(f);
    assert_null(world.function);
    assert_null(bus_find(&world.vm.bus[BUS_MEMORY], 0x20000000)); /* nor any BAR */
    bus_destroy(&world.vm.bus[BUS_MEMORY]);
    assert_int_equal(world.heap, 0);
    return 0;
}

/* As a driver has it: BAR 1 at 0x20000000, BAR 4 at 0x20004000, memory and bus master on. */
static inline int start_placed(void **state) {
    start(state);
    set(0x14, 4, 0x20000000);
    set(0x20, 4, 0x20004000);
    set(4, 2, 6);
    return 0;
}

#define TABLE 0x20000800ull
#define PBA   0x20000c00ull
#define BAR4  0x20004000ull

#endif
