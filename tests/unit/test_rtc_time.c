// SPDX-License-Identifier: Apache-2.0
// The host's CMOS clock as a time: BCD and binary, 12 and 24 hours, centuries, leap years, nonsense.
// unit-sources: arch/x86/rtc_time.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>
#include "arch/x86/rtc_time.h"

#define BINARY 4
#define H24    2

static uint8_t bcd(int value) {
    return (uint8_t)(value / 10 << 4 | value % 10);
}

static void every_form_of_many_days(void **state) {
    (void)state;
    /* From 1970 to 2169 in steps that are prime to days, hours and minutes. */
    for (int64_t seconds = 0; seconds < 200ll * 365 * 86400; seconds += 86400ll * 17 + 7411) {
        time_t t = (time_t)seconds;
        struct tm tm;
        gmtime_r(&t, &tm);
        int year = tm.tm_year + 1900;
        int hour12 = tm.tm_hour % 12 ? tm.tm_hour % 12 : 12;
        uint8_t pm = tm.tm_hour >= 12 ? 0x80 : 0;
        struct rtc_registers r = {bcd(tm.tm_sec),     bcd(tm.tm_min),  bcd(tm.tm_hour), bcd(tm.tm_mday),
                                  bcd(tm.tm_mon + 1), bcd(year % 100), bcd(year / 100), H24};
        assert_int_equal(rtc_to_seconds(&r), seconds);
        r.status_b = 0;
        r.hour = bcd(hour12) | pm;
        assert_int_equal(rtc_to_seconds(&r), seconds);
        r = (struct rtc_registers){
            (uint8_t)tm.tm_sec,       (uint8_t)tm.tm_min,    (uint8_t)tm.tm_hour,   (uint8_t)tm.tm_mday,
            (uint8_t)(tm.tm_mon + 1), (uint8_t)(year % 100), (uint8_t)(year / 100), BINARY | H24};
        assert_int_equal(rtc_to_seconds(&r), seconds);
        r.hour = (uint8_t)(hour12 | pm);
        r.status_b = BINARY;
        assert_int_equal(rtc_to_seconds(&r), seconds);
        if (year < 2070) {
            r.century = 0;
            assert_int_equal(rtc_to_seconds(&r), seconds);
        }
    }
}

static void known_times(void **state) {
    (void)state;
    struct rtc_registers r = {0x59, 0x59, 0x23, 0x29, 0x02, 0x24, 0x20, H24};
    assert_int_equal(rtc_to_seconds(&r), 1709251199);
    r = (struct rtc_registers){0x00, 0x00, 0x12, 0x01,
                               0x01, 0x00, 0x20, 0}; /* 12 in the morning is midnight */
    assert_int_equal(rtc_to_seconds(&r), 946684800);
}

static void nonsense(void **state) {
    (void)state;
    static const struct rtc_registers bad[] = {
        {0x60, 0, 0, 1, 1, 0x20, 0x20, H24},      {0x1a, 0, 0, 1, 1, 0x20, 0x20, H24},
        {0, 0x60, 0, 1, 1, 0x20, 0x20, H24},      {0, 0, 0x24, 1, 1, 0x20, 0x20, H24},
        {0, 0, 0, 0, 1, 0x20, 0x20, H24},         {0, 0, 0, 0x32, 1, 0x20, 0x20, H24},
        {0, 0, 0, 0x30, 2, 0x20, 0x20, H24},      {0, 0, 0, 0x29, 2, 0x23, 0x20, H24},
        {0, 0, 0, 0x29, 2, 0x00, 0x21, H24},      {0, 0, 0, 1, 0, 0x20, 0x20, H24},
        {0, 0, 0, 1, 0x13, 0x20, 0x20, H24},      {0, 0, 0, 1, 1, 0xa0, 0x20, H24},
        {0, 0, 0x00, 1, 1, 0x20, 0x20, 0},        {0, 0, 0x13, 1, 1, 0x20, 0x20, 0},
        {0, 0, 0, 1, 1, 0x69, 0x19, H24},         {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
        {0, 0, 0, 1, 1, 100, 0x20, BINARY | H24},
    };
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(rtc_to_seconds(&bad[i]), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_many_days),
        cmocka_unit_test(known_times),
        cmocka_unit_test(nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
