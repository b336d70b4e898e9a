// SPDX-License-Identifier: Apache-2.0
// The guest's MPIC: its global timers, and its state, messages among it, as a record that travels.
// unit-sources: arch/ppc/guest/mpic.c arch/ppc/guest/mpic_registers.c arch/ppc/guest/mpic_timer.c
// unit-sources: arch/ppc/guest/mpic_state.c core/bus.c lib/state.c
#include "ppc_mpic_fixture.h"

static void test_timers(void **state) {
    (void)state;
    const uint64_t tick = 1000000000u / MPIC_TIMER_FREQUENCY;
    set(GTVPR(1), vpr(9, 50));
    set(GTBCR(1), 1000);
    assert_int_equal(get(GTCCR(1)), 1000);
    run_for(400 * tick);
    assert_int_equal(get(GTCCR(1)), 600);
    assert_int_equal(fixture.fired, 0);
    run_for(600 * tick);
    assert_int_equal(fixture.fired, 1);
    assert_true(fixture.external[0]);
    assert_int_equal(get(GTCCR(1)), TOGGLE | 1000); /* loaded again */
    /* While it waits to be taken nobody is woken for it. */
    run_for(5500 * tick);
    assert_int_equal(fixture.fired, 1);
    assert_int_equal(get(GTCCR(1)), 500); /* toggled six times */
    assert_int_equal(get(IACK), 50);
    assert_false(fixture.external[0]);
    run_for(500 * tick);
    assert_int_equal(fixture.fired, 2);
    set(EOI, 0);
    assert_true(fixture.external[0]);
    assert_int_equal(get(IACK), 50);
    set(EOI, 0);
    /* A base that is written while it counts comes into effect at its next 0. */
    run_for(100 * tick);
    set(GTBCR(1), 100);
    assert_int_equal(get(GTCCR(1)), TOGGLE | 900);
    run_for(900 * tick);
    assert_int_equal(get(GTCCR(1)), 100);
    /* Inhibited it stands still; then it begins anew, toggle cleared. */
    run_for(130 * tick);
    set(GTBCR(1), INHIBIT | 100);
    assert_int_equal(get(GTCCR(1)), TOGGLE | 70);
    run_for(1000 * tick);
    assert_int_equal(get(GTCCR(1)), TOGGLE | 70);
    set(GTBCR(1), 200);
    assert_int_equal(get(GTCCR(1)), 200);
    set(GTBCR(1), INHIBIT);
}

static void test_timer_clock(void **state) {
    (void)state;
    const uint64_t tick = 1000000000u / MPIC_TIMER_FREQUENCY;
    set(GTBCR(6), 0x7fffffff);
    set(GTBCR(2), 100);
    run_for(47 * tick);
    set(TCR(1), 0x300); /* by 64: eight times slower, from where it is */
    assert_int_equal(get(GTCCR(6)), 0x7fffffff - 47);
    assert_int_equal(get(GTCCR(2)), 53);
    run_for(16 * tick);
    assert_int_equal(get(GTCCR(6)), 0x7fffffff - 49);
    assert_int_equal(get(GTCCR(2)), 37);
    /* Masked: it runs without waking anybody, and is seen when it is unmasked. */
    run_for(10000 * tick);
    assert_int_equal(fixture.fired, 0);
    set(GTVPR(2), vpr(9, 60));
    assert_true(fixture.external[0]);
    assert_int_equal(get(IACK), 60);
    set(EOI, 0);
    /* Nobody to go to: it must not fire for ever. */
    set(GTDR(2), 0);
    run_for(10000 * tick);
    assert_int_equal(fixture.fired, 0);
    set(GTDR(2), 6);
    run_for(100 * tick);
    assert_int_equal(fixture.fired, 1);
    assert_true(fixture.external[1]);
    assert_true(fixture.external[2]);
    assert_int_equal(get_by(1, IACK), 60);
    assert_true(fixture.external[2]); /* each has its own */
    /* A base of 0: the last count ends, and nothing follows. */
    set_by(1, EOI, 0);
    assert_int_equal(get_by(2, IACK), 60);
    set_by(2, EOI, 0);
    set(GTBCR(2), 0);
    run_for(1000 * tick);
    unsigned fired = fixture.fired;
    assert_int_equal(get_by(2, IACK), 60);
    set_by(2, EOI, 0);
    run_for(100000 * tick);
    assert_int_equal(fixture.fired, fired);
    assert_int_equal(get(GTCCR(2)) & ~TOGGLE, 0);
    set(GTBCR(6), INHIBIT);
}

static void test_state(void **state) {
    (void)state;
    set(GCR, PROXY);
    set(PIR, 4);
    set(SVR, 0x123);
    set(TFRR(0), 50000000);
    set(TCR(1), 0x100);
    set(VPR(42), vpr(8, 42));
    set(VPR(2), vpr(4, 2));
    set(DR(42), 6);
    set(IPIVPR(2), vpr(10, 202));
    set(GTVPR(4), vpr(9, 70));
    set(GTBCR(4), 500);
    set(GTBCR(0), 100);
    run_for(1000);
    set(GTBCR(0), INHIBIT | 5);
    set(IPIDR(2), 7);
    set(MSIIR, 3u << 29);
    line(42, true);
    line(2, true);
    line(2, false);
    line(3, true);
    set(CPU(1) + CTPR, 3);
    assert_int_equal(get_by(1, IACK), 202);
    assert_int_equal(get(IACK), 202);
    uint32_t count = get(GTCCR(4));
    part_round_trip(&mpic_part);
    assert_int_equal(get(GTCCR(4)), count);
    assert_int_equal(get(GTCCR(0)), 50);
    assert_int_equal(get(SVR), 0x123);
    assert_int_equal(get(MSIR(3)), 1);
    assert_false(fixture.external[1]);
    set_by(1, EOI, 0);
    assert_int_equal(get_by(1, IACK), 42);
    assert_int_equal(get_by(2, IACK), 202);
    set(EOI, 0);
    assert_true(fixture.external[0]);
    assert_int_equal(get(IACK), 2);
    line(42, false);
    set(EOI, 0);
    run_for(500 * 40);
    assert_true(fixture.external[0]);

    part_truncation(&mpic_part);
    /* A refused record leaves the reset state. */
    assert_int_equal(get(GCR), 0);
    assert_int_equal(get(VPR(42)), MASKED | POLARITY);
    assert_false(fixture.external[0]);
}

/* Messages move: those that nobody has read, one that is in service, and masks and destinations. */
static void test_message_state(void **state) {
    (void)state;
    set(VPR(MPIC_MSI + 1), vpr(8, 0x41));
    set(DR(MPIC_MSI + 1), 1u << 1);
    set(VPR(MPIC_MSI + 7), MASKED | vpr(9, 0x47));
    mpic_message(vm(), 1u << 29 | 2u << 24);
    assert_int_equal(get_by(1, IACK), 0x41);
    assert_int_equal(get_by(1, MSIR(1)), 1u << 2);
    mpic_message(vm(), 1u << 29);
    mpic_message(vm(), 1u << 29 | 31u << 24);
    mpic_message(vm(), 7u << 29 | 30u << 24);
    part_round_trip(&mpic_part);
    assert_int_equal(get(MSISR), 1u << 1 | 1u << 7);
    assert_int_equal(get(VPR(MPIC_MSI + 1)), vpr(8, 0x41) | ACTIVE);
    assert_int_equal(get(VPR(MPIC_MSI + 7)), MASKED | vpr(9, 0x47));
    assert_int_equal(get(DR(MPIC_MSI + 1)), 1u << 1);
    for (unsigned i = 0; i < VCPUS; i++)
        assert_false(fixture.external[i]);
    set_by(1, EOI, 0);
    assert_true(fixture.external[1]);
    assert_int_equal(get_by(1, IACK), 0x41);
    assert_int_equal(get_by(1, MSIR(1)), 1u << 31 | 1);
    set_by(1, EOI, 0);
    assert_false(fixture.external[1]);
    set(VPR(MPIC_MSI + 7), vpr(9, 0x47));
    assert_true(fixture.external[0]);
    assert_int_equal(get(IACK), 0x47);
    assert_int_equal(get(MSIR(7)), 1u << 30);
    set(EOI, 0);
    /* A reset leaves none. */
    mpic_message(vm(), 1u << 29);
    mpic_part.reset(vm(), 0);
    assert_int_equal(get(MSISR), 0);
    assert_int_equal(get(MSIR(1)), 0);
}

/* Offsets in the record. */
#define AT_TIMERS  44u
#define AT_SOURCES (AT_TIMERS + 16 + 8 * 17)
#define AT_CPUS    (AT_SOURCES + 268 * 9)

static void test_refused_state(void **state) {
    (void)state;
    static const struct {
        size_t offset;
        uint8_t value;
    } bad[] = {
        {3, 0x80},                       /* GCR: reset */
        {4, 8},                          /* PIR: vCPU 3 */
        {10, 1},                         /* spurious vector */
        {12, 1},                         /* MSIR 0 without its line */
        {12 + 4 * 7 + 3, 0x80},          /* MSIR 7 */
        {AT_TIMERS + 4, 1},              /* TCR */
        {AT_TIMERS + 16 + 7, 0x80},      /* a count of 32 bits */
        {AT_TIMERS + 16 + 8, 0},         /* it runs although it is inhibited */
        {AT_TIMERS + 16 + 16, 2},        /* toggle */
        {AT_SOURCES + 3, 0xc0},          /* activity */
        {AT_SOURCES + 9 * 42 + 2, 0xc0}, /* an internal source's sense */
        {AT_SOURCES + 9 * 42 + 4, 9},    /* destination */
        {AT_SOURCES + 9 * 42 + 6, 1},    /* a latch of a level */
        {AT_SOURCES + 9 * 3 + 6, 2},     /* a latch of two */
        {AT_SOURCES + 9 * 42 + 8, 2},    /* line */
        {AT_SOURCES + 9 * 224 + 8, 1},   /* a message's line without the message */
        {AT_SOURCES + 9 * 240 + 8, 1},   /* a line that is not there */
        {AT_SOURCES + 9 * 256 + 8, 1},   /* of an IPI */
        {AT_SOURCES + 9 * 260 + 6, 8},   /* a timer's request of vCPU 3 */
        {AT_CPUS + 0, 16},               /* task priority */
        {AT_CPUS + 1, 16},               /* depth */
        {AT_CPUS + 3, 0x10},             /* a source that is not there */
        {AT_CPUS + 4, 0},                /* priority 0 in service */
        {AT_CPUS + 4, 16},
        {AT_CPUS + 7, 4},  /* not above the one below */
        {AT_CPUS + 5, 42}, /* twice in service */
    };
    for (unsigned i = 0; i < array_count(bad); i++) {
        mpic_part.reset(vm(), 0);
        set(GCR, MIXED);
        set(CTPR, 0);
        set(VPR(42), vpr(4, 42));
        set(VPR(43), vpr(8, 43));
        line(42, true);
        assert_int_equal(get(IACK), 42);
        line(43, true);
        assert_int_equal(get(IACK), 43);
        part_save(&mpic_part);
        assert_int_equal(part_load(&mpic_part), 0);
        if (part_load_changed(&mpic_part, bad[i].offset, bad[i].value) != -EINVAL)
            fail_msg("case %u was not refused", i);
        assert_int_equal(get(CTPR), 15);
        line(42, false);
        line(43, false);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_timers, start_open, stop),
        cmocka_unit_test_setup_teardown(test_timer_clock, start_open, stop),
        cmocka_unit_test_setup_teardown(test_state, start_open, stop),
        cmocka_unit_test_setup_teardown(test_message_state, start_open, stop),
        cmocka_unit_test_setup_teardown(test_refused_state, start_open, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
