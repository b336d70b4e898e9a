// SPDX-License-Identifier: Apache-2.0
// Interrupts whose exits the host counts: "self" on the command line: to oneself; "other": from one vCPU to
// another that is in the guest all the time. Each ends with an EOI. Halts when done.
#include "tests/bench/guests/bench.h"

#define INTERRUPTS   100000u
/* Where two CPUs have to take turns on a machine that is busy, each takes milliseconds. */
#define BETWEEN      10000u
#define VECTOR_OTHER 0x61

static void self(void) {
    interrupts_on();
    for (unsigned i = 0; i < INTERRUPTS; i++)
        wrmsr(MSR_X2APIC_SELF, VECTOR_OTHER);
    interrupts_off();
}

static void spin(void *unused) {
    (void)unused;
    interrupts_on();
    while (irq_count[VECTOR_OTHER] < BETWEEN)
        ;
    interrupts_off();
}

static void other(void) {
    if (!smp_start(2)) {
        print("BENCH failed: the second vCPU did not start\n");
        guest_exit(1);
    }
    cpu_run(1, spin, NULL);
    for (unsigned i = 0; i < BETWEEN; i++) {
        wrmsr(MSR_X2APIC_ICR, 1ull << 32 | 0x4000 | VECTOR_OTHER);
        while (irq_count[VECTOR_OTHER] <= i)
            ;
    }
}

void guest_main(void) {
    bench_x2apic();
    if (guest_option("self"))
        self();
    else
        other();
    print("BENCH interrupts %u 1\nBENCH done 1 1\n", (uint64_t)irq_count[VECTOR_OTHER]);
    for (;;)
        __asm__ volatile("cli; hlt");
}
