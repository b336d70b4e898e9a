// SPDX-License-Identifier: Apache-2.0
// Dates of the Gregorian calendar, and the codings in which an MC146818 holds them.
#include "arch/x86/guest/rtc_calendar.h"

#define DAY 86400u

static bool leap(unsigned year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned month_days(unsigned year, unsigned month) {
    static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && leap(year) ? 1 : 0);
}

/* Days before January 1 of a year; year 0 is a leap year. */
static uint64_t year_days(unsigned year) {
    if (year == 0)
        return 0;
    unsigned before = year - 1;
    return 365ull * year + before / 4 - before / 100 + before / 400 + 1;
}

struct calendar calendar_date(uint64_t seconds) {
    struct calendar date;
    uint64_t days = seconds / DAY;
    unsigned in_day = (unsigned)(seconds % DAY);
    date.hour = in_day / 3600;
    date.minute = in_day / 60 % 60;
    date.second = in_day % 60;
    date.weekday = (unsigned)((days + 6) % 7); /* 0000-01-01 was a Saturday */
    date.year = (unsigned)(days / 366);        /* never too late, at most a few years early */
    while (year_days(date.year + 1) <= days)
        date.year++;
    unsigned left = (unsigned)(days - year_days(date.year));
    date.month = 1;
    while (left >= month_days(date.year, date.month))
        left -= month_days(date.year, date.month++);
    date.day = left + 1;
    return date;
}

static unsigned clamp(unsigned value, unsigned low, unsigned high) {
    return value < low ? low : value > high ? high : value;
}

uint64_t calendar_seconds(const struct calendar *date) {
    unsigned year = clamp(date->year, 0, 9999);
    unsigned month = clamp(date->month, 1, 12);
    uint64_t days = year_days(year) + clamp(date->day, 1, month_days(year, month)) - 1;
    for (unsigned m = 1; m < month; m++)
        days += month_days(year, m);
    return days * DAY + clamp(date->hour, 0, 23) * 3600 + clamp(date->minute, 0, 59) * 60 +
           clamp(date->second, 0, 59);
}

uint8_t rtc_encode(uint8_t register_b, unsigned value) {
    return (uint8_t)(register_b & RTC_BINARY ? value : value / 10 << 4 | value % 10);
}

int rtc_decode(uint8_t register_b, uint8_t byte) {
    if (register_b & RTC_BINARY)
        return byte < 100 ? byte : -1;
    return (byte >> 4) < 10 && (byte & 15) < 10 ? (byte >> 4) * 10 + (byte & 15) : -1;
}

uint8_t rtc_encode_hour(uint8_t register_b, unsigned hour) {
    if (register_b & RTC_24_HOUR)
        return rtc_encode(register_b, hour);
    return rtc_encode(register_b, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0);
}

int rtc_decode_hour(uint8_t register_b, uint8_t byte) {
    if (register_b & RTC_24_HOUR) {
        int hour = rtc_decode(register_b, byte);
        return hour < 24 ? hour : -1;
    }
    int hour = rtc_decode(register_b, byte & 0x7f);
    if (hour < 1 || hour > 12)
        return -1;
    return hour % 12 + (byte & 0x80 ? 12 : 0);
}

uint64_t rtc_next_alarm(uint64_t after, int hour, int minute, int second) {
    uint64_t at = after + 1;
    for (;;) {
        unsigned in_day = (unsigned)(at % DAY);
        if (hour >= 0 && in_day / 3600 != (unsigned)hour)
            at += 3600 - in_day % 3600;
        else if (minute >= 0 && in_day / 60 % 60 != (unsigned)minute)
            at += 60 - in_day % 60;
        else if (second >= 0 && in_day % 60 != (unsigned)second)
            at++;
        else
            return at;
    }
}
