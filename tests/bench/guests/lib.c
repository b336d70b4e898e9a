// SPDX-License-Identifier: Apache-2.0
// What the benches' bare guests share; see bench.h.
#include "tests/bench/guests/bench.h"

#define TIMER_DEADLINE 0x40000u /* mode in the LVT entry (Intel SDM vol. 3, figure 11-8) */

extern char bench_stub[], tick_stub[];

/* A 64-bit interrupt gate (AMD APM vol. 2, 4.8.4). */
struct gate {
    uint16_t offset_low, selector;
    uint8_t stack, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
};

static void gate_set(unsigned vector, const char *stub) {
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) table;
    uint64_t address = (uint64_t)stub;

    __asm__ volatile("sidt %0" : "=m"(table));
    ((struct gate *)table.base)[vector] = (struct gate){
        .offset_low = (uint16_t)address,
        .selector = SEL_CODE64,
        .type = 0x8e,
        .offset_middle = (uint16_t)(address >> 16),
        .offset_high = (uint32_t)(address >> 32),
    };
}

void bench_x2apic(void) {
    gate_set(VECTOR_BENCH, bench_stub);
    gate_set(VECTOR_TICK, tick_stub);
    wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | 0x400);
    lapic_x2 = true;
    lapic_enable();
    lapic_write(APIC_LVT_TIMER, TIMER_DEADLINE | VECTOR_TICK);
}

void bench_settle(void) {
    uint64_t end = rdtsc() + tsc_khz() * 500;
    do {
        bench_deadline(end);
        bench_halt();
    } while (rdtsc() < end);
}

void bench_figure(const char *name, uint64_t total, uint64_t count) {
    print("BENCH %s %u %u\n", name, total, count);
}

void bench_distribution(const char *name, uint64_t *samples, unsigned count) {
    for (unsigned gap = count / 2; gap; gap /= 2)
        for (unsigned i = gap; i < count; i++) {
            uint64_t value = samples[i];
            unsigned at = i;
            for (; at >= gap && samples[at - gap] > value; at -= gap)
                samples[at] = samples[at - gap];
            samples[at] = value;
        }
    print("BENCH %s-median %u 1\n", name, samples[count / 2]);
    print("BENCH %s-p999 %u 1\n", name, samples[count - 1 - count / 1000]);
    print("BENCH %s-worst %u 1\n", name, samples[count - 1]);
}
