// SPDX-License-Identifier: Apache-2.0
// Unit tests of the guest's I/O APIC, of how lines reach it, and of message-signalled interrupts.
// unit-sources: arch/x86/guest/lapic.c arch/x86/guest/lapic_registers.c arch/x86/guest/lapic_message.c arch/x86/guest/lapic_timer.c arch/x86/guest/lapic_page.c arch/x86/guest/lapic_state.c arch/x86/guest/ioapic.c arch/x86/guest/pic.c arch/x86/guest/pv.c arch/x86/guest/pv_clock.c core/bus.c lib/state.c arch/x86/guest/lines.c
#include "tests/unit/irq_fixture.h"

static struct vm *vm(void) {
    return &machine.vm.core;
}

static uint32_t io_read(unsigned index) {
    uint64_t value = 0;
    assert_int_equal(bus_write(&vm()->bus[BUS_MEMORY], NULL, PC_IOAPIC_BASE, 4, index), 0);
    assert_int_equal(bus_read(&vm()->bus[BUS_MEMORY], NULL, PC_IOAPIC_BASE + 0x10, 4, &value), 0);
    return (uint32_t)value;
}

static void io_write(unsigned index, uint32_t value) {
    assert_int_equal(bus_write(&vm()->bus[BUS_MEMORY], NULL, PC_IOAPIC_BASE, 4, index), 0);
    assert_int_equal(bus_write(&vm()->bus[BUS_MEMORY], NULL, PC_IOAPIC_BASE + 0x10, 4, value), 0);
}

static void set_entry(unsigned pin, uint64_t entry) {
    io_write(0x11 + 2 * pin, (uint32_t)(entry >> 32));
    io_write(0x10 + 2 * pin, (uint32_t)entry);
}

static uint64_t get_entry(unsigned pin) {
    return (uint64_t)io_read(0x11 + 2 * pin) << 32 | io_read(0x10 + 2 * pin);
}

#define LEVEL      0x8000u
#define REMOTE_IRR 0x4000u
#define MASKED     0x10000u
#define TO(id)     ((uint64_t)(id) << 56)

static void test_registers(void **state) {
    (void)state;
    assert_int_equal(io_read(0), 0);
    assert_int_equal(io_read(1), 0x00170020);
    io_write(0, 0xffffffff);
    assert_int_equal(io_read(0), 0x0f000000);
    assert_int_equal(io_read(2), 0x0f000000);
    io_write(1, 0);
    assert_int_equal(io_read(1), 0x00170020);
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        assert_int_equal(get_entry(pin), MASKED);
    set_entry(23, ~0ull);
    assert_int_equal(get_entry(23), 0xff0000000001afffull); /* read-only and reserved bits stay 0 */
    assert_int_equal(io_read(0x40), 0);
    io_write(0x40, 0xffffffff);
    io_write(0x0f, 0xffffffff);
    io_write(0xff, 0xffffffff);
    assert_int_equal(io_read(0xff), 0);
    uint64_t value;
    bus_read(&vm()->bus[BUS_MEMORY], NULL, PC_IOAPIC_BASE, 1, &value);
    assert_int_equal(value, 0xff);
    /* Every offset and size. */
    for (unsigned offset = 0; offset < 0x60; offset++)
        for (unsigned size = 1; size <= 8; size *= 2) {
            bus_read(&vm()->bus[BUS_MEMORY], NULL, PC_IOAPIC_BASE + offset, size, &value);
            bus_write(&vm()->bus[BUS_MEMORY], NULL, PC_IOAPIC_BASE + offset, size, ~0ull);
        }
}

static void test_edge(void **state) {
    (void)state;
    enable_all(true);
    set_entry(4, TO(1) | 0x51);
    pc_line_set(vm(), 4, true);
    assert_int_equal(take_interrupt(1), 0x51);
    assert_int_equal(msr(1, 0x818 + 2), 0);
    lapic_eoi(apic(1));
    pc_line_set(vm(), 4, true); /* no edge */
    assert_int_equal(take_interrupt(1), -1);
    pc_line_set(vm(), 4, false);
    pc_line_pulse(vm(), 4);
    assert_int_equal(take_interrupt(1), 0x51);
    lapic_eoi(apic(1));
    /* While masked an edge is lost. */
    set_entry(4, TO(1) | MASKED | 0x51);
    pc_line_set(vm(), 4, true);
    set_entry(4, TO(1) | 0x51);
    assert_int_equal(take_interrupt(1), -1);
    /* ISA line 0 is pin 2, and line 2 is nobody's. */
    set_entry(0, 0x60);
    set_entry(2, 0x62);
    pc_line_pulse(vm(), 0);
    assert_int_equal(take_interrupt(0), 0x62);
    lapic_eoi(apic(0));
    pc_line_pulse(vm(), 2);
    pc_line_pulse(vm(), 24);
    pc_line_pulse(vm(), ~0u);
    assert_int_equal(take_interrupt(0), -1);
    /* Lines above the ISA's. */
    set_entry(23, TO(2) | 0x77);
    pc_line_pulse(vm(), 23);
    assert_int_equal(take_interrupt(2), 0x77);
}

static void test_level(void **state) {
    (void)state;
    enable_all(true);
    set_entry(16, TO(1) | LEVEL | 0x61);
    pc_line_set(vm(), 16, true);
    assert_int_equal(get_entry(16), TO(1) | LEVEL | REMOTE_IRR | 0x61);
    assert_int_equal(take_interrupt(1), 0x61);
    assert_int_equal(msr(1, 0x818 + 3), 2); /* TMR */
    pc_line_set(vm(), 16, false);
    pc_line_set(vm(), 16, true); /* not again before its end */
    assert_int_equal(take_interrupt(1), -1);
    wrmsr(1, 0x80b, 0);
    assert_int_equal(take_interrupt(1), 0x61); /* still asserted: again */
    pc_line_set(vm(), 16, false);
    wrmsr(1, 0x80b, 0);
    assert_int_equal(take_interrupt(1), -1);
    assert_int_equal(get_entry(16), TO(1) | LEVEL | 0x61);
    /* Masked on the way: delivered once it is opened. */
    set_entry(16, TO(1) | LEVEL | MASKED | 0x61);
    pc_line_set(vm(), 16, true);
    assert_int_equal(take_interrupt(1), -1);
    set_entry(16, TO(1) | LEVEL | 0x61);
    assert_int_equal(take_interrupt(1), 0x61);
    /* To edge and back ends it, as systems without an EOI register do. */
    set_entry(16, TO(1) | MASKED | 0x61);
    assert_int_equal(get_entry(16), TO(1) | MASKED | 0x61);
    set_entry(16, TO(1) | LEVEL | 0x61);
    assert_int_equal(get_entry(16), TO(1) | LEVEL | REMOTE_IRR | 0x61);
    lapic_eoi(apic(1));
    assert_int_equal(take_interrupt(1), 0x61);
    /* An edge of the same vector has no level's end. */
    pc_line_set(vm(), 16, false);
    lapic_eoi(apic(1));
    take_requests(1);
    pc_msi(vm(), 0xfee01000, 0x61);
    assert_int_equal(take_interrupt(1), 0x61);
    assert_int_equal(msr(1, 0x818 + 3), 0);
}

static void test_level_shared_vector(void **state) {
    (void)state;
    enable_all(true);
    set_entry(16, LEVEL | 0x61);
    set_entry(17, LEVEL | 0x61);
    pc_line_set(vm(), 16, true);
    pc_line_set(vm(), 17, true);
    assert_int_equal(take_interrupt(0), 0x61);
    pc_line_set(vm(), 16, false);
    lapic_eoi(apic(0));
    assert_int_equal(get_entry(16), LEVEL | 0x61);
    assert_int_equal(get_entry(17), LEVEL | REMOTE_IRR | 0x61);
    assert_int_equal(take_interrupt(0), 0x61);
    pc_line_set(vm(), 17, false);
    lapic_eoi(apic(0));
    assert_int_equal(take_interrupt(0), -1);
}

/* Devices that are on no bus share four lines: each is up while one of its devices is. */
static void test_mmio_lines(void **state) {
    (void)state;
    assert_true(arch_mmio_place(0) == 0xfef00000 && arch_mmio_place(17) == 0xfef11000);
    enable_all(true);
    for (unsigned i = 0; i < 4; i++)
        set_entry(20 + i, TO(1) | LEVEL | (0x61 + i));
    for (unsigned place = 0; place < SERVICE_MMIO_PLACES; place++) {
        arch_mmio_line(vm(), place, true);
        arch_mmio_line(vm(), place, true);
        assert_int_equal(take_interrupt(1), 0x61 + place % 4);
        arch_mmio_line(vm(), place, false);
        wrmsr(1, 0x80b, 0);
        assert_int_equal(take_interrupt(1), -1);
    }
    arch_mmio_line(vm(), 3, true);
    arch_mmio_line(vm(), 7, true);
    arch_mmio_line(vm(), 3, false);
    assert_int_equal(take_interrupt(1), 0x64);
    wrmsr(1, 0x80b, 0);
    assert_int_equal(take_interrupt(1), 0x64); /* the other one still asks */
    arch_mmio_line(vm(), 7, false);
    wrmsr(1, 0x80b, 0);
    assert_int_equal(take_interrupt(1), -1);
}

static void test_directed_eoi(void **state) {
    (void)state;
    enable_all(true);
    wrmsr(0, 0x80f, 0x11ff); /* no broadcast */
    set_entry(16, LEVEL | 0x61);
    pc_line_set(vm(), 16, true);
    assert_int_equal(take_interrupt(0), 0x61);
    lapic_eoi(apic(0));
    assert_int_equal(take_interrupt(0), -1);
    assert_int_equal(get_entry(16), LEVEL | REMOTE_IRR | 0x61);
    assert_int_equal(bus_write(&vm()->bus[BUS_MEMORY], NULL, PC_IOAPIC_BASE + 0x40, 4, 0x62), 0);
    assert_int_equal(take_interrupt(0), -1);
    assert_int_equal(bus_write(&vm()->bus[BUS_MEMORY], NULL, PC_IOAPIC_BASE + 0x40, 4, 0x61), 0);
    assert_int_equal(take_interrupt(0), 0x61);
}

static void test_nobody_listens(void **state) {
    (void)state;
    /* A level that no local APIC takes stays pending until one is enabled. */
    set_entry(16, LEVEL | 0x61);
    pc_line_set(vm(), 16, true);
    assert_int_equal(get_entry(16), LEVEL | 0x61);
    xwrite(0, 0xf0, 0x1ff);
    assert_int_equal(get_entry(16), LEVEL | REMOTE_IRR | 0x61);
    assert_int_equal(take_interrupt(0), 0x61);
}

static void test_delivery_modes(void **state) {
    (void)state;
    enable_all(true);
    set_entry(5, TO(2) | 0x400 | LEVEL);
    pc_line_set(vm(), 5, true);
    assert_int_equal(take_requests(2), X86_REQUEST_NMI);
    assert_int_equal(get_entry(5), TO(2) | 0x400 | LEVEL); /* an edge whatever it says */
    pc_line_set(vm(), 5, false);
    set_entry(5, TO(2) | 0x500);
    pc_line_set(vm(), 5, true);
    assert_int_equal(take_requests(2), X86_REQUEST_INIT);
    pc_line_set(vm(), 5, false);
    static const unsigned nothing[] = {0x200, 0x300, 0x600, 0x700};
    for (unsigned i = 0; i < array_count(nothing); i++) {
        set_entry(5, TO(2) | nothing[i] | 0x40);
        pc_line_pulse(vm(), 5);
        assert_int_equal(take_requests(2), 0);
    }
    set_entry(5, TO(0x0c) | 0x900 | 0x44); /* lowest priority, logical */
    wrmsr(2, 0x808, 0x20);
    pc_line_pulse(vm(), 5);
    assert_int_equal(take_interrupt(3), 0x44);
    set_entry(5, TO(0x0c) | 0x800 | 0x44); /* fixed, logical */
    lapic_eoi(apic(3));
    pc_line_pulse(vm(), 5);
    assert_int_equal(take_interrupt(3), 0x44);
    assert_int_equal(take_interrupt(2), 0x44);
}

static void test_msi(void **state) {
    (void)state;
    enable_all(true);
    assert_int_equal(arch_msi(vm(), 0xfed00000, 0x41), -EINVAL);
    assert_int_equal(pc_msi(vm(), 0xfef00000, 0x41), -EINVAL);
    assert_int_equal(pc_msi(vm(), 0x1fee00000, 0x41), -EINVAL);
    assert_int_equal(pc_msi(vm(), 0xfee03000, 0x41), 0);
    assert_int_equal(take_interrupt(3), 0x41);
    lapic_eoi(apic(3));
    assert_int_equal(pc_msi(vm(), 0xfee0300c, 0x41), 0); /* logical 3, any one of them */
    unsigned taken = (take_interrupt(0) == 0x41) + (take_interrupt(1) == 0x41);
    assert_int_equal(taken, 1);
    assert_int_equal(take_interrupt(3), -1);
    assert_int_equal(pc_msi(vm(), 0xfee02000, 0x8042), 0); /* a level's end */
    assert_int_equal(take_interrupt(2), -1);
    assert_int_equal(pc_msi(vm(), 0xfee02000, 0xc042), 0); /* a level */
    assert_int_equal(take_interrupt(2), 0x42);
    assert_int_equal(msr(2, 0x818 + 2), 1u << 2);
    assert_int_equal(pc_msi(vm(), 0xfee02000, 0x0400), 0);
    assert_int_equal(take_requests(2), X86_REQUEST_NMI);
    assert_int_equal(pc_msi(vm(), 0xfee02000, 0x0610), 0);
    assert_int_equal(take_requests(2), 0);
    assert_int_equal(pc_msi(vm(), 0xfee02000, 0x0700), 0);
    assert_int_equal(pc_msi(vm(), 0xfee02000, 0x0005), 0); /* illegal vector */
    assert_int_equal(take_requests(2), 0);
}

static void test_state(void **state) {
    (void)state;
    uint8_t record[1024];
    enable_all(true);
    io_write(0, 0x05000000);
    set_entry(16, TO(1) | LEVEL | 0x61);
    set_entry(3, TO(2) | 0x44);
    pc_line_set(vm(), 16, true);
    pc_line_set(vm(), 3, true);
    io_write(0x41, 0);
    size_t used = round_trip(&ioapic_part, 0, record, sizeof(record));
    assert_int_equal(io_read(0), 0x05000000);
    assert_int_equal(get_entry(16), TO(1) | LEVEL | REMOTE_IRR | 0x61);
    assert_int_equal(get_entry(3), TO(2) | 0x44);
    take_requests(2);
    lapic_eoi(apic(2));
    pc_line_set(vm(), 3, true); /* was up already */
    assert_int_equal(take_interrupt(2), -1);
    assert_int_equal(take_interrupt(1), 0x61);
    lapic_eoi(apic(1));
    assert_int_equal(take_interrupt(1), 0x61); /* still asserted */

    enum { LINES = 0, ID = 4, ENTRY = 6 };
    refuse_short(&ioapic_part, 0, record, used);
    refuse_change(&ioapic_part, 0, record, used, LINES, 4, 0x1000000);
    refuse_change(&ioapic_part, 0, record, used, ID, 1, 0x10);
    refuse_change(&ioapic_part, 0, record, used, ENTRY, 8, 0x1000);
    refuse_change(&ioapic_part, 0, record, used, ENTRY, 8, 0x20000);
    refuse_change(&ioapic_part, 0, record, used, ENTRY, 8, REMOTE_IRR | 0x44); /* an edge */
    refuse_change(&ioapic_part, 0, record, used, ENTRY + 8 * 23, 8, 1ull << 32);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_open, machine_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_registers),    TEST(test_edge),           TEST(test_level),
        TEST(test_directed_eoi), TEST(test_nobody_listens), TEST(test_level_shared_vector),
        TEST(test_msi),          TEST(test_delivery_modes), TEST(test_state),
        TEST(test_mmio_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
