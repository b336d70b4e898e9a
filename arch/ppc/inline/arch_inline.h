// SPDX-License-Identifier: Apache-2.0
// The Book E inlines behind core/arch.h: per-CPU data through r2, the clock from the time base, MSR[EE].
#ifndef SAGUARO_ARCH_PPC_INLINE_H
#define SAGUARO_ARCH_PPC_INLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ppc_instructions.h>

/* time_now() = ((time base - clock_base) * clock_multiplier) >> 32; set once, before other CPUs start. */
extern uint64_t clock_base;
extern uint64_t clock_multiplier;

static inline struct cpu *cpu_this(void) {
    struct cpu *cpu;
    __asm__("mr %0, 2" : "=r"(cpu));
    return cpu;
}

/* QEMU 7.2 runs both CPUs of its board on one thread, for up to 100 ms each. */
#define ARCH_SPIN_UNFAIR true

static inline void cpu_relax(void) {
    __asm__ volatile("" ::: "memory");
}

/* (value * ratio) >> 32, the lowest 64 bits of it. */
static inline uint64_t clock_scale(uint64_t value, uint64_t ratio) {
    uint32_t high = (uint32_t)(value >> 32), low = (uint32_t)value;
    uint32_t ratio_high = (uint32_t)(ratio >> 32), ratio_low = (uint32_t)ratio;

    return value * ratio_high + (uint64_t)high * ratio_low + ((uint64_t)low * ratio_low >> 32);
}

/* What time_now() is when the time base reads `ticks`, not before the clock was started. */
static inline uint64_t time_from_timebase(uint64_t ticks) {
    return clock_scale(ticks - clock_base, clock_multiplier);
}

static inline uint64_t time_now(void) {
    return time_from_timebase(timebase_read());
}

static inline bool interrupts_save(void) {
    bool enabled = (msr_read() & MSR_EE) != 0;
    __asm__ volatile("wrteei 0" ::: "memory");
    return enabled;
}

static inline void interrupts_restore(bool enabled) {
    if (enabled)
        __asm__ volatile("wrteei 1" ::: "memory");
}

/* Code is fetched from memory, not out of the data cache (e500 core manual, 3.3.1.2.1); no e500's lines are
 * smaller. */
static inline void arch_code_store(const void *at, size_t size) {
    const uintptr_t step = 32, end = (uintptr_t)at + size;

    for (uintptr_t line = (uintptr_t)at & ~(step - 1); line < end; line += step)
        cache_store((const void *)line);
    memory_sync();
}

/* Compares 16 bytes at `at` with *expected and, when equal, replaces them by *desired. An e500v2 has no
 * instruction for it: it is atomic among the hypervisor's CPUs, which all come through here. */
bool arch_compare_exchange_16(void *at, void *expected, const void *desired);

#endif
