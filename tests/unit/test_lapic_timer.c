// SPDX-License-Identifier: Apache-2.0
// Unit tests of the local APIC's timer: one-shot, periodic, TSC deadline.
// unit-sources: arch/x86/guest/lapic.c arch/x86/guest/lapic_registers.c arch/x86/guest/lapic_message.c arch/x86/guest/lapic_timer.c arch/x86/guest/lapic_page.c arch/x86/guest/lapic_state.c arch/x86/guest/ioapic.c arch/x86/guest/pic.c arch/x86/guest/pv.c arch/x86/guest/pv_clock.c core/bus.c lib/state.c
#include "tests/unit/irq_fixture.h"

#define TIMER_VECTOR 0xec

static void test_timer_divisors(void **state) {
    (void)state;
    static const uint8_t code[] = {0, 1, 2, 3, 8, 9, 10, 11};
    static const uint8_t divisor[] = {2, 4, 8, 16, 32, 64, 128, 1};
    enable_all(true);
    for (unsigned i = 0; i < 8; i++) {
        uint64_t start = test_time;
        wrmsr(0, 0x832, TIMER_VECTOR);
        wrmsr(0, 0x83e, code[i]);
        wrmsr(0, 0x838, 1000);
        assert_int_equal(next_deadline(), start + 1000 * divisor[i]);
        advance_to(start + 400 * divisor[i]);
        assert_int_equal(msr(0, 0x839), 600);
        advance_to(start + 1000 * divisor[i] - 1);
        assert_int_equal(take_interrupt(0), -1);
        advance_to(start + 1000 * divisor[i]);
        assert_int_equal(take_interrupt(0), TIMER_VECTOR);
        lapic_eoi(apic(0));
        assert_int_equal(msr(0, 0x839), 0);
        assert_int_equal(advance_to(test_time + 1000000), 0); /* once */
    }
}

static void test_timer_one_shot(void **state) {
    (void)state;
    enable_all(true);
    wrmsr(0, 0x83e, 0xb);
    wrmsr(0, 0x832, TIMER_VECTOR);
    wrmsr(0, 0x838, 0xffffffff);
    assert_int_equal(msr(0, 0x839), 0xffffffff);
    assert_int_equal(msr(0, 0x838), 0xffffffff);
    wrmsr(0, 0x838, 50); /* starts again */
    assert_int_equal(next_deadline(), test_time + 50);
    wrmsr(0, 0x838, 0); /* stops */
    assert_int_equal(next_deadline(), UINT64_MAX);
    assert_int_equal(msr(0, 0x839), 0);
    /* Masked, it counts without an interrupt. */
    wrmsr(0, 0x832, 0x10000 | TIMER_VECTOR);
    wrmsr(0, 0x838, 100);
    advance_to(test_time + 40);
    assert_int_equal(msr(0, 0x839), 60);
    wrmsr(0, 0x832, TIMER_VECTOR); /* opened in time */
    advance_to(test_time + 60);
    assert_int_equal(take_interrupt(0), TIMER_VECTOR);
    lapic_eoi(apic(0));
    wrmsr(0, 0x832, 0x10000 | TIMER_VECTOR);
    wrmsr(0, 0x838, 100);
    advance_to(test_time + 200);
    wrmsr(0, 0x832, TIMER_VECTOR); /* opened too late */
    advance_to(test_time + 1000);
    assert_int_equal(take_interrupt(0), -1);
    /* The rate changes on the way: the count goes on from where it is. */
    wrmsr(0, 0x838, 1000);
    advance_to(test_time + 400);
    wrmsr(0, 0x83e, 0); /* by 2 */
    assert_int_equal(msr(0, 0x839), 600);
    assert_int_equal(next_deadline(), test_time + 1200);
}

static void test_timer_periodic(void **state) {
    (void)state;
    enable_all(true);
    wrmsr(0, 0x83e, 0xb);
    wrmsr(0, 0x832, 0x20000 | TIMER_VECTOR);
    uint64_t start = test_time;
    wrmsr(0, 0x838, 100000);
    for (unsigned i = 1; i <= 50; i++) {
        /* The host's timer comes late now and then; nothing drifts. */
        assert_int_equal(next_deadline(), start + i * 100000);
        test_time = next_deadline() + i * 37;
        assert_int_equal(advance_to(test_time), 1);
        assert_int_equal(take_interrupt(0), TIMER_VECTOR);
        lapic_eoi(apic(0));
        assert_int_equal(msr(0, 0x839), 100000 - i * 37);
    }
    /* Periods that were slept through are one interrupt. */
    test_time = start + 60 * 100000 + 5;
    assert_int_equal(advance_to(test_time), 1);
    assert_int_equal(next_deadline(), start + 61 * 100000);
    /* Masked and opened again: in step. */
    wrmsr(0, 0x832, 0x30000 | TIMER_VECTOR);
    assert_int_equal(next_deadline(), UINT64_MAX);
    advance_to(start + 75 * 100000 + 10);
    assert_int_equal(msr(0, 0x839), 100000 - 10);
    wrmsr(0, 0x832, 0x20000 | TIMER_VECTOR);
    assert_int_equal(next_deadline(), start + 76 * 100000);
    /* To one-shot: ends with this period. */
    wrmsr(0, 0x832, TIMER_VECTOR);
    assert_int_equal(advance_to(start + 80 * 100000), 1);
}

static void test_timer_rate_is_bounded(void **state) {
    (void)state;
    enable_all(true);
    wrmsr(0, 0x83e, 0xb);
    wrmsr(0, 0x832, 0x20000 | TIMER_VECTOR);
    static const uint32_t periods[] = {1, 7, 19999};
    for (unsigned p = 0; p < array_count(periods); p++) {
        uint64_t start = test_time;
        wrmsr(0, 0x838, periods[p]);
        unsigned fired = advance_to(start + 1000000);
        assert_in_range(fired, 20, 50); /* 20 us apart at least, and not twice that */
        assert_int_equal((next_deadline() - start) % periods[p], 0);
    }
    /* Writing the count in a loop does not help. */
    unsigned fired = 0;
    uint64_t end = test_time + 1000000;
    while (test_time < end) {
        wrmsr(0, 0x838, 1);
        fired += advance_to(test_time + 10000);
    }
    assert_int_equal(fired, 0);
    wrmsr(0, 0x838, 20000);
    assert_int_equal(next_deadline(), test_time + 20000);
}

/* Of vCPUs that share a CPU the timers share what one of them could have. */
static void test_timer_rate_of_all_is_bounded(void **state) {
    (void)state;
    static const struct {
        uint64_t affinity;
        unsigned cpus;
    } placed[] = {{2, 1}, {3, 2}, {~0ull, 2}};
    for (unsigned p = 0; p < array_count(placed); p++) {
        for (unsigned i = 0; i < VCPUS; i++)
            machine.vcpu[i].core.affinity = placed[p].affinity;
        machine_each(reset_part);
        enable_all(true);
        for (unsigned i = 0; i < VCPUS; i++) {
            wrmsr(i, 0x83e, 0xb);
            wrmsr(i, 0x832, 0x20000 | TIMER_VECTOR);
            wrmsr(i, 0x838, 100);
        }
        assert_in_range(advance_to(test_time + 1000000), 45 * placed[p].cpus, 50 * placed[p].cpus);
    }
}

static void test_timer_deadline(void **state) {
    (void)state;
    enable_all(true);
    wrmsr(0, 0x6e0, 12345); /* not in this mode */
    assert_int_equal(msr(0, 0x6e0), 0);
    wrmsr(0, 0x832, 0x40000 | TIMER_VECTOR);
    wrmsr(0, 0x838, 1000); /* nor the count in that */
    assert_int_equal(msr(0, 0x838), 0);
    assert_int_equal(next_deadline(), UINT64_MAX);

    uint64_t guest = test_time + machine.vcpu[0].tsc_offset;
    wrmsr(0, 0x6e0, guest + 700);
    assert_int_equal(msr(0, 0x6e0), guest + 700);
    assert_int_equal(msr(0, 0x839), 0);
    assert_int_equal(next_deadline(), test_time + 701);
    advance_to(test_time + 700);
    assert_int_equal(take_interrupt(0), -1); /* never early */
    advance_to(test_time + 1);
    assert_int_equal(take_interrupt(0), TIMER_VECTOR);
    assert_int_equal(msr(0, 0x6e0), 0); /* disarmed */
    lapic_eoi(apic(0));

    machine.arms = 0;
    wrmsr(0, 0x6e0, 1); /* long past */
    assert_int_equal(take_interrupt(0), TIMER_VECTOR);
    assert_int_equal(machine.arms, 0);
    lapic_eoi(apic(0));
    wrmsr(0, 0x6e0, UINT64_MAX); /* never, in practice */
    assert_int_equal(msr(0, 0x6e0), UINT64_MAX);
    assert_int_equal(advance_to(test_time + 1000000000), 0);
    wrmsr(0, 0x6e0, 0);
    assert_int_equal(next_deadline(), UINT64_MAX);

    /* A TSC of half the frequency takes twice as long. */
    machine.vm.tsc_ratio = 1ull << 47;
    machine.vm.tsc_inverse = 1ull << 49;
    guest = test_time / 2 + machine.vcpu[0].tsc_offset;
    wrmsr(0, 0x6e0, guest + 700);
    assert_in_range(next_deadline(), test_time + 1400, test_time + 1403);
    wrmsr(0, 0x6e0, guest);
    assert_int_equal(take_interrupt(0), TIMER_VECTOR);
    lapic_eoi(apic(0));
    machine.vm.tsc_ratio = machine.vm.tsc_inverse = 0;

    /* The guest's TSC jumps. */
    guest = test_time + machine.vcpu[0].tsc_offset;
    wrmsr(0, 0x6e0, guest + 1000);
    machine.vcpu[0].tsc_offset += 400;
    lapic_tsc_changed(apic(0));
    assert_int_equal(next_deadline(), test_time + 601);
    machine.vcpu[0].tsc_offset += 600;
    lapic_tsc_changed(apic(0));
    assert_int_equal(take_interrupt(0), TIMER_VECTOR);
    assert_int_equal(next_deadline(), UINT64_MAX);
    lapic_eoi(apic(0));

    /* Masked it runs out quietly; another mode disarms it. */
    wrmsr(0, 0x832, 0x50000 | TIMER_VECTOR);
    guest = test_time + machine.vcpu[0].tsc_offset;
    wrmsr(0, 0x6e0, guest + 10);
    assert_int_equal(msr(0, 0x6e0), guest + 10);
    test_time += 20;
    assert_int_equal(msr(0, 0x6e0), 0);
    wrmsr(0, 0x832, 0x40000 | TIMER_VECTOR);
    assert_int_equal(advance_to(test_time + 100), 0);
    guest = test_time + machine.vcpu[0].tsc_offset;
    wrmsr(0, 0x6e0, guest + 10);
    wrmsr(0, 0x832, TIMER_VECTOR);
    assert_int_equal(msr(0, 0x6e0), 0);
    assert_int_equal(next_deadline(), UINT64_MAX);
}

static void test_timer_late_callback(void **state) {
    (void)state;
    enable_all(true);
    wrmsr(0, 0x83e, 0xb);
    wrmsr(0, 0x832, TIMER_VECTOR);
    wrmsr(0, 0x838, 100);
    /* The callback is on its way on another CPU when the guest moves the timer. */
    struct timer *timer = container_of(machine.timers.next, struct timer, link);
    test_time += 100;
    wrmsr(0, 0x838, 5000);
    timer->function(timer);
    assert_int_equal(take_interrupt(0), -1);
    assert_int_equal(next_deadline(), test_time + 5000);
    wrmsr(0, 0x838, 0);
    timer->function(timer);
    assert_int_equal(take_interrupt(0), -1);
}

static void test_state_deadline(void **state) {
    (void)state;
    uint8_t record[2048];
    enable_all(true);
    wrmsr(0, 0x832, 0x40000 | TIMER_VECTOR);
    uint64_t guest = test_time + machine.vcpu[0].tsc_offset;
    wrmsr(0, 0x6e0, guest + 5000);
    size_t used = save_part(&lapic_part, 0, record, sizeof(record));
    /* Another host, whose TSC says something else. */
    lapic_part.reset(&machine.vm.core, 0);
    test_time += 900000000;
    assert_int_equal(load_part(&lapic_part, 0, record, used), 0);
    assert_int_equal(next_deadline(), UINT64_MAX);
    machine.vcpu[0].tsc_offset = guest + 1000 - test_time;
    lapic_tsc_changed(apic(0));
    assert_int_equal(next_deadline(), test_time + 4001);
    advance_to(test_time + 4001);
    assert_int_equal(take_interrupt(0), TIMER_VECTOR);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_open, machine_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_timer_divisors),
        TEST(test_timer_one_shot),
        TEST(test_timer_periodic),
        TEST(test_timer_rate_is_bounded),
        TEST(test_timer_rate_of_all_is_bounded),
        TEST(test_timer_deadline),
        TEST(test_timer_late_callback),
        TEST(test_state_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
