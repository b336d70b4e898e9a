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
        assert_true(lapic_page_wanted(apic(HARD)));
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
    assert_false(lapic_page_wanted(apic(HARD)));
    enable_all(false);
    assert_false(lapic_page_wanted(apic(HARD))); /* xAPIC */
    enable_all(true);
    assert_true(lapic_page_wanted(apic(HARD)));
    wrmsr(HARD, 0x80f, 0xff);
    assert_false(lapic_page_wanted(apic(HARD))); /* disabled by software */
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
    assert_false(lapic_page_wanted(apic(HARD)));
    assert_int_equal(wrmsr(HARD, 0x80f, 0x1ff), 0);
    lapic_page_load(apic(HARD), &cpu.rvi, &cpu.svi, cpu.eoi_exit);
    assert_int_equal(cpu.rvi | cpu.svi, 0);
    assert_int_equal(*reg(0x140), 0);
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

static void compare(void) {
    static const uint16_t numbers[] = {0x808, 0x80a, 0x810, 0x811, 0x812, 0x813, 0x814, 0x815, 0x816,
                                       0x817, 0x820, 0x821, 0x822, 0x823, 0x824, 0x825, 0x826, 0x827};
    for (unsigned i = 0; i < array_count(numbers); i++)
        assert_int_equal(msr(HARD, numbers[i]), msr(SOFT, numbers[i]));
}

/* Whatever happens, both vCPUs take the same interrupts. */
static void test_against_software(void **state) {
    (void)state;
    unsigned delivered = 0;
    enable_all(true);
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
            assert_int_equal(wrmsr(SOFT, 0x83f, vector), 0);
            break;
        case 2:
        case 3:
            cpu_eoi();
            assert_int_equal(wrmsr(SOFT, 0x80b, 0), 0);
            break;
        case 4: {
            uint32_t tpr = pick(3) ? 0 : pick(256);
            *reg(0x80) = tpr;
            assert_int_equal(wrmsr(SOFT, 0x808, tpr), 0);
            break;
        }
        case 5:
            if (pick(20) == 0)
                compare();
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_wanted, open_page, machine_close),
        cmocka_unit_test_setup_teardown(test_deliver_and_end, open_page, machine_close),
        cmocka_unit_test_setup_teardown(test_block, open_page, machine_close),
        cmocka_unit_test_setup_teardown(test_pending_twice, open_page, machine_close),
        cmocka_unit_test_setup_teardown(test_level, open_page, machine_close),
        cmocka_unit_test_setup_teardown(test_reset, open_page, machine_close),
        cmocka_unit_test_setup_teardown(test_save, open_page, machine_close),
        cmocka_unit_test_setup_teardown(test_against_software, open_page, machine_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
