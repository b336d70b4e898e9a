// SPDX-License-Identifier: Apache-2.0
// A PCI function that the service VM answers for: what descriptions are taken, configuration space, where the
// BARs are, what accesses become.
// unit-sources: devices/service_pci.c devices/pci_bar.c devices/pci_msix.c devices/pci_function.c
// unit-sources: core/bus.c lib/state.c
#include "service_pci_fixture.h"

/* ---- descriptions ---- */

static void refused(void) {
    size_t heap = world.heap;
    assert_int_equal(create(), -EINVAL);
    assert_null(f);
    assert_null(world.function);
    assert_int_equal(world.heap, heap);
    describe();
}

static void test_descriptions(void **state) {
    (void)state;
    world_init();
    struct service_region *region = description.region;
#define REFUSED(...)                                                                                         \
    do {                                                                                                     \
        __VA_ARGS__;                                                                                         \
        refused();                                                                                           \
    } while (0)
    REFUSED(description.token = 0);
    REFUSED(description.bus = SERVICE_BUS_MMIO);
    REFUSED(description.place = 1);
    REFUSED(description.config[0x0e] = 1);
    REFUSED(description.config[0x3d] = 5);
    /* BARs */
    REFUSED(description.bar_size[0] = 0x800);
    REFUSED(description.bar_size[0] = 0x3000);
    REFUSED(description.bar_size[0] = 0x200000);
    REFUSED(description.bar_size[4] = 0);
    /* MSI-X */
    REFUSED(description.config[MSIX] = 0x05);
    REFUSED(description.vectors = 0);
    REFUSED(description.vectors = 65);
    REFUSED(description.vectors = 5); /* the table has no room */
    REFUSED(description.msix = 0x3c; description.config[0x3c] = 0x11);
    REFUSED(description.msix = 0xf8; description.config[0xf8] = 0x11);
    REFUSED(description.msix = 0x9a; description.config[0x9a] = 0x11);
    REFUSED(description.msix = 0);
    REFUSED(region[0].kind = SERVICE_REGION_REQUEST);
    REFUSED(region[1].kind = SERVICE_REGION_REQUEST);
    REFUSED(region[2].kind = SERVICE_REGION_PBA);
    REFUSED(region[4].kind = SERVICE_REGION_MSIX);
    REFUSED(region[0].offset = 0x7fc);
    REFUSED(region[0].kind = SERVICE_REGION_NONE); /* the end: the others are not there */
    REFUSED(region[1].offset = 0xc04);
    REFUSED(region[1].size = 4);
    /* Regions */
    REFUSED(region[2].kind = SERVICE_REGION_SELECT);
    REFUSED(region[2].kind = SERVICE_REGION_STATUS);
    REFUSED(region[2].kind = SERVICE_REGION_STATUS + 1);
    REFUSED(region[2].bar = 0);
    REFUSED(region[2].bar = 6);
    REFUSED(region[2].bar = 255);
    REFUSED(region[2].size = 0);
    REFUSED(region[2].size = 0x36);
    REFUSED(region[2].offset = 2);
    REFUSED(region[4].size = 0x2004);
    REFUSED(region[4].size = 0xfffff000);
    REFUSED(region[4].offset = 0x4000);
    REFUSED(region[4].offset = 0xfffff000);
    REFUSED(region[4].offset = 0xfffff000; region[4].size = 0x2000);
    REFUSED(region[2].size = 0x1004); /* overlaps */
    REFUSED(region[4].offset = 0x20);
    REFUSED(region[3].stride = 0);
    REFUSED(region[3].stride = 1);
    REFUSED(region[3].stride = 6);
    REFUSED(region[3].size = 0x84); /* a 33rd one */
    REFUSED(region[4].kind = SERVICE_REGION_DOORBELL; region[4].size = 4; region[4].stride = 4);

    world.no_memory = true;
    assert_int_equal(create(), -ENOMEM);
    world.no_memory = false;
    world.taken = true;
    size_t heap = world.heap;
    assert_int_equal(create(), -EEXIST);
    assert_int_equal(world.heap, heap);
    world.taken = false;
    assert_int_equal(create(), 0);
    stop(state);

    /* As much as there may be of everything. */
    world_init();
    description.bar_size[5] = SERVICE_MAX_BAR;
    description.vectors = 64;
    description.region[0] = (struct service_region){.size = 0x400, .bar = 5, .kind = SERVICE_REGION_MSIX};
    for (unsigned i = 5; i < SERVICE_DEVICE_REGIONS; i++)
        description.region[i] = (struct service_region){
            .offset = 0x80000 + 0x1000 * i, .size = 0x1000, .bar = 5, .kind = SERVICE_REGION_REQUEST};
    description.region[7] = (struct service_region){
        .offset = 0, .size = 0x1000, .stride = 0x8000, .bar = 1, .kind = SERVICE_REGION_DOORBELL};
    description.region[1].bar = 5;
    assert_int_equal(create(), 0);
    assert_int_equal(get(MSIX + 2, 2), 63);
    stop(state);

    /* Without MSI-X, pin, BARs. */
    world_init();
    memset(&description, 0, sizeof(description));
    description.token = 1;
    assert_int_equal(create(), 0);
    assert_int_equal(service_pci_interrupt(f, 0), -ENXIO);
    assert_int_equal(service_pci_line(f, true), -EINVAL);
    set(4, 2, 2);
    stop(state);
}

/* ---- configuration ---- */

static void test_config(void **state) {
    (void)state;
    assert_int_equal(world.function->devfn, 3 << 3);
    assert_int_equal(get(0, 2), 0x1af4);
    assert_int_equal(get(4, 4), 0x00b00000); /* command, status */
    assert_int_equal(get(0x0e, 1), 0x80);
    assert_int_equal(get(0x3d, 1), 1);
    assert_int_equal(get(0x100, 4), UINT32_MAX);
    set(0x100, 4, 0);
    for (unsigned offset = 0; offset < 0x40; offset += 4)
        if (offset != 0x0c)
            set(offset, 4, UINT32_MAX);
    assert_int_equal(get(0, 2), 0x1af4);
    assert_int_equal(get(4, 2), 0x0406);
    assert_int_equal(get(6, 2), 0x00b0);
    static const uint32_t bars[] = {0, 0xfffff000, 0, 0, 0xffffc000, 0};
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(get(0x10 + 4 * i, 4), bars[i]);
    assert_int_equal(get(0x30, 4), 0);
    assert_int_equal(get(0x3c, 1), 0xff);
    assert_int_equal(get(0x3d, 1), 1);
    set(0x0c, 4, UINT32_MAX);
    assert_int_equal(get(0x0c, 4), 0xff80ffff);
    set(0x88, 4, UINT32_MAX);
    assert_int_equal(get(0x88, 4), 0x0f);
    /* A BAR's byte. */
    set(0x15, 1, 0x12);
    assert_int_equal(get(0x14, 4), 0xffff1000);
    set(0x16, 2, 0xbeef);
    assert_int_equal(get(0x14, 4), 0xbeef1000);
    /* The MSI-X capability. */
    assert_int_equal(get(MSIX, 4), 0x00038411);
    assert_int_equal(get(MSIX + 4, 4), 0x801);
    assert_int_equal(get(MSIX + 8, 4), 0xc01);
    for (unsigned i = 0; i < 12; i += 4)
        set(MSIX + i, 4, UINT32_MAX);
    assert_int_equal(get(MSIX, 4), 0xc0038411);
    assert_int_equal(get(MSIX + 4, 4), 0x801);
    assert_int_equal(get(MSIX + 8, 4), 0xc01);
    service_pci_reset(f);
    assert_int_equal(get(4, 4), 0x00b00000);
    assert_int_equal(get(0x14, 4), 0);
    assert_int_equal(get(0x88, 4), 0);
    assert_int_equal(get(MSIX, 4), 0x00038411);
}

static void test_service_config(void **state) {
    (void)state;
    assert_int_equal(service_pci_config(f, 0x88, 4, 0x11223344), 0);
    assert_int_equal(get(0x88, 4), 0x11223344);
    assert_int_equal(service_pci_config(f, 0x8a, 2, 0xaabb), 0);
    assert_int_equal(service_pci_config(f, 0x89, 1, 0xcc), 0);
    assert_int_equal(get(0x88, 4), 0xaabbcc44);
    assert_int_equal(service_pci_config(f, 0xfc, 4, 1), 0);
    static const struct {
        unsigned offset, size;
    } wrong[] = {{4, 2},     {6, 1},          {7, 1},          {0x0e, 1}, {0x0c, 4}, {0x10, 4}, {0x27, 1},
                 {0x30, 4},  {0x3c, 2},       {0x3d, 1},       {MSIX, 1}, {0x96, 4}, {0xa3, 1}, {0xfd, 4},
                 {0x100, 1}, {0xffffffff, 1}, {0xffffffff, 2}, {0x88, 0}, {0x88, 3}, {0x88, 8}};
    uint32_t before[64], after[64];
    for (unsigned i = 0; i < 64; i++)
        before[i] = get(4 * i, 4);
    for (unsigned i = 0; i < array_count(wrong); i++)
        assert_int_equal(service_pci_config(f, wrong[i].offset, wrong[i].size, 0x55555555), -EINVAL);
    for (unsigned i = 0; i < 64; i++)
        after[i] = get(4 * i, 4);
    assert_memory_equal(before, after, sizeof(before));
    assert_int_equal(service_pci_config(f, 0x28, 4, 5), 0);
    assert_int_equal(service_pci_config(f, 0xa4, 1, 5), 0);
}

/* ---- BARs ---- */

static void test_placing(void **state) {
    (void)state;
    assert_null(bus_find(&world.vm.bus[BUS_MEMORY], 0)); /* not at 0 before it is switched on */
    set(0x14, 4, 0x20000000);
    assert_false(is_at(0x20000000));
    set(4, 2, 2);
    assert_true(is_at(0x20000000));
    assert_false(is_at(0)); /* BAR 4 is over RAM */
    set(0x20, 4, 0x30000000);
    assert_true(is_at(0x30000000));
    set(0x14, 4, 0x21000000); /* moves */
    assert_true(is_at(0x21000000));
    assert_false(is_at(0x20000000));
    set(0x14, 4, UINT32_MAX); /* sizing: the ROM is there */
    assert_null(bus_find(&world.vm.bus[BUS_MEMORY], 0xfffff000));
    assert_null(bus_find(&world.vm.bus[BUS_MEMORY], 0x21000000));
    /* RAM: first and last page, and just behind. */
    set(0x14, 4, RAM - 0x1000);
    assert_false(is_at(RAM - 0x1000));
    set(0x14, 4, RAM);
    assert_true(is_at(RAM));
    world.vm.memory.region[1] = (struct guest_region){.base = 0x22001000, .size = 0x1000};
    set(0x20, 4, 0x22000000); /* RAM inside of it */
    assert_false(is_at(0x22000000));
    set(0x14, 4, 0x22000000);
    assert_true(is_at(0x22000000));
    world.vm.memory.region_count = 1;
    /* Over another range: comes once that has gone. */
    set(0x20, 4, 0x22000000);
    assert_int_equal(bus_find(&world.vm.bus[BUS_MEMORY], 0x22000000)->size, 0x1000);
    set(0x14, 4, 0x23000000);
    assert_true(is_at(0x23000000));
    assert_int_equal(bus_find(&world.vm.bus[BUS_MEMORY], 0x22000000)->size, 0x4000);
    set(0x14, 4, 0x22003000);
    assert_false(is_at(0x22003000));
    set(0x20, 4, 0x24000000);
    assert_true(is_at(0x22003000));
    set(0x20, 4, 0x22000000);
    set(0x14, 4, 0x22004000);
    assert_true(is_at(0x22000000));
    static const struct bus_ops nothing;
    assert_int_equal(bus_add(&world.vm.bus[BUS_MEMORY], 0x25000800, 1, &nothing, NULL, "other"), 0);
    set(0x14, 4, 0x25000000);
    assert_null(bus_find(&world.vm.bus[BUS_MEMORY], 0x25000000));
    bus_remove(&world.vm.bus[BUS_MEMORY], 0x25000800);
    set(4, 2, 2);
    assert_true(is_at(0x25000000));
    /* Where no CPU reaches, up to that, and where the addresses differ. */
    set(0x14, 4, OUTSIDE);
    assert_null(bus_find(&world.vm.bus[BUS_MEMORY], OUTSIDE));
    set(0x14, 4, OUTSIDE - 0x1000);
    assert_true(is_at(OUTSIDE - 0x1000));
    set(0x14, 4, HIGHER);
    assert_true(is_at(HIGHER + SHIFT));
    set(0x20, 4, 0xd0000000); /* across the end */
    assert_null(bus_find(&world.vm.bus[BUS_MEMORY], 0xd0000000));
    set(0x20, 4, 0x22000000);
    set(4, 2, 0);
    assert_null(bus_find(&world.vm.bus[BUS_MEMORY], HIGHER + SHIFT));
    assert_null(bus_find(&world.vm.bus[BUS_MEMORY], 0x22000000));
    set(4, 2, 2);
    assert_true(is_at(HIGHER + SHIFT));
    service_pci_reset(f);
    assert_null(bus_find(&world.vm.bus[BUS_MEMORY], HIGHER + SHIFT));
    assert_null(bus_find(&world.vm.bus[BUS_MEMORY], 0x22000000));
}

static void test_doorbells(void **state) {
    (void)state;
    for (unsigned i = 0; i < 32; i++) {
        unsigned size = 1u << i % 4;
        assert_int_equal(poke(BAR4 + 0x1000 + 4 * i, size > 4 ? 4 : size, i), 0);
        assert_int_equal(world.doorbells[i], 1);
    }
    poke(BAR4 + 0x1000 + 4 * 9, 8, 0);
    assert_int_equal(world.doorbells[9], 2);
    assert_int_equal(peek(BAR4 + 0x1000, 4), 0);
    assert_int_equal(poke(BAR4 + 0x1080, 4, 1), 0); /* behind them */
    assert_int_equal(poke(BAR4 + 0x0ffc, 4, 1), 0);
    assert_int_equal(world.requests, 0);
    unsigned rung = 0;
    for (unsigned i = 0; i < 32; i++)
        rung += world.doorbells[i];
    assert_int_equal(rung, 33);
    assert_int_equal(poke(0x20000000, 4, 0), 0); /* the other BAR has none */
    assert_int_equal(world.doorbells[0], 1);
}

static void test_requests(void **state) {
    (void)state;
    world.request.value = 0xffffffff12345678;
    assert_int_equal(peek(BAR4 + 0x14, 4), 0x12345678);
    assert_int_equal(world.requests, 1);
    assert_int_equal(world.request.bar, 4);
    assert_int_equal(world.request.offset, 0x14);
    assert_int_equal(world.request.size, 4);
    assert_false(world.request.write);
    assert_int_equal(poke(BAR4 + 0x2ffe, 2, 0xffffabcd), 0);
    assert_int_equal(world.request.offset, 0x2ffe);
    assert_int_equal(world.request.size, 2);
    assert_int_equal(world.request.value, 0xabcd);
    assert_true(world.request.write);
    assert_int_equal(poke(BAR4 + 0x30, 8, 0x1122334455667788), 0);
    assert_true(world.request.value == 0x1122334455667788);
    assert_int_equal(world.requests, 3);
    /* The vCPU waits. */
    uint64_t value;
    world.request_error = -EAGAIN;
    assert_int_equal(bus_read(&world.vm.bus[BUS_MEMORY], &world.vcpu, BAR4, 1, &value), -EAGAIN);
    assert_int_equal(poke(BAR4, 1, 1), -EAGAIN);
    world.request_error = -ENXIO;
    assert_int_equal(peek(BAR4, 2), 0xffff);
    world.request_error = 0;
    /* Across the end of a region, and in none. */
    world.requests = 0;
    assert_int_equal(peek(BAR4 + 0x34, 8), 0);
    assert_int_equal(poke(BAR4 + 0x34, 8, 1), 0);
    assert_int_equal(peek(BAR4 + 0x38, 4), 0);
    assert_int_equal(poke(BAR4 + 0x38, 4, 1), 0);
    assert_int_equal(peek(BAR4 + 0x3ffc, 4), 0);
    assert_int_equal(peek(0x20000000, 4), 0);
    assert_int_equal(world.requests, 0);
}

/* CPUs whose first byte is the most significant one. */
static void test_byte_order(void **state) {
    (void)state;
    world.big_endian = true;
    assert_int_equal(poke(BAR4, 4, 0x78563412), 0);
    assert_int_equal(world.request.value, 0x12345678);
    assert_int_equal(peek(BAR4, 2), 0x7856);
    assert_int_equal(peek(BAR4, 1), 0x78);
    assert_int_equal(poke(TABLE, 4, 0x0010e0fe), 0);
    assert_int_equal(peek(TABLE, 4), 0x0010e0fe);
    world.big_endian = false;
    assert_int_equal(peek(TABLE, 4), 0xfee01000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptions),
        cmocka_unit_test_setup_teardown(test_config, start, stop),
        cmocka_unit_test_setup_teardown(test_service_config, start, stop),
        cmocka_unit_test_setup_teardown(test_placing, start, stop),
        cmocka_unit_test_setup_teardown(test_doorbells, start_placed, stop),
        cmocka_unit_test_setup_teardown(test_requests, start_placed, stop),
        cmocka_unit_test_setup_teardown(test_byte_order, start_placed, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
