// SPDX-License-Identifier: Apache-2.0
// A device on no bus that the service VM answers for: descriptions that are refused, its registers as the
// guest finds them, doorbells by value, the interrupt status and the line, and what guests are told of.
// unit-sources: devices/service_mmio.c core/bus.c
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
#include "devices/service_mmio.h"
#include "lib/config.h"

struct cpu *test_cpu;
uint64_t test_time;

#define NUMBER 7u
#define PLACE  9u
#define BASE   (0x40000000ull + PLACE * SERVICE_MMIO_SIZE)

static struct {
    struct vm vm;
    struct vcpu vcpu;
    bool big_endian; /* the CPUs */
    bool line;
    unsigned changes; /* of it */
    uint32_t doorbells[32];
    struct {
        unsigned size;
        uint64_t offset, value;
        bool write;
    } request;
    unsigned requests;
    int request_error;
    size_t heap;
    bool no_memory;
    uint32_t places;
    int entropy;
} world;

static struct service_device description;
static struct service_mmio *m;

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

uint64_t arch_mmio_place(unsigned place) {
    assert_true(place < SERVICE_MMIO_PLACES);
    return 0x40000000ull + place * SERVICE_MMIO_SIZE;
}

void arch_mmio_line(struct vm *vm, unsigned place, bool level) {
    assert_ptr_equal(vm, &world.vm);
    assert_int_equal(place, PLACE);
    assert_true(level != world.line);
    world.line = level;
    world.changes++;
}

uint64_t arch_pci_value(uint64_t value, unsigned size) {
    return world.big_endian ? __builtin_bswap64(value) >> 8 * (8 - size) : value;
}

int arch_entropy(uint8_t *bytes, unsigned size) {
    assert_int_equal(size, 1);
    *bytes = 0;
    return world.entropy;
}

uint32_t config_mmio_places(const struct config_guest *guest) {
    assert_ptr_equal(guest, world.vm.config);
    return world.places;
}

int service_request(struct vcpu *vcpu, unsigned number, unsigned bar, uint64_t offset, unsigned size,
                    bool write, uint64_t *value) {
    assert_ptr_equal(vcpu, &world.vcpu);
    assert_int_equal(number, NUMBER);
    assert_int_equal(bar, 0);
    world.requests++;
    if (!world.request_error && !write)
        *value = world.request.value;
    if (write)
        world.request.value = *value;
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

static uint64_t peek(uint64_t offset, unsigned size) {
    uint64_t value = 0x1234567890abcdef;
    assert_int_equal(bus_read(&world.vm.bus[BUS_MEMORY], &world.vcpu, BASE + offset, size, &value), 0);
    return value;
}

static void poke(uint64_t offset, unsigned size, uint64_t value) {
    assert_int_equal(bus_write(&world.vm.bus[BUS_MEMORY], &world.vcpu, BASE + offset, size, value), 0);
}

static void describe(void) {
    static const struct service_region regions[] = {
        {.offset = 0, .size = 0x50, .kind = SERVICE_REGION_REQUEST},
        {.offset = 0x50, .size = 4, .stride = 3, .kind = SERVICE_REGION_SELECT},
        {.offset = 0x60, .size = 8, .kind = SERVICE_REGION_STATUS},
        {.offset = 0x68, .size = 0xa0, .kind = SERVICE_REGION_REQUEST},
    };
    description = (struct service_device){.token = 1, .bus = SERVICE_BUS_MMIO, .place = PLACE};
    description.bar_size[0] = SERVICE_MMIO_SIZE;
    memcpy(description.region, regions, sizeof(regions));
}

static int start(void **state) {
    (void)state;
    memset(&world, 0, sizeof(world));
    assert_int_equal(bus_init(&world.vm.bus[BUS_MEMORY]), 0);
    describe();
    assert_int_equal(service_mmio_create(&world.vm, NUMBER, &description, &m), 0);
    return 0;
}

static int stop(void **state) {
    (void)state;
    free(m); /* a device stays as long as its VM, which is never taken away */
    m = NULL;
    bus_destroy(&world.vm.bus[BUS_MEMORY]);
    return 0;
}

/* ---- tests ---- */

static void refused(int error) {
    struct service_mmio *other = NULL;
    size_t before = world.heap;
    assert_int_equal(service_mmio_create(&world.vm, NUMBER, &description, &other), error);
    assert_null(other);
    assert_true(world.heap == before);
    describe();
}

static void test_descriptions(void **state) {
    (void)state;
    struct service_region *region = description.region;
#define REFUSED(...)                                                                                         \
    do {                                                                                                     \
        description.place = PLACE + 1;                                                                       \
        __VA_ARGS__;                                                                                         \
        refused(-EINVAL);                                                                                    \
    } while (0)
    REFUSED(description.token = 0);
    REFUSED(description.bus = SERVICE_BUS_PCI);
    REFUSED(description.bus = 2);
    REFUSED(description.place = SERVICE_MMIO_PLACES);
    REFUSED(description.place = 255);
    REFUSED(description.vectors = 1);
    REFUSED(description.bar_size[0] = 0);
    REFUSED(description.bar_size[0] = 2 * SERVICE_MMIO_SIZE);
    REFUSED(description.bar_size[1] = 0x1000);
    REFUSED(description.bar_size[5] = 0x1000);
    for (uint8_t kind = 0; kind < 10; kind++) /* which the last one may not be, but for REQUEST and NONE */
        if (kind != SERVICE_REGION_REQUEST && kind != SERVICE_REGION_NONE)
            REFUSED(region[3].kind = kind);
    REFUSED(region[0].kind = SERVICE_REGION_DOORBELL; region[0].stride = 4);
    REFUSED(region[0].bar = 1);
    REFUSED(region[0].bar = 200);
    REFUSED(region[0].size = 0);
    REFUSED(region[0].size = 0x4e);
    REFUSED(region[0].size = 0x54); /* overlaps the next one */
    REFUSED(region[3].offset = 0x6a);
    REFUSED(region[3].size = SERVICE_MMIO_SIZE);
    REFUSED(region[3].offset = 0xfffffffc);
    REFUSED(region[1].size = 8);
    REFUSED(region[1].stride = 0);
    REFUSED(region[1].stride = 33);
    REFUSED(region[2].size = 4);
    REFUSED(region[3] = (struct service_region){
                .offset = 0x54, .size = 4, .stride = 1, .kind = SERVICE_REGION_SELECT});
    REFUSED(region[3] = (struct service_region){.offset = 0x68, .size = 8, .kind = SERVICE_REGION_STATUS});
    refused(-EEXIST); /* the place is taken */
    description.place = PLACE + 1;
    world.no_memory = true;
    refused(-ENOMEM);
}

static void test_requests(void **state) {
    (void)state;
    world.request.value = 0x74726976;
    assert_true(peek(0, 4) == 0x74726976);
    assert_true(!world.request.write && world.request.offset == 0 && world.request.size == 4);
    poke(0x70, 4, 15);
    assert_true(world.request.write && world.request.offset == 0x70 && world.request.value == 15);
    world.request.value = 0x1122334455667788;
    assert_true(peek(0x100, 8) == 0x1122334455667788); /* the end of what is there */
    assert_true(peek(0x107, 1) == 0x88);
    world.request_error = -EAGAIN;
    uint64_t value;
    assert_int_equal(bus_read(&world.vm.bus[BUS_MEMORY], &world.vcpu, BASE + 4, 4, &value), -EAGAIN);
    assert_int_equal(bus_write(&world.vm.bus[BUS_MEMORY], &world.vcpu, BASE + 4, 4, 1), -EAGAIN);
    world.request_error = 0;
    /* What lies beside a region, or across its end. */
    world.requests = 0;
    static const uint16_t none[][2] = {{0x4c, 8},  {0x4f, 2},  {0x54, 4}, {0x5c, 8},
                                       {0x108, 4}, {0x104, 8}, {0xff8, 8}};
    for (unsigned i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        assert_true(peek(none[i][0], none[i][1]) == 0);
        poke(none[i][0], none[i][1], UINT64_MAX);
    }
    assert_int_equal(world.requests, 0);
}

static void test_doorbells(void **state) {
    (void)state;
    poke(0x50, 4, 0);
    poke(0x50, 4, 2);
    poke(0x50, 4, 2);
    poke(0x50, 4, 3); /* there are three */
    poke(0x50, 4, 0x10001);
    poke(0x50, 4, UINT32_MAX);
    poke(0x50, 1, 1);
    poke(0x50, 2, 1);
    poke(0x50, 8, 1);
    poke(0x51, 1, 1);
    assert_true(peek(0x50, 4) == 0);
    assert_true(world.doorbells[0] == 1 && world.doorbells[1] == 0 && world.doorbells[2] == 2);
    for (unsigned i = 3; i < 32; i++)
        assert_int_equal(world.doorbells[i], 0);
    assert_int_equal(world.requests, 0);
}

static void test_status(void **state) {
    (void)state;
    assert_int_equal(service_mmio_status(m, 0, 1), 0);
    assert_true(world.line && world.changes == 1);
    service_mmio_status(m, 0, 0x80000002);
    assert_true(peek(0x60, 4) == 0x80000003);
    assert_true(world.line && world.changes == 1); /* reading changes nothing */
    assert_true(peek(0x64, 4) == 0);
    poke(0x64, 4, 0x80000001);
    assert_true(peek(0x60, 4) == 2 && world.line);
    poke(0x60, 4, 2); /* is not for writing */
    poke(0x64, 1, 2); /* nor in part */
    poke(0x64, 2, 2);
    poke(0x60, 8, UINT64_MAX);
    poke(0x65, 1, 2);
    assert_true(peek(0x60, 4) == 2);
    assert_true(peek(0x60, 1) == 0 && peek(0x60, 2) == 0 && peek(0x60, 8) == 0);
    poke(0x64, 4, 2);
    assert_true(!world.line && world.changes == 2);
    service_mmio_status(m, 3, 1); /* first cleared, then set */
    assert_true(world.line && peek(0x60, 4) == 1);
    service_mmio_status(m, UINT32_MAX, 0);
    assert_false(world.line);
    service_mmio_status(m, 0, 2);
    service_mmio_reset(m);
    assert_true(!world.line && peek(0x60, 4) == 0);
    service_mmio_reset(m);
    assert_int_equal(world.changes, 6);
    assert_int_equal(world.requests, 0);
}

static void test_big_endian(void **state) {
    (void)state;
    world.big_endian = true;
    world.request.value = 0x11223344;
    assert_true(peek(0, 4) == 0x44332211);
    poke(0x70, 4, 0x0f000000);
    assert_true(world.request.value == 15);
    poke(0x50, 4, 0x02000000);
    poke(0x50, 4, 2);
    assert_int_equal(world.doorbells[2], 1);
    service_mmio_status(m, 0, 3);
    assert_true(peek(0x60, 4) == 0x03000000);
    poke(0x64, 4, 0x01000000);
    assert_true(peek(0x60, 4) == 0x02000000);
}

/* A device without an interrupt and without doorbells. */
static void test_plain(void **state) {
    struct service_mmio *with = m;

    (void)state;
    memset(&description.region[1], 0, sizeof(description.region[1]));
    description.place = PLACE + 1;
    assert_int_equal(service_mmio_create(&world.vm, NUMBER, &description, &m), 0);
    assert_int_equal(service_mmio_status(m, 0, 1), -ENODEV);
    assert_false(world.line);
    service_mmio_reset(m);
    uint64_t value = 1;
    assert_int_equal(
        bus_read(&world.vm.bus[BUS_MEMORY], &world.vcpu, BASE + SERVICE_MMIO_SIZE + 0x60, 4, &value), 0);
    assert_true(value == 0);
    assert_int_equal(bus_write(&world.vm.bus[BUS_MEMORY], &world.vcpu, BASE + SERVICE_MMIO_SIZE + 0x50, 4, 0),
                     0);
    assert_int_equal(world.doorbells[0], 0);
    free(with);
}

static void test_places(void **state) {
    (void)state;
    world.places = 0x30001;
    world.entropy = 1;
    assert_int_equal(service_mmio_places(&world.vm), 0x30001);
    world.entropy = 0; /* none now */
    assert_int_equal(service_mmio_places(&world.vm), 0x30001);
    world.entropy = -ENODEV;
    assert_int_equal(service_mmio_places(&world.vm), 0x20001);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_descriptions), TEST(test_requests), TEST(test_doorbells), TEST(test_status),
        TEST(test_big_endian),   TEST(test_plain),    TEST(test_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
