// SPDX-License-Identifier: Apache-2.0
// The other CPUs of a test guest: their start, and work for them. Between two pieces of work they halt.
#include "tests/guests/runtime/internal.h"

#define TRAMPOLINE 0x8000u
#define WAKE       0xe0u

extern char ap_trampoline[], ap_trampoline_end[];
volatile uint32_t cpus_up = 1;
static struct {
    void (*volatile function)(void *);
    void *volatile argument;
} work[MAX_CPUS];

unsigned cpu_id(void) {
    return cpuid(1, 0).ebx >> 24;
}

void ap_main(void) {
    unsigned id = cpu_id();

    idt_load();
    if (lapic_x2)
        wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | 0x400);
    lapic_enable();
    __atomic_add_fetch(&cpus_up, 1, __ATOMIC_SEQ_CST);
    for (;;) {
        interrupts_off();
        if (work[id].function) {
            work[id].function(work[id].argument);
            __atomic_store_n(&work[id].function, NULL, __ATOMIC_SEQ_CST);
            continue;
        }
        __asm__ volatile("sti; hlt" ::: "memory");
    }
}

bool smp_start(unsigned count) {
    memcpy((void *)(word)TRAMPOLINE, ap_trampoline, (word)ap_trampoline_end - (word)ap_trampoline);
    for (unsigned id = 1; id < count; id++) {
        lapic_ipi(id, 0x4500); /* INIT */
        delay_us(1000);
        lapic_ipi(id, 0x4600 | TRAMPOLINE >> 12);
    }
    return wait_count(&cpus_up, count, 5000);
}

void cpu_run(unsigned cpu, void (*function)(void *), void *argument) {
    work[cpu].argument = argument;
    __atomic_store_n(&work[cpu].function, function, __ATOMIC_SEQ_CST);
    lapic_ipi(cpu, 0x4000 | WAKE);
}

bool cpu_wait(unsigned cpu, unsigned ms) {
    uint64_t end = rdtsc() + ms * tsc_khz();
    while (work[cpu].function && rdtsc() < end)
        pause_cpu();
    return !work[cpu].function;
}
