// SPDX-License-Identifier: Apache-2.0
// The x86 inlines behind core/arch.h: per-CPU data through GS, the clock from the TSC, interrupt flag.
#ifndef SAGUARO_ARCH_X86_INLINE_H
#define SAGUARO_ARCH_X86_INLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* time_now() = ((tsc - clock_tsc_base) * clock_multiplier) >> 32; set once by the calibration, before other
 * CPUs start. */
extern uint64_t clock_tsc_base;
extern uint64_t clock_multiplier;

static inline struct cpu *cpu_this(void) {
    struct cpu *cpu;
    __asm__("movq %%gs:0, %0" : "=r"(cpu));
    return cpu;
}

/* Whether this machine is a virtual one: its CPUs are threads, which wait for a real one's time. Set before
 * other CPUs start. */
extern bool cpu_virtual;
#define ARCH_SPIN_UNFAIR cpu_virtual

/* QEMU 7.2 leaves its loop of emulation at each PAUSE and takes the lock of all its devices, twice. */
static inline void cpu_relax(void) {
    __asm__ volatile("pause" ::: "memory");
}

static inline uint64_t tsc_read(void) {
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/* What time_now() is when the TSC reads `tsc` (not before the clock was started); UINT64_MAX: beyond what it
 * can count. */
static inline uint64_t time_from_tsc(uint64_t tsc) {
    unsigned __int128 time = ((unsigned __int128)(tsc - clock_tsc_base) * clock_multiplier) >> 32;
    return time > UINT64_MAX ? UINT64_MAX : (uint64_t)time;
}

static inline uint64_t time_now(void) {
    return (uint64_t)(((unsigned __int128)(tsc_read() - clock_tsc_base) * clock_multiplier) >> 32);
}

static inline bool interrupts_save(void) {
    uint64_t flags;
    __asm__ volatile("pushfq; popq %0; cli" : "=r"(flags)::"memory");
    return (flags & 0x200u) != 0;
}

static inline void interrupts_restore(bool enabled) {
    if (enabled)
        __asm__ volatile("sti" ::: "memory");
}

/* Fetches see what was stored (Intel SDM vol. 3, 11.6). */
static inline void arch_code_store(const void *at, size_t size) {
    (void)at;
    (void)size;
}

/* Compares 16 bytes at `at` (aligned) with *expected and, when equal, replaces them by *desired, atomically.
 * False: they were not equal, and *expected is what is there. */
static inline bool arch_compare_exchange_16(void *at, void *expected, const void *desired) {
    uint64_t *old = expected;
    const uint64_t *new = desired;
    bool equal;
    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(equal), "+m"(*(char(*)[16])at), "+a"(old[0]), "+d"(old[1])
                     : "b"(new[0]), "c"(new[1])
                     : "memory");
    return equal;
}

#endif
