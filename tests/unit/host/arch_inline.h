// SPDX-License-Identifier: Apache-2.0
// The inlines behind core/arch.h for unit tests on the host: one CPU, and a clock that the test sets.
#ifndef SAGUARO_TESTS_ARCH_INLINE_H
#define SAGUARO_TESTS_ARCH_INLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* arch/x86/registers.h: CPUID and MSRs are functions of the test. */
#define TEST_REGISTERS 1

/* Each test that needs them defines these. */
extern struct cpu *test_cpu;
extern uint64_t test_time;
/* How much time passes behind each look at the clock: a test sets it where code looks twice. */
__attribute__((weak)) uint64_t test_time_step;

static inline struct cpu *cpu_this(void) {
    return test_cpu;
}
/* A test may be what happens meanwhile. */
#ifdef TEST_CPU_RELAX
void test_cpu_relax(void);
static inline void cpu_relax(void) {
    test_cpu_relax();
}
#else
static inline void cpu_relax(void) {}
#endif
static inline uint64_t time_now(void) {
    uint64_t now = test_time;
    test_time += test_time_step;
    return now;
}
static inline bool interrupts_save(void) {
    return false;
}
static inline void interrupts_restore(bool enabled) {
    (void)enabled;
}
/* Nothing to do, but it is counted. */
__attribute__((weak)) size_t test_code_stored;
static inline void arch_code_store(const void *at, size_t size) {
    (void)at;
    test_code_stored += size;
}
/* What arch/x86 code uses besides; the host's TSC is test_time. */
static inline uint64_t tsc_read(void) {
    return test_time;
}
static inline uint64_t time_from_tsc(uint64_t tsc) {
    return tsc;
}
/* The host's tests are single-threaded where they use this. */
static inline bool arch_compare_exchange_16(void *at, void *expected, const void *desired) {
    bool equal = memcmp(at, expected, 16) == 0;
    memcpy(equal ? at : expected, equal ? desired : at, 16);
    return equal;
}

#endif
