// SPDX-License-Identifier: Apache-2.0
// The CMOS clock's registers as a time: BCD or binary, 12 or 24 hours (MC146818 data sheet).
#include "arch/x86/rtc_time.h"

#include <stdbool.h>

#define STATUS_BINARY  0x04u
#define STATUS_24_HOUR 0x02u
#define HOUR_PM        0x80u

/* -1: not a number. */
static int decode(uint8_t value, bool binary) {
    if (binary)
        return value;
    if ((value & 0xf) > 9 || value >> 4 > 9)
        return -1;
    return (value >> 4) * 10 + (value & 0xf);
}

static bool leap(int year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

int64_t rtc_to_seconds(const struct rtc_registers *registers) {
    static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool binary = registers->status_b & STATUS_BINARY;
    bool pm = false;
    uint8_t raw_hour = registers->hour;

    if (!(registers->status_b & STATUS_24_HOUR)) {
        pm = raw_hour & HOUR_PM;
        raw_hour &= (uint8_t)~HOUR_PM;
    }
    int second = decode(registers->second, binary);
    int minute = decode(registers->minute, binary);
    int hour = decode(raw_hour, binary);
    int day = decode(registers->day, binary);
    int month = decode(registers->month, binary);
    int year = decode(registers->year, binary);
    /* The century is BCD on every machine that counts in BCD; where the clock is binary, firmware differs. */
    int century = registers->century ? decode(registers->century, binary && registers->century <= 0x16) : 0;

    if (!(registers->status_b & STATUS_24_HOUR)) {
        if (hour < 1 || hour > 12)
            return -1;
        hour = hour % 12 + (pm ? 12 : 0);
    }
    if (second < 0 || second > 59 || minute < 0 || minute > 59 || hour < 0 || hour > 23 || day < 1 ||
        month < 1 || month > 12 || year < 0 || year > 99)
        return -1;
    if (century >= 19 && century <= 29)
        year += 100 * century;
    else
        year += year < 70 ? 2000 : 1900;
    if (year < 1970 || day > days[month - 1] + (month == 2 && leap(year)))
        return -1;

    int64_t total = 0;
    for (int y = 1970; y < year; y++)
        total += leap(y) ? 366 : 365;
    for (int m = 1; m < month; m++)
        total += days[m - 1] + (m == 2 && leap(year));
    total += day - 1;
    return total * 86400 + hour * 3600 + minute * 60 + second;
}
