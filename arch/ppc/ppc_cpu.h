// SPDX-License-Identifier: Apache-2.0
// A host CPU of a Book E machine: core's part, its stacks, windows, and what the trap code keeps there.
#ifndef SAGUARO_ARCH_PPC_PPC_CPU_H
#define SAGUARO_ARCH_PPC_PPC_CPU_H

#include "abi/ppc/vcpu.h"
#include "arch/ppc/layout.h"
#include "core/cpu.h"

struct ppc_vcpu;

/* `low` is the lowest byte, `high` one past the last. */
struct ppc_stack {
    uint32_t low;
    uint32_t high;
};

/* What a window slot shows, as its TLB entry has it; mas3 0: nothing. */
struct window_slot {
    uint32_t mas3;
    uint32_t mas7;
};

/* Where a page was mapped last. */
struct window_hint {
    uint64_t page;     /* physical address; 1: nothing */
    uint64_t sequence; /* how many pages had been mapped before this one */
};

struct ppc_cpu {
    struct cpu core; /* first: r2 points at it while the hypervisor runs, SPRG2 always */

    /* traps.S */
    struct ppc_vcpu *vcpu;           /* runs here, or ran last */
    struct ppc_registers *registers; /* its registers */
    uint32_t host_sp;                /* r1 in ppc_enter() */
    uint32_t trap_cr;                /* scratch of a trap out of the hypervisor */
    uint32_t trap_vector;            /* the same */
    uint32_t stack_limit;            /* r13 on the main stack */
    struct ppc_stack main_stack;     /* what runs here runs on it */
    struct ppc_stack trap_stacks;    /* three: traps, critical interrupts, machine checks */
    struct window_slot window[WINDOW_RING];

    struct window_hint window_hint[WINDOW_RING];
    uint64_t window_sequence;   /* pages mapped so far; the next goes to slot window_sequence % WINDOW_RING */
    uint64_t window_large_page; /* what the large window shows; 1: nothing */

    uint32_t mpic_id; /* its number at the interrupt controller */
    uint64_t unexpected_interrupts;
    uint32_t started;    /* set by the CPU itself once it runs on its own stack */
    uint64_t start_time; /* time base at that moment */
};

static inline struct ppc_cpu *ppc_cpu_of(struct cpu *cpu) {
    return container_of(cpu, struct ppc_cpu, core);
}
static inline struct ppc_cpu *ppc_cpu_this(void) {
    return ppc_cpu_of(cpu_this());
}

extern struct ppc_cpu boot_cpu;

/* Fills in what every CPU has; the caller has set core.id and the main stack. `trap_stacks` has
 * TRAP_STACKS_SIZE bytes. */
void ppc_cpu_init(struct ppc_cpu *cpu, void *trap_stacks);

/* Sets the registers of the CPU that runs this: vectors, caches, timers off, machine checks and critical
 * interrupts on. */
void ppc_cpu_enable(void);

/* True if `address` lies on one of the CPU's stacks. */
bool ppc_cpu_on_stack(const struct ppc_cpu *cpu, uint32_t address);

/* Halts this CPU for good: nothing is served any more. */
__attribute__((noreturn)) void ppc_cpu_halt(void);

#endif
