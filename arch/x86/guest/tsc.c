// SPDX-License-Identifier: Apache-2.0
// Frequencies of guests' TSCs: the ratio to the host's, and back.
#include "arch/x86/guest/tsc.h"
#include "arch/x86/clock.h"
#include "arch/x86/engine/engine.h"

#define RATIO_MAX 16u /* keeps every quotient below within 64 bits */

/* high * 2^64 + low over divisor; high < divisor. */
static uint64_t divide(uint64_t high, uint64_t low, uint64_t divisor, uint64_t *rest) {
    uint64_t quotient;
    __asm__("divq %4" : "=a"(quotient), "=d"(*rest) : "a"(low), "d"(high), "r"(divisor) : "cc");
    return quotient;
}

/* Calibrations of one clock differ by less. */
static bool same(uint64_t a, uint64_t b) {
    uint64_t difference = a > b ? a - b : b - a;
    return difference <= b / 1000;
}

bool tsc_frequency_possible(uint64_t frequency) {
    uint64_t own = clock_tsc_frequency();

    if (same(frequency, own))
        return true;
    return engine && engine->tsc_scaling && engine->tsc_scaling() && frequency >= own / RATIO_MAX &&
           frequency <= own * RATIO_MAX;
}

void tsc_set_frequency(struct x86_vm *vm, uint64_t frequency) {
    uint64_t own = clock_tsc_frequency(), rest;

    vm->tsc_frequency = frequency;
    vm->tsc_ratio = vm->tsc_inverse = 0;
    if (same(frequency, own))
        return;
    vm->tsc_ratio = divide(frequency >> (64 - TSC_RATIO_SHIFT), frequency << TSC_RATIO_SHIFT, own, &rest);
    /* 2^96 / ratio, rounded up. */
    vm->tsc_inverse = divide(1ull << (2 * TSC_RATIO_SHIFT - 64), 0, vm->tsc_ratio, &rest) + 1;
}
