// SPDX-License-Identifier: Apache-2.0
// The guest's PCI host: both ways to configuration space, the bridges' registers and effects, pins, saved
// state.
// unit-sources: arch/x86/guest/pci.c devices/pci_function.c arch/x86/guest/pci_bridges.c arch/x86/guest/pm.c core/bus.c lib/state.c
#include "pc_fixture.h"
#include "arch/x86/guest/pci.h"
#include "arch/x86/guest/pm.h"

/* What the bridges ask of the memory map. */
static struct {
    unsigned calls;
    uint64_t base, size;
    bool reads, writes, was_rom;
    unsigned was_rom_calls;
    unsigned smram_calls;
    bool smram;
    int error;
} memory;

uint64_t pc_ram_low(const struct vm *which) {
    return which->config->memory;
}

unsigned pc_ram(const struct vm *which, struct memory_range piece[PC_RAM_PIECES]) {
    piece[0] = (struct memory_range){0, which->config->memory};
    return 1;
}

int pc_memory_shadow(struct vm *which, uint64_t base, uint64_t size, bool reads, bool writes, bool was_rom) {
    assert_ptr_equal(which, vm());
    memory.calls++;
    memory.base = base;
    memory.size = size;
    memory.reads = reads;
    memory.writes = writes;
    memory.was_rom = was_rom;
    memory.was_rom_calls += was_rom;
    return memory.error;
}

int pc_memory_smram(struct vm *which, bool open) {
    assert_ptr_equal(which, vm());
    memory.smram_calls++;
    memory.smram = open;
    return memory.error;
}

static void start_with(uint64_t firmware) {
    fixture_init();
    memset(&memory, 0, sizeof(memory));
    fixture.vm.pc.firmware_size = firmware;
    assert_int_equal(pm_part.create(vm(), 0), 0);
    assert_int_equal(pci_part.create(vm(), 0), 0);
    pm_part.reset(vm(), 0);
    pci_part.reset(vm(), 0);
}

static int start(void **state) {
    (void)state;
    start_with(0);
    return 0;
}

static int start_firmware(void **state) {
    (void)state;
    start_with(4 << 20);
    return 0;
}

static int stop(void **state) {
    (void)state;
    pci_part.destroy(vm(), 0);
    pm_part.destroy(vm(), 0);
    fixture_done();
    return 0;
}

/* Through the ports. */
static uint32_t get(unsigned devfn, unsigned offset, unsigned size) {
    out(0xcf8, 4, 0x80000000u | devfn << 8 | (offset & 0xfc));
    return (uint32_t)in((uint16_t)(0xcfc + (offset & 3)), size);
}

static void set(unsigned devfn, unsigned offset, unsigned size, uint32_t value) {
    out(0xcf8, 4, 0x80000000u | devfn << 8 | (offset & 0xfc));
    out((uint16_t)(0xcfc + (offset & 3)), size, value);
}

static uint64_t ecam(uint64_t base, unsigned bus, unsigned devfn, unsigned offset, unsigned size) {
    uint64_t value = 0;
    bus_read(&vm()->bus[BUS_MEMORY], NULL, base + (bus << 20 | devfn << 12 | offset), size, &value);
    return value;
}

#define HOST PCI_DEVFN(0, 0)
#define LPC  PCI_DEVFN(31, 0)

static void test_identity(void **state) {
    (void)state;
    assert_int_equal(get(HOST, 0, 4), 0x29c08086);
    assert_int_equal(get(HOST, 8, 4) >> 16, 0x0600);
    assert_int_equal(get(LPC, 0, 4), 0x29188086);
    assert_int_equal(get(LPC, 0x0a, 2), 0x0601);
    assert_int_equal(get(HOST, 0x0e, 1), 0);
    for (unsigned devfn = 1; devfn < 256; devfn++)
        if (devfn != LPC)
            assert_int_equal(get(devfn, 0, 4), 0xffffffff);
    set(HOST, 0, 4, 0);
    assert_int_equal(get(HOST, 0, 4), 0x29c08086);
}

static void test_config_address(void **state) {
    (void)state;
    out(0xcf8, 4, 0xffffffff);
    assert_int_equal(in(0xcf8, 4), 0x80fffffc);
    out(0xcf8, 2, 0x1234); /* only 32-bit accesses reach it */
    out(0xcfa, 1, 0);
    assert_int_equal(in(0xcf8, 4), 0x80fffffc);
    assert_int_equal(in(0xcf8, 2), 0xffff);
    out(0xcf8, 4, 0x80000000);
    assert_int_equal(in(0xcfc, 2), 0x8086);
    assert_int_equal(in(0xcfe, 2), 0x29c0);
    assert_int_equal(in(0xcfd, 1), 0x80);
    assert_int_equal(in(0xcfd, 2), 0xc080);
    out(0xcf8, 4, 0); /* not enabled */
    assert_int_equal(in(0xcfc, 4), 0xffffffff);
    out(0xcf8, 4, 0x80010000); /* bus 1 */
    assert_int_equal(in(0xcfc, 4), 0xffffffff);
}

static void test_reset_port(void **state) {
    (void)state;
    out(0xcf8, 4, 0x80000000);
    outb(0xcf9, 0x02);
    assert_int_equal(inb(0xcf9), 0x02);
    assert_int_equal(in(0xcf8, 4), 0x80000000);
    outb(0xcf9, 0x06);
    assert_int_equal(fixture.end, VM_END_RESET);
}

static void test_ecam(void **state) {
    (void)state;
    assert_int_equal(ecam(PC_ECAM_BASE, 0, HOST, 0, 4), 0x29c08086);
    assert_int_equal(ecam(PC_ECAM_BASE, 0, LPC, 2, 2), 0x2918);
    assert_int_equal(ecam(PC_ECAM_BASE, 0, LPC, 2, 1), 0x18);
    assert_int_equal(ecam(PC_ECAM_BASE, 255, 255, 0xffc, 4), 0xffffffff);
    assert_int_equal(ecam(PC_ECAM_BASE, 0, HOST, 0x100, 4), 0xffffffff);
    assert_int_equal(ecam(PC_ECAM_BASE, 0, HOST, 3, 2), 0xffff); /* crosses a dword */
    assert_true(ecam(PC_ECAM_BASE, 0, HOST, 0, 8) == UINT64_MAX);
    /* Moved, made shorter, switched off. */
    set(HOST, 0x60, 4, 0xe0000001);
    assert_int_equal(ecam(PC_ECAM_BASE, 0, HOST, 0, 4), 0xffffffff);
    assert_int_equal(ecam(0xe0000000, 0, HOST, 0, 4), 0x29c08086);
    set(HOST, 0x60, 4, 0xec000005); /* 64 MiB at 0xec000000 */
    assert_int_equal(ecam(0xec000000, 0, HOST, 0, 4), 0x29c08086);
    assert_null(bus_find(&vm()->bus[BUS_MEMORY], 0xf0000000));
    set(HOST, 0x64, 4, 0x1);
    assert_int_equal(ecam(0x1ec000000, 0, HOST, 0, 4), 0x29c08086);
    set(HOST, 0x60, 1, 0x00);
    assert_null(bus_find(&vm()->bus[BUS_MEMORY], 0x1ec000000));
    set(HOST, 0x60, 1, 0x07); /* a reserved length */
    assert_null(bus_find(&vm()->bus[BUS_MEMORY], 0x1ec000000));
    set(HOST, 0x64, 4, 0xffffffff);
    assert_int_equal(get(HOST, 0x64, 4), 0x0f);
    pci_part.reset(vm(), 0);
    assert_int_equal(ecam(PC_ECAM_BASE, 0, HOST, 0, 4), 0x29c08086);
}

static void test_ecam_write(void **state) {
    (void)state;
    uint64_t at = PC_ECAM_BASE + (LPC << 12) + 0xf0;
    bus_write(&vm()->bus[BUS_MEMORY], NULL, at, 4, 0xfed1ffff);
    assert_int_equal(get(LPC, 0xf0, 4), 0xfed1c001);
    bus_write(&vm()->bus[BUS_MEMORY], NULL, at + 3, 1, 0x12);
    assert_int_equal(ecam(PC_ECAM_BASE, 0, LPC, 0xf0, 4), 0x12d1c001);
}

static void test_power_management(void **state) {
    (void)state;
    assert_int_equal(get(LPC, 0x40, 4), PC_PMBASE | 1);
    assert_int_equal(in(PC_PMBASE + PM_CONTROL, 2), 1);
    set(LPC, 0x40, 4, 0xb07f);
    assert_int_equal(get(LPC, 0x40, 4), 0xb001);
    assert_int_equal(in(PC_PMBASE + PM_CONTROL, 2), 0xffff);
    assert_int_equal(in(0xb000 + PM_CONTROL, 2), 1);
    set(LPC, 0x44, 1, 0x00);
    assert_int_equal(in(0xb000 + PM_CONTROL, 2), 0xffff);
    set(LPC, 0x44, 1, 0xff);
    assert_int_equal(get(LPC, 0x44, 1), 0x80); /* the SCI stays IRQ 9 */
    assert_int_equal(in(0xb000 + PM_CONTROL, 2), 1);
}

static void test_without_firmware(void **state) {
    (void)state;
    assert_int_equal(get(HOST, 0x90, 4), 0x33333330);
    assert_int_equal(memory.calls, 0);
    set(HOST, 0x90, 4, 0);
    assert_int_equal(get(HOST, 0x90, 4), 0);
    assert_int_equal(memory.calls, 0); /* its RAM stays */
}

static void test_pam(void **state) {
    (void)state;
    assert_int_equal(memory.calls, 13); /* all at reset */
    assert_int_equal(get(HOST, 0x90, 4), 0);
    assert_int_equal(get(HOST, 0x60, 1), 0); /* ECAM and PM are off until firmware sets them */
    assert_int_equal(get(LPC, 0x40, 4), 1);
    memory.calls = 0;
    set(HOST, 0x90, 1, 0xff);
    assert_int_equal(get(HOST, 0x90, 1), 0x30);
    assert_int_equal(memory.calls, 1);
    assert_int_equal(memory.base, 0xf0000);
    assert_int_equal(memory.size, 0x10000);
    assert_true(memory.reads && memory.writes && memory.was_rom);
    set(HOST, 0x90, 1, 0x10);
    assert_true(memory.reads && !memory.writes && !memory.was_rom);
    /* Each nibble of PAM1-6 is 16 KiB, upwards from 0xC0000. */
    for (unsigned i = 0; i < 12; i++) {
        memory.calls = 0;
        set(HOST, 0x91 + i / 2, 1, i & 1 ? 0x21 : 0x01);
        assert_int_equal(memory.calls, 1);
        assert_int_equal(memory.base, 0xc0000 + i * 0x4000);
        assert_int_equal(memory.size, 0x4000);
        assert_int_equal(memory.reads, !(i & 1));
        assert_int_equal(memory.writes, i & 1);
    }
    memory.calls = 0;
    set(HOST, 0x91, 4, 0x21212121); /* what they are already */
    assert_int_equal(memory.calls, 0);
    pci_part.reset(vm(), 0);
    assert_int_equal(memory.calls, 13);
    assert_false(memory.reads || memory.writes);
    /* What a guest makes fail again and again does not fill the log. */
    memory.error = -ENOSPC;
    for (unsigned i = 0; i < 10; i++) {
        set(HOST, 0x90, 1, i & 1 ? 0x30 : 0x10);
        set(HOST, 0x9d, 1, i & 1 ? 0x08 : 0x48);
    }
    assert_int_equal(fixture.logged, 20);
    assert_int_equal(fixture.limited, 20);
}

static void test_smram(void **state) {
    (void)state;
    assert_int_equal(get(HOST, 0x9d, 1), 0x02);
    set(HOST, 0x9d, 1, 0x40); /* not without G_SMRAME */
    assert_int_equal(memory.smram_calls, 0);
    set(HOST, 0x9d, 1, 0x48);
    assert_true(memory.smram);
    set(HOST, 0x9d, 1, 0x08);
    assert_false(memory.smram);
    set(HOST, 0x9d, 1, 0x58); /* locking closes it */
    assert_false(memory.smram);
    assert_int_equal(get(HOST, 0x9d, 1), 0x1a);
    set(HOST, 0x9d, 1, 0x48); /* and it stays so, also by a wider write */
    set(HOST, 0x9c, 4, 0x00014800);
    assert_int_equal(get(HOST, 0x9d, 1), 0x1a);
    assert_int_equal(get(HOST, 0x9e, 1), 0x38);
    assert_false(memory.smram);
    pci_part.reset(vm(), 0);
    set(HOST, 0x9d, 2, 0x8148);
    assert_true(memory.smram);
    assert_int_equal(get(HOST, 0x9e, 1), 0xb9);
    pci_part.reset(vm(), 0);
    assert_false(memory.smram);
}

static uint32_t custom_read(struct vm *which, struct pci_function *f, unsigned offset, unsigned size) {
    (void)which;
    return offset >= 0x100 ? 0x12345678 : pci_config_read(f, offset, size);
}

static void test_functions(void **state) {
    (void)state;
    static const struct pci_ops ops = {.read = custom_read};
    struct pci_function a = {.devfn = PCI_DEVFN(3, 0)}, b = {.devfn = PCI_DEVFN(3, 2), .ops = &ops};
    struct pci_function c = {.devfn = PCI_DEVFN(3, 0)};
    pci_config_set32(&a, 0, 0x10011af4);
    pci_config_set32(&b, 0, 0x10021af4);
    memset(&a.writable[0x10], 0xf0, 4);
    assert_int_equal(pci_add(vm(), &a), 0);
    assert_int_equal(pci_add(vm(), &c), -EEXIST);
    assert_int_equal(get(a.devfn, 0, 4), 0x10011af4);
    assert_int_equal(get(a.devfn, 0x0e, 1), 0);
    assert_int_equal(pci_add(vm(), &b), 0);
    assert_int_equal(get(a.devfn, 0x0e, 1), 0x80); /* now the slot has more functions */
    assert_int_equal(get(a.devfn, 0x0c, 4), 0x800000);
    assert_int_equal(get(b.devfn, 0x0e, 1), 0);
    assert_int_equal(ecam(PC_ECAM_BASE, 0, b.devfn, 0x100, 4), 0x12345678);
    assert_int_equal(ecam(PC_ECAM_BASE, 0, a.devfn, 0x100, 4), 0xffffffff);
    set(a.devfn, 0x10, 4, 0xffffffff);
    assert_int_equal(get(a.devfn, 0x10, 4), 0xf0f0f0f0);
    pci_remove(vm(), &c); /* was never there */
    assert_int_equal(get(a.devfn, 0, 4), 0x10011af4);
    pci_remove(vm(), &b);
    pci_remove(vm(), &a);
    assert_int_equal(get(a.devfn, 0, 4), 0xffffffff);
}

static void test_pins(void **state) {
    (void)state;
    struct pci_function a = {.devfn = PCI_DEVFN(4, 0)}, b = {.devfn = PCI_DEVFN(8, 0)};
    struct pci_function c = {.devfn = PCI_DEVFN(5, 0)};
    a.config[PCI_INTERRUPT_PIN] = 1;
    b.config[PCI_INTERRUPT_PIN] = 1;
    c.config[PCI_INTERRUPT_PIN] = 0;
    assert_int_equal(pci_add(vm(), &a), 0);
    assert_int_equal(pci_add(vm(), &b), 0);
    pci_line_set(vm(), &a, true);
    pci_line_set(vm(), &a, true);
    assert_true(fixture.level[16]);
    pci_line_set(vm(), &b, true); /* shares the line */
    pci_line_set(vm(), &a, false);
    assert_true(fixture.level[16]);
    /* PIRQA also to ISA line 11, then elsewhere, then to lines that it may not have. */
    set(LPC, 0x60, 1, 0x0b);
    assert_true(fixture.level[11]);
    set(LPC, 0x60, 1, 0x0a);
    assert_false(fixture.level[11]);
    assert_true(fixture.level[10]);
    static const uint8_t refused[] = {0x80 | 10, 0, 1, 2, 4, 8, 9, 12, 13};
    for (unsigned i = 0; i < array_count(refused); i++) {
        set(LPC, 0x60, 1, refused[i]);
        for (unsigned line = 0; line < 16; line++)
            assert_false(fixture.level[line]);
    }
    set(LPC, 0x60, 1, 5);
    assert_true(fixture.level[5]);
    pci_line_set(vm(), &b, false);
    assert_false(fixture.level[16]);
    assert_false(fixture.level[5]);
    pci_line_set(vm(), &c, true); /* has no pin */
    for (unsigned line = 0; line < LINES; line++)
        assert_false(fixture.level[line]);
    for (unsigned pin = 1; pin <= 4; pin++) {
        a.config[PCI_INTERRUPT_PIN] = (uint8_t)pin;
        pci_line_set(vm(), &a, true);
        assert_true(fixture.level[15 + pin]);
        pci_line_set(vm(), &a, false);
    }
    pci_line_set(vm(), &b, true);
    pci_remove(vm(), &b); /* takes its line with it */
    assert_false(fixture.level[16]);
    pci_remove(vm(), &a);
}

/* As devices that do not know the machine see the bus. */
static void test_hooks(void **state) {
    (void)state;
    struct pci_function a = {.devfn = PCI_DEVFN(4, 0)};
    a.config[PCI_INTERRUPT_PIN] = 2;
    pci_config_set32(&a, 0, 0x10411af4);
    assert_int_equal(arch_pci_add(vm(), &a), 0);
    assert_int_equal(arch_pci_add(vm(), &a), -EEXIST);
    assert_int_equal(get(a.devfn, 0, 4), 0x10411af4);
    arch_pci_line(vm(), &a, true);
    assert_true(fixture.level[pci_pin_gsi(4, 1)]);
    arch_pci_remove(vm(), &a);
    assert_false(fixture.level[pci_pin_gsi(4, 1)]);
    assert_int_equal(get(a.devfn, 0, 4), 0xffffffff);
    assert_int_equal(arch_pci_memory(vm(), PC_PCI_HOLE_BASE), PC_PCI_HOLE_BASE);
    assert_int_equal(arch_pci_memory(vm(), 0xfedfffff), 0xfedfffff);
    assert_true(arch_pci_memory(vm(), 0xfee00000) == UINT64_MAX);
    assert_true(arch_pci_memory(vm(), 0xfeefffff) == UINT64_MAX);
    assert_int_equal(arch_pci_memory(vm(), 0xfef00000), 0xfef00000);
    assert_int_equal(arch_pci_value(0x1234, 2), 0x1234);
}

static void test_state(void **state) {
    (void)state;
    set(HOST, 0x60, 4, 0xd0000001);
    set(HOST, 0x90, 4, 0x33213130);
    set(HOST, 0x9d, 1, 0x48);
    set(LPC, 0x40, 4, 0x0801);
    set(LPC, 0x44, 1, 0x80);
    set(LPC, 0x60, 4, 0x0a0b0a0b);
    out(0xcf8, 4, 0x8000f840);
    memory.calls = memory.was_rom_calls = 0;
    part_round_trip(&pci_part);
    assert_int_equal(memory.was_rom_calls, 0); /* RAM comes with the state: nothing is copied over it */
    assert_true(memory.calls > 13);
    assert_true(memory.smram);
    assert_int_equal(in(0xcf8, 4), 0x8000f840);
    assert_int_equal(in(0x800 + PM_CONTROL, 2), 1);
    assert_int_equal(ecam(0xd0000000, 0, HOST, 0x90, 4), 0x33213130);

    part_truncation(&pci_part);
    assert_int_equal(part_load_changed(&pci_part, 0, 0x01), -EINVAL);        /* CONFIG_ADDRESS */
    assert_int_equal(part_load_changed(&pci_part, 4, 0x87), -EINVAL);        /* vendor */
    assert_int_equal(part_load_changed(&pci_part, 4 + 0x91, 0x44), -EINVAL); /* PAM */
    assert_int_equal(part_load_changed(&pci_part, 4 + 0x9d, 0x5a), -EINVAL); /* locked and open */
    assert_int_equal(part_load_changed(&pci_part, 4 + 256 + 0x40, 0x00), -EINVAL);
    assert_int_equal(part_load_changed(&pci_part, 4 + 256 + 0xff, 0x01), -EINVAL);
    assert_int_equal(get(HOST, 0x90, 4), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_identity, start, stop),
        cmocka_unit_test_setup_teardown(test_config_address, start, stop),
        cmocka_unit_test_setup_teardown(test_reset_port, start, stop),
        cmocka_unit_test_setup_teardown(test_ecam, start, stop),
        cmocka_unit_test_setup_teardown(test_ecam_write, start, stop),
        cmocka_unit_test_setup_teardown(test_power_management, start, stop),
        cmocka_unit_test_setup_teardown(test_without_firmware, start, stop),
        cmocka_unit_test_setup_teardown(test_functions, start, stop),
        cmocka_unit_test_setup_teardown(test_pins, start, stop),
        cmocka_unit_test_setup_teardown(test_hooks, start, stop),
        cmocka_unit_test_setup_teardown(test_pam, start_firmware, stop),
        cmocka_unit_test_setup_teardown(test_smram, start_firmware, stop),
        cmocka_unit_test_setup_teardown(test_state, start_firmware, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
