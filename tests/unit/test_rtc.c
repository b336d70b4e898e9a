// SPDX-License-Identifier: Apache-2.0
// The guest's RTC: calendar, codings, setting, update cycle, alarms, periodic interrupt, CMOS memory, saved
// state.
// unit-sources: arch/x86/guest/rtc.c arch/x86/guest/rtc_calendar.c core/bus.c lib/state.c
#include <time.h>
#include "pc_fixture.h"
#include "arch/x86/guest/rate.h"
#include "arch/x86/guest/rtc.h"
#include "arch/x86/guest/rtc_calendar.h"

#define IRQ 8

uint64_t pc_ram_low(const struct vm *which) {
    return which->config->memory < PC_RAM_LOW_MAX ? which->config->memory : PC_RAM_LOW_MAX;
}

uint64_t pc_ram_high(const struct vm *which) {
    return which->config->memory - pc_ram_low(which);
}

static uint8_t get(uint8_t reg) {
    outb(0x70, reg);
    return inb(0x71);
}

static void set(uint8_t reg, uint8_t value) {
    outb(0x70, reg);
    outb(0x71, value);
}

/* The clock starts at 2026-11-22 20:35:23 and 1 ms. */
#define WALL 1795379723ull

static void start_with(uint64_t memory) {
    fixture_init();
    fixture.config.memory = memory;
    fixture.wall = WALL * RATE_SECOND;
    assert_int_equal(rtc_part.create(vm(), 0), 0);
    rtc_part.reset(vm(), 0);
}

static int start(void **state) {
    (void)state;
    start_with(64u << 20);
    return 0;
}

static int stop(void **state) {
    (void)state;
    part_stop(&rtc_part);
    return 0;
}

static void expect_time(unsigned year, unsigned month, unsigned day, unsigned hour, unsigned minute,
                        unsigned second) {
    uint8_t b = get(0x0b);
    assert_int_equal(rtc_decode(b, get(0x32)) * 100 + rtc_decode(b, get(0x09)), year);
    assert_int_equal(rtc_decode(b, get(0x08)), month);
    assert_int_equal(rtc_decode(b, get(0x07)), day);
    assert_int_equal(rtc_decode_hour(b, get(0x04)), hour);
    assert_int_equal(rtc_decode(b, get(0x02)), minute);
    assert_int_equal(rtc_decode(b, get(0x00)), second);
}

static void test_calendar(void **state) {
    (void)state;
    /* Against the C library from 1902 to 2445, a step that meets all months and times of day. */
    for (int64_t t = -2145916800ll; t < 15000000000ll; t += 777777) {
        time_t when = (time_t)t;
        struct tm tm;
        assert_non_null(gmtime_r(&when, &tm));
        uint64_t seconds = (uint64_t)(t + (int64_t)CALENDAR_EPOCH);
        struct calendar date = calendar_date(seconds);
        assert_int_equal(date.year, tm.tm_year + 1900);
        assert_int_equal(date.month, tm.tm_mon + 1);
        assert_int_equal(date.day, tm.tm_mday);
        assert_int_equal(date.hour, tm.tm_hour);
        assert_int_equal(date.minute, tm.tm_min);
        assert_int_equal(date.second, tm.tm_sec);
        assert_int_equal(date.weekday, tm.tm_wday);
        assert_int_equal(calendar_seconds(&date), seconds);
    }
    struct calendar first = calendar_date(0), last = calendar_date(CALENDAR_END - 1);
    assert_int_equal(first.year, 0);
    assert_int_equal(first.day, 1);
    assert_int_equal(last.year, 9999);
    assert_int_equal(last.month, 12);
    assert_int_equal(last.day, 31);
    assert_int_equal(calendar_seconds(&last), CALENDAR_END - 1);
    struct calendar wild = {.year = 2023, .month = 2, .day = 31, .hour = 77, .minute = 99, .second = 60};
    struct calendar tame = calendar_date(calendar_seconds(&wild));
    assert_int_equal(tame.day, 28);
    assert_int_equal(tame.hour, 23);
    assert_int_equal(tame.minute, 59);
}

static void test_codings(void **state) {
    (void)state;
    for (unsigned b = 0; b < 8; b += 2) {
        for (unsigned v = 0; v < 100; v++)
            assert_int_equal(rtc_decode((uint8_t)b, rtc_encode((uint8_t)b, v)), v);
        for (unsigned h = 0; h < 24; h++)
            assert_int_equal(rtc_decode_hour((uint8_t)b, rtc_encode_hour((uint8_t)b, h)), h);
    }
    assert_int_equal(rtc_encode_hour(0, 0), 0x12);
    assert_int_equal(rtc_encode_hour(0, 12), 0x92);
    assert_int_equal(rtc_encode_hour(RTC_BINARY, 23), 0x8b);
    assert_int_equal(rtc_encode_hour(RTC_24_HOUR, 23), 0x23);
    assert_int_equal(rtc_decode(0, 0x1a), -1);
    assert_int_equal(rtc_decode(0, 0xa1), -1);
    assert_int_equal(rtc_decode(RTC_BINARY, 100), -1);
    assert_int_equal(rtc_decode_hour(0, 0x13), -1);
    assert_int_equal(rtc_decode_hour(0, 0x00), -1);
    assert_int_equal(rtc_decode_hour(RTC_24_HOUR, 0x24), -1);
}

static void test_reads(void **state) {
    (void)state;
    expect_time(2026, 11, 22, 20, 35, 23);
    assert_int_equal(get(0x04), 0x20); /* BCD, 24 hours */
    assert_int_equal(get(0x06), 1);    /* Sunday */
    assert_int_equal(get(0x0d), 0x80);
    assert_int_equal(get(0x0a), 0x26);
    run_for(5 * RATE_SECOND);
    expect_time(2026, 11, 22, 20, 35, 28);
    set(0x0b, 0x04); /* binary, 12 hours */
    expect_time(2026, 11, 22, 20, 35, 28);
    assert_int_equal(get(0x04), 0x88);
    assert_int_equal(get(0x00), 28);
    assert_int_equal(inb(0x70), 0xff);
    outb(0x70, 0x80 | 0x0d); /* the NMI mask is no part of the index */
    assert_int_equal(inb(0x71), 0x80);
}

static void test_update_in_progress(void **state) {
    (void)state;
    run_until(RATE_SECOND - 2228001);
    assert_int_equal(get(0x0a), 0x26);
    run_until(RATE_SECOND - 2228000);
    assert_int_equal(get(0x0a), 0xa6);
    run_until(RATE_SECOND - 1);
    assert_int_equal(get(0x0a), 0xa6);
    expect_time(2026, 11, 22, 20, 35, 23);
    run_until(RATE_SECOND);
    assert_int_equal(get(0x0a), 0x26);
    expect_time(2026, 11, 22, 20, 35, 24);
}

static void test_set(void **state) {
    (void)state;
    run_until(RATE_SECOND / 4);
    set(0x0b, 0x82); /* SET: the clock stands */
    run_for(10 * RATE_SECOND);
    expect_time(2026, 11, 22, 20, 35, 23);
    assert_int_equal(get(0x0a), 0x26); /* no update in progress, ever */
    set(0x32, 0x19);
    set(0x09, 0x99);
    set(0x08, 0x12);
    set(0x07, 0x31);
    set(0x06, 0x06); /* a Friday it was */
    set(0x04, 0x23);
    set(0x02, 0x59);
    set(0x00, 0x58);
    set(0x0b, 0x02);
    expect_time(1999, 12, 31, 23, 59, 58);
    assert_int_equal(get(0x06), 6);
    run_for(2 * RATE_SECOND);
    expect_time(2000, 1, 1, 0, 0, 0);
    assert_int_equal(get(0x06), 7);
    /* The divider chain was not touched: the second ends where it did. */
    run_for(RATE_SECOND * 3 / 4 - 1);
    expect_time(2000, 1, 1, 0, 0, 0);
    run_for(1);
    expect_time(2000, 1, 1, 0, 0, 1);
    /* Without SET a single register may be written as well. */
    set(0x02, 0x30);
    expect_time(2000, 1, 1, 0, 30, 1);
    /* It survives a reset of the guest, even with the clock stopped, and so does CMOS memory. */
    set(0x40, 0x5a);
    set(0x0b, 0x80);
    rtc_part.reset(vm(), 0);
    expect_time(2000, 1, 1, 0, 30, 1);
    assert_int_equal(get(0x0b), 0x02);
    assert_int_equal(get(0x40), 0x5a);
}

static void test_divider_reset(void **state) {
    (void)state;
    run_until(RATE_SECOND / 10);
    set(0x0b, 0x82);
    set(0x0a, 0x76);
    set(0x00, 0x10);
    set(0x0b, 0x02);
    run_for(7 * RATE_SECOND);
    assert_int_equal(get(0x00), 0x10); /* still held */
    set(0x0a, 0x26);
    run_for(RATE_SECOND / 2 - 1);
    assert_int_equal(get(0x00), 0x10);
    run_for(1); /* the first update after half a second */
    assert_int_equal(get(0x00), 0x11);
}

static void test_extreme_dates(void **state) {
    (void)state;
    set(0x0b, 0x82);
    set(0x32, 0x99);
    set(0x09, 0x99);
    set(0x08, 0x12);
    set(0x07, 0x31);
    set(0x04, 0x23);
    set(0x02, 0x59);
    set(0x00, 0x59);
    set(0x0b, 0x02);
    run_for(100 * RATE_SECOND);
    expect_time(9999, 12, 31, 23, 59, 59); /* the calendar's end: it stands */
    set(0x0b, 0x82);
    set(0x32, 0x00);
    set(0x09, 0x00);
    set(0x08, 0x00);
    set(0x07, 0xff);
    set(0x0b, 0x02);
    expect_time(0, 1, 1, 23, 59, 59);
}

static void test_update_interrupt(void **state) {
    (void)state;
    assert_false(timers_armed());
    set(0x0b, 0x12);
    assert_true(timers_armed());
    run_until(RATE_SECOND - 1);
    assert_false(fixture.level[IRQ]);
    run_until(RATE_SECOND);
    assert_true(fixture.level[IRQ]);
    assert_false(timers_armed()); /* until somebody reads register C */
    run_until(3 * RATE_SECOND);
    assert_int_equal(get(0x0c), 0x80 | 0x10 | 0x40); /* PF comes along, enabled or not */
    assert_false(fixture.level[IRQ]);
    assert_int_equal(get(0x0c), 0x00);
    run_until(4 * RATE_SECOND);
    assert_true(fixture.level[IRQ]);
    set(0x0b, 0x02);
    assert_false(fixture.level[IRQ]);
    assert_false(timers_armed());
    /* SET clears UIE. */
    set(0x0b, 0x92);
    assert_int_equal(get(0x0b), 0x82);
}

static void test_periodic(void **state) {
    (void)state;
    static const struct {
        uint8_t rate;
        unsigned hz;
    } rates[] = {{1, 256}, {2, 128}, {3, 8192}, {6, 1024}, {15, 2}};
    for (unsigned i = 0; i < array_count(rates); i++) {
        set(0x0a, 0x20 | rates[i].rate);
        set(0x0b, 0x42);
        get(0x0c);
        unsigned rises = fixture.rises[IRQ];
        uint64_t end = test_time + RATE_SECOND;
        while (test_time < end) {
            run_until(next_timer()->deadline);
            assert_true(fixture.level[IRQ]);
            assert_int_equal(get(0x0c) & 0xc0, 0xc0);
        }
        assert_in_range(fixture.rises[IRQ] - rises, rates[i].hz, rates[i].hz + 1);
    }
    /* Nobody reads C: one interrupt and no more timers. */
    unsigned fired = fixture.fired;
    run_for(10 * RATE_SECOND);
    assert_int_equal(fixture.fired, fired + 1);
    get(0x0c);
    set(0x0a, 0x20); /* rate 0: none */
    assert_false(timers_armed());
    run_for(RATE_SECOND);
    assert_int_equal(get(0x0c) & 0x40, 0);
    set(0x0b, 0x02);
}

/* The next period begins while C is read: the line falls and rises again, or the guest would wait for an edge
 * for ever. */
static void test_flag_while_read(void **state) {
    (void)state;
    set(0x0a, 0x26);
    set(0x0b, 0x42);
    get(0x0c);
    run_until(next_timer()->deadline);
    assert_true(fixture.level[IRQ]);
    unsigned rises = fixture.rises[IRQ];
    test_time_step = RATE_SECOND / 1024 + 1;
    assert_int_equal(get(0x0c) & 0xc0, 0xc0);
    test_time_step = 0;
    assert_true(fixture.level[IRQ]);
    assert_int_equal(fixture.rises[IRQ], rises + 1);
}

static void test_alarm(void **state) {
    (void)state;
    set(0x05, 0x20);
    set(0x03, 0x36);
    set(0x01, 0x05);
    set(0x0b, 0x22);
    uint64_t due = (uint64_t)(60 - 35 + 35 - 23 + 5) * RATE_SECOND; /* 20:35:23 -> 20:36:05 */
    run_until(due - 1);
    assert_false(fixture.level[IRQ]);
    run_until(due);
    assert_true(fixture.level[IRQ]);
    assert_int_equal(fixture.fired, 1);
    assert_int_equal(get(0x0c) & 0xa0, 0xa0);
    /* The same time again is tomorrow. */
    assert_int_equal(next_timer()->deadline, due + 86400 * RATE_SECOND);
    set(0x05, 0xff); /* any hour */
    assert_int_equal(next_timer()->deadline, due + 3600 * RATE_SECOND);
    set(0x03, 0xc0); /* any minute */
    assert_int_equal(next_timer()->deadline, due + 60 * RATE_SECOND);
    set(0x01, 0xfe); /* any second */
    assert_int_equal(next_timer()->deadline, due + RATE_SECOND);
    set(0x01, 0x77); /* no second at all */
    assert_false(timers_armed());
    run_for(86400 * RATE_SECOND);
    assert_int_equal(get(0x0c) & 0x20, 0);
    set(0x0b, 0x02);
    /* Not enabled, the flag is there all the same when it is read: even a day later. */
    set(0x01, 0x00);
    get(0x0c);
    run_for(61 * RATE_SECOND);
    assert_int_equal(get(0x0c) & 0xa0, 0x20);
    assert_false(timers_armed());
}

static void test_memory_sizes(void **state) {
    (void)state;
    assert_int_equal(get(0x15) | get(0x16) << 8, 640);
    assert_int_equal(get(0x17) | get(0x18) << 8, 63 * 1024);
    assert_int_equal(get(0x30) | get(0x31) << 8, 63 * 1024);
    assert_int_equal(get(0x34) | get(0x35) << 8, 48 * 16);
    assert_int_equal(get(0x5b) | get(0x5c) << 8 | get(0x5d) << 16, 0);
    assert_int_equal(get(0x5f), 1);
    part_stop(&rtc_part);
    start_with(1 << 20);
    assert_int_equal(get(0x17) | get(0x18) << 8, 0);
    assert_int_equal(get(0x34) | get(0x35) << 8, 0);
    part_stop(&rtc_part);
    start_with(6ull << 30);
    assert_int_equal(get(0x17) | get(0x18) << 8, 0xffff);
    assert_int_equal(get(0x34) | get(0x35) << 8, (PC_RAM_LOW_MAX >> 16) - 256);
    assert_int_equal(get(0x5b) | get(0x5c) << 8 | get(0x5d) << 16, ((6ull << 30) - PC_RAM_LOW_MAX) >> 16);
}

static void test_memory(void **state) {
    (void)state;
    set(0x0f, 0x0a);
    assert_int_equal(get(0x0f), 0x0a);
    set(0x7f, 0x77);
    outb(0x72, 0x7f);
    outb(0x73, 0x88);
    assert_int_equal(inb(0x73), 0x88);
    assert_int_equal(get(0x7f), 0x77);
    outb(0x72, 0x0b); /* the second bank has no registers */
    outb(0x73, 0xff);
    assert_int_equal(get(0x0b), 0x02);
    set(0x0c, 0xff);
    set(0x0d, 0x00);
    assert_int_equal(get(0x0d), 0x80);
    assert_int_equal(get(0x0c) & 0x8f, 0);
}

static void test_state(void **state) {
    (void)state;
    set(0x0b, 0x80);
    set(0x32, 0x20);
    set(0x09, 0x38);
    set(0x0b, 0x32);
    set(0x01, 0x30);
    set(0x55, 0xaa);
    run_for(3 * RATE_SECOND + 123456);
    outb(0x70, 0x8b);
    part_round_trip(&rtc_part);
    assert_int_equal(inb(0x71), 0x32); /* the index was saved */
    assert_int_equal(rtc_decode(2, get(0x09)), 38);
    assert_int_equal(get(0x55), 0xaa);
    assert_true(fixture.level[IRQ]);
    assert_int_equal(get(0x0c) & 0x90, 0x90);
    /* Seconds that passed while it was on its way: the flag comes. */
    part_save(&rtc_part);
    test_time += 2 * RATE_SECOND;
    assert_int_equal(part_load(&rtc_part), 0);
    assert_true(fixture.level[IRQ]);
    /* Stopped. */
    set(0x0b, 0x82);
    set(0x00, 0x42);
    part_round_trip(&rtc_part);
    assert_int_equal(get(0x00), 0x42);
    set(0x0b, 0x02);
    assert_int_equal(get(0x00), 0x42);

    part_truncation(&rtc_part);
    assert_int_equal(part_load_changed(&rtc_part, 0x0a, 0xa6), -EINVAL);
    assert_int_equal(part_load_changed(&rtc_part, 0x0b, 0x90), -EINVAL);
    assert_int_equal(part_load_changed(&rtc_part, 0x0c, 0x10), -EINVAL);
    assert_int_equal(part_load_changed(&rtc_part, 256, 0x80), -EINVAL); /* index */
    assert_int_equal(part_load_changed(&rtc_part, 258, 0x80), -EINVAL); /* flags */
    assert_int_equal(part_load_changed(&rtc_part, 259, 7), -EINVAL);    /* weekday */
    assert_int_equal(part_load_changed(&rtc_part, 267, 0x7f), -EINVAL); /* offset */
    assert_int_equal(part_load_changed(&rtc_part, 267, 0x80), -EINVAL);
    assert_int_equal(part_load_changed(&rtc_part, 271, 0xff), -EINVAL); /* fraction */
    assert_int_equal(part_load_changed(&rtc_part, 279, 0xff), -EINVAL); /* checked */
    assert_int_equal(get(0x0b), 0x02);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calendar),
        cmocka_unit_test(test_codings),
        cmocka_unit_test_setup_teardown(test_reads, start, stop),
        cmocka_unit_test_setup_teardown(test_update_in_progress, start, stop),
        cmocka_unit_test_setup_teardown(test_set, start, stop),
        cmocka_unit_test_setup_teardown(test_divider_reset, start, stop),
        cmocka_unit_test_setup_teardown(test_extreme_dates, start, stop),
        cmocka_unit_test_setup_teardown(test_update_interrupt, start, stop),
        cmocka_unit_test_setup_teardown(test_periodic, start, stop),
        cmocka_unit_test_setup_teardown(test_flag_while_read, start, stop),
        cmocka_unit_test_setup_teardown(test_alarm, start, stop),
        cmocka_unit_test_setup_teardown(test_memory_sizes, start, stop),
        cmocka_unit_test_setup_teardown(test_memory, start, stop),
        cmocka_unit_test_setup_teardown(test_state, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
