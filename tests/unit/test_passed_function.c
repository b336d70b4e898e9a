// SPDX-License-Identifier: Apache-2.0
// A function of the machine that a guest has to itself: who may have which, what of it the guest sees, where
// its registers are, its messages, and in which order DMA begins and ends.
// unit-sources: devices/passed_function.c devices/passed_host.c devices/host_pci.c devices/host_pci_control.c
// unit-sources: devices/host_pci_dma.c devices/pci_bar.c devices/pci_function.c devices/pci_msix.c core/bus.c
// unit-sources: lib/pci.c lib/config_pci.c lib/config_mac.c lib/state.c
#include "passed_fixture.h"

/* ---- who may have which */

static void refused(const char *address, const char *why) {
    assert_int_equal(passed_function_create(&world.vm, address, DEVFN, &f), -ENODEV);
    assert_null(f);
    assert_null(world.function);
    assert_int_equal(world.interrupts, 0);
    assert_int_equal(machine.writes, 0);
    if (!strstr(text, why))
        fail_msg("%s", text);
    assert_true(logged("guest web: PCI "));
}

static void test_refusals(void **state) {
    (void)state;
    refused("00:09.0", "this machine has no such function");
    refused("0001:00:03.0", "this machine has no such function");
    refused("00:00.0", "it is a bridge, or a part of the machine");
    refused("00:05.0", "it is a bridge, or a part of the machine");
    refused("00:06.0", "displays cannot be passed through");
    refused("00:04.0", "it cannot be reset by itself");
    refused("00:1f.2", "a function that it cannot be kept apart from");
    world.iommu = false;
    refused(NVME, "no IOMMU is in use: switch it on (VT-d)");
    world.iommu = true;
    world.covers = false;
    refused(NVME, "no IOMMU translates its DMA");
    world.covers = true;
    world.remaps = false;
    refused(NVME, "does not remap its interrupts");
    world.remaps = true;
    world.no_map = true;
    refused(NVME, "its registers cannot be mapped");
    world.no_map = false;
    world.no_device = 0x3800004000;
    refused(NVME, "its registers have no place");
    world.no_device = UINT64_MAX;
    struct host_pci *pci = host_of(nvme);
    pci->claimed = true;
    refused(NVME, "it is somebody else's");
    pci->claimed = false;
    pci->guest = "other";
    refused(NVME, "it is somebody else's");
    pci->guest = NULL;
    unsigned count = pci->msix.count;
    pci->msix.count = 0;
    refused(NVME, "neither MSI nor MSI-X");
    pci->msix.count = count;
    world.taken = true;
    assert_int_equal(passed_function_create(&world.vm, NVME, DEVFN, &f), -EEXIST);
    assert_null(pci->guest);
    world.taken = false;
    unsigned frees = world.frees;
    create(NVME);
    assert_ptr_equal(pci->guest, world.vm.name);
    passed_function_destroy(f);
    f = NULL;
    assert_null(pci->guest);
    assert_int_equal(world.frees, frees + 2);
}

/* Others below the same slot of the root: one VM may have all of them, two may not. */
static void test_company(void **state) {
    (void)state;
    struct host_pci *neighbour = host_of(old), *card = host_of(bus_nic);
    uint8_t bus = neighbour->bus;
    const struct host_pci *bridge = neighbour->bridge;
    neighbour->bus = card->bus;
    neighbour->bridge = card->bridge;
    neighbour->claimed = true;
    refused(CARD, "a function that it cannot be kept apart from");
    neighbour->claimed = false;
    neighbour->guest = "other";
    refused(CARD, "a function that it cannot be kept apart from");
    neighbour->guest = NULL;
    refused(CARD, "is not alone behind a port"); /* a reset of the bus is the other one's, too */
    neighbour->guest = NULL;
    neighbour->bus = bus;
    neighbour->bridge = bridge;
    create(CARD);
}

/* ---- what the guest sees */

static void test_config(void **state) {
    (void)state;
    start(NVME);
    assert_int_equal(get(0, 4), 0x00101b36);
    assert_int_equal(get(8, 4), 0x01080201);
    assert_int_equal(get(0x2c, 4), 0x11001af4);
    assert_int_equal(get(0x3d, 1), 0); /* no pin */
    assert_int_equal(get(0x30, 4), 0);
    set(0x30, 4, UINT32_MAX);
    assert_int_equal(get(0x30, 4), 0);
    set(0, 4, 0);
    assert_int_equal(get(0, 4), 0x00101b36);
    set(PCI_COMMAND, 2, 0xffff);
    assert_int_equal(get(PCI_COMMAND, 2), 0x0406);
    set(PCI_COMMAND, 2, 0);
    assert_int_equal(get(PCI_STATUS, 2), 0x10);
    set(0x3c, 1, 11);
    assert_int_equal(get(0x3c, 2), 11);
    assert_int_equal(get(0x100, 4), UINT32_MAX); /* no extended space */
    /* The list: power, PCI Express, MSI-X; the fourth is not there. */
    assert_int_equal(get(0x34, 1), POWER);
    assert_int_equal(get(POWER, 2), EXP << 8 | 1);
    assert_int_equal(get(EXP, 2), MSIX << 8 | 0x10);
    assert_int_equal(get(MSIX, 2), 0x11);
    assert_int_equal(get(OTHER, 4), 0);
    assert_int_equal(get(OTHER + 4, 4), 0);
    /* D0 alone. */
    assert_int_equal(get(POWER + 2, 2), 3);
    set(POWER + 4, 2, 3);
    assert_int_equal(get(POWER + 4, 2), 8);
    /* No link, no FLR; what the machine has set stays. */
    assert_int_equal(get(EXP + 2, 2), 0x91);
    assert_int_equal(get(EXP + 4, 4), 0x8fc1);
    set(EXP + 8, 2, 0x8000);
    assert_int_equal(get(EXP + 8, 2), 0x2810);
    assert_int_equal(pci_space16(nvme->space, EXP + 8) & 0x8000, 0);
    assert_int_equal(get(EXP + 12, 4), 0);
    /* 32 vectors of 65; table and pending bits where they are. */
    assert_int_equal(get(MSIX + 2, 2), 31);
    assert_int_equal(get(MSIX + 4, 4), 0x2000);
    assert_int_equal(get(MSIX + 8, 4), 0x3000);
    set(MSIX + 2, 2, 0x07ff);
    assert_int_equal(get(MSIX + 2, 2), 31);
}

/* A list that loops, or lies in the header, ends. */
static void test_bad_lists(void **state) {
    (void)state;
    struct host_pci *pci = host_of(nvme);
    struct host_pci before = *pci;
    pci->config[MSIX + 1] = POWER;
    create(NVME);
    assert_int_equal(get(MSIX, 2), 0x11);
    passed_function_destroy(f);
    pci->config[MSIX + 1] = 0x10;
    create(NVME);
    assert_int_equal(get(MSIX, 2), 0x11);
    passed_function_destroy(f);
    pci->config[PCI_CAPABILITIES] = 0xfc;
    pci->config[0xfc] = 0x10; /* has no room */
    pci->config[0xfd] = MSIX;
    create(NVME);
    assert_int_equal(get(0x34, 1), MSIX);
    passed_function_destroy(f);
    pci->config[PCI_STATUS] = 0;
    create(NVME);
    assert_int_equal(get(0x34, 1), 0);
    assert_int_equal(get(PCI_STATUS, 2), 0);
    passed_function_destroy(f);
    f = NULL;
    *pci = before;
}

/* ---- where its registers are */

static void test_bars(void **state) {
    (void)state;
    start(NVME);
    assert_int_equal(get(PCI_BAR, 4), 0xc); /* 64 bits, prefetchable */
    set(PCI_BAR, 4, UINT32_MAX);
    set(PCI_BAR + 4, 4, UINT32_MAX);
    assert_int_equal(get(PCI_BAR, 4), 0xffffc00c);
    assert_int_equal(get(PCI_BAR + 4, 4), UINT32_MAX);
    assert_int_equal(get(PCI_BAR + 8, 4), 0);
    set(PCI_COMMAND, 2, 2);
    assert_int_equal(world.shown_count, 0); /* that is nowhere */
    /* In its place: without the pages of the table. */
    set(PCI_BAR, 4, 0xd0000000);
    set(PCI_BAR + 4, 4, 0);
    assert_true(place_of(0x3800004000) == 0xd0000000 && place_of(0x3800005fff) == 0xd0001fff);
    assert_int_equal(place_of(0x3800006000), 0);
    assert_true(place_of(0x3800007000) == 0xd0003000);
    assert_int_equal(world.shown_count, 2);
    /* Above 4 GiB; off; and on again. */
    set(PCI_BAR + 4, 4, 0x12);
    assert_true(place_of(0x3800004000) == 0x12d0000000);
    assert_int_equal(world.shown_count, 2);
    set(PCI_COMMAND, 2, 0);
    assert_int_equal(world.shown_count, 0);
    set(PCI_COMMAND, 2, 2);
    assert_int_equal(world.shown_count, 2);
    /* Over RAM, below 1 MiB, at the local APICs, over something else, beyond all: nowhere. */
    static const struct bus_ops none;
    static const uint64_t nowhere[] = {0x1000000,  0xc0000,    0xfee00000,
                                       0xfec00000, 1ull << 39, 0x7fffffffc000};
    assert_int_equal(bus_add(&world.vm.bus[BUS_MEMORY], 0xfec00000, 0x1000, &none, NULL, "I/O APIC"), 0);
    for (unsigned i = 0; i < array_count(nowhere); i++) {
        set(PCI_BAR, 4, (uint32_t)nowhere[i]);
        set(PCI_BAR + 4, 4, (uint32_t)(nowhere[i] >> 32));
        assert_int_equal(world.shown_count, 0);
    }
    set(PCI_BAR, 4, 0xd0000000);
    set(PCI_BAR + 4, 4, 0);
    assert_int_equal(world.shown_count, 2);
    /* No room in the map: nowhere, and a line in the log. */
    world.show_error = -ENOSPC;
    set(PCI_BAR, 4, 0xd0004000);
    assert_true(logged("guest web: registers of a PCI function cannot be shown at 0xd0004000 (-28)"));
    world.show_error = 0;
    assert_int_equal(world.shown_count, 0);
    assert_null(bus_find(&world.vm.bus[BUS_MEMORY], 0xd0004000));
    set(PCI_BAR, 4, 0xd0000000);
    assert_int_equal(world.shown_count, 2);
    /* The machine's own did not move. */
    assert_int_equal(pci_space32(nvme->space, PCI_BAR), 0x400c);
}

/* What is trapped: a BAR of less than a page, and what is in the table's pages beside it. */
static void test_trapped(void **state) {
    (void)state;
    start(CARD);
    set(PCI_BAR, 4, UINT32_MAX);
    assert_int_equal(get(PCI_BAR, 4), 0xfffe0000);
    set(PCI_BAR + 8, 4, UINT32_MAX);
    assert_int_equal(get(PCI_BAR + 8, 4), 0xffffff00);
    set(PCI_BAR, 4, 0xd0000000);
    set(PCI_BAR + 8, 4, 0xd0020000);
    set(PCI_COMMAND, 2, 2);
    assert_int_equal(world.shown_count, 1);
    assert_true(place_of(0xfe81ffff) == 0xd001ffff && world.mapped[0] == 0xfe820000);
    poke(0xd0020008, 4, 0x12345678);
    assert_int_equal(world.registers[0][2], 0x12345678);
    assert_int_equal(peek(0xd0020008, 4), 0x12345678);
    assert_int_equal(peek(0xd0020009, 1), 0x56);
    assert_int_equal(peek(0xd002000a, 2), 0x1234);
    assert_true(peek(0xd0020008, 8) == 0x12345678);
    poke(0xd0020010, 8, 0xaabbccdd11223344);
    poke(0xd0020010, 2, 0x5566);
    poke(0xd0020013, 1, 0x77);
    assert_true(peek(0xd0020010, 8) == 0xaabbccdd77225566);
    assert_int_equal(peek(0xd0020009, 4), UINT32_MAX); /* not aligned */
    assert_int_equal(peek(0xd0020100, 4), UINT32_MAX);
    assert_int_equal(peek(0xd0000000, 4), UINT32_MAX); /* the CPUs reach it without us */
    passed_function_stop(f, false);
    passed_function_end(f, false);
    passed_function_destroy(f);
    put(nvme, EXP + 8, 2, 0x2810);
    memset(world.registers, 0, sizeof(world.registers));
    world.mappings = 0;
    start(NVME);
    set(PCI_BAR, 4, 0xd0000000);
    set(PCI_COMMAND, 2, 2);
    assert_true(world.mapped[0] == 0x3800006000);
    world.registers[0][0x500 / 4] = 0x99; /* behind the 65 entries, and so the function's own */
    assert_int_equal(peek(0xd0002500, 4), 0x99);
    poke(0xd0002504, 4, 0x77);
    assert_int_equal(world.registers[0][0x504 / 4], 0x77);
}

/* ---- messages */

static void vector_set(unsigned vector, uint64_t address, uint32_t data, bool masked) {
    uint64_t at = 0xd0002000 + 16 * vector;
    poke(at, 4, (uint32_t)address);
    poke(at + 4, 4, (uint32_t)(address >> 32));
    poke(at + 8, 4, data);
    poke(at + 12, 4, masked);
}

static void test_msix(void **state) {
    (void)state;
    start(NVME);
    set(PCI_BAR, 4, 0xd0000000);
    set(PCI_COMMAND, 2, 6);
    const uint32_t *entry = world.registers[0];
    vector_set(0, 0xfee00000, 0x31, false);
    assert_int_equal(world.messages, 0); /* not before it is on */
    assert_int_equal(peek(0xd0002000, 4), 0xfee00000);
    assert_int_equal(peek(0xd000200c, 4), 0);
    assert_int_equal(peek(0xd000201c, 4), 1);
    set(MSIX + 2, 2, 0xc000);
    assert_int_equal(world.messages, 1);
    assert_int_equal(pci_space16(nvme->space, MSIX + 2) & 0xc000, 0xc000);
    set(MSIX + 2, 2, 0x8000);
    assert_int_equal(pci_space16(nvme->space, MSIX + 2) & 0xc000, 0x8000);
    /* The machine's table has what the IOMMU gave, and never what the guest wrote. */
    assert_true(entry[0] == 0xfee00010 && entry[1] == 0 && entry[2] == 0 && entry[3] == 0);
    host_message(0);
    assert_true(world.sent_count == 1 && world.sent[0].address == 0xfee00000 && world.sent[0].data == 0x31);
    vector_set(5, 0xfee01000, 0x45, true);
    assert_int_equal(world.messages, 1);
    vector_set(5, 0xfee01000, 0x46, false);
    assert_int_equal(world.messages, 2);
    assert_true(entry[4 * 5] == 0xfee00030 && entry[4 * 5 + 3] == 0);
    host_message(1);
    assert_true(world.sent_count == 2 && world.sent[1].address == 0xfee01000 && world.sent[1].data == 0x46);
    /* Masked it waits in the function; one that is on its way arrives. */
    poke(0xd000205c, 4, 1);
    assert_int_equal(entry[4 * 5 + 3], 1);
    host_message(1);
    assert_int_equal(world.sent_count, 3);
    poke(0xd000205c, 4, 0);
    assert_int_equal(world.messages, 2); /* the same again */
    /* Vectors that the guest does not have. */
    vector_set(32, 0xfee00000, 0x50, false);
    assert_int_equal(peek(0xd0002200, 4), 0);
    assert_int_equal(entry[4 * 32], 0);
    /* None is left of the IOMMU's; of the machine's. */
    world.remaps = false;
    vector_set(7, 0xfee01000, 0x48, false);
    assert_true(logged("the machine has no interrupt left for vector 7 (-19)"));
    assert_int_equal(entry[4 * 7 + 3], 1);
    poke(0xd000207c, 4, 1);
    assert_int_equal(world.messages, 3);
    world.remaps = true;
    vector_set(7, 0xfee01000, 0x48, false);
    assert_int_equal(world.messages, 3);
    assert_true(entry[4 * 7] == 0xfee00050 && entry[4 * 7 + 3] == 0);
    world.message_room = 3;
    vector_set(6, 0xfee01000, 0x47, false);
    assert_true(logged("the machine has no interrupt left for vector 6"));
    assert_int_equal(entry[4 * 6 + 3], 1);
    set(MSIX + 2, 2, 0);
    assert_int_equal(entry[3] & entry[4 * 5 + 3], 1);
    assert_int_equal(pci_space16(nvme->space, MSIX + 2) & 0x8000, 0);
    host_message(0);
    assert_int_equal(world.sent_count, 3);
    /* A new run: the same messages of the machine's, and nothing of the old run. */
    passed_function_stop(f, false);
    set(MSIX + 2, 2, 0x8000);
    passed_function_end(f, false);
    assert_int_equal(world.interrupts, 0);
    host_message(0);
    assert_int_equal(world.sent_count, 3);
    put(nvme, EXP + 8, 2, 0x2810);
    test_time += TENTH;
    assert_int_equal(world.shown_count, 0);
    assert_null(passed_function_start(f, domain));
    set(PCI_BAR, 4, 0xd0000000);
    set(PCI_COMMAND, 2, 2);
    assert_int_equal(peek(0xd0002000, 4), 0);
    assert_int_equal(peek(0xd000200c, 4), 1);
    set(MSIX + 2, 2, 0x8000);
    vector_set(0, 0xfee00000, 0x61, false);
    assert_int_equal(world.messages, 3);
    host_message(0);
    assert_true(world.sent_count == 4 && world.sent[3].data == 0x61);
}

static void test_msi(void **state) {
    (void)state;
    start(CARD);
    assert_int_equal(get(MSI, 4), 0x00800005); /* one message, no mask */
    set(PCI_COMMAND, 2, 6);
    set(MSI + 4, 4, 0xfee02003);
    set(MSI + 8, 4, 0);
    set(MSI + 12, 2, 0x4051);
    assert_int_equal(get(MSI + 4, 4), 0xfee02000);
    set(MSI + 2, 2, 0x71);
    assert_int_equal(get(MSI + 2, 2), 0x81);
    assert_int_equal(world.messages, 1);
    assert_int_equal(pci_space32(bus_nic->space, MSI + 4), 0xfee00010);
    assert_int_equal(pci_space16(bus_nic->space, MSI + 12), 0);
    assert_int_equal(pci_space32(bus_nic->space, MSI + 16), 0);
    assert_int_equal(pci_space16(bus_nic->space, MSI + 2) & 0x71, 1);
    host_message(0);
    assert_true(world.sent_count == 1 && world.sent[0].address == 0xfee02000 && world.sent[0].data == 0x4051);
    set(MSI + 2, 2, 0);
    assert_int_equal(pci_space16(bus_nic->space, MSI + 2) & 0x71, 0);
    host_message(0);
    assert_int_equal(world.sent_count, 1);
}

/* A function that sends without end is held back: so many in a millisecond, then it waits. */
static void test_msix_limit(void **state) {
    (void)state;
    start(NVME);
    set(PCI_BAR, 4, 0xd0000000);
    set(PCI_COMMAND, 2, 6);
    const uint32_t *entry = world.registers[0];
    vector_set(0, 0xfee00000, 0x31, false);
    vector_set(5, 0xfee01000, 0x45, false);
    set(MSIX + 2, 2, 0x8000);
    for (unsigned period = 0; period < 2; period++) { /* within it nothing is held, the second time either */
        for (unsigned i = 0; i < 128; i++)
            host_message(i & 1);
        assert_int_equal(world.sent_count, 128 * (period + 1));
        assert_null(timer);
        test_time += 1000000;
    }
    uint64_t begin = test_time;
    for (unsigned i = 0; i < 128; i++, test_time += 1000)
        host_message(0);
    assert_int_equal(entry[3], 0);
    host_message(0);
    assert_int_equal(world.sent_count, 3 * 128 + 1);
    assert_int_equal(entry[3], 1);
    assert_int_equal(entry[4 * 5 + 3], 0); /* the other one may send one more */
    assert_true(timer && timer->deadline == begin + 1000000);
    host_message(1);
    assert_int_equal(entry[4 * 5 + 3], 1);
    /* The guest sees nothing of it, and cannot undo it. */
    assert_int_equal(peek(0xd000200c, 4), 0);
    poke(0xd000200c, 4, 1);
    poke(0xd000200c, 4, 0);
    set(MSIX + 2, 2, 0);
    set(MSIX + 2, 2, 0x8000);
    assert_int_equal(entry[3] & entry[4 * 5 + 3], 1);
    poke(0xd000205c, 4, 1); /* what it masks meanwhile stays masked */
    timer_fire();
    assert_int_equal(entry[3], 0);
    assert_int_equal(entry[4 * 5 + 3], 1);
    assert_int_equal(world.sent_count, 3 * 128 + 2); /* what came meanwhile the function has kept */
    poke(0xd000205c, 4, 0);
    for (unsigned i = 0; i < 129; i++)
        host_message(0);
    assert_int_equal(entry[3], 1);
    /* The guest's end, and a new run. */
    passed_function_stop(f, false);
    passed_function_end(f, false);
    assert_null(timer);
    put(nvme, EXP + 8, 2, 0x2810);
    test_time += TENTH;
    assert_null(passed_function_start(f, domain));
    set(PCI_BAR, 4, 0xd0000000);
    set(PCI_COMMAND, 2, 6);
    vector_set(0, 0xfee00000, 0x31, false);
    set(MSIX + 2, 2, 0x8000);
    assert_int_equal(entry[3], 0);
}

static void test_msi_limit(void **state) {
    (void)state;
    start(CARD);
    set(PCI_COMMAND, 2, 6);
    set(MSI + 4, 4, 0xfee02000);
    set(MSI + 12, 2, 0x4051);
    set(MSI + 2, 2, 1);
    for (unsigned i = 0; i < 129; i++)
        host_message(0);
    assert_int_equal(world.sent_count, 129);
    assert_int_equal(pci_space16(bus_nic->space, MSI + 2) & 1, 0);
    assert_int_equal(get(MSI + 2, 2) & 1, 1);
    /* Off and on again: one more. */
    set(MSI + 2, 2, 0);
    set(MSI + 2, 2, 1);
    host_message(0);
    assert_int_equal(pci_space16(bus_nic->space, MSI + 2) & 1, 0);
    assert_int_equal(world.sent_count, 130);
    timer_fire();
    assert_int_equal(pci_space16(bus_nic->space, MSI + 2) & 1, 1);
    assert_int_equal(pci_space32(bus_nic->space, MSI + 4), 0xfee00010);
    assert_int_equal(world.sent_count, 131); /* for those that got lost */
    host_message(0);
    assert_int_equal(pci_space16(bus_nic->space, MSI + 2) & 1, 1);
    /* Switched off while it is held it stays off. */
    for (unsigned i = 0; i < 128; i++)
        host_message(0);
    set(MSI + 2, 2, 0);
    timer_fire();
    assert_int_equal(pci_space16(bus_nic->space, MSI + 2) & 1, 0);
    assert_int_equal(world.sent_count, 131 + 129);
}

/* ---- DMA, start and end */

static void test_dma(void **state) {
    (void)state;
    put(nvme, PCI_COMMAND, 2, 7);
    create(NVME);
    /* Quiet, and being reset, from the beginning. */
    assert_int_equal(command(nvme), 0x400);
    assert_int_equal(machine.write[machine.writes - 1].offset, EXP + 8);
    assert_int_equal(machine.write[machine.writes - 1].value, 0xa810);
    assert_in_range(passed_function_rest(f), TENTH - 100000, TENTH);
    assert_non_null(passed_function_start(f, domain));
    set(PCI_COMMAND, 2, 6); /* before it runs: nothing */
    assert_int_equal(command(nvme), 0x400);
    test_time += TENTH;
    assert_int_equal(passed_function_rest(f), 0);
    world.attach_why = "there is no memory for its tables";
    assert_string_equal(passed_function_start(f, domain), world.attach_why);
    assert_int_equal(command(nvme) & 4, 0);
    world.attach_why = NULL;
    /* It is back as it was, and in the domain before it is a bus master. */
    put(nvme, PCI_BAR, 4, 0xc);
    put(nvme, EXP + 8, 2, 0);
    assert_null(passed_function_start(f, domain));
    assert_ptr_equal(world.domain, domain);
    assert_int_equal(pci_space32(nvme->space, PCI_BAR) & ~15u, 0x4000);
    assert_int_equal(pci_space16(nvme->space, EXP + 8), 0x2810);
    for (unsigned i = 0; i < world.attach_write; i++)
        assert_true(machine.write[i].offset != PCI_COMMAND || !(machine.write[i].value & 4));
    assert_int_equal(get(PCI_COMMAND, 2), 0);
    assert_int_equal(command(nvme), 0x402);
    set(PCI_COMMAND, 2, 4);
    assert_int_equal(command(nvme), 0x406);
    set(PCI_COMMAND, 2, 0);
    assert_int_equal(command(nvme), 0x402);
    set(PCI_COMMAND, 2, 6);
    /* The end: DMA first, then it leaves the domain, then it is reset. */
    machine.writes = 0;
    passed_function_stop(f, false);
    assert_int_equal(machine.writes, 1);
    assert_int_equal(command(nvme), 0x402);
    assert_ptr_equal(world.domain, domain);
    set(PCI_COMMAND, 2, 6);
    assert_int_equal(command(nvme), 0x402);
    passed_function_end(f, false);
    assert_null(world.domain);
    assert_int_equal(command(nvme), 0x400);
    assert_int_equal(machine.write[machine.writes - 1].offset, EXP + 8);
    assert_int_equal(world.attach_write, machine.writes - 1);
    assert_true(passed_function_rest(f) > 0);
    /* It does not come back. */
    test_time += TENTH;
    put(nvme, PCI_VENDOR, 4, UINT32_MAX);
    assert_string_equal(passed_function_start(f, domain),
                        "it does not answer as it did when the machine started");
    assert_null(world.domain);
    put(nvme, PCI_VENDOR, 4, 0x00101b36);
}

/* One that has no reset of its own: its bus has, for long enough. */
static void test_bus_reset(void **state) {
    (void)state;
    uint64_t before = test_time;
    create(CARD);
    assert_true(machine.write[machine.writes - 2].bus == 0 &&
                machine.write[machine.writes - 2].offset == 0x3e);
    assert_int_equal(machine.write[machine.writes - 2].value, 0x40);
    assert_int_equal(machine.write[machine.writes - 1].value, 0);
    assert_true(test_time - before >= 1000000);
    port->space[0x3e] = 3;
    test_time += TENTH;
    assert_null(passed_function_start(f, domain));
    passed_function_stop(f, false);
    passed_function_end(f, false);
    assert_int_equal(port->space[0x3e], 3);
    port->space[0x3e] = 0;
}

/* Where the BARs were there may be something else from the next run's reset on: ECAM, which a guest can have
 * moved out of their way. */
static void test_end(void **state) {
    (void)state;
    static const struct bus_ops none;
    start(NVME);
    set(PCI_BAR, 4, 0xb0000000);
    set(PCI_COMMAND, 2, 6);
    assert_int_equal(world.shown_count, 2);
    passed_function_stop(f, false);
    passed_function_end(f, false);
    assert_int_equal(world.shown_count, 0);
    assert_int_equal(bus_add(&world.vm.bus[BUS_MEMORY], 0xb0000000, 0x10000000, &none, NULL, "ECAM"), 0);
}

/* The machine ends: no DMA any more, whatever the guest does; nothing is hidden from CPUs that still run. */
static void test_last(void **state) {
    (void)state;
    start(NVME);
    set(PCI_BAR, 4, 0xd0000000);
    set(PCI_COMMAND, 2, 6);
    assert_int_equal(command(nvme), 0x406);
    machine.writes = 0;
    passed_function_stop(f, true);
    passed_function_end(f, true);
    assert_int_equal(world.shown_count, 2);
    set(PCI_COMMAND, 2, 0);
    set(PCI_COMMAND, 2, 6);
    set(MSIX + 2, 2, 0x8000);
    vector_set(0, 0xfee00000, 0x31, false);
    assert_int_equal(command(nvme), 0x400);
    assert_int_equal(world.messages, 0);
    for (unsigned i = 0; i < machine.writes; i++)
        assert_true(machine.write[i].offset != EXP + 8);
    test_time += TENTH;
    assert_non_null(passed_function_start(f, domain));
}

/* A guest with identity-memory, on a machine without an IOMMU: no domain, and the machine's own messages. */
static void test_unprotected(void **state) {
    (void)state;
    world.config.identity_memory = 1;
    /* Where there is an IOMMU all is as without. */
    world.covers = false;
    refused(NVME, "no IOMMU translates its DMA");
    world.iommu = world.remaps = false;
    refused("00:04.0", "it cannot be reset by itself");
    refused("00:06.0", "displays cannot be passed through");
    create(NVME);
    test_time += TENTH;
    put(nvme, EXP + 8, 2, 0x2810);
    assert_null(passed_function_start(f, NULL));
    assert_non_null(passed_function_start(f, NULL)); /* it runs */
    set(PCI_BAR, 4, 0xd0000000);
    set(PCI_COMMAND, 2, 6);
    assert_int_equal(command(nvme), 0x406);
    set(MSIX + 2, 2, 0x8000);
    vector_set(0, 0xfee00000, 0x31, false);
    vector_set(3, 0xfee00000, 0x32, false);
    const uint32_t *entry = world.registers[0];
    assert_true(entry[0] == 0xfee01000 && entry[1] == 0 && entry[2] == 0x40 && entry[3] == 0);
    assert_true(entry[12] == 0xfee01000 && entry[14] == 0x41 && entry[15] == 0);
    poke(0xd000200c, 4, 1);
    poke(0xd000200c, 4, 0);
    assert_int_equal(world.messages, 2); /* the same again */
    host_message(1);
    assert_true(world.sent_count == 1 && world.sent[0].address == 0xfee00000 && world.sent[0].data == 0x32);
    machine.writes = 0;
    passed_function_stop(f, false);
    assert_int_equal(command(nvme), 0x402);
    set(PCI_COMMAND, 2, 6);
    assert_int_equal(command(nvme), 0x402);
    passed_function_end(f, false);
    assert_int_equal(command(nvme), 0x400);
    assert_int_equal(machine.write[machine.writes - 1].offset, EXP + 8);
    host_message(1);
    assert_int_equal(world.sent_count, 1);
    set(PCI_COMMAND, 2, 6);
    assert_int_equal(command(nvme), 0x400);
    /* The next run has the same messages; at the machine's end there is no reset. */
    test_time += TENTH;
    put(nvme, EXP + 8, 2, 0x2810);
    assert_null(passed_function_start(f, NULL));
    set(PCI_BAR, 4, 0xd0000000);
    set(PCI_COMMAND, 2, 6);
    set(MSIX + 2, 2, 0x8000);
    vector_set(0, 0xfee00000, 0x33, false);
    assert_true(world.messages == 2 && entry[2] == 0x40);
    machine.writes = 0;
    passed_function_stop(f, true);
    passed_function_end(f, true);
    for (unsigned i = 0; i < machine.writes; i++)
        assert_true(machine.write[i].offset != EXP + 8);
    assert_int_equal(command(nvme), 0x400);
}

/* From one domain to another, while it runs; and where it cannot be. */
static void test_move(void **state) {
    struct iommu_domain *const other = (struct iommu_domain *)&world.vm;
    (void)state;
    create(NVME);
    assert_int_equal(passed_function_move(f, other), -ESTALE); /* it does not run */
    test_time += TENTH;
    assert_null(passed_function_start(f, domain));
    set(PCI_COMMAND, 2, 6);
    assert_int_equal(passed_function_move(f, other), 0);
    assert_ptr_equal(world.domain, other);
    assert_int_equal(passed_function_move(f, other), 0); /* out and in again */
    assert_ptr_equal(world.domain, other);
    world.refused = domain;
    assert_int_equal(passed_function_move(f, domain), -EBUSY);
    assert_ptr_equal(world.domain, other);
    assert_true(command(nvme) & PCI_COMMAND_MASTER);
    /* It ends where it is, and begins where all begin. */
    passed_function_stop(f, false);
    assert_int_equal(passed_function_move(f, other), -ESTALE);
    passed_function_end(f, false);
    assert_null(world.domain);
    world.refused = NULL;
    test_time += TENTH;
    assert_null(passed_function_start(f, domain));
    set(PCI_COMMAND, 2, 6);
    assert_true(command(nvme) & PCI_COMMAND_MASTER);
    /* Nowhere: no DMA any more until the next start. */
    world.attach_why = "there is no memory for its tables";
    assert_int_equal(passed_function_move(f, other), -EIO);
    assert_null(world.domain);
    assert_false(command(nvme) & PCI_COMMAND_MASTER);
    assert_non_null(strstr(text, "no DMA until the guest starts anew: there is no memory"));
    set(PCI_COMMAND, 2, 6);
    assert_false(command(nvme) & PCI_COMMAND_MASTER);
    world.attach_why = NULL;
    assert_int_equal(passed_function_move(f, other), -ESTALE);
    passed_function_stop(f, false);
    passed_function_end(f, false);
    test_time += TENTH;
    assert_null(passed_function_start(f, domain));
    assert_ptr_equal(world.domain, domain);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_refusals), TEST(test_company),   TEST(test_config),     TEST(test_bad_lists),
        TEST(test_bars),     TEST(test_trapped),   TEST(test_msix),       TEST(test_msi),
        TEST(test_dma),      TEST(test_bus_reset), TEST(test_last),       TEST(test_unprotected),
        TEST(test_move),     TEST(test_end),       TEST(test_msix_limit), TEST(test_msi_limit),
    };
    return cmocka_run_group_tests(tests, find_machine, NULL);
}
