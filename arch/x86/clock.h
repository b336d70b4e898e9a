// SPDX-License-Identifier: Apache-2.0
// The host's clock: the TSC's frequency, conversions between TSC and time_now(), delays, wall-clock time.
#ifndef SAGUARO_ARCH_X86_CLOCK_H
#define SAGUARO_ARCH_X86_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* time_now() counts from this TSC value on; before clock_calibrate() it reads 0. */
void clock_start(uint64_t tsc);

/* Finds the TSC's frequency: as CPUID tells, else measured against the ACPI PM timer at I/O port `pm_timer`
 * (0: none; `wide`: 32 bits instead of 24), else against the 8254. 0; -ENODEV: nothing to measure against. */
int clock_calibrate(uint16_t pm_timer, bool wide);

uint64_t clock_tsc_frequency(void); /* Hz */
/* Where that number came from, for the log. */
const char *clock_source(void);

/* time_now() at a TSC value, and the first TSC value at which time_now() is `time`. Saturate. */
uint64_t clock_from_tsc(uint64_t tsc);
uint64_t tsc_from_clock(uint64_t time);

/* Busy wait. */
void clock_delay(uint64_t nanoseconds);

/* Reads the CMOS clock (taken to run in UTC). `century`: its CMOS register, 0: none. */
void wallclock_init(uint8_t century);
/* Nanoseconds since 1970-01-01 00:00 UTC; 0 if the machine has no clock that makes sense. */
uint64_t wallclock_now(void);

#endif
