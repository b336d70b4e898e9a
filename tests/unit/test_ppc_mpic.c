// SPDX-License-Identifier: Apache-2.0
// The guest's MPIC: registers, priorities and nesting, edges and levels, destinations, IPIs, messages, the
// external proxy, reset, and that anything may be written.
// unit-sources: arch/ppc/guest/mpic.c arch/ppc/guest/mpic_registers.c arch/ppc/guest/mpic_timer.c
// unit-sources: arch/ppc/guest/mpic_state.c core/bus.c lib/state.c
#include "ppc_mpic_fixture.h"

static void test_reset_values(void **state) {
    (void)state;
    assert_int_equal(get(0), 0x00400400);
    assert_int_equal(get(FRR), 255u << 16 | 2u << 8 | 2);
    assert_int_equal(get(GCR), 0);
    assert_int_equal(get(0x1080), 0);
    assert_int_equal(get(PIR), 0);
    assert_int_equal(get(SVR), 0xffff);
    assert_int_equal(get(VPR(0)), MASKED);
    assert_int_equal(get(VPR(15)), MASKED);
    assert_int_equal(get(VPR(16)), MASKED | POLARITY);
    assert_int_equal(get(VPR(255)), MASKED | POLARITY);
    assert_int_equal(get(DR(42)), 1);
    assert_int_equal(get(IPIVPR(3)), MASKED);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(get(GTCCR(i)), 0);
        assert_int_equal(get(GTBCR(i)), INHIBIT);
        assert_int_equal(get(GTVPR(i)), MASKED);
        assert_int_equal(get(GTDR(i)), 1);
    }
    for (unsigned i = 0; i < VCPUS; i++) {
        assert_int_equal(get(CPU(i) + CTPR), 15);
        assert_int_equal(get(CPU(i) + WHOAMI), i);
        assert_int_equal(get_by(i, WHOAMI), i);
        assert_int_equal(get_by(i, IACK), SPURIOUS);
    }
}

static void test_register_bits(void **state) {
    (void)state;
    set(VPR(3), UINT32_MAX);
    assert_int_equal(get(VPR(3)), 0x80cfffff);
    set(VPR(42), UINT32_MAX);
    assert_int_equal(get(VPR(42)), 0x808fffff); /* no sense bit */
    set(IPIVPR(1), UINT32_MAX);
    assert_int_equal(get(IPIVPR(1)), 0x800fffff);
    set(GTVPR(5), UINT32_MAX);
    assert_int_equal(get(GTVPR(5)), 0x800fffff);
    set(DR(42), UINT32_MAX);
    assert_int_equal(get(DR(42)), 7); /* three vCPUs */
    set(GTDR(2), UINT32_MAX);
    assert_int_equal(get(GTDR(2)), 7);
    set(GCR, 0x7fffffff);
    assert_int_equal(get(GCR), PROXY);
    set(SVR, UINT32_MAX);
    assert_int_equal(get(SVR), 0xffff);
    set(CTPR, UINT32_MAX);
    assert_int_equal(get(CTPR), 15);
    set(TFRR(1), 123456);
    assert_int_equal(get(TFRR(1)), 123456);
    assert_int_equal(get(TFRR(0)), 0);
    set(TCR(0), UINT32_MAX);
    assert_int_equal(get(TCR(0)), 0x300);
    /* What is reserved reads 0 and takes nothing; odd sizes are nobody's. */
    set(0x1234 & ~3u, 5);
    assert_int_equal(get(0x1234 & ~3u), 0);
    set(0x9000, 5);
    assert_int_equal(get(0x9000), 0);
    set(CPU(VCPUS) + CTPR, 5);
    assert_int_equal(get(CPU(VCPUS) + CTPR), 0);
    assert_int_equal(get(0x3fff0), 0);
    int error;
    peek(0, BASE + FRR, 2, &error);
    assert_int_equal(error, -ENXIO);
    peek(0, BASE + FRR, 8, &error);
    assert_int_equal(error, -ENXIO);
    assert_int_equal(poke(0, BASE + SVR, 1, 0), -ENXIO);
    assert_int_equal(get(SVR), 0xffff);
}

static void test_level(void **state) {
    (void)state;
    set(VPR(42), vpr(8, 42));
    line(42, true);
    assert_true(fixture.external[0]);
    assert_false(fixture.external[1]);
    assert_int_equal(get(VPR(42)), vpr(8, 42) | ACTIVE);
    assert_int_equal(get(IACK), 42);
    assert_false(fixture.external[0]); /* in service, and not again before its end */
    assert_int_equal(get(IACK), SPURIOUS);
    set(EOI, 0);
    assert_true(fixture.external[0]); /* nobody has served the device */
    assert_int_equal(get(IACK), 42);
    line(42, false);
    assert_int_equal(get(VPR(42)), vpr(8, 42) | ACTIVE);
    set(EOI, 0);
    assert_int_equal(get(VPR(42)), vpr(8, 42));
    assert_false(fixture.external[0]);
    set(EOI, 0); /* one too many: nothing */
    assert_false(fixture.external[0]);
    /* A level that goes before it is acknowledged was never there. */
    line(42, true);
    line(42, false);
    assert_false(fixture.external[0]);
    assert_int_equal(get(IACK), SPURIOUS);
}

static void test_edge(void **state) {
    (void)state;
    set(VPR(2), vpr(5, 7)); /* an external pin, edge-sensitive */
    line(2, true);
    line(2, false);
    assert_true(fixture.external[0]); /* latched */
    assert_int_equal(get(IACK), 7);
    assert_false(fixture.external[0]);
    line(2, true); /* another one while it is in service */
    assert_false(fixture.external[0]);
    set(EOI, 0);
    assert_true(fixture.external[0]);
    assert_int_equal(get(IACK), 7);
    set(EOI, 0);
    assert_false(fixture.external[0]); /* still high: no edge */
    line(2, true);
    assert_false(fixture.external[0]);
    /* Latched while it is masked. */
    set(VPR(2), MASKED | vpr(5, 7));
    line(2, false);
    line(2, true);
    assert_false(fixture.external[0]);
    assert_int_equal(get(VPR(2)), MASKED | vpr(5, 7)); /* masked: not active */
    set(VPR(2), vpr(5, 7));
    assert_true(fixture.external[0]);
    /* As a level it is what the pin says. */
    set(VPR(2), LEVEL | vpr(5, 7));
    assert_true(fixture.external[0]);
    line(2, false);
    assert_false(fixture.external[0]);
    set(VPR(2), vpr(5, 7));
    assert_false(fixture.external[0]);
}

static void test_priorities(void **state) {
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        set(VPR(20 + i), vpr(4 * i, 100 + i));
        line(20 + i, true);
    }
    assert_int_equal(get(IACK), 103);
    assert_false(fixture.external[0]);
    set(EOI, 0);
    line(23, false);
    set(CTPR, 8); /* as high as the next: not taken */
    assert_false(fixture.external[0]);
    assert_int_equal(get(IACK), SPURIOUS);
    set(CTPR, 7);
    assert_true(fixture.external[0]);
    assert_int_equal(get(IACK), 102);
    set(CTPR, 0);
    assert_false(fixture.external[0]); /* below what is in service */
    line(23, true);
    assert_true(fixture.external[0]);
    assert_int_equal(get(IACK), 103); /* nested */
    line(22, false);
    line(23, false);
    set(EOI, 0);
    assert_false(fixture.external[0]);
    set(EOI, 0);
    assert_int_equal(get(IACK), 101);
    line(21, false);
    set(EOI, 0);
    assert_false(fixture.external[0]); /* priority 0 is never delivered */
    assert_int_equal(get(IACK), SPURIOUS);
    set(SVR, 0x77);
    assert_int_equal(get(IACK), 0x77);
    /* Of equal ones the lower number. */
    set(VPR(30), vpr(3, 30));
    set(VPR(29), vpr(3, 29));
    line(30, true);
    line(29, true);
    assert_int_equal(get(IACK), 29);
}

static void test_deep_nesting(void **state) {
    (void)state;
    for (unsigned i = 1; i <= 15; i++) {
        set(VPR(16 + i), vpr(i, i));
        line(16 + i, true);
        assert_true(fixture.external[0]);
        assert_int_equal(get(IACK), i);
        assert_false(fixture.external[0]);
    }
    assert_int_equal(get(IACK), SPURIOUS);
    /* Changed priorities do not let one in that is not higher. */
    set(VPR(17), vpr(15, 1));
    assert_int_equal(get(IACK), SPURIOUS);
    for (unsigned i = 15; i >= 1; i--) {
        line(16 + i, false);
        assert_int_equal(get(IACK), SPURIOUS);
        set(EOI, 0);
    }
    assert_false(fixture.external[0]);
    line(18, true);
    assert_int_equal(get(IACK), 2);
}

static void test_destinations(void **state) {
    (void)state;
    set(VPR(42), vpr(8, 42));
    set(DR(42), 2);
    line(42, true);
    assert_false(fixture.external[0]);
    assert_true(fixture.external[1]);
    assert_int_equal(get(IACK), SPURIOUS);
    assert_int_equal(get(CPU(1) + IACK), 42); /* by the other's area */
    set_by(1, EOI, 0);
    assert_true(fixture.external[1]);
    set(DR(42), 5); /* several: whoever comes first */
    assert_false(fixture.external[1]);
    assert_true(fixture.external[0]);
    assert_true(fixture.external[2]);
    assert_int_equal(get_by(2, IACK), 42);
    assert_false(fixture.external[0]);
    assert_int_equal(get(IACK), SPURIOUS);
    set(EOI, 0); /* not theirs */
    assert_false(fixture.external[0]);
    set_by(2, EOI, 0);
    assert_true(fixture.external[0]);
    set(DR(42), 0);
    assert_false(fixture.external[0]);
    assert_false(fixture.external[2]);
}

static void test_ipis(void **state) {
    (void)state;
    set(IPIVPR(1), vpr(10, 201));
    set(IPIDR(1), 0xffffffff);
    for (unsigned i = 0; i < VCPUS; i++)
        assert_true(fixture.external[i]);
    assert_int_equal(get(IPIVPR(1)), vpr(10, 201) | ACTIVE);
    assert_int_equal(get_by(1, IACK), 201); /* each has its own */
    assert_false(fixture.external[1]);
    assert_true(fixture.external[0]);
    set_by(2, IPIDR(1), 2); /* again, while it is in service there */
    assert_false(fixture.external[1]);
    set_by(1, EOI, 0);
    assert_true(fixture.external[1]);
    assert_int_equal(get_by(1, IACK), 201);
    set_by(1, EOI, 0);
    assert_false(fixture.external[1]);
    assert_int_equal(get(IACK), 201);
    set(EOI, 0);
    assert_int_equal(get_by(2, IACK), 201);
    set_by(2, EOI, 0);
    assert_int_equal(get(IPIVPR(1)), vpr(10, 201));
    /* The area of another vCPU sends as well; a masked one waits. */
    set(CPU(2) + IPIDR(3), 1);
    assert_false(fixture.external[0]);
    set(IPIVPR(3), vpr(10, 203));
    assert_true(fixture.external[0]);
    assert_int_equal(get(IACK), 203);
    assert_int_equal(get(IPIDR(1)), 0);
    /* In service it waits for its end, also where its priority has been raised meanwhile. */
    set(IPIVPR(3), vpr(11, 203));
    set(IPIDR(3), 1);
    assert_false(fixture.external[0]);
    assert_int_equal(get(IACK), SPURIOUS);
    part_round_trip(&mpic_part);
    set(EOI, 0);
    assert_true(fixture.external[0]);
    assert_int_equal(get(IACK), 203);
}

static void test_messages(void **state) {
    (void)state;
    set(VPR(224 + 5), vpr(8, 229));
    set(MSIIR, 5u << 29 | 17u << 24);
    set(MSIIR, 5u << 29 | 31u << 24 | 0xffffff);
    set(MSIIR, 0u << 29 | 1u << 24);
    assert_true(fixture.external[0]);
    assert_int_equal(get(MSISR), 1u << 5 | 1);
    assert_int_equal(get(IACK), 229);
    assert_int_equal(get(MSIR(5)), 1u << 17 | 1u << 31);
    assert_int_equal(get(MSIR(5)), 0); /* reading clears it */
    set(EOI, 0);
    assert_false(fixture.external[0]);
    assert_int_equal(get(MSISR), 1);
    assert_int_equal(get(MSIIR), 0);
    set(MSIR(0), 0); /* cannot be written */
    assert_int_equal(get(MSIR(0)), 2);
    /* No device may drive them, or what does not exist. */
    line(224 + 5, true);
    line(300, true);
    assert_false(fixture.external[0]);
}

/* The 32 messages of a register are one interrupt until it is read, and each register has its own. */
static void test_messages_together(void **state) {
    (void)state;
    for (unsigned i = 0; i < MPIC_MSI_COUNT; i++)
        set(VPR(MPIC_MSI + i), vpr(1 + i, 0x40 + i));
    for (unsigned bit = 0; bit < 32; bit++)
        for (unsigned i = 0; i < MPIC_MSI_COUNT; i++)
            mpic_message(vm(), i << 29 | bit << 24);
    assert_int_equal(fixture.rises[0], 1);
    assert_int_equal(get(MSISR), 0xff);
    for (unsigned i = MPIC_MSI_COUNT; i-- > 0;) {
        assert_true(fixture.external[0]);
        assert_int_equal(get(IACK), 0x40 + i);
        assert_int_equal(get(MSIR(i)), UINT32_MAX);
        assert_int_equal(get(MSIR(i)), 0);
        assert_int_equal(get(MSISR), (1u << i) - 1);
        set(EOI, 0);
    }
    assert_false(fixture.external[0]);
    assert_int_equal(get(IACK), SPURIOUS);
    /* One that comes after the register was read, and before the end, is another interrupt; one that was
     * read with those before it is none. */
    mpic_message(vm(), 2u << 29 | 3u << 24);
    assert_int_equal(get(IACK), 0x42);
    mpic_message(vm(), 2u << 29 | 4u << 24);
    assert_int_equal(get(MSIR(2)), 1u << 3 | 1u << 4);
    set(EOI, 0);
    assert_false(fixture.external[0]);
    mpic_message(vm(), 2u << 29 | 3u << 24);
    assert_int_equal(get(IACK), 0x42);
    assert_int_equal(get(MSIR(2)), 1u << 3);
    mpic_message(vm(), 2u << 29 | 3u << 24);
    assert_false(fixture.external[0]);
    assert_int_equal(get(VPR(MPIC_MSI + 2)), vpr(3, 0x42) | ACTIVE);
    set(EOI, 0);
    assert_true(fixture.external[0]);
    assert_int_equal(get(IACK), 0x42);
    assert_int_equal(get(MSIR(2)), 1u << 3);
    set(EOI, 0);
    assert_int_equal(get(VPR(MPIC_MSI + 2)), vpr(3, 0x42));
    assert_int_equal(get(IACK), SPURIOUS);
}

static void test_messages_masked(void **state) {
    (void)state;
    mpic_message(vm(), 6u << 29 | 9u << 24); /* masked since the reset: it stays */
    assert_false(fixture.external[0]);
    assert_int_equal(get(MSISR), 1u << 6);
    set(VPR(MPIC_MSI + 6), MASKED | vpr(8, 0x46));
    assert_int_equal(get(VPR(MPIC_MSI + 6)), MASKED | vpr(8, 0x46)); /* not active */
    mpic_message(vm(), 6u << 29 | 10u << 24);
    assert_false(fixture.external[0]);
    assert_int_equal(get(IACK), SPURIOUS);
    set(VPR(MPIC_MSI + 6), vpr(8, 0x46));
    assert_true(fixture.external[0]);
    set(VPR(MPIC_MSI + 6), MASKED | vpr(8, 0x46)); /* it is withdrawn, and not lost */
    assert_false(fixture.external[0]);
    assert_int_equal(get(MSIR(6)), 1u << 9 | 1u << 10); /* who looks without an interrupt has taken them */
    set(VPR(MPIC_MSI + 6), vpr(8, 0x46));
    assert_false(fixture.external[0]);
    set(VPR(MPIC_MSI + 6), vpr(0, 0x46)); /* priority 0 is never delivered */
    mpic_message(vm(), 6u << 29);
    assert_false(fixture.external[0]);
    set(CTPR, 8);
    set(VPR(MPIC_MSI + 6), vpr(8, 0x46));
    assert_false(fixture.external[0]);
    set(CTPR, 7);
    assert_true(fixture.external[0]);
    assert_int_equal(get(IACK), 0x46);
    assert_int_equal(get(MSIR(6)), 1);
    set(EOI, 0);
}

/* A kernel moves a register's messages to another vCPU by the destination alone. */
static void test_messages_elsewhere(void **state) {
    (void)state;
    set(VPR(MPIC_MSI), vpr(8, 0x40));
    set(DR(MPIC_MSI), 1u << 1);
    mpic_message(vm(), 5u << 24);
    assert_false(fixture.external[0]);
    assert_true(fixture.external[1]);
    set(DR(MPIC_MSI), 1u << 2); /* before it is taken */
    assert_false(fixture.external[1]);
    assert_true(fixture.external[2]);
    assert_int_equal(get_by(1, IACK), SPURIOUS);
    assert_int_equal(get_by(2, IACK), 0x40);
    set(DR(MPIC_MSI), 1u << 0); /* while it is in service: its end is still that of vCPU 2 */
    assert_false(fixture.external[0]);
    assert_int_equal(get_by(2, MSIR(0)), 1u << 5);
    mpic_message(vm(), 6u << 24);
    assert_false(fixture.external[0]);
    set_by(2, EOI, 0);
    assert_true(fixture.external[0]);
    assert_false(fixture.external[2]);
    assert_int_equal(get(IACK), 0x40);
    assert_int_equal(get(MSIR(0)), 1u << 6);
    set(EOI, 0);
    set(DR(MPIC_MSI), 0); /* nobody: it waits */
    mpic_message(vm(), 7u << 24);
    for (unsigned i = 0; i < VCPUS; i++)
        assert_false(fixture.external[i]);
    set(DR(MPIC_MSI), 3); /* several: whoever comes first, and nobody else */
    assert_true(fixture.external[0]);
    assert_true(fixture.external[1]);
    assert_int_equal(get_by(1, IACK), 0x40);
    assert_false(fixture.external[0]);
    assert_int_equal(get_by(1, MSIR(0)), 1u << 7);
    set_by(1, EOI, 0);
    for (unsigned i = 0; i < VCPUS; i++)
        assert_false(fixture.external[i]);
}

static void test_modes(void **state) {
    (void)state;
    assert_false(mpic_core_int(vm()));
    set(VPR(42), vpr(8, 42));
    line(42, true);
    assert_false(fixture.external[0]); /* the task priority is 15 */
    set(CTPR, 0);
    assert_false(fixture.external[0]); /* passed through: the MPIC does nothing */
    line(0, true);
    assert_true(fixture.external[0]);
    assert_false(fixture.external[1]);
    assert_int_equal(get(IACK), SPURIOUS);
    line(0, false);
    assert_false(fixture.external[0]);
    set(GCR, MIXED);
    assert_false(mpic_core_int(vm()));
    assert_true(fixture.external[0]);
    set(GCR, PROXY);
    assert_true(mpic_core_int(vm()));
    assert_true(fixture.external[0]);
    assert_int_equal(mpic_acknowledge(vm(), 1), SPURIOUS);
    assert_int_equal(mpic_acknowledge(vm(), 0), 42);
    assert_false(fixture.external[0]);
    assert_int_equal(mpic_acknowledge(vm(), 0), SPURIOUS);
    set(EOI, 0);
    assert_true(fixture.external[0]);
}

static void test_reset(void **state) {
    (void)state;
    set(VPR(42), vpr(8, 42));
    set(IPIVPR(0), vpr(9, 1));
    set(GTVPR(0), vpr(9, 2));
    set(GTBCR(0), 10);
    line(42, true);
    line(3, true);
    set(MSIIR, 0);
    set(IPIDR(0), 1);
    assert_int_equal(get(IACK), 1);
    set(GCR, 0x80000000 | PROXY);
    assert_int_equal(get(GCR), 0); /* over already */
    assert_false(fixture.external[0]);
    test_reset_values(state);
    assert_int_equal(get(MSISR), 0);
    run_for(1000000);
    assert_int_equal(fixture.fired, 0);
    /* The lines are the devices': they stay. */
    set(GCR, MIXED);
    set(CTPR, 0);
    set(VPR(42), vpr(8, 42));
    assert_true(fixture.external[0]);
    assert_int_equal(get(IACK), 42);
    assert_int_equal(get(IACK), SPURIOUS);
}

static void test_processor_init(void **state) {
    (void)state;
    set(PIR, 2);
    assert_int_equal(vcpu_resets[1], 1);
    assert_int_equal(get(PIR), 2);
    set(PIR, 6); /* held already */
    assert_int_equal(vcpu_resets[1], 1);
    assert_int_equal(vcpu_resets[2], 1);
    set(PIR, 0);
    set(PIR, 0xfffffff2);
    assert_int_equal(vcpu_resets[1], 2);
    assert_int_equal(get(PIR), 2);
    set(PIR, 3);
    assert_int_equal(vcpu_resets[0], 1);
}

/* Anything that a guest writes anywhere: it keeps its own rules, and each vCPU's input says what IACK gives.
 */
static void test_noise(void **state) {
    (void)state;
    uint64_t random = 88172645463325252ull;
    static const unsigned places[] = {0x40,     0x70,      CTPR,     IACK,     EOI,     GCR,
                                      SVR,      IPIVPR(0), GTBCR(0), GTVPR(0), GTDR(0), TCR(0),
                                      GTBCR(5), GTVPR(5),  VPR(0),   VPR(1),   VPR(42), VPR(224),
                                      DR(0),    DR(42),    MSIIR,    MSIR(0),  PIR};
    for (unsigned i = 0; i < 200000; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        unsigned offset = places[(random >> 8) % array_count(places)];
        unsigned cpu = (random >> 40) % VCPUS;
        uint32_t value = (uint32_t)(random >> 16);
        if (offset == GCR && value & 0x80000000 && random & 0xf0)
            continue;
        if (random & 1)
            set_by(cpu, offset, value);
        else
            get_by(cpu, offset);
        if (random & 2)
            line((random >> 44) % 3 ? 42 : 1, random & 4);
        if (random & 8)
            run_for((random >> 50) * 10);
        if (i % 64 != 0)
            continue;
        set(SVR, 0xfffe);
        bool pass = (get(GCR) & PROXY) == 0;
        for (unsigned c = 0; c < VCPUS && !pass; c++) {
            bool asserted = fixture.external[c];
            assert_int_equal(get_by(c, IACK) != 0xfffe, asserted);
        }
    }
    mpic_part.reset(vm(), 0);
    run_for(1000000000ull);
}

static void test_create(void **state) {
    (void)state;
    fixture_init();
    fixture.heap_left = 0;
    assert_int_equal(mpic_part.create(vm(), 0), -ENOMEM);
    assert_null(fixture.board.mpic);
    fixture.heap_left = 100;
    assert_int_equal(mpic_part.create(vm(), 0), 0);
    struct mpic *first = fixture.board.mpic;
    assert_int_equal(mpic_part.create(vm(), 0), -EEXIST); /* the addresses are taken */
    fixture.board.mpic = first;
    mpic_part.destroy(vm(), 0);
    fixture_done();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reset_values, start, stop),
        cmocka_unit_test_setup_teardown(test_register_bits, start, stop),
        cmocka_unit_test_setup_teardown(test_modes, start, stop),
        cmocka_unit_test_setup_teardown(test_processor_init, start, stop),
        cmocka_unit_test_setup_teardown(test_level, start_open, stop),
        cmocka_unit_test_setup_teardown(test_edge, start_open, stop),
        cmocka_unit_test_setup_teardown(test_priorities, start_open, stop),
        cmocka_unit_test_setup_teardown(test_deep_nesting, start_open, stop),
        cmocka_unit_test_setup_teardown(test_destinations, start_open, stop),
        cmocka_unit_test_setup_teardown(test_ipis, start_open, stop),
        cmocka_unit_test_setup_teardown(test_messages, start_open, stop),
        cmocka_unit_test_setup_teardown(test_messages_together, start_open, stop),
        cmocka_unit_test_setup_teardown(test_messages_masked, start_open, stop),
        cmocka_unit_test_setup_teardown(test_messages_elsewhere, start_open, stop),
        cmocka_unit_test_setup_teardown(test_reset, start_open, stop),
        cmocka_unit_test_setup_teardown(test_noise, start_open, stop),
        cmocka_unit_test(test_create),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
