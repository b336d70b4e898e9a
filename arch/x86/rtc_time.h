// SPDX-License-Identifier: Apache-2.0
// The CMOS clock's registers as a time (pure, tested on the host).
#ifndef SAGUARO_ARCH_X86_RTC_TIME_H
#define SAGUARO_ARCH_X86_RTC_TIME_H

#include <stdint.h>

/* Raw registers: 0, 2, 4, 7, 8, 9, the century's (0: the clock has none), and status B (0x0B). */
struct rtc_registers {
    uint8_t second, minute, hour, day, month, year, century, status_b;
};

/* Seconds since 1970-01-01 00:00; -1: not a time. Without a century the years are 1970-2069. */
int64_t rtc_to_seconds(const struct rtc_registers *registers);

#endif
