// SPDX-License-Identifier: Apache-2.0
// Dates of the Gregorian calendar, and the codings in which an MC146818 holds them.
#ifndef SAGUARO_ARCH_X86_GUEST_RTC_CALENDAR_H
#define SAGUARO_ARCH_X86_GUEST_RTC_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>

#define CALENDAR_EPOCH (719528ull * 86400)  /* 1970-01-01 in seconds since 0000-01-01 */
#define CALENDAR_END   (3652425ull * 86400) /* 10000-01-01 */

struct calendar {
    unsigned year;    /* 0..9999 */
    unsigned month;   /* 1..12 */
    unsigned day;     /* 1..31 */
    unsigned hour;    /* 0..23 */
    unsigned minute;  /* 0..59 */
    unsigned second;  /* 0..59 */
    unsigned weekday; /* 0 Sunday .. 6 Saturday; not looked at by calendar_seconds() */
};

/* Seconds since 0000-01-01 00:00 (below CALENDAR_END) as a date, and back; a field that is out of range is
 * taken as the nearest that is not. */
struct calendar calendar_date(uint64_t seconds);
uint64_t calendar_seconds(const struct calendar *date);

/* Register B's bits that say how numbers are coded. */
#define RTC_BINARY  0x04u
#define RTC_24_HOUR 0x02u

/* Numbers 0..99 and hours 0..23 as a register's byte. Decoding gives -1 for what is no number. */
uint8_t rtc_encode(uint8_t register_b, unsigned value);
int rtc_decode(uint8_t register_b, uint8_t byte);
uint8_t rtc_encode_hour(uint8_t register_b, unsigned hour);
int rtc_decode_hour(uint8_t register_b, uint8_t byte);

/* The first second after `after` that the alarm's hour, minute and second match; each may be -1: any. At most
 * a day later. */
uint64_t rtc_next_alarm(uint64_t after, int hour, int minute, int second);

#endif
