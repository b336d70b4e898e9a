// SPDX-License-Identifier: Apache-2.0
// Exact conversion between nanoseconds and the ticks of a clock of `hz`, without 128-bit division.
// Both count from the same origin; hz is below 2^32 and the result must fit in 64 bits (centuries do).
#ifndef SAGUARO_ARCH_X86_GUEST_RATE_H
#define SAGUARO_ARCH_X86_GUEST_RATE_H

#include <stdint.h>

#define RATE_SECOND 1000000000ull /* ns */

/* Whole ticks that have passed after `ns`. */
static inline uint64_t rate_ticks(uint64_t ns, uint32_t hz) {
    return ns / RATE_SECOND * hz + ns % RATE_SECOND * hz / RATE_SECOND;
}

/* The first nanosecond at which `ticks` ticks have passed: rate_ticks(rate_ns(t, hz), hz) == t while hz is at
 * most 1 GHz. */
static inline uint64_t rate_ns(uint64_t ticks, uint32_t hz) {
    return ticks / hz * RATE_SECOND + (ticks % hz * RATE_SECOND + hz - 1) / hz;
}

#endif
