// SPDX-License-Identifier: Apache-2.0
// A periodic task: every 200 us by TSC deadline, halted in between. Says how late its handler began.
#include "tests/bench/guests/bench.h"

#define WAKES 5000u

static uint64_t late[WAKES];

void guest_main(void) {
    uint64_t period = tsc_khz() / 5;

    bench_x2apic();
    /* Its neighbours are up by then. */
    uint64_t deadline = rdtsc() + tsc_khz() * 50;
    for (unsigned i = 0; i < WAKES; i++) {
        bench_deadline(deadline);
        while (tick_time < deadline)
            bench_halt();
        late[i] = tick_time - deadline;
        deadline += period;
    }
    bench_distribution("jitter", late, WAKES);
    print("BENCH done 1 1\n");
    guest_exit(0);
}
