// SPDX-License-Identifier: Apache-2.0
// The host's one-shot timer over the local APIC (Intel SDM vol. 3, 11.5.4).
#include "arch/x86/host_timer.h"

#include <errno.h>
#include "arch/x86/clock.h"
#include "arch/x86/features.h"
#include "arch/x86/host_apic.h"
#include "arch/x86/interrupts.h"
#include "arch/x86/registers.h"
#include "core/log.h"
#include "core/timer.h"

#define MEASURE 5000000ull /* ns */
#define SAMPLES 8u

static bool deadline_mode;
static uint64_t ticks_per_ns; /* 32.32 */

struct sample {
    uint64_t tsc;
    uint32_t count;
};

static struct sample take_sample(void) {
    struct sample best = {0, 0};
    uint64_t width = UINT64_MAX;

    for (unsigned i = 0; i < SAMPLES; i++) {
        uint64_t before = tsc_read();
        uint32_t count = host_apic_timer_get();
        uint64_t after = tsc_read();
        if (after - before < width) {
            width = after - before;
            best = (struct sample){before + width / 2, count};
        }
    }
    return best;
}

int host_timer_init(void) {
    interrupt_install(VECTOR_TIMER, timer_interrupt);
    deadline_mode = cpu_has_tsc_deadline();
    if (deadline_mode) {
        log_info("timer: TSC deadline");
        return 0;
    }
    host_apic_timer_setup(APIC_LVT_MASKED);
    host_apic_timer_set(UINT32_MAX);
    struct sample first = take_sample();
    clock_delay(MEASURE);
    struct sample last = take_sample();
    host_apic_timer_set(0);

    uint64_t nanoseconds = clock_from_tsc(last.tsc) - clock_from_tsc(first.tsc);
    uint64_t ticks = first.count - last.count;
    if (!ticks || !nanoseconds || ticks > UINT32_MAX)
        return -ENODEV;
    ticks_per_ns = (ticks << 32) / nanoseconds;
    if (!ticks_per_ns)
        return -ENODEV;
    log_info("timer: local APIC, %lu kHz", (unsigned long)(ticks * 1000000 / nanoseconds));
    return 0;
}

void host_timer_enable(void) {
    host_apic_timer_setup(VECTOR_TIMER | (deadline_mode ? APIC_TIMER_MODE_DEADLINE : 0));
    arch_timer_program(UINT64_MAX);
}

/* A deadline beyond the counter's range fires early: timer_interrupt() finds nothing due and programs the
 * rest. */
void arch_timer_program(uint64_t deadline) {
    if (deadline_mode) {
        msr_write(MSR_TSC_DEADLINE, deadline == UINT64_MAX ? 0 : tsc_from_clock(deadline));
        return;
    }
    if (deadline == UINT64_MAX) {
        host_apic_timer_set(0);
        return;
    }
    uint64_t now = time_now();
    uint64_t left = deadline > now ? deadline - now : 0;
    unsigned __int128 count = (((unsigned __int128)left * ticks_per_ns) >> 32) + 1;
    host_apic_timer_set(count > UINT32_MAX ? UINT32_MAX : (uint32_t)count);
}
