// SPDX-License-Identifier: Apache-2.0
// Where assembly finds the members of structures: compiled to assembly, from which the build makes
// <ppc_offsets.h>. Not part of the image.
#include <stddef.h>
#include "arch/ppc/guest/interrupt.h"
#include "arch/ppc/ppc_cpu.h"
#include "arch/ppc/traps.h"
#include "arch/ppc/vm.h"

void offsets(void);

#define DEFINE(name, value) __asm__ volatile("\n@define " #name " %0" ::"i"(value))

void offsets(void) {
    DEFINE(CPU_VCPU, offsetof(struct ppc_cpu, vcpu));
    DEFINE(CPU_REGISTERS, offsetof(struct ppc_cpu, registers));
    DEFINE(CPU_HOST_SP, offsetof(struct ppc_cpu, host_sp));
    DEFINE(CPU_TRAP_CR, offsetof(struct ppc_cpu, trap_cr));
    DEFINE(CPU_TRAP_VECTOR, offsetof(struct ppc_cpu, trap_vector));
    DEFINE(CPU_STACK_LIMIT, offsetof(struct ppc_cpu, stack_limit));
    DEFINE(CPU_MAIN_STACK_HIGH, offsetof(struct ppc_cpu, main_stack.high));
    DEFINE(CPU_TRAP_STACKS, offsetof(struct ppc_cpu, trap_stacks.low));
    DEFINE(CPU_WINDOW_MAS3, offsetof(struct ppc_cpu, window[0].mas3));
    DEFINE(CPU_WINDOW_MAS7, offsetof(struct ppc_cpu, window[0].mas7));

    DEFINE(VCPU_STATE, offsetof(struct ppc_vcpu, state));
    DEFINE(VCPU_VECTOR, offsetof(struct ppc_vcpu, vector));
    DEFINE(VCPU_EXIT_ESR, offsetof(struct ppc_vcpu, exit_esr));
    DEFINE(VCPU_EXIT_DEAR, offsetof(struct ppc_vcpu, exit_dear));
    DEFINE(VCPU_HOST_MSR, offsetof(struct ppc_vcpu, host_msr));
    DEFINE(VCPU_HOST_PID0, offsetof(struct ppc_vcpu, host_pid0));
    DEFINE(VCPU_HOST_PID1, offsetof(struct ppc_vcpu, host_pid1));

    /* struct ppc_registers is the first member of the state: one pointer serves both. */
    DEFINE(STATE_GPR, offsetof(struct ppc_vcpu_state, registers.gpr));
    DEFINE(STATE_CR, offsetof(struct ppc_vcpu_state, registers.cr));
    DEFINE(STATE_LR, offsetof(struct ppc_vcpu_state, registers.lr));
    DEFINE(STATE_CTR, offsetof(struct ppc_vcpu_state, registers.ctr));
    DEFINE(STATE_XER, offsetof(struct ppc_vcpu_state, registers.xer));
    DEFINE(STATE_PC, offsetof(struct ppc_vcpu_state, registers.pc));
    DEFINE(STATE_SPRG, offsetof(struct ppc_vcpu_state, sprg));
    DEFINE(STATE_USPRG0, offsetof(struct ppc_vcpu_state, usprg0));
    DEFINE(STATE_SPEFSCR, offsetof(struct ppc_vcpu_state, spefscr));

    DEFINE(STATE_MSR, offsetof(struct ppc_vcpu_state, msr));
    DEFINE(STATE_SRR0, offsetof(struct ppc_vcpu_state, srr0));
    DEFINE(STATE_SRR1, offsetof(struct ppc_vcpu_state, srr1));
    DEFINE(STATE_CSRR0, offsetof(struct ppc_vcpu_state, csrr0));
    DEFINE(STATE_CSRR1, offsetof(struct ppc_vcpu_state, csrr1));
    DEFINE(STATE_DEAR, offsetof(struct ppc_vcpu_state, dear));
    DEFINE(STATE_ESR, offsetof(struct ppc_vcpu_state, esr));
    DEFINE(STATE_PID, offsetof(struct ppc_vcpu_state, pid));
    DEFINE(STATE_IVPR, offsetof(struct ppc_vcpu_state, ivpr));
    DEFINE(STATE_IVOR8, offsetof(struct ppc_vcpu_state, ivor[IVOR_SYSTEM_CALL]));
    DEFINE(STATE_MAS, offsetof(struct ppc_vcpu_state, mas));
    DEFINE(STATE_BUCSR, offsetof(struct ppc_vcpu_state, bucsr));
    DEFINE(STATE_EPR, offsetof(struct ppc_vcpu_state, epr));

    DEFINE(VCPU_SLOW, offsetof(struct ppc_vcpu, slow));
    DEFINE(VCPU_MAGIC, offsetof(struct ppc_vcpu, magic));
    DEFINE(SLOW_MAGIC, PPC_SLOW_MAGIC);
    DEFINE(VCPU_OTHER_PID0, offsetof(struct ppc_vcpu, other_pid0));
    DEFINE(VCPU_OTHER_PID1, offsetof(struct ppc_vcpu, other_pid1));
    DEFINE(VCPU_EXITS, offsetof(struct ppc_vcpu, exits));
    DEFINE(EXIT_FAST, PPC_EXIT_FAST);
    DEFINE(EXIT_SYSTEM_CALL, PPC_EXIT_SYSTEM_CALL);
    DEFINE(GUEST_MSR, GUEST_MSR_BITS);

    DEFINE(FRAME_GPR, offsetof(struct trap_frame, gpr));
    DEFINE(FRAME_CR, offsetof(struct trap_frame, cr));
    DEFINE(FRAME_LR, offsetof(struct trap_frame, lr));
    DEFINE(FRAME_CTR, offsetof(struct trap_frame, ctr));
    DEFINE(FRAME_XER, offsetof(struct trap_frame, xer));
    DEFINE(FRAME_PC, offsetof(struct trap_frame, pc));
    DEFINE(FRAME_MSR, offsetof(struct trap_frame, msr));
    DEFINE(FRAME_ESR, offsetof(struct trap_frame, esr));
    DEFINE(FRAME_DEAR, offsetof(struct trap_frame, dear));
    DEFINE(FRAME_VECTOR, offsetof(struct trap_frame, vector));
    DEFINE(FRAME_SIZE, sizeof(struct trap_frame));
}
