// SPDX-License-Identifier: Apache-2.0
// What the benches' bare guests share: loops of one instruction, interrupt stubs that take the time in their
// first instruction, and figures on the serial port as "BENCH name total count" (lib.c).
#ifndef SAGUARO_TESTS_BENCH_GUESTS_BENCH_H
#define SAGUARO_TESTS_BENCH_GUESTS_BENCH_H

#include "tests/guests/runtime/guest.h"

#define MSR_X2APIC_EOI  0x80bu
#define MSR_X2APIC_ICR  0x830u
#define MSR_X2APIC_SELF 0x83fu

/* Vectors with stubs of their own. */
#define VECTOR_BENCH    0x50u
#define VECTOR_TICK     0x51u

/* Ticks that `text` takes, `count` times; RDI is `base`. Registers A to D and R8 are its own. */
#define LOOP(count, base, text)                                                                              \
    ({                                                                                                       \
        uint64_t left_ = (count), base_ = (base);                                                            \
        uint64_t begin_ = rdtsc();                                                                           \
        __asm__ volatile(".balign 16\n1: " text "\n dec %0\n jnz 1b"                                         \
                         : "+r"(left_), "+D"(base_)::"rax", "rbx", "rcx", "rdx", "r8", "memory", "cc");      \
        rdtsc() - begin_;                                                                                    \
    })

#define BATCH   2000u
#define BATCHES 5u

/* The cost of `instruction` behind `setup`: five batches, each less a loop of `setup` alone. */
#define MEASURE(name, base, setup, instruction)                                                              \
    do {                                                                                                     \
        LOOP(100, base, setup "\n" instruction);                                                             \
        for (unsigned batch_ = 0; batch_ < BATCHES; batch_++) {                                              \
            uint64_t empty_ = LOOP(BATCH, base, setup);                                                      \
            bench_figure(name, LOOP(BATCH, base, setup "\n" instruction) - empty_, BATCH);                   \
        }                                                                                                    \
    } while (0)

void bench_figure(const char *name, uint64_t total, uint64_t count);
/* Median, 99.9th percentile and worst of `count` samples, as name-median, name-p999, name-worst. Sorts them.
 */
void bench_distribution(const char *name, uint64_t *samples, unsigned count);

/* x2APIC mode, with the stubs in the interrupt table and the timer in TSC-deadline mode at VECTOR_TICK. */
void bench_x2apic(void);
static inline void bench_deadline(uint64_t tsc) {
    wrmsr(MSR_TSC_DEADLINE, tsc);
}

/* TSC at the first instruction of the newest interrupt of VECTOR_BENCH and VECTOR_TICK; ticks of the former's
 * EOI with its loads. */
extern volatile uint64_t bench_time, tick_time, eoi_ticks;
/* The same ticks without the WRMSR. */
uint64_t bench_eoi_empty(void);

/* Halts until an interrupt came; interrupts are off before and after. Returns the TSC right before. */
static inline uint64_t bench_halt(void) {
    uint64_t before = rdtsc();
    __asm__ volatile("sti\n hlt\n cli" ::: "rax", "rcx", "rdx", "r8", "memory", "cc");
    return before;
}

/* Sleeps for half a second, until the hypervisor has shown what was printed so far. */
void bench_settle(void);

#endif
