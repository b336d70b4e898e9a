// SPDX-License-Identifier: Apache-2.0
// The inlines behind core/arch.h for unit tests on the host: one CPU, and a clock that the test sets.
#ifndef SAGUARO_TESTS_ARCH_INLINE_H
#define SAGUARO_TESTS_ARCH_INLINE_H

#include <stdbool.h>
#include <stdint.h>

/* Each test that needs them defines these. */
extern struct cpu *test_cpu;
extern uint64_t test_time;

static inline struct cpu *cpu_this(void) {
    return test_cpu;
}
static inline void cpu_relax(void) {}
static inline uint64_t time_now(void) {
    return test_time;
}
static inline bool interrupts_save(void) {
    return false;
}
static inline void interrupts_restore(bool enabled) {
    (void)enabled;
}
/* What arch/x86 code uses besides; the host's TSC is test_time. */
static inline uint64_t tsc_read(void) {
    return test_time;
}
static inline uint64_t time_from_tsc(uint64_t tsc) {
    return tsc;
}

#endif
