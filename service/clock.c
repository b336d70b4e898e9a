// SPDX-License-Identifier: Apache-2.0
// The machine's clock from the CPU's counter, in 64-bit arithmetic (PowerPC has none of 128 bits).
#include "service/clock.h"

#include "service/arch.h"

static uint64_t base, multiplier;

void clock_init(const struct service_board *board) {
    base = board->clock_base;
    multiplier = board->clock_multiplier;
}

/* (ticks * factor) >> 32, exactly, as far as it fits in 64 bits. */
static uint64_t scale(uint64_t ticks, uint64_t factor) {
    uint64_t ticks_high = ticks >> 32, ticks_low = (uint32_t)ticks;
    uint64_t factor_high = factor >> 32, factor_low = (uint32_t)factor;

    return (ticks_high * factor_high << 32) + ticks_high * factor_low + ticks_low * factor_high +
           (ticks_low * factor_low >> 32);
}

uint64_t clock_now(void) {
    uint64_t counter = arch_counter();

    return counter > base ? scale(counter - base, multiplier) : 0;
}
