// SPDX-License-Identifier: Apache-2.0
// How the machine's PCI functions are found: bridges, several functions, BARs that are as before afterwards,
// machines that make no sense; and what of them is shown to who manages the machine.
// unit-sources: devices/host_pci.c devices/host_pci_dma.c lib/pci.c
#include "host_pci_fixture.h"
#include "core/control.h"
#include "drivers/iommu/iommu.h"

struct cpu *test_cpu;
uint64_t test_time;

void panic(const char *format, ...) {
    fail_msg("%s", format);
    abort();
}

static bool have_iommu;
bool iommu_present(void) {
    return have_iommu;
}

/* What was found stays, as nothing takes a machine's functions away: each test looks at those of its own. */
static unsigned first;
static int setup(void **state) {
    (void)state;
    memset(&machine, 0, sizeof(machine));
    machine.buses = 1;
    text[0] = 0;
    first = host_pci_count();
    return 0;
}

static unsigned find(void) {
    machine.writes = 0;
    host_pci_init();
    return host_pci_count() - first;
}

static const struct host_pci *get(unsigned index) {
    return host_pci_get(first + index);
}

static void is_named(unsigned index, const char *name) {
    char found[HOST_PCI_NAME];
    host_pci_name(get(index), found);
    assert_string_equal(found, name);
}

static void test_none(void **state) {
    (void)state;
    machine.buses = 0;
    assert_int_equal(find(), 0);
    assert_int_equal(control_device_count(), 0);
    machine.buses = 2;
    assert_int_equal(find(), 0);
    assert_int_equal(machine.writes, 0);
}

static void test_bars(void **state) {
    (void)state;
    struct function *f = add(0, 3, 0, 0x10411af4, 0x020000);
    add_bar(f, 0, 0xc000, 0x20);
    f->space[PCI_BAR] |= 1; /* I/O */
    add_bar(f, 1, 0xfebf1000, 0x1000);
    add_bar(f, 4, 0x3800004000ull, 0x4000);
    put(f, PCI_COMMAND, 2, 7);
    f->space[PCI_INTERRUPT_PIN] = 1;
    add_capability(f, 0x98, PCI_CAPABILITY_MSIX);
    put(f, 0x9a, 2, 2);
    put(f, 0x9c, 4, 1);
    put(f, 0xa0, 4, 0x801);
    add_capability(f, 0x50, PCI_CAPABILITY_MSI);
    add_capability(f, 0x60, PCI_CAPABILITY_EXPRESS);
    put(f, 0x64, 4, 1u << 28);
    struct function before = *f;
    assert_int_equal(find(), 1);
    assert_memory_equal(f, &before, sizeof(before));
    const struct host_pci *pci = get(0);
    assert_memory_equal(pci->config, before.space, PCI_SPACE);
    assert_true(pci->range[0].kind == PCI_RANGE_IO && pci->range[0].address == 0xc000);
    assert_true(pci->range[1].kind == PCI_RANGE_MEMORY && pci->range[1].size == 0x1000);
    assert_true(pci->range[4].address == 0x3800004000ull && pci->range[4].size == 0x4000);
    assert_int_equal(pci->range[5].kind, PCI_RANGE_NONE);
    assert_true(pci->msix.count == 3 && pci->msix.bar == 1 && pci->msi.count == 1);
    assert_true(pci->express == 0x60 && pci->reset);
    /* Meanwhile it decoded nothing and was no bus master. */
    assert_int_equal(machine.write[0].offset, PCI_COMMAND);
    assert_int_equal(machine.write[0].value & 7, 0);
    for (unsigned i = 1; i < machine.writes - 1; i++)
        assert_in_range(machine.write[i].offset, PCI_BAR, PCI_BAR + 20);
    assert_int_equal(machine.write[machine.writes - 1].offset, PCI_COMMAND);
    assert_int_equal(machine.write[machine.writes - 1].value, 7);
    is_named(0, "0000:00:03.0");
    assert_int_equal(host_pci_class(pci), 0x020000);
    ((struct host_pci *)pci)->claimed = true;
    struct control_device device = {0};
    control_device(first, &device);
    assert_true(device.segment == 0 && device.bus == 0 && device.devfn == 3 << 3);
    assert_true(device.vendor == 0x1af4 && device.device == 0x1041 && device.class == 0x020000);
    assert_true(device.owner == CONTROL_OWNER_SERVICE && device.msix == 3 && device.msi == 1);
    assert_int_equal(device.pin, 1);
    ((struct host_pci *)pci)->claimed = false;
    ((struct host_pci *)pci)->guest = "web";
    control_device(first, &device);
    assert_int_equal(device.owner, CONTROL_OWNER_GUEST);
    assert_string_equal(device.guest, "web");

    assert_ptr_equal(host_pci_sharer(NULL, 0xfebf1fff, 0xfebf3000), pci);
    assert_null(host_pci_sharer(NULL, 0xfebf2000, 0xfebf3000));
    assert_null(host_pci_sharer(NULL, 0xc000, 0xd000));
    assert_ptr_equal(host_pci_sharer(NULL, 0, UINT64_MAX), pci);
    assert_null(host_pci_sharer(pci, 0, UINT64_MAX));
}

static void test_bridges(void **state) {
    const struct host_pci *root;
    (void)state;
    add_bridge(0, 1, 2, 4);
    add_bridge(0, 2, 1, 1);
    struct function *nic = add(1, 0, 0, 0x100e8086, 0x020000);
    add(1, 0, 1, 0x100e8086, 0x020000); /* not a function of several: is not asked for */
    add_bridge(2, 3, 4, 4);
    struct function *deep = add(4, 5, 0, 0x00051b36, 0x010802);
    deep->space[PCI_HEADER_TYPE] = 0x80;
    add(4, 5, 7, 0x00051b36, 0x010802);
    struct function *lost = add(9, 31, 0, 0x29228086, 0x010601); /* on a root bus of its own */
    nic->space[PCI_INTERRUPT_PIN] = 2;
    deep->space[PCI_INTERRUPT_PIN] = 1;
    lost->space[PCI_INTERRUPT_PIN] = 5;
    assert_int_equal(find(), 7);
    is_named(0, "0000:00:01.0");
    is_named(1, "0000:00:02.0");
    is_named(2, "0000:01:00.0");
    is_named(3, "0000:02:03.0");
    is_named(4, "0000:04:05.0");
    is_named(5, "0000:04:05.7");
    is_named(6, "0000:09:1f.0");
    assert_null(get(0)->bridge);
    assert_ptr_equal(get(2)->bridge, get(1));
    assert_ptr_equal(get(3)->bridge, get(0));
    assert_ptr_equal(get(5)->bridge, get(3));
    assert_null(get(6)->bridge);
    assert_int_equal(host_pci_pin(get(2), &root), 2); /* slot 0 behind the bridge */
    assert_ptr_equal(root, get(1));
    assert_int_equal(host_pci_pin(get(4), &root), 1 + (5 + 3) % 4);
    assert_ptr_equal(root, get(0));
    assert_int_equal(host_pci_pin(get(6), &root), 0);
    /* Bridges are left as they are. */
    for (unsigned i = 0; i < machine.writes; i++)
        assert_true(machine.write[i].bus != 0 && machine.write[i].bus != 2);
    struct control_device device;
    assert_int_equal(control_device_count(), first + 7);
    control_device(first, &device);
    assert_int_equal(device.owner, CONTROL_OWNER_HYPERVISOR);
    control_device(first + 5, &device);
    assert_true(device.bus == 4 && device.devfn == (5 << 3 | 7) && device.owner == CONTROL_OWNER_NONE);
    control_device(first + 6, &device);
    assert_int_equal(device.pin, 0); /* 5 is none */
}

static void make_express(struct function *f, unsigned type) {
    add_capability(f, 0x40, PCI_CAPABILITY_EXPRESS);
    put(f, 0x42, 2, type << 4 | 2);
}

static void is_dma(unsigned index, uint16_t group, unsigned count, const uint16_t *id) {
    struct iommu_device device;
    assert_true(host_pci_dma(get(index), &device));
    assert_true(device.segment == 0 && device.group == group && device.count == count);
    assert_memory_equal(device.id, id, count * sizeof(*id));
}

/* Requester IDs and groups. */
static void test_dma(void **state) {
    struct iommu_device device;
    (void)state;
    struct function *port = add_bridge(0, 1, 1, 3), *to_pci = add_bridge(1, 0, 2, 3);
    make_express(port, 4);
    make_express(to_pci, 7);
    struct function *plain = add_bridge(0, 3, 5, 9);
    plain->space[PCI_HEADER_TYPE] |= 0x80;
    add(0, 3, 4, 0x100e8086, 0x020000);
    add(2, 7, 0, 0x100e8086, 0x020000);
    add_bridge(2, 8, 3, 3);
    add(3, 9, 0, 0x100e8086, 0x020000);
    for (unsigned i = 0; i < 4; i++)
        add_bridge((uint8_t)(5 + i), 1, (uint8_t)(6 + i), 9);
    add(9, 2, 0, 0x100e8086, 0x020000);
    assert_int_equal(find(), 12);
    is_dma(0, 0x0008, 1, (uint16_t[]){0x0008});
    is_named(2, "0000:00:03.4");
    is_dma(2, 0x0018, 1, (uint16_t[]){0x001c}); /* beside what is behind the bridge */
    is_named(3, "0000:01:00.0");
    is_dma(3, 0x0008, 1, (uint16_t[]){0x0100});
    is_named(4, "0000:02:07.0");
    is_dma(4, 0x0008, 2, (uint16_t[]){0x0238, 0x0200});
    is_named(6, "0000:03:09.0");
    is_dma(6, 0x0008, 3, (uint16_t[]){0x0348, 0x0240, 0x0200});
    is_named(7, "0000:05:01.0");
    is_dma(7, 0x0018, 2, (uint16_t[]){0x0508, 0x0018});
    is_named(11, "0000:09:02.0");
    assert_false(host_pci_dma(get(11), &device));
    struct control_device shown = {0};
    control_device(first + 4, &shown);
    assert_int_equal(shown.grouped, 0);
    have_iommu = true;
    control_device(first + 4, &shown);
    assert_true(shown.grouped == 1 && shown.group == 0x0008);
    control_device(first + 11, &shown);
    assert_int_equal(shown.grouped, 0);
    have_iommu = false;
}

/* No firmware has given BARs their addresses. */
static void test_placed(void **state) {
    (void)state;
    machine.unplaced = true;
    machine.free = 0xe0000800;
    machine.free_size = 0x40000 - 0x800; /* what fits takes it all */
    machine.offset = 0xb20000000ull;
    struct function *card = add(0, 1, 0, 0x10411af4, 0x020000);
    add_bar(card, 0, 1, 0x20); /* I/O */
    put(card, PCI_COMMAND, 2, 7);
    add_bar(card, 1, 0, 0x80);
    add_bar(card, 4, 0, 0x4000);
    card->space[PCI_BAR + 16] = 0xc; /* of 64 bits, prefetchable */
    can_write(card, PCI_BAR + 20, 4, UINT32_MAX);
    put(card, PCI_BAR + 20, 4, 0x11111111);
    struct function *bridge = add(0, 2, 0, 0x00301957, 0x060000);
    add_bar(bridge, 0, 0, 0x1000);
    struct function *large = add(0, 3, 0, 0x12348086, 0x030000);
    add_bar(large, 0, 0, 0x80000); /* too large */
    add_bar(large, 1, 0, 0x20000);
    struct function *huge = add(0, 4, 0, 0x12348086, 0x030000);
    add_bar(huge, 0, 0x100000000ull, 1ull << 63);
    put(huge, PCI_BAR + 4, 4, 0);
    assert_int_equal(find(), 4);
    const struct pci_range *range = get(0)->range;
    assert_true(range[0].kind == PCI_RANGE_IO && range[0].address == 0);
    assert_true(range[1].address == 0xc00001000ull && range[1].size == 0x80);
    assert_true(range[4].address == 0xc00004000ull && range[4].size == 0x4000 && range[4].wide);
    assert_int_equal(pci_space32(card->space, PCI_BAR + 4), 0xe0001000);
    assert_int_equal(pci_space32(card->space, PCI_BAR + 16), 0xe000400c);
    assert_int_equal(pci_space32(card->space, PCI_BAR + 20), 0);
    assert_int_equal(pci_space16(card->space, PCI_COMMAND), 0);
    assert_memory_equal(get(0)->config, card->space, PCI_SPACE);
    /* The hypervisor's own are left alone. */
    assert_int_equal(pci_space32(bridge->space, PCI_BAR), 0);
    /* No room: at 0 on the bus, which is no place for CPUs. The others have theirs. */
    assert_true(logged("PCI 0000:00:03.0: there is no room for its registers"));
    assert_int_equal(pci_space32(large->space, PCI_BAR), 0);
    assert_true(get(2)->range[0].address == machine.offset);
    assert_true(get(2)->range[1].address == 0xc00020000ull);
    assert_true(get(3)->range[0].address == machine.offset);
    assert_int_equal(pci_space32(huge->space, PCI_BAR) & ~15u, 0);
    for (unsigned i = 0; i < machine.writes; i++)
        assert_true(machine.write[i].devfn != 2 << 3);
}

/* Each bridge says that it leads back. */
static void test_loops(void **state) {
    (void)state;
    add_bridge(0, 1, 0, 255);
    add_bridge(0, 2, 1, 1);
    add_bridge(1, 1, 1, 1);
    add_bridge(1, 2, 0, 0);
    add(1, 3, 0, 0x100e8086, 0x020000)->space[PCI_INTERRUPT_PIN] = 3;
    assert_int_equal(find(), 5);
    const struct host_pci *root;
    assert_int_equal(host_pci_pin(get(4), &root), 1 + (2 + 3) % 4);
    assert_ptr_equal(root, get(1));
}

static void test_ones(void **state) {
    (void)state;
    add(0, 3, 0, 0x10411af4, 0x020000);
    machine.ones = true;
    assert_int_equal(find(), 1);
    for (unsigned i = 0; i < PCI_BARS; i++)
        assert_int_equal(get(0)->range[i].kind, PCI_RANGE_NONE);
    assert_true(!get(0)->msix.count && !get(0)->msi.count && !get(0)->express);
}

/* The last: no others are taken afterwards. */
static void test_too_many(void **state) {
    (void)state;
    struct function *f = add(0, 0, 0, 0x10411af4, 0x020000);
    f->space[PCI_HEADER_TYPE] = 0x80;
    add_bar(f, 0, 0xfebf0000, 0x1000);
    machine.everywhere = true;
    find();
    assert_int_equal(host_pci_count(), HOST_PCI_MAX);
    assert_true(machine.reads < 100000);
    assert_true(logged("not all functions"));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(test_none),   TEST(test_bars),  TEST(test_bridges), TEST(test_dma),
        TEST(test_placed), TEST(test_loops), TEST(test_ones),    TEST(test_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
