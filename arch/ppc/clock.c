// SPDX-License-Identifier: Apache-2.0
// The host's clock and its one-shot timer: time base and decrementer (e500 core manual, 2.6).
#include "arch/ppc/clock.h"

#include <errno.h>
#include "arch/ppc/instructions.h"
#include "core/arch.h"

#define SECOND 1000000000ull
#define LOWEST 1000000u

uint64_t clock_base;
uint64_t clock_multiplier;
static uint64_t inverse; /* ticks per ns, 32.32 */
static uint32_t frequency;

int clock_start(uint32_t hertz) {
    if (hertz < LOWEST)
        return -EINVAL;
    frequency = hertz;
    clock_multiplier = (SECOND << 32) / hertz;
    inverse = ((uint64_t)hertz << 32) / SECOND;
    clock_base = timebase_read();
    return 0;
}

uint32_t clock_timebase_frequency(void) {
    return frequency;
}

uint64_t clock_ticks(uint64_t nanoseconds) {
    uint64_t seconds = nanoseconds / SECOND;
    if (seconds >= UINT32_MAX)
        return UINT64_MAX;
    return seconds * frequency + clock_scale(nanoseconds % SECOND, inverse) + 1;
}

void clock_delay(uint64_t nanoseconds) {
    uint64_t start = timebase_read();
    uint64_t ticks = clock_ticks(nanoseconds);
    while (timebase_read() - start < ticks)
        cpu_relax();
}

/* A deadline beyond the counter's range fires early: timer_interrupt() finds nothing due and programs the
 * rest. The decrementer stops at 0, since TCR[ARE] is off. */
void arch_timer_program(uint64_t deadline) {
    uint32_t count = 0;

    if (deadline != UINT64_MAX) {
        uint64_t now = time_now();
        uint64_t ticks = clock_ticks(deadline > now ? deadline - now : 0);
        count = ticks > UINT32_MAX ? UINT32_MAX : (uint32_t)ticks;
    }
    spr_write(SPR_DEC, count);
}
