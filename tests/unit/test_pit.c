// SPDX-License-Identifier: Apache-2.0
// The guest's 8254: exact counts and outputs of all modes, gate, latches, BCD, interrupts, saved state.
// unit-sources: arch/x86/guest/pit.c core/bus.c lib/state.c
#include "pc_fixture.h"
#include "arch/x86/guest/pit.h"
#include "arch/x86/guest/rate.h"

static uint64_t origin; /* the tick that at() counts from */

static int start(void **state) {
    (void)state;
    part_start(&pit_part);
    return 0;
}

static int stop(void **state) {
    (void)state;
    part_stop(&pit_part);
    return 0;
}

/* Moves the clock to just after a tick counted from here(). */
static void at(uint64_t tick) {
    run_until(rate_ns(origin + tick, PIT_HZ));
}

static void here(void) {
    origin = rate_ticks(test_time, PIT_HZ) + 1;
    at(0);
}

/* Control word and 16-bit count for a channel; the clock stands at tick 0, so the count is loaded at tick 1.
 */
static void program(unsigned channel, unsigned mode, uint16_t count) {
    here();
    outb(0x43, (uint8_t)(channel << 6 | 0x30 | mode << 1));
    outb((uint16_t)(0x40 + channel), (uint8_t)count);
    outb((uint16_t)(0x40 + channel), (uint8_t)(count >> 8));
}

static uint16_t count(unsigned channel) {
    outb(0x43, (uint8_t)(channel << 6));
    uint8_t low = inb((uint16_t)(0x40 + channel));
    return (uint16_t)(low | inb((uint16_t)(0x40 + channel)) << 8);
}

static uint8_t status(unsigned channel) {
    outb(0x43, (uint8_t)(0xe0 | 2u << channel));
    return inb((uint16_t)(0x40 + channel));
}

static bool out2(void) {
    return inb(0x61) & 0x20;
}

static void test_rate(void **state) {
    (void)state;
    for (uint64_t tick = 0; tick < 3000000; tick += 997) {
        uint64_t ns = rate_ns(tick, PIT_HZ);
        assert_int_equal(rate_ticks(ns, PIT_HZ), tick);
        if (ns)
            assert_int_equal(rate_ticks(ns - 1, PIT_HZ), tick - 1);
    }
    uint64_t year = 365ull * 86400;
    assert_int_equal(rate_ticks(year * RATE_SECOND, PIT_HZ), year * PIT_HZ);
    assert_int_equal(rate_ns(100 * year * PIT_HZ, PIT_HZ), 100 * year * RATE_SECOND);
}

static void test_mode_0(void **state) {
    (void)state;
    outb(0x61, 1); /* gate of channel 2 */
    program(2, 0, 100);
    assert_false(out2());
    assert_int_equal(status(2), 0x70); /* null count: not loaded yet */
    at(1);
    assert_int_equal(count(2), 100);
    assert_int_equal(status(2), 0x30);
    at(2);
    assert_int_equal(count(2), 99);
    at(100);
    assert_int_equal(count(2), 1);
    assert_false(out2());
    at(101); /* N + 1 pulses after the count was written */
    assert_int_equal(count(2), 0);
    assert_true(out2());
    at(102);
    assert_int_equal(count(2), 0xffff); /* it counts on */
    at(101 + 65536);
    assert_int_equal(count(2), 0);
    assert_true(out2());
    /* The gate stops it, and the first byte of a new count does so too. */
    program(2, 0, 1000);
    at(101);
    outb(0x61, 0);
    at(500);
    assert_int_equal(count(2), 900);
    outb(0x61, 1);
    at(510);
    assert_int_equal(count(2), 890);
    outb(0x42, 50);
    at(2000);
    assert_false(out2());
    assert_int_equal(status(2) & 0x40, 0x40);
    outb(0x42, 0);
    at(2050);
    assert_false(out2());
    at(2051);
    assert_true(out2());
    /* 0 stands for 65536. */
    program(2, 0, 0);
    at(65536);
    assert_false(out2());
    assert_int_equal(count(2), 1);
    at(65537);
    assert_true(out2());
}

static void test_mode_1(void **state) {
    (void)state;
    outb(0x61, 0);
    program(2, 1, 10);
    at(50);
    assert_true(out2()); /* waits for its trigger */
    outb(0x61, 1);
    at(51);
    assert_false(out2());
    at(60);
    assert_false(out2());
    at(61);
    assert_true(out2());
    outb(0x61, 0); /* retriggered in the middle: the pulse grows */
    outb(0x61, 1);
    at(66);
    outb(0x61, 0);
    outb(0x61, 1);
    at(76);
    assert_false(out2());
    at(77);
    assert_true(out2());
    /* A new count is for the next pulse. */
    outb(0x61, 0);
    outb(0x61, 1);
    at(80);
    outb(0x42, 100);
    outb(0x42, 0);
    assert_int_equal(status(2) & 0x40, 0x40);
    at(88);
    assert_true(out2());
    outb(0x61, 0);
    outb(0x61, 1);
    at(188);
    assert_false(out2());
    at(189);
    assert_true(out2());
}

static void test_mode_2(void **state) {
    (void)state;
    outb(0x61, 1);
    program(2, 2, 5);
    for (unsigned i = 0; i < 23; i++) {
        at(1 + i);
        assert_int_equal(count(2), 5 - i % 5);
        assert_int_equal(out2(), i % 5 != 4);
    }
    /* A new count takes over at the end of the period. */
    program(2, 2, 100);
    at(31);
    outb(0x42, 50);
    assert_int_equal(count(2), 70); /* half a count changes nothing */
    outb(0x42, 0);
    assert_int_equal(status(2) & 0x40, 0x40);
    at(100);
    assert_int_equal(count(2), 1);
    at(101);
    assert_int_equal(count(2), 50);
    assert_int_equal(status(2) & 0x40, 0);
    at(151);
    assert_int_equal(count(2), 50);
    /* The gate: OUT high while it is low, a new period when it rises. */
    at(160);
    outb(0x61, 0);
    assert_true(out2());
    at(200);
    assert_int_equal(count(2), 41);
    outb(0x61, 1);
    at(201);
    assert_int_equal(count(2), 50);
}

static void test_mode_3(void **state) {
    (void)state;
    outb(0x61, 1);
    program(2, 3, 6);
    static const uint8_t even[6] = {6, 4, 2, 6, 4, 2};
    for (unsigned i = 0; i < 20; i++) {
        at(1 + i);
        assert_int_equal(count(2), even[i % 6]);
        assert_int_equal(out2(), i % 6 < 3);
    }
    program(2, 3, 7); /* odd: high for 4, low for 3 */
    static const uint8_t odd[7] = {6, 4, 2, 0, 6, 4, 2};
    for (unsigned i = 0; i < 20; i++) {
        at(1 + i);
        assert_int_equal(count(2), odd[i % 7]);
        assert_int_equal(out2(), i % 7 < 4);
    }
    /* A new count takes over at the end of the half period: here the low half is the new one already. */
    program(2, 3, 100);
    at(11);
    outb(0x42, 20);
    outb(0x42, 0);
    at(50);
    assert_true(out2());
    at(51);
    assert_false(out2());
    assert_int_equal(count(2), 20);
    at(60);
    assert_false(out2());
    at(61);
    assert_true(out2());
    at(71);
    assert_false(out2());
    /* And written in a low half, the high one is. */
    outb(0x42, 200);
    outb(0x42, 0);
    at(81);
    assert_true(out2());
    at(180);
    assert_true(out2());
    at(181);
    assert_false(out2());
    /* Modes 6 and 7 are 2 and 3. */
    outb(0x43, 0xbe);
    assert_int_equal(status(2) & 0x3f, 0x36);
}

static void test_modes_4_and_5(void **state) {
    (void)state;
    outb(0x61, 1);
    program(2, 4, 10);
    at(10);
    assert_true(out2());
    at(11);
    assert_false(out2());
    at(12);
    assert_true(out2());
    at(1000);
    assert_true(out2());
    program(2, 4, 10);
    at(5);
    outb(0x61, 0);
    at(100);
    assert_true(out2());
    outb(0x61, 1);
    at(106);
    assert_false(out2());
    outb(0x61, 0);
    program(2, 5, 10);
    at(20);
    assert_true(out2());
    outb(0x61, 1);
    at(30);
    assert_true(out2());
    at(31);
    assert_false(out2());
    at(32);
    assert_true(out2());
}

static void test_bcd(void **state) {
    (void)state;
    outb(0x61, 1);
    here();
    outb(0x43, 0xb1); /* channel 2, mode 0, BCD */
    outb(0x42, 0x34);
    outb(0x42, 0x12);
    at(1);
    assert_int_equal(count(2), 0x1234);
    at(1 + 235);
    assert_int_equal(count(2), 0x0999);
    at(1 + 1234);
    assert_true(out2());
    at(1 + 1235);
    assert_int_equal(count(2), 0x9999);
    here();
    outb(0x43, 0xb5); /* mode 2; 0 stands for 10000 */
    outb(0x42, 0);
    outb(0x42, 0);
    at(1);
    assert_int_equal(count(2), 0);
    at(2);
    assert_int_equal(count(2), 0x9999);
    at(10001);
    assert_int_equal(count(2), 0);
    /* Digits above 9 must do no harm. */
    here();
    outb(0x43, 0xb1);
    outb(0x42, 0xff);
    outb(0x42, 0xff);
    at(7);
    assert_true(count(2) <= 0x9999);
    part_round_trip(&pit_part);
}

static void test_access_and_latches(void **state) {
    (void)state;
    outb(0x61, 1);
    program(2, 2, 0x1234);
    at(1);
    assert_int_equal(inb(0x42), 0x34); /* without a latch: low, high, low, ... */
    assert_int_equal(inb(0x42), 0x12);
    outb(0x43, 0x80);
    at(3);
    outb(0x43, 0x80); /* the second latch command is ignored */
    assert_int_equal(inb(0x42), 0x34);
    assert_int_equal(inb(0x42), 0x12);
    assert_int_equal(inb(0x42), 0x32);
    assert_int_equal(inb(0x42), 0x12);
    /* Read-back of status and count together: status comes first. */
    outb(0x43, 0xc8);
    at(5);
    assert_int_equal(inb(0x42), 0xb4);
    assert_int_equal(inb(0x42), 0x32);
    assert_int_equal(inb(0x42), 0x12);
    assert_int_equal(inb(0x42), 0x30);
    assert_int_equal(inb(0x42), 0x12);
    /* One-byte accesses. */
    here();
    outb(0x43, 0x94); /* channel 2, low byte, mode 2 */
    outb(0x42, 0x40);
    at(1);
    assert_int_equal(inb(0x42), 0x40);
    at(2);
    assert_int_equal(inb(0x42), 0x3f);
    outb(0x43, 0x80);
    at(9);
    assert_int_equal(inb(0x42), 0x3f);
    assert_int_equal(inb(0x42), 0x38);
    here();
    outb(0x43, 0xa4); /* high byte */
    outb(0x42, 0x02);
    at(1);
    assert_int_equal(inb(0x42), 0x02);
    at(2);
    assert_int_equal(inb(0x42), 0x01);
    /* The control word cannot be read, and wider accesses find nobody. */
    assert_int_equal(inb(0x43), 0xff);
    assert_int_equal(in(0x40, 2), 0xffff);
}

static void test_port_61(void **state) {
    (void)state;
    outb(0x61, 0xff);
    assert_int_equal(inb(0x61) & 0xcf, 0x0f);
    unsigned changes = 0;
    uint8_t last = inb(0x61) & 0x10;
    for (unsigned i = 0; i < 1000; i++) {
        run_for(1000);
        changes += (inb(0x61) & 0x10) != last;
        last = inb(0x61) & 0x10;
    }
    assert_in_range(changes, 65, 67); /* every 15.085 us */
}

static void test_irq_one_shot(void **state) {
    (void)state;
    assert_true(fixture.level[0]); /* OUT idles high */
    program(0, 0, 11932);
    assert_false(fixture.level[0]);
    at(11932);
    assert_false(fixture.level[0]);
    at(11933);
    assert_true(fixture.level[0]);
    assert_false(timers_armed());
    assert_int_equal(fixture.fired, 1);
    /* Mode 4, as Linux' one-shot clock uses it. */
    unsigned rises = fixture.rises[0];
    program(0, 4, 2000);
    at(2001);
    assert_int_equal(fixture.rises[0], rises);
    at(2002);
    assert_int_equal(fixture.rises[0], rises + 1);
    assert_false(timers_armed());
    /* A control word stops what was under way. */
    program(0, 4, 2000);
    outb(0x43, 0x30);
    assert_false(timers_armed());
    assert_false(fixture.level[0]);
}

static void test_irq_periodic(void **state) {
    (void)state;
    program(0, 2, 4772); /* 250 Hz */
    unsigned rises = fixture.rises[0];
    for (unsigned i = 1; i <= 100; i++) {
        at(1 + 4772 * i - 1);
        assert_int_equal(fixture.rises[0], rises + i - 1);
        at(1 + 4772 * i);
        assert_int_equal(fixture.rises[0], rises + i);
        assert_true(fixture.level[0]);
    }
    program(0, 3, 1001); /* mode 3: at the end of the low half */
    rises = fixture.rises[0];
    at(1 + 10 * 1001);
    assert_int_equal(fixture.rises[0], rises + 10);
    /* Reprogrammed: the first new edge depends on the half that runs. */
    program(0, 3, 10000);
    at(101);
    rises = fixture.rises[0];
    outb(0x40, 2000 & 0xff);
    outb(0x40, 2000 >> 8);
    at(1 + 5000 + 1000 - 1);
    assert_int_equal(fixture.rises[0], rises);
    at(1 + 5000 + 1000);
    assert_int_equal(fixture.rises[0], rises + 1);
    at(1 + 5000 + 1000 + 2000);
    assert_int_equal(fixture.rises[0], rises + 2);
}

static void test_irq_flood(void **state) {
    (void)state;
    static const uint16_t counts[] = {1, 2, 3, 10};
    for (unsigned mode = 2; mode <= 3; mode++)
        for (unsigned i = 0; i < array_count(counts); i++) {
            program(0, mode, counts[i]);
            unsigned fired = fixture.fired;
            run_for(100000000); /* 0.1 s: at most one each 100 us */
            assert_in_range(fixture.fired - fired, 900, 1001);
        }
    /* One that comes late stands for all that were missed. */
    program(0, 2, 1193);
    at(10);
    unsigned rises = fixture.rises[0];
    struct timer *timer = next_timer();
    test_time += 50000000;
    list_remove(&timer->link);
    timer->function(timer);
    assert_int_equal(fixture.rises[0], rises + 1);
    assert_true(next_timer()->deadline > test_time);
}

static void test_stale_timer(void **state) {
    (void)state;
    /* The timer left its queue just before the guest programmed something else. */
    program(0, 0, 1000);
    struct timer *timer = next_timer();
    at(999);
    program(0, 0, 60000);
    list_remove(&timer->link);
    timer->function(timer);
    assert_false(fixture.level[0]);
    at(60001);
    assert_true(fixture.level[0]);
}

static void test_state(void **state) {
    (void)state;
    outb(0x61, 3);
    program(0, 2, 4772);
    program(2, 3, 999);
    at(333);
    outb(0x42, 0x10); /* half of a count */
    outb(0x43, 0xc8);
    part_round_trip(&pit_part);
    uint64_t edge = next_timer()->deadline;
    unsigned rises = fixture.rises[0];
    run_until(edge);
    assert_int_equal(fixture.rises[0], rises + 1);
    /* As if on a machine that started just now: counts and edges go on. */
    outb(0x42, 0x00); /* the other half: it pends until the end of the half period */
    part_save(&pit_part);
    uint16_t before = count(0);
    uint64_t left = next_timer()->deadline - test_time;
    test_time = 10000;
    assert_int_equal(part_load(&pit_part), 0);
    assert_in_range(count(0), before - 1, before + 1);
    assert_in_range(next_timer()->deadline - test_time, left - 1000, left + 1000);
    assert_int_equal(inb(0x61) & 3, 3);
    part_round_trip(&pit_part);

    /* Every mode, while it waits, counts, and is stopped by its gate. */
    for (unsigned mode = 0; mode < 6; mode++) {
        outb(0x61, 0);
        program(2, mode, 50);
        part_round_trip(&pit_part);
        outb(0x61, 1);
        part_round_trip(&pit_part);
        at(20);
        part_round_trip(&pit_part);
        outb(0x61, 0);
        part_round_trip(&pit_part);
        at(200);
        part_round_trip(&pit_part);
    }

    part_truncation(&pit_part);
    program(0, 2, 4772);
    at(10);
    static const struct {
        size_t offset;
        uint8_t value;
    } bad[] = {
        {0, 0x10},          /* port 0x61 */
        {0, 0x01},          /* gate 2 against port 0x61 */
        {1, 6},             /* mode */
        {2, 0},             /* access */
        {2, 4},     {3, 2}, /* BCD */
        {4, 0},             /* the gate of channel 0 */
        {5, 1},             /* waiting for a trigger in mode 2 */
        {5, 2},             /* held with its gate high */
        {5, 4},     {6, 2}, /* have_low */
        {8, 2},             /* read_high */
        {9, 4},             /* latched */
        {12, 2},            /* status latched */
        {14, 2},            /* pending */
        {14, 1},            /* pending, with a change at once */
        {18, 1},            /* count 16 million */
        {22, 1},            /* written */
        {23, 2},            /* ahead */
        {31, 0xff},         /* elapsed: 500 years */
    };
    for (unsigned i = 0; i < array_count(bad); i++) {
        program(0, 2, 4772);
        at(10);
        outb(0x61, 0);
        assert_int_equal(part_load_changed(&pit_part, bad[i].offset, bad[i].value), -EINVAL);
        assert_false(timers_armed());
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate),
        cmocka_unit_test_setup_teardown(test_mode_0, start, stop),
        cmocka_unit_test_setup_teardown(test_mode_1, start, stop),
        cmocka_unit_test_setup_teardown(test_mode_2, start, stop),
        cmocka_unit_test_setup_teardown(test_mode_3, start, stop),
        cmocka_unit_test_setup_teardown(test_modes_4_and_5, start, stop),
        cmocka_unit_test_setup_teardown(test_bcd, start, stop),
        cmocka_unit_test_setup_teardown(test_access_and_latches, start, stop),
        cmocka_unit_test_setup_teardown(test_port_61, start, stop),
        cmocka_unit_test_setup_teardown(test_irq_one_shot, start, stop),
        cmocka_unit_test_setup_teardown(test_irq_periodic, start, stop),
        cmocka_unit_test_setup_teardown(test_irq_flood, start, stop),
        cmocka_unit_test_setup_teardown(test_stale_timer, start, stop),
        cmocka_unit_test_setup_teardown(test_state, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
