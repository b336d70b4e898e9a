// SPDX-License-Identifier: Apache-2.0
// Unit tests of the local APIC with a virtual-APIC page: a CPU that delivers by itself, played by the test,
// against the model that does all in software.
// unit-sources: arch/x86/guest/lapic.c arch/x86/guest/lapic_registers.c arch/x86/guest/lapic_message.c arch/x86/guest/lapic_timer.c arch/x86/guest/lapic_page.c arch/x86/guest/lapic_state.c arch/x86/guest/ioapic.c arch/x86/guest/pic.c arch/x86/guest/pv.c arch/x86/guest/pv_clock.c core/bus.c lib/state.c
#include "tests/unit/irq_fixture.h"

#define HARD 0u /* the vCPU whose interrupts the page holds */
#define SOFT 1u

static uint8_t page[4096] __attribute__((aligned(4096)));

/* ---- the CPU (Intel SDM vol. 3, 29.1, 29.2) */

static struct {
    uint8_t rvi, svi;
    uint64_t eoi_exit[4];
} cpu;

static uint32_t *reg(unsigned offset) {
    return (uint32_t *)(void *)(page + offset);
}

static bool test_bit(unsigned offset, unsigned vector) {
    return *reg(offset + vector / 32 * 16) >> vector % 32 & 1;
}

static void change_bit(unsigned offset, unsigned vector, bool value) {
    *reg(offset + vector / 32 * 16) &= ~(1u << vector % 32);
    *reg(offset + vector / 32 * 16) |= (uint32_t)value << vector % 32;
}

static uint8_t top(unsigned offset) {
    for (unsigned vector = 255; vector; vector--)
        if (test_bit(offset, vector))
            return (uint8_t)vector;
    return 0;
}

static uint8_t priority(void) {
    uint8_t tpr = (uint8_t)*reg(0x80);
    return tpr >> 4 >= cpu.svi >> 4 ? tpr : cpu.svi & 0xf0;
}

/* The run loop before an entry. */
static void enter(void) {
    if (take_requests(HARD) & X86_REQUEST_EVENT) {
        assert_true(lapic_page_wanted(apic(HARD)) >= LAPIC_PAGE_XAPIC);
        lapic_page_load(apic(HARD), &cpu.rvi, &cpu.svi, cpu.eoi_exit);
    }
}

/* What it delivers, -1: nothing. */
static int cpu_deliver(void) {
    if (cpu.rvi >> 4 <= priority() >> 4)
        return -1;
    uint8_t vector = cpu.rvi;
    change_bit(0x200, vector, false);
    change_bit(0x100, vector, true);
    cpu.svi = vector;
    cpu.rvi = top(0x200);
    return vector;
}

static void cpu_eoi(void) {
    uint8_t vector = cpu.svi;
    change_bit(0x100, vector, false);
    cpu.svi = top(0x100);
    if (vector && cpu.eoi_exit[vector / 64] >> vector % 64 & 1)
        lapic_page_eoi(apic(HARD), vector);
}

static void cpu_self_ipi(uint8_t vector) {
    change_bit(0x200, vector, true);
    cpu.rvi = top(0x200);
}

/* ---- tests */

static int open_page(void **state) {
    machine_open(state);
    memset(page, 0xee, sizeof(page));
    memset(&cpu, 0, sizeof(cpu));
    machine.vcpu[HARD].apic_page = page;
    return 0;
}

static void send(unsigned index, uint8_t vector, bool level) {
    struct lapic_message message = {.destination = index, .x2apic = true, .level = level, .vector = vector};
    assert_int_equal(lapic_deliver(&machine.vm.core, NULL, 0, &message), 1);
}

static void test_wanted(void **state) {
    (void)state;
    assert_int_equal(lapic_page_wanted(apic(HARD)), LAPIC_PAGE_TRAP); /* disabled by software */
    enable_all(false);
    assert_int_equal(lapic_page_wanted(apic(HARD)), LAPIC_PAGE_XAPIC);
    take_requests(HARD);
    assert_int_equal(wrmsr(HARD, 0x1b, 0xfed00900), 0); /* elsewhere: the run loop has to look */
    assert_int_equal(lapic_page_wanted(apic(HARD)), LAPIC_PAGE_NONE);
    assert_int_not_equal(take_requests(HARD) & X86_REQUEST_EVENT, 0);
    assert_int_equal(wrmsr(HARD, 0x1b, PC_LAPIC_BASE | 0x900), 0);
    enable_all(true);
    assert_int_equal(lapic_page_wanted(apic(HARD)), LAPIC_PAGE_X2APIC);
    wrmsr(HARD, 0x80f, 0xff);
    assert_int_equal(lapic_page_wanted(apic(HARD)), LAPIC_PAGE_NONE); /* disabled by software */
    assert_int_equal(wrmsr(HARD, 0x1b, 0x100), 0);
    assert_int_equal(lapic_page_wanted(apic(HARD)), LAPIC_PAGE_NONE);
}

static void test_deliver_and_end(void **state) {
    (void)state;
    enable_all(true);
    send(HARD, 0x41, false);
    send(HARD, 0x52, false);
    enter();
    assert_int_equal(cpu.rvi, 0x52);
    assert_int_equal(cpu_deliver(), 0x52);
    assert_int_equal(cpu_deliver(), -1);
    /* The model sees it when it is asked, and hands it over again. */
    assert_int_equal(msr(HARD, 0x812), 1u << 18);
    assert_int_equal(msr(HARD, 0x822), 1u << 1);
    assert_int_equal(msr(HARD, 0x80a), 0x50);
    enter();
    assert_int_equal(cpu.svi, 0x52);
    cpu_eoi();
    assert_int_equal(cpu_deliver(), 0x41);
    cpu_eoi();
    lapic_page_unload(apic(HARD));
    assert_false(lapic_has_work(apic(HARD)));
    assert_int_equal(msr(HARD, 0x812), 0);
}

/* A vCPU that blocks has all of it back, so that others see whether it has to wake. */
static void test_block(void **state) {
    (void)state;
    enable_all(true);
    send(HARD, 0x60, false);
    enter();
    assert_int_equal(cpu_deliver(), 0x60);
    cpu_self_ipi(0x70);
    lapic_page_unload(apic(HARD));
    take_requests(HARD);
    assert_true(lapic_has_work(apic(HARD)));
    lapic_page_unload(apic(HARD)); /* twice is once */
    assert_true(lapic_has_work(apic(HARD)));
    lapic_set_cr8(apic(HARD), 9);
    assert_false(lapic_has_work(apic(HARD)));
}

/* The same bit pending in the page and again from another CPU is one interrupt. */
static void test_pending_twice(void **state) {
    (void)state;
    enable_all(true);
    send(HARD, 0x33, false);
    enter();
    send(HARD, 0x33, false);
    assert_int_not_equal(take_requests(HARD) & X86_REQUEST_EVENT, 0);
    lapic_page_load(apic(HARD), &cpu.rvi, &cpu.svi, cpu.eoi_exit);
    assert_int_equal(cpu_deliver(), 0x33);
    cpu_eoi();
    assert_int_equal(cpu_deliver(), -1);
}

static void test_level(void **state) {
    (void)state;
    enable_all(true);
    send(HARD, 0x81, true);
    enter();
    assert_int_equal(cpu.eoi_exit[2], 2);
    send(HARD, 0x81, false); /* an edge by now */
    enter();
    assert_int_equal(cpu.eoi_exit[2], 0);
}

/* INIT and a change of mode leave nothing in the page. */
static void test_reset(void **state) {
    (void)state;
    enable_all(true);
    send(HARD, 0x90, false);
    enter();
    assert_int_equal(cpu_deliver(), 0x90);
    lapic_init_reset(apic(HARD));
    assert_int_not_equal(take_requests(HARD) & X86_REQUEST_EVENT, 0); /* the engine switches it off */
    assert_int_equal(lapic_page_wanted(apic(HARD)), LAPIC_PAGE_NONE);
    assert_int_equal(wrmsr(HARD, 0x80f, 0x1ff), 0);
    lapic_page_load(apic(HARD), &cpu.rvi, &cpu.svi, cpu.eoi_exit);
    assert_int_equal(cpu.rvi | cpu.svi, 0);
    assert_int_equal(*reg(0x140), 0);
}

/* xAPIC mode: the guest reads the page, and writes into it. */
static void test_xapic_page(void **state) {
    static const uint16_t offsets[] = {0x20,  0x30,  0x80,  0xd0,  0xe0,  0xf0,  0x280, 0x300, 0x310,
                                       0x320, 0x330, 0x340, 0x350, 0x360, 0x370, 0x380, 0x3e0};
    (void)state;
    enable_all(false);
    uint64_t value;
    lapic_mmio_write(apic(HARD), 0xd0, 4, 0x42000000);
    lapic_mmio_write(apic(HARD), 0x370, 4, 0x55);
    lapic_mmio_write(apic(HARD), 0x80, 4, 0x20);
    send(HARD, 0x91, true);
    enter();
    for (unsigned i = 0; i < array_count(offsets); i++) {
        uint32_t in_page = *reg(offsets[i]);
        lapic_mmio_read(apic(HARD), offsets[i], 4, &value);
        assert_int_equal(in_page, value);
        take_requests(HARD);
        lapic_page_load(apic(HARD), &cpu.rvi, &cpu.svi, cpu.eoi_exit);
    }
    assert_int_equal(*reg(0x1c0), 1u << 0x11); /* TMR */
    assert_int_equal(cpu_deliver(), 0x91);
    /* An IPI: the upper half goes without an exit, the lower one is ours. */
    *reg(0x310) = 1u << 24;
    *reg(0x300) = 0x4077;
    lapic_page_write(apic(HARD), 0x300);
    assert_true(lapic_has_work(apic(SOFT)));
    assert_int_equal(lapic_pending(apic(SOFT)), 0x77);
    lapic_mmio_read(apic(HARD), 0x310, 4, &value);
    assert_int_equal(value, 1u << 24);
    enter();
    assert_int_equal(*reg(0x300), 0x4077);
    assert_int_equal(cpu.svi, 0x91);
    /* What the model does not keep of a value does not stay in the page either. */
    *reg(0x330) = 0xffffffff;
    lapic_page_write(apic(HARD), 0x330);
    enter();
    assert_int_equal(*reg(0x330), 0x107ff);
}

static void test_save(void **state) {
    (void)state;
    uint8_t record[2048];
    enable_all(true);
    send(HARD, 0x44, false);
    send(HARD, 0x35, false);
    enter();
    assert_int_equal(cpu_deliver(), 0x44);
    *reg(0x80) = 0x20;
    round_trip(&lapic_part, HARD, record, sizeof(record));
    assert_int_equal(msr(HARD, 0x808), 0x20);
    assert_int_equal(msr(HARD, 0x812), 1u << 4);
    assert_int_equal(msr(HARD, 0x821), 1u << 21);
}

static uint32_t seed = 12345;
static uint32_t pick(uint32_t limit) {
    seed = seed * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)(seed >> 8) * limit >> 24);
}

static uint64_t get(unsigned index, unsigned number, bool x2apic) {
    uint64_t value;
    if (x2apic)
        return msr(index, 0x800 + number);
    lapic_mmio_read(apic(index), number * 16, 4, &value);
    return value;
}

static void set(unsigned index, unsigned number, uint32_t value, bool x2apic) {
    if (x2apic)
        assert_int_equal(wrmsr(index, 0x800 + number, value), 0);
    else
        lapic_mmio_write(apic(index), number * 16, 4, value);
}

static void compare(bool x2apic) {
    static const uint16_t numbers[] = {0x808, 0x80a, 0x810, 0x811, 0x812, 0x813, 0x814, 0x815, 0x816,
                                       0x817, 0x820, 0x821, 0x822, 0x823, 0x824, 0x825, 0x826, 0x827};
    for (unsigned i = 0; i < array_count(numbers); i++)
        assert_int_equal(get(HARD, numbers[i] - 0x800, x2apic), get(SOFT, numbers[i] - 0x800, x2apic));
}

/* Whatever happens, both vCPUs take the same interrupts. */
static void against_software(bool x2apic) {
    unsigned delivered = 0;
    enable_all(x2apic);
    take_requests(HARD);
    machine.vcpu[HARD].core.requests = X86_REQUEST_EVENT;
    for (unsigned step = 0; step < 200000; step++) {
        uint8_t vector = (uint8_t)(16 + pick(240));
        enter();
        switch (pick(8)) {
        case 0: {
            bool level = pick(4) == 0;
            send(HARD, vector, level);
            send(SOFT, vector, level);
            break;
        }
        case 1:
            cpu_self_ipi(vector);
            send(SOFT, vector, false);
            break;
        case 2:
        case 3:
            cpu_eoi();
            set(SOFT, 0x0b, 0, x2apic);
            break;
        case 4: {
            uint32_t tpr = pick(3) ? 0 : pick(256);
            *reg(0x80) = tpr;
            set(SOFT, 0x08, tpr, x2apic);
            break;
        }
        case 5:
            if (pick(20) == 0)
                compare(x2apic);
            if (pick(20) == 0) {
                lapic_page_unload(apic(HARD));
                assert_int_equal(lapic_has_work(apic(HARD)), lapic_has_work(apic(SOFT)));
                machine.vcpu[HARD].core.requests = X86_REQUEST_EVENT; /* as a vCPU that is run again has */
            }
            break;
        default: {
            enter();
            int vector_hard = cpu_deliver();
            int vector_soft = lapic_pending(apic(SOFT));
            if (vector_soft >= 0)
                lapic_accept(apic(SOFT), (uint8_t)vector_soft);
            assert_int_equal(vector_hard, vector_soft);
            delivered += vector_hard >= 0;
            break;
        }
        }
    }
    assert_true(delivered > 10000);
}

static void test_against_software(void **state) {
    (void)state;
    against_software(true);
}

static void test_xapic_against_software(void **state) {
    (void)state;
    against_software(false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_wanted, open_page, machine_close),
        cmocka_unit_test_setup_teardown(test_deliver_and_end, open_page, machine_close),
        cmocka_unit_test_setup_teardown(test_block, open_page, machine_close),
        cmocka_unit_test_setup_teardown(test_pending_twice, open_page, machine_close),
        cmocka_unit_test_setup_teardown(test_level, open_page, machine_close),
        cmocka_unit_test_setup_teardown(test_reset, open_page, machine_close),
        cmocka_unit_test_setup_teardown(test_save, open_page, machine_close),
        cmocka_unit_test_setup_teardown(test_xapic_page, open_page, machine_close),
        cmocka_unit_test_setup_teardown(test_against_software, open_page, machine_close),
        cmocka_unit_test_setup_teardown(test_xapic_against_software, open_page, machine_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
