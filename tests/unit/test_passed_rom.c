// SPDX-License-Identifier: Apache-2.0
// The expansion ROM of a function of the machine that a guest has to itself: its register, and where the copy
// of it that the loader made is shown.
// unit-sources: devices/passed_function.c devices/passed_host.c devices/host_pci.c devices/host_pci_control.c
// unit-sources: devices/host_pci_dma.c devices/pci_bar.c devices/pci_function.c devices/pci_msix.c core/bus.c
// unit-sources: lib/pci.c lib/config_pci.c lib/config_mac.c lib/state.c
#include "passed_fixture.h"

#define ROM      0x30u
#define PHYSICAL 0x7654000ull

static const struct boot_rom nvme_rom = {.devfn = 3 << 3, .address = PHYSICAL, .size = 0x4000};

static void is_at(uint64_t base) {
    assert_true(world.rom.size == 0x4000 && world.rom.base == base && world.rom.physical == PHYSICAL);
    assert_non_null(bus_find(&world.vm.bus[BUS_MEMORY], base + 0x3fff));
}

/* A function whose firmware has read none has no such register. */
static void test_none(void **state) {
    (void)state;
    struct boot_rom other = nvme_rom;
    other.devfn = 0x88;
    world.boot_rom = &other;
    start(NVME);
    set(ROM, 4, UINT32_MAX);
    assert_int_equal(get(ROM, 4), 0);
    set(PCI_COMMAND, 2, 2);
    assert_int_equal(world.rom.size, 0);
}

static void test_register(void **state) {
    (void)state;
    world.boot_rom = &nvme_rom;
    start(NVME);
    assert_int_equal(get(ROM, 4), 0);
    set(ROM, 4, 0xfffff800);
    assert_int_equal(get(ROM, 4), 0xffffc000);
    set(ROM, 4, UINT32_MAX);
    assert_int_equal(get(ROM, 4), 0xffffc001);
    set(ROM, 4, 0xd0010001);
    assert_int_equal(world.rom.size, 0); /* the command register has memory off */
    set(PCI_COMMAND, 2, 2);
    is_at(0xd0010000);
    /* Off by its own bit, and elsewhere. */
    set(ROM, 1, 0);
    assert_int_equal(world.rom.size, 0);
    assert_null(bus_find(&world.vm.bus[BUS_MEMORY], 0xd0010000));
    set(ROM, 4, 0xd0020001);
    is_at(0xd0020000);
    /* What is written there goes nowhere; what is read beyond the guest's own look at it neither. */
    unsigned writes = machine.writes;
    poke(0xd0020000, 4, 0);
    assert_int_equal(machine.writes, writes);
    /* Over RAM and over another of its BARs: nowhere. */
    set(ROM, 4, 0x1000001);
    assert_int_equal(world.rom.size, 0);
    set(PCI_BAR, 4, 0xd0000000);
    set(PCI_BAR + 4, 4, 0);
    set(ROM, 4, 0xd0000001);
    assert_int_equal(world.rom.size, 0);
    assert_int_equal(world.shown_count, 2);
    set(ROM, 4, 0xd0010001);
    is_at(0xd0010000);
    assert_int_equal(world.shown_count, 2);
    /* The machine's own register is as it was. */
    assert_int_equal(pci_space32(nvme->space, ROM), 0);
}

/* With the guest's end, and its next start, it is off. */
static void test_ends(void **state) {
    (void)state;
    world.boot_rom = &nvme_rom;
    start(NVME);
    set(ROM, 4, 0xd0010001);
    set(PCI_COMMAND, 2, 2);
    is_at(0xd0010000);
    passed_function_stop(f, false);
    passed_function_end(f, false);
    test_time += TENTH;
    assert_null(passed_function_start(f, domain));
    assert_int_equal(world.rom.size, 0);
    assert_int_equal(get(ROM, 4), 0);
}

/* No room in the guest's map. */
static void test_no_room(void **state) {
    (void)state;
    world.boot_rom = &nvme_rom;
    start(NVME);
    set(PCI_COMMAND, 2, 2);
    world.show_error = -ENOSPC;
    set(ROM, 4, 0xd0010001);
    world.show_error = 0;
    assert_true(logged("cannot be shown at 0xd0010000 (-28)"));
    assert_null(bus_find(&world.vm.bus[BUS_MEMORY], 0xd0010000));
    set(ROM, 4, 0xd0020001);
    is_at(0xd0020000);
}

int main(void) {
    const struct CMUnitTest tests[] = {TEST(test_none), TEST(test_register), TEST(test_ends),
                                       TEST(test_no_room)};
    return cmocka_run_group_tests(tests, find_machine, NULL);
}
