// SPDX-License-Identifier: Apache-2.0
// Host CPUs: the boot CPU's structure, binding by GS, stacks, kicks.
#include "arch/x86/x86_cpu.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include "arch/x86/host_apic.h"
#include "arch/x86/host_map.h"
#include "arch/x86/registers.h"
#include "arch/x86/traps.h"
#include "core/arch.h"

static_assert(offsetof(struct x86_cpu, core) == 0, "container_of() and gs:0");
static_assert(offsetof(struct cpu, self) == 0, "cpu_this() reads gs:0");

#define MAIN_ORDER 3 /* 32 KiB */
#define IST_ORDER  1 /* 8 KiB */

struct x86_cpu boot_cpu;

void x86_cpu_bind(struct x86_cpu *cpu) {
    cpu->core.self = &cpu->core;
    msr_write(MSR_GS_BASE, (uint64_t)cpu);
}

int x86_cpu_stacks(struct x86_cpu *cpu) {
    static const unsigned ist[STACK_COUNT] = {
        [STACK_DOUBLE_FAULT] = IST_DOUBLE_FAULT,
        [STACK_NMI] = IST_NMI,
        [STACK_MACHINE_CHECK] = IST_MACHINE_CHECK,
    };

    for (unsigned i = 0; i < STACK_COUNT; i++) {
        if (i == STACK_MAIN && cpu->stack[i].low)
            continue;
        struct x86_stack stack;
        if (stack_create(&stack, i == STACK_MAIN ? MAIN_ORDER : IST_ORDER))
            return -ENOMEM;
        cpu->stack[i] = stack;
        if (ist[i])
            segments_set_ist(&cpu->segments, ist[i], stack.high);
    }
    return 0;
}

int x86_cpu_find_stack(const struct x86_cpu *cpu, uint64_t address, bool guard) {
    for (unsigned i = 0; i < STACK_COUNT; i++) {
        const struct x86_stack *stack = &cpu->stack[i];
        uint64_t low = guard ? stack->low - PAGE_SIZE : stack->low;
        uint64_t high = guard ? stack->low : stack->high;
        if (stack->low && address >= low && address < high)
            return (int)i;
    }
    return -1;
}

void arch_cpu_kick(struct cpu *cpu) {
    if (cpu != cpu_this())
        host_apic_send(cpu->id, VECTOR_KICK);
}
