// SPDX-License-Identifier: Apache-2.0
// A host CPU of an x86 machine: core's part, its segments, stacks, windows and local timer.
#ifndef SAGUARO_ARCH_X86_X86_CPU_H
#define SAGUARO_ARCH_X86_X86_CPU_H

#include "arch/x86/segments.h"
#include "core/cpu.h"

/* A stack with an unmapped page below it. `low` is the lowest usable byte, `high` one past the last; 0: none.
 */
struct x86_stack {
    uint64_t low;
    uint64_t high;
};

enum x86_stack_use { STACK_MAIN, STACK_DOUBLE_FAULT, STACK_NMI, STACK_MACHINE_CHECK, STACK_COUNT };

/* More slots than the WINDOW_SLOTS that core/arch.h promises: see window.c. A power of two. */
#define WINDOW_RING 64

struct window_hint {
    uint64_t page;     /* physical address; 1: nothing */
    uint64_t sequence; /* how many pages had been mapped before this one */
};

struct x86_cpu {
    struct cpu core; /* first: gs:0 holds core.self */

    uint64_t window_base;      /* address of slot 0 */
    uint64_t window_sequence;  /* pages mapped so far; the next goes to slot window_sequence % WINDOW_RING */
    uint64_t window_forgotten; /* window_sequence at the last window_forget() */
    struct window_hint window_hint[WINDOW_RING];
    uint64_t *window_entry;       /* page-table entries of the slots */
    uint64_t *window_large_entry; /* page-directory entry of the large slot */
    uint64_t window_large_page;   /* what it shows; 1: nothing */

    void *engine; /* the engine's own per-CPU data */

    struct x86_segments segments;
    struct x86_stack stack[STACK_COUNT];

    uint64_t unexpected_interrupts;
    uint32_t started;  /* set by the CPU itself once it runs on its own stack */
    int engine_status; /* what arch_engine_cpu_init() returned */
};

static inline struct x86_cpu *x86_cpu_of(struct cpu *cpu) {
    return container_of(cpu, struct x86_cpu, core);
}
static inline struct x86_cpu *x86_cpu_this(void) {
    return x86_cpu_of(cpu_this());
}

extern struct x86_cpu boot_cpu;

/* Makes gs:0 reach `cpu` on the CPU that runs this. */
void x86_cpu_bind(struct x86_cpu *cpu);

/* Gives a CPU its stacks. 0 or -ENOMEM. The boot CPU keeps the main stack that it has. */
int x86_cpu_stacks(struct x86_cpu *cpu);

/* The stack of `cpu` that holds `address`; -1: none. With `guard`, the page below a stack counts instead. */
int x86_cpu_find_stack(const struct x86_cpu *cpu, uint64_t address, bool guard);

#endif
