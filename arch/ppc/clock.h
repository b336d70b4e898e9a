// SPDX-License-Identifier: Apache-2.0
// The host's clock, over the time base.
#ifndef SAGUARO_ARCH_PPC_CLOCK_H
#define SAGUARO_ARCH_PPC_CLOCK_H

#include <stdint.h>

/* Starts time_now() at 0. `frequency` of the time base in Hz: 1 MHz to 10 GHz. 0, or -EINVAL. */
int clock_start(uint32_t frequency);
/* Hz. */
uint32_t clock_timebase_frequency(void);
/* Time-base ticks of so many nanoseconds, rounded up; held at UINT64_MAX. */
uint64_t clock_ticks(uint64_t nanoseconds);
void clock_delay(uint64_t nanoseconds);

#endif
