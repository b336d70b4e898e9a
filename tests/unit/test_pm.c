// SPDX-License-Identifier: Apache-2.0
// The guest's power management: PM timer, PM1 events and the SCI, sleep, GPE0, reset control, moving, saved
// state.
// unit-sources: arch/x86/guest/pm.c core/bus.c lib/state.c
#include "pc_fixture.h"
#include "arch/x86/guest/pm.h"
#include "arch/x86/guest/rate.h"

#define BASE PC_PMBASE

static int start(void **state) {
    (void)state;
    part_start(&pm_part);
    pm_place(vm(), BASE, true);
    return 0;
}

static int stop(void **state) {
    (void)state;
    part_stop(&pm_part);
    return 0;
}

static void test_timer(void **state) {
    (void)state;
    assert_int_equal(in(BASE + 8, 4), 0);
    uint64_t begin = test_time;
    test_time = begin + 1000000000ull;
    assert_int_equal(in(BASE + 8, 4), 3579545);
    assert_int_equal(in(BASE + 8, 2), 3579545 & 0xffff);
    assert_int_equal(in(BASE + 10, 2), 3579545 >> 16);
    assert_int_equal(in(BASE + 9, 1), 3579545 >> 8 & 0xff);
    /* One tick is 279.36 ns; an hour must be exact. */
    test_time = begin + 3600000000000ull;
    assert_int_equal(in(BASE + 8, 4), (uint32_t)(3579545ull * 3600));
    assert_false(timers_armed());
}

static void test_timer_event(void **state) {
    (void)state;
    uint64_t tick = rate_ticks(test_time, PM_TIMER_HZ);
    out(BASE + 2, 2, 0x0001); /* TMR_EN */
    assert_true(timers_armed());
    run_until(rate_ns(tick + (1ull << 31), PM_TIMER_HZ) - 1);
    assert_false(fixture.level[PM_SCI]);
    assert_int_equal(in(BASE, 2), 0);
    run_until(rate_ns(tick + (1ull << 31), PM_TIMER_HZ));
    assert_true(fixture.level[PM_SCI]);
    assert_int_equal(in(BASE + 8, 4), 0x80000000u);
    assert_int_equal(in(BASE, 2), 0x0001);
    assert_false(timers_armed()); /* nothing more to tell until it is cleared */
    out(BASE, 2, 0x0001);
    assert_false(fixture.level[PM_SCI]);
    assert_true(timers_armed());
    run_until(rate_ns(tick + (2ull << 31), PM_TIMER_HZ));
    assert_true(fixture.level[PM_SCI]); /* the top bit's way down counts as well */
    out(BASE + 2, 2, 0);
    assert_false(fixture.level[PM_SCI]);
    assert_false(timers_armed());
    /* Without TMR_EN nobody wakes up, yet the status is right when it is read. */
    out(BASE, 2, 0x0001);
    test_time += 600000000000ull;
    assert_int_equal(in(BASE, 2), 0x0001);
}

static void test_events(void **state) {
    (void)state;
    pm_power_button(vm());
    assert_int_equal(in(BASE, 2), 0x0100);
    assert_false(fixture.level[PM_SCI]);
    out(BASE + 2, 2, 0xffff);
    assert_int_equal(in(BASE + 2, 2), 0x4721);
    assert_true(fixture.level[PM_SCI]);
    out(BASE + 1, 1, 0x01); /* a byte of the status register */
    assert_false(fixture.level[PM_SCI]);
    assert_int_equal(in(BASE, 4), 0x47210000);
    out(BASE + 2, 2, 0);
}

static void test_gpe(void **state) {
    (void)state;
    assert_int_equal(in(BASE + 0x20, 4), 0);
    out(BASE + 0x28, 4, 0x12345678);
    out(BASE + 0x2c, 1, 0x9a);
    assert_int_equal(in(BASE + 0x28, 4), 0x12345678);
    assert_int_equal(in(BASE + 0x2c, 4), 0x9a);
    out(BASE + 0x20, 4, 0xffffffff);
    assert_int_equal(in(BASE + 0x20, 4), 0);
    assert_false(fixture.level[PM_SCI]);
    assert_int_equal(in(BASE + 0x30, 4), 0); /* SMI_EN: there is no SMM */
}

static void sleep_by(uint16_t value, enum vm_end expected) {
    fixture.end = VM_END_NONE;
    out(BASE + 4, 2, value);
    assert_int_equal(fixture.end, expected);
}

static void test_sleep(void **state) {
    (void)state;
    assert_int_equal(in(BASE + 4, 2), 0x0001); /* SCI_EN */
    sleep_by(5 << 10, VM_END_NONE);            /* the type alone does nothing */
    assert_int_equal(in(BASE + 4, 2), 0x1401);
    sleep_by(5 << 10 | 0x2000, VM_END_POWER_OFF);
    assert_int_equal(in(BASE + 4, 2), 0x1401); /* SLP_EN reads 0 */
    sleep_by(7 << 10 | 0x2000, VM_END_POWER_OFF);
    sleep_by(0x2000, VM_END_POWER_OFF);
    unsigned logged = fixture.logged;
    sleep_by(1 << 10 | 0x2000, VM_END_NONE);
    assert_int_equal(fixture.logged, logged + 1);
    fixture.end = VM_END_NONE;
    out(BASE + 4, 1, 0x20); /* not the byte that holds SLP_EN */
    assert_int_equal(fixture.end, VM_END_NONE);
    out(BASE + 5, 1, 0x34);
    assert_int_equal(fixture.end, VM_END_POWER_OFF);
}

static void test_reset_control(void **state) {
    (void)state;
    assert_int_equal(pm_reset_read(vm()), 0);
    pm_reset_write(vm(), 0x02);
    assert_int_equal(fixture.end, VM_END_NONE);
    assert_int_equal(pm_reset_read(vm()), 0x02);
    pm_reset_write(vm(), 0x06);
    assert_int_equal(fixture.end, VM_END_RESET);
    fixture.end = VM_END_NONE;
    pm_reset_write(vm(), 0x0e); /* RST_CPU was 1 already */
    assert_int_equal(fixture.end, VM_END_NONE);
    pm_part.reset(vm(), 0);
    pm_reset_write(vm(), 0x0e);
    assert_int_equal(fixture.end, VM_END_RESET);
}

static void test_place(void **state) {
    (void)state;
    static const struct bus_ops none = {0};
    pm_place(vm(), 0x4000, true);
    assert_int_equal(in(BASE + 4, 2), 0xffff);
    assert_int_equal(in(0x4004, 2), 0x0001);
    pm_place(vm(), 0x4000, false);
    assert_int_equal(in(0x4004, 2), 0xffff);
    /* Where somebody else is, nothing happens, and a later move works. */
    assert_int_equal(bus_add(&vm()->bus[BUS_PORT], 0x1010, 4, &none, NULL, "other"), 0);
    pm_place(vm(), 0x1000, true);
    assert_int_equal(in(0x1004, 2), 0xffff);
    pm_place(vm(), 0xff80, true);
    assert_int_equal(in(0xff84, 2), 0x0001);
    pm_place(vm(), 0, true);
    assert_int_equal(in(4, 2), 0xffff);
    pm_place(vm(), BASE, true);
    assert_int_equal(bus_remove(&vm()->bus[BUS_PORT], 0x1010), 0);
    assert_int_equal(in(BASE + 4, 2), 0x0001);
}

static void test_state(void **state) {
    (void)state;
    test_time += 12345678901ull;
    pm_power_button(vm());
    out(BASE + 2, 2, 0x0101);
    out(BASE + 4, 2, 0x1402);
    out(BASE + 0x28, 4, 0xabcdef);
    pm_reset_write(vm(), 0x02);
    uint64_t count = in(BASE + 8, 4);
    part_round_trip(&pm_part);
    assert_int_equal(in(BASE + 8, 4), count);
    assert_int_equal(in(BASE, 4), 0x01010100);
    assert_int_equal(in(BASE + 4, 2), 0x1403);
    assert_int_equal(in(BASE + 0x28, 4), 0xabcdef);
    assert_int_equal(pm_reset_read(vm()), 0x02);
    assert_true(fixture.level[PM_SCI]);
    assert_true(timers_armed());
    /* On a machine that started a moment ago the timer goes on all the same. */
    part_save(&pm_part);
    test_time = 5;
    assert_int_equal(part_load(&pm_part), 0);
    assert_int_equal(in(BASE + 8, 4), count);
    test_time += 1000000000;
    assert_int_equal(in(BASE + 8, 4), count + 3579545);

    part_truncation(&pm_part);
    assert_int_equal(part_load_changed(&pm_part, 0, 0x02), -EINVAL);  /* status */
    assert_int_equal(part_load_changed(&pm_part, 3, 0x80), -EINVAL);  /* enable */
    assert_int_equal(part_load_changed(&pm_part, 5, 0x20), -EINVAL);  /* control: SLP_EN */
    assert_int_equal(part_load_changed(&pm_part, 22, 0x01), -EINVAL); /* reset control */
    assert_int_equal(in(BASE + 2, 2), 0);
    assert_false(fixture.level[PM_SCI]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_timer, start, stop),
        cmocka_unit_test_setup_teardown(test_timer_event, start, stop),
        cmocka_unit_test_setup_teardown(test_events, start, stop),
        cmocka_unit_test_setup_teardown(test_gpe, start, stop),
        cmocka_unit_test_setup_teardown(test_sleep, start, stop),
        cmocka_unit_test_setup_teardown(test_reset_control, start, stop),
        cmocka_unit_test_setup_teardown(test_place, start, stop),
        cmocka_unit_test_setup_teardown(test_state, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
