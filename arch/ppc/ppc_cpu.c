// SPDX-License-Identifier: Apache-2.0
// Host CPUs: the boot CPU's structure, stacks, and the registers that every CPU sets while it starts.
#include "arch/ppc/ppc_cpu.h"

#include <assert.h>
#include <stddef.h>
#include "arch/ppc/instructions.h"
#include "arch/ppc/traps.h"
#include "arch/ppc/window.h"

static_assert(offsetof(struct ppc_cpu, core) == 0, "r2 is cpu_this()");
static_assert(TRAP_STACKS_SIZE == 3 * TRAP_STACK_SIZE, "one for each class of interrupts");

struct ppc_cpu boot_cpu;

void ppc_cpu_init(struct ppc_cpu *cpu, void *trap_stacks) {
    cpu->stack_limit = cpu->main_stack.low + STACK_ROOM;
    cpu->trap_stacks.low = (uint32_t)trap_stacks;
    cpu->trap_stacks.high = cpu->trap_stacks.low + TRAP_STACKS_SIZE;
    cpu->mpic_id = cpu->core.id;
    window_init(cpu);
}

/* e500 core manual, 3.4.1: a cache is invalidated before it is switched on. */
static void caches_enable(void) {
    if ((spr_read(SPR_L1CSR0) & L1CSR0_CE) == 0) {
        __asm__ volatile("msync; isync" ::: "memory");
        spr_write(SPR_L1CSR0, L1CSR0_CFI);
        while ((spr_read(SPR_L1CSR0) & L1CSR0_CFI) != 0)
            continue;
        __asm__ volatile("msync; isync" ::: "memory");
        spr_write(SPR_L1CSR0, L1CSR0_CE);
    }
    if ((spr_read(SPR_L1CSR1) & L1CSR0_CE) == 0) {
        __asm__ volatile("msync; isync" ::: "memory");
        spr_write(SPR_L1CSR1, L1CSR0_CFI);
        while ((spr_read(SPR_L1CSR1) & L1CSR0_CFI) != 0)
            continue;
        spr_write(SPR_L1CSR1, L1CSR0_CE);
    }
    context_sync();
}

/* By rfi: mtmsr may leave ME as it is. */
static void msr_load(uint32_t msr) {
    uint32_t after;
    __asm__ volatile("lis %0, 1f@ha\n\t"
                     "addi %0, %0, 1f@l\n\t"
                     "mtspr %1, %0\n\t"
                     "mtspr %2, %3\n\t"
                     "isync\n\t"
                     "rfi\n"
                     "1:"
                     : "=&b"(after)
                     : "i"(SPR_SRR0), "i"(SPR_SRR1), "r"(msr)
                     : "memory");
}

void ppc_cpu_enable(void) {
    traps_load();
    spr_write(SPR_TCR, 0);
    spr_write(SPR_DEC, 0);
    spr_write(SPR_DECAR, 0);
    spr_write(SPR_TSR, 0xffffffffu);
    spr_write(SPR_TCR, TCR_DIE); /* the decrementer, one-shot: no watchdog, no fixed intervals */
    spr_write(SPR_DBCR0, 0);
    spr_write(SPR_DBSR, 0xffffffffu);
    caches_enable();
    spr_write(SPR_BUCSR, BUCSR_BBFI);
    context_sync();
    spr_write(SPR_BUCSR, BUCSR_BPEN);
    /* MSR[WE] dozes; the time base counts; tlbre and tlbsx give the upper part of the real address. */
    spr_write(SPR_HID0, HID0_EMCP | HID0_DOZE | HID0_TBEN | HID0_EN_MAS7_UPDATE);
    msr_load(MSR_ME | MSR_CE);
}

bool ppc_cpu_on_stack(const struct ppc_cpu *cpu, uint32_t address) {
    return (address >= cpu->main_stack.low && address < cpu->main_stack.high) ||
           (address >= cpu->trap_stacks.low && address < cpu->trap_stacks.high);
}

void ppc_cpu_halt(void) {
    for (;;) {
        /* No EE: only critical interrupts and machine checks could end it, and they end here too. */
        msr_write((msr_read() | MSR_WE) & ~(uint32_t)MSR_EE);
    }
}
