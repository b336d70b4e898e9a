// SPDX-License-Identifier: Apache-2.0
// An interrupt from one vCPU to another that has halted: from the WRMSR that sends it to the first
// instruction of its handler.
#include "tests/bench/guests/bench.h"

#define ROUNDS 1000u
#define REST   200000u /* ticks in which the receiver gets to sleep again */

static uint64_t latency[ROUNDS];

void guest_main(void) {
    bench_x2apic();
    if (!smp_start(2)) {
        print("BENCH failed: the second vCPU did not start\n");
        guest_exit(1);
    }
    bench_settle(); /* the receiver gets to its first HLT */
    for (unsigned i = 0; i < ROUNDS; i++) {
        bench_deadline(rdtsc() + REST);
        bench_time = 0;
        uint64_t before = rdtsc();
        wrmsr(MSR_X2APIC_ICR, 1ull << 32 | 0x4000 | VECTOR_BENCH);
        bench_halt();
        if (!bench_time) {
            print("BENCH failed: interrupt %u did not come\n", (uint64_t)i);
            guest_exit(1);
        }
        latency[i] = bench_time - before;
    }
    bench_distribution("ipi", latency, ROUNDS);
    print("BENCH done 1 1\n");
    guest_exit(0);
}
