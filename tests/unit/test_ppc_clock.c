// SPDX-License-Identifier: Apache-2.0
// A guest's timers: decrementer with and without reload, fixed-interval timer, watchdog, the host timer
// behind them.
// unit-sources: arch/ppc/guest/clock.c
#include "ppc_cpu_fixture.h"
#include "arch/ppc/guest/clock.h"

static int start(void **context) {
    (void)context;
    fixture_init();
    clock_guest_create(vcpu0());
    clock_guest_reset(vcpu0());
    return 0;
}

/* Time base at which the host timer would come; 0: it is off. A tick has 2 ns. */
static uint64_t armed(void) {
    return timer_armed(&vcpu0()->timer) ? vcpu0()->timer.deadline / 2 : 0;
}

static void pass(uint64_t ticks) {
    fixture.timebase += ticks;
}

static uint32_t tsr(void) {
    return clock_tsr_read(vcpu0());
}

static void test_decrementer(void **context) {
    (void)context;
    uint64_t begin = fixture.timebase;
    assert_int_equal(clock_dec_read(vcpu0()), 0);
    clock_dec_write(vcpu0(), 1000);
    assert_int_equal(armed(), 0); /* nobody wants to know */
    pass(999);
    assert_int_equal(clock_dec_read(vcpu0()), 1);
    assert_int_equal(tsr(), 0);
    clock_tcr_write(vcpu0(), TCR_DIE);
    assert_int_equal(armed(), begin + 1000);
    assert_int_equal(clock_asserted(vcpu0()), 0);
    pass(1);
    assert_int_equal(clock_asserted(vcpu0()), TSR_DIS);
    /* Who looks before the host's timer fires has it noticed: the timer is for the next event then. */
    vcpu0()->core.requests = 0;
    assert_int_equal(clock_dec_read(vcpu0()), 0);
    assert_int_equal(vcpu0()->core.requests, PPC_REQUEST_EVENT);
    pass(1000000);
    assert_int_equal(clock_dec_read(vcpu0()), 0); /* it stays there */
    assert_int_equal(tsr(), TSR_DIS);
    clock_tsr_write(vcpu0(), TSR_DIS);
    assert_int_equal(tsr(), 0);
    assert_int_equal(armed(), 0);
    /* Writing 0 is no step from 1 to 0. */
    clock_dec_write(vcpu0(), 5);
    clock_dec_write(vcpu0(), 0);
    pass(100);
    assert_int_equal(tsr(), 0);
    /* The whole width. */
    clock_dec_write(vcpu0(), 0xffffffff);
    pass(0xfffffffe);
    assert_int_equal(clock_dec_read(vcpu0()), 1);
    pass(1);
    assert_int_equal(tsr(), TSR_DIS);
}

static void test_reload(void **context) {
    (void)context;
    vcpu0()->state->decar = 100;
    clock_tcr_write(vcpu0(), TCR_ARE | TCR_DIE);
    clock_dec_write(vcpu0(), 30);
    uint64_t begin = fixture.timebase;
    pass(30);
    assert_int_equal(clock_dec_read(vcpu0()), 100);
    assert_int_equal(tsr(), TSR_DIS);
    clock_tsr_write(vcpu0(), TSR_DIS);
    assert_int_equal(armed(), begin + 130);
    /* Several periods at once: the phase is kept. */
    pass(100 * 7 + 40);
    assert_int_equal(clock_dec_read(vcpu0()), 60);
    assert_int_equal(tsr(), TSR_DIS);
    clock_tsr_write(vcpu0(), TSR_DIS);
    pass(60);
    assert_int_equal(tsr(), TSR_DIS);
    /* Reload with 0 stops. */
    vcpu0()->state->decar = 0;
    pass(100);
    assert_int_equal(clock_dec_read(vcpu0()), 0);
}

/* TCR's fields for a bit that has the value 2^bit. */
static uint32_t fit(unsigned bit) {
    return ((63 - bit) & 3) << 24 | ((63 - bit) >> 2) << 13;
}
static uint32_t watchdog(unsigned bit) {
    return ((63 - bit) & 3) << 30 | ((63 - bit) >> 2) << 17;
}

static void test_fit(void **context) {
    (void)context;
    for (unsigned bit = 0; bit < 62; bit += 7) {
        fixture.timebase = 1ull << (bit + 1); /* the bit is 0 */
        clock_guest_reset(vcpu0());
        clock_tcr_write(vcpu0(), fit(bit) | TCR_FIE);
        if (bit <= 56)
            assert_true(armed() == (3ull << bit));
        else
            assert_int_equal(armed(), 0); /* years ahead */
        pass((1ull << bit) - 1);
        assert_int_equal(tsr(), 0);
        pass(1);
        assert_int_equal(clock_asserted(vcpu0()), TSR_FIS);
        assert_int_equal(tsr(), TSR_FIS);
        assert_int_equal(armed(), 0); /* the guest has not cleared it */
        clock_tsr_write(vcpu0(), TSR_FIS);
        if (bit < 56)
            assert_true(armed() == (5ull << bit));
        pass((1ull << bit)); /* it falls: nothing */
        assert_int_equal(tsr(), 0);
    }
    /* The highest bits never change. */
    clock_guest_reset(vcpu0());
    clock_tcr_write(vcpu0(), fit(63) | TCR_FIE);
    fixture.timebase = UINT64_MAX - 1;
    assert_int_equal(tsr(), 0);
}

static void test_watchdog(void **context) {
    (void)context;
    fixture.timebase = 1u << 11;
    clock_guest_reset(vcpu0());
    clock_tcr_write(vcpu0(), watchdog(10) | TCR_WIE | 0x20000000);
    assert_int_equal(armed(), 3u << 10);
    pass(1u << 10);
    assert_int_equal(tsr(), TSR_ENW);
    pass(1u << 11);
    assert_int_equal(tsr(), TSR_ENW | TSR_WIS);
    assert_int_equal(clock_asserted(vcpu0()), TSR_WIS);
    assert_int_equal(fixture.end, VM_END_NONE);
    /* WRC is not cleared by software. */
    clock_tcr_write(vcpu0(), watchdog(10) | TCR_WIE);
    assert_int_equal(vcpu0()->state->tcr & TCR_WRC_MASK, 0x20000000);
    /* In time: it starts again. */
    clock_tsr_write(vcpu0(), TSR_ENW | TSR_WIS);
    pass(2u << 11);
    assert_int_equal(tsr(), TSR_ENW | TSR_WIS);
    assert_int_equal(fixture.end, VM_END_NONE);
    pass(1u << 11);
    assert_int_equal(tsr(), TSR_ENW | TSR_WIS | 0x20000000);
    assert_int_equal(fixture.end, VM_END_RESET);
}

static void test_watchdog_late(void **context) {
    (void)context;
    fixture.timebase = 1u << 11;
    clock_guest_reset(vcpu0());
    clock_tcr_write(vcpu0(), watchdog(10) | 0x20000000);
    /* A guest that has not run for long gets its warning first. */
    pass(100u << 11);
    assert_int_equal(tsr(), TSR_ENW | TSR_WIS);
    assert_int_equal(fixture.end, VM_END_NONE);
    /* A pause is no time. */
    pass(100u << 11);
    clock_resume(vcpu0());
    assert_int_equal(tsr(), TSR_ENW | TSR_WIS);
    assert_int_equal(fixture.end, VM_END_NONE);
    /* Nor is it when the state is saved in it. */
    clock_tsr_write(vcpu0(), TSR_ENW | TSR_WIS);
    pass(100u << 11);
    clock_save(vcpu0());
    clock_load(vcpu0());
    assert_int_equal(tsr(), 0);
    /* Without WRC nothing follows; with 01 the CPU stops. */
    clock_guest_reset(vcpu0());
    clock_tcr_write(vcpu0(), watchdog(10));
    assert_int_equal(armed(), 0);
    for (unsigned i = 0; i < 8; i++) {
        pass(1u << 11);
        tsr();
    }
    assert_int_equal(fixture.end, VM_END_NONE);
    clock_tcr_write(vcpu0(), watchdog(10) | 0x10000000);
    pass(1u << 11);
    tsr();
    assert_true(fixture.crashed);
}

static void test_timer(void **context) {
    (void)context;
    clock_tcr_write(vcpu0(), TCR_DIE | TCR_FIE | fit(30));
    clock_dec_write(vcpu0(), 50);
    assert_int_equal(armed(), fixture.timebase + 50);
    vcpu0()->timer.function(&vcpu0()->timer);
    assert_int_equal(vcpu0()->core.requests, PPC_REQUEST_EVENT);
    /* The next of several. */
    pass(50);
    assert_int_equal(tsr(), TSR_DIS);
    assert_int_equal(armed(), 1u << 30);
    clock_tcr_write(vcpu0(), 0);
    assert_int_equal(armed(), 0);
}

static void test_saved(void **context) {
    (void)context;
    clock_tcr_write(vcpu0(), TCR_DIE);
    clock_dec_write(vcpu0(), 1000);
    pass(400);
    clock_save(vcpu0());
    assert_int_equal(vcpu0()->state->dec, 600);
    assert_int_equal(vcpu0()->state->timebase, fixture.timebase);
    /* On another machine: its time base stands elsewhere. */
    fixture.timebase = 77;
    clock_load(vcpu0());
    assert_int_equal(clock_dec_read(vcpu0()), 600);
    pass(600);
    assert_int_equal(tsr(), TSR_DIS);
    clock_save(vcpu0());
    assert_int_equal(vcpu0()->state->dec, 0);
    clock_tsr_write(vcpu0(), TSR_DIS);
    clock_load(vcpu0());
    pass(1u << 20);
    assert_int_equal(tsr(), 0);
}

#define TEST(name) cmocka_unit_test_setup(name, start)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_decrementer),   TEST(test_reload), TEST(test_fit),   TEST(test_watchdog),
        TEST(test_watchdog_late), TEST(test_timer),  TEST(test_saved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
