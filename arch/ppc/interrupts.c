// SPDX-License-Identifier: Apache-2.0
// External interrupts: dispatch, kicks, idle sleep.
#include "arch/ppc/interrupts.h"

#include <stddef.h>
#include "arch/ppc/host_mpic.h"
#include "arch/ppc/instructions.h"
#include "arch/ppc/ppc_cpu.h"
#include "core/log.h"
#include "core/timer.h"

/* traps.S */
void ppc_sleep(uint32_t msr);

static struct {
    void (*handler)(void *context);
    void *context;
} handlers[VECTOR_COUNT];

void interrupt_install(unsigned vector, void (*handler)(void *context), void *context) {
    bug_if(vector == 0 || vector >= VECTOR_COUNT || handlers[vector].handler != NULL);
    handlers[vector].context = context;
    handlers[vector].handler = handler;
}

void interrupt_dispatch(void) {
    static struct log_limit limit = {.burst = 2};
    uint32_t vector = host_mpic_acknowledge();

    if (vector == VECTOR_SPURIOUS)
        return; /* nothing is in service: no end of interrupt */
    if (vector == VECTOR_KICK) {
        host_mpic_end();
        return;
    }
    if (vector < VECTOR_COUNT && handlers[vector].handler != NULL) {
        handlers[vector].handler(handlers[vector].context);
        host_mpic_end();
        return;
    }
    host_mpic_end();
    ppc_cpu_this()->unexpected_interrupts++;
    if (log_allowed(&limit))
        log_warning("CPU %u: interrupt at vector %u, which nobody uses", cpu_this()->number,
                    (unsigned)vector);
}

void interrupt_timer(void) {
    spr_write(SPR_TSR, TSR_DIS);
    timer_interrupt();
}

void arch_cpu_idle(void) {
    ppc_sleep(msr_read() | MSR_EE | MSR_WE);
}

void arch_interrupts_poll(void) {
    /* What is pending is taken before the instruction behind the first (e500 core manual, 5.4). */
    __asm__ volatile("wrteei 1; isync; wrteei 0" ::: "memory");
}

void arch_cpu_kick(struct cpu *cpu) {
    if (cpu != cpu_this())
        host_mpic_send_kick(ppc_cpu_of(cpu)->mpic_id);
}
