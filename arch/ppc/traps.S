// SPDX-License-Identifier: Apache-2.0
// Interrupt vectors, entry into and exit from the guest. Guests run with MSR[PR] = 1: what they cause comes back from
// ppc_enter(); what the hypervisor causes makes a struct trap_frame on one of its stacks.
#include "arch/ppc/layout.h"
#include "arch/ppc/registers.h"
#include <ppc_offsets.h>

// A TLB miss writes the MAS registers: between setting them and the instruction that uses them no window is touched.
// SPRG0 and SPRG1 hold r10 and r11 in the stubs of the normal class, SPRG4 and SPRG5 in the others. These may come in
// the middle of one of the former; they never return.

    .section .text.vectors, "ax", @progbits

    // Interrupts of the normal class. After them r10 is a scratch register, r11 the interrupted code's CR.
    .macro stub vector, hypervisor, guest=guest_exit
    .balign 16
    .globl trap_vector_\vector
    .type trap_vector_\vector, @function
trap_vector_\vector:
    mtspr   SPR_SPRG0, 10
    mtspr   SPR_SPRG1, 11
    mfcr    11
    mfspr   10, SPR_SRR1
    andi.   10, 10, MSR_PR
    mfspr   10, SPR_SPRG2
    bne     1f
    stw     11, CPU_TRAP_CR(10)
    li      11, \vector
    stw     11, CPU_TRAP_VECTOR(10)
    b       \hypervisor
1:  lwz     10, CPU_REGISTERS(10)
    stw     11, STATE_CR(10)
    li      11, \vector
    b       \guest
    .size trap_vector_\vector, . - trap_vector_\vector
    .endm

    stub IVOR_DATA_STORAGE, hypervisor_data_storage
    stub IVOR_INST_STORAGE, hypervisor_trap
    stub IVOR_EXTERNAL, hypervisor_interrupt
    stub IVOR_ALIGNMENT, hypervisor_trap
    stub IVOR_PROGRAM, hypervisor_trap, fast_program
    stub IVOR_FP_UNAVAILABLE, hypervisor_trap
    stub IVOR_SYSTEM_CALL, hypervisor_trap, fast_system_call
    stub IVOR_AP_UNAVAILABLE, hypervisor_trap
    stub IVOR_DECREMENTER, hypervisor_interrupt
    stub IVOR_FIXED_TIMER, hypervisor_trap
    stub IVOR_DATA_TLB, hypervisor_data_tlb
    stub IVOR_INST_TLB, hypervisor_trap
    stub IVOR_SPE_UNAVAILABLE, hypervisor_trap
    stub IVOR_SPE_FP_DATA, hypervisor_trap
    stub IVOR_SPE_FP_ROUND, hypervisor_trap
    stub IVOR_PERFORMANCE, hypervisor_trap

    // r10 = &vcpu->state->registers, where CR is saved; r11 = vector; SPRG0, SPRG1 = r10, r11.
    .globl guest_exit
    .type guest_exit, @function
guest_exit:
    stw     0, STATE_GPR + 4 * 0(10)
    stw     1, STATE_GPR + 4 * 1(10)
    stw     2, STATE_GPR + 4 * 2(10)
    stw     3, STATE_GPR + 4 * 3(10)
    stw     4, STATE_GPR + 4 * 4(10)
    stw     5, STATE_GPR + 4 * 5(10)
    stw     6, STATE_GPR + 4 * 6(10)
    stw     7, STATE_GPR + 4 * 7(10)
    stw     8, STATE_GPR + 4 * 8(10)
    stw     9, STATE_GPR + 4 * 9(10)
    stmw    12, STATE_GPR + 4 * 12(10)
    mfspr   2, SPR_SPRG2
    mfspr   5, SPR_SPRG0
    mfspr   6, SPR_SPRG1
    mflr    7
    mfctr   8
    mfxer   9
    lwz     4, CPU_VCPU(2)
    stw     5, STATE_GPR + 4 * 10(10)
    stw     6, STATE_GPR + 4 * 11(10)
    stw     7, STATE_LR(10)
    stw     8, STATE_CTR(10)
    stw     9, STATE_XER(10)
    mfspr   5, SPR_SRR0
    mfspr   6, SPR_ESR
    mfspr   7, SPR_DEAR
    mfspr   8, SPR_USPRG0
    mfspr   9, SPR_SPEFSCR
    stw     5, STATE_PC(10)
    stw     11, VCPU_VECTOR(4)
    stw     6, VCPU_EXIT_ESR(4)
    stw     7, VCPU_EXIT_DEAR(4)
    stw     8, STATE_USPRG0(10)
    stw     9, STATE_SPEFSCR(10)
    lwz     1, CPU_HOST_SP(2)
    lwz     13, CPU_STACK_LIMIT(2)
    lwz     0, ENTER_LR(1)
    lwz     3, ENTER_CR(1)
    lmw     14, ENTER_GPR14(1)
    mtlr    0
    mtcr    3
    addi    1, 1, ENTER_FRAME
    blr
    .size guest_exit, . - guest_exit

    // The frame of ppc_enter().
    .set ENTER_FRAME, 96
    .set ENTER_CR, 20
    .set ENTER_GPR14, 24
    .set ENTER_LR, ENTER_FRAME + 4

    // void ppc_enter(struct ppc_vcpu *vcpu)
    .globl ppc_enter
    .type ppc_enter, @function
ppc_enter:
    addi    0, 13, ENTER_FRAME
    twllt   1, 0
    stwu    1, -ENTER_FRAME(1)
    mflr    0
    mfcr    4
    stw     0, ENTER_LR(1)
    stw     4, ENTER_CR(1)
    stmw    14, ENTER_GPR14(1)
    lwz     10, VCPU_STATE(3)
    stw     1, CPU_HOST_SP(2)
    stw     3, CPU_VCPU(2)
    stw     10, CPU_REGISTERS(2)
    lwz     4, VCPU_HOST_PID0(3)
    lwz     5, VCPU_HOST_PID1(3)
    lwz     6, VCPU_HOST_MSR(3)
    lwz     7, STATE_SPRG + 4 * 3(10)
    lwz     8, STATE_SPRG + 4 * 4(10)
    lwz     9, STATE_SPRG + 4 * 5(10)
    lwz     11, STATE_SPRG + 4 * 6(10)
    lwz     12, STATE_SPRG + 4 * 7(10)
    // Whatever the caller says: user mode, address space 1, interruptible.
    ori     6, 6, MSR_EE | MSR_PR | MSR_ME | MSR_IS | MSR_DS
    oris    6, 6, MSR_CE@h
    mtspr   SPR_PID, 4
    mtspr   SPR_PID1, 5
    mtspr   SPR_SRR1, 6
    mtspr   SPR_SPRG3, 7
    mtspr   SPR_SPRG4, 8
    mtspr   SPR_SPRG5, 9
    mtspr   SPR_SPRG6, 11
    mtspr   SPR_SPRG7, 12
    lwz     4, STATE_PC(10)
    lwz     5, STATE_USPRG0(10)
    lwz     6, STATE_SPEFSCR(10)
    lwz     7, STATE_LR(10)
    lwz     8, STATE_CTR(10)
    lwz     9, STATE_XER(10)
    lwz     11, STATE_CR(10)
    mtspr   SPR_SRR0, 4
    mtspr   SPR_USPRG0, 5
    mtspr   SPR_SPEFSCR, 6
    mtlr    7
    mtctr   8
    mtxer   9
    // A reservation that somebody else made is none of the guest's (Power ISA, Book III-E, 5.3: a store conditional
    // ends it).
    addi    4, 1, 8
    stwcx.  4, 0, 4
    mtcr    11
    mr      3, 10
    lwz     0, STATE_GPR + 4 * 0(3)
    lwz     1, STATE_GPR + 4 * 1(3)
    lwz     2, STATE_GPR + 4 * 2(3)
    lmw     4, STATE_GPR + 4 * 4(3)
    lwz     3, STATE_GPR + 4 * 3(3)
    rfi
    .size ppc_enter, . - ppc_enter

    // A data TLB miss of the hypervisor's: a window whose entry was displaced is filled again. MAS0 names the victim,
    // MAS7 and MAS1 are set whole here.
    .type hypervisor_data_tlb, @function
hypervisor_data_tlb:
    mfspr   11, SPR_SRR1
    andi.   11, 11, MSR_DS
    bne     hypervisor_data_storage
    mfspr   11, SPR_DEAR
    xoris   11, 11, WINDOW_BASE@h
    srwi    11, 11, 12
    cmplwi  11, WINDOW_RING
    bge     hypervisor_trap
    slwi    11, 11, 3
    add     11, 11, 10
    lwz     10, CPU_WINDOW_MAS3(11)
    cmpwi   10, 0
    beq     1f
    mtspr   SPR_MAS3, 10
    lwz     10, CPU_WINDOW_MAS7(11)
    mtspr   SPR_MAS7, 10
    lis     10, MAS1_V@h
    ori     10, 10, MAS1_TSIZE(TSIZE_4K)
    mtspr   SPR_MAS1, 10
    mfspr   10, SPR_DEAR
    rlwinm  10, 10, 0, 0, 19
    ori     10, 10, MAS2_M
    mtspr   SPR_MAS2, 10
    isync
    tlbwe
    isync
    mfspr   10, SPR_SPRG2
    lwz     11, CPU_TRAP_CR(10)
    mtcr    11
    mfspr   10, SPR_SPRG0
    mfspr   11, SPR_SPRG1
    rfi
1:  mfspr   10, SPR_SPRG2
    b       hypervisor_trap
    .size hypervisor_data_tlb, . - hypervisor_data_tlb

    // A fault of the fast path's look at a guest's instruction, with the guest's registers in the CPU, goes on in the fast
    // path.
    .type hypervisor_data_storage, @function
hypervisor_data_storage:
    mfspr   11, SPR_SRR0
    lis     10, fast_fetch@ha
    addi    10, 10, fast_fetch@l
    cmplw   10, 11
    mfspr   10, SPR_SPRG2
    bne     hypervisor_trap
    lis     11, fast_fault@ha
    addi    11, 11, fast_fault@l
    mtspr   SPR_SRR0, 11
    lwz     11, CPU_TRAP_CR(10)
    mtcr    11
    mfspr   10, SPR_SPRG0
    mfspr   11, SPR_SPRG1
    rfi
    .size hypervisor_data_storage, . - hypervisor_data_storage

    // Saves all but r1, r2, r10, r11, r13 into the frame at r11.
    .macro save_registers
    stw     0, FRAME_GPR + 4 * 0(11)
    stw     1, FRAME_GPR + 4 * 1(11)
    stw     2, FRAME_GPR + 4 * 2(11)
    stw     3, FRAME_GPR + 4 * 3(11)
    stw     4, FRAME_GPR + 4 * 4(11)
    stw     5, FRAME_GPR + 4 * 5(11)
    stw     6, FRAME_GPR + 4 * 6(11)
    stw     7, FRAME_GPR + 4 * 7(11)
    stw     8, FRAME_GPR + 4 * 8(11)
    stw     9, FRAME_GPR + 4 * 9(11)
    stmw    12, FRAME_GPR + 4 * 12(11)
    mflr    3
    mfctr   4
    mfxer   5
    mfspr   6, SPR_ESR
    mfspr   7, SPR_DEAR
    stw     3, FRAME_LR(11)
    stw     4, FRAME_CTR(11)
    stw     5, FRAME_XER(11)
    stw     6, FRAME_ESR(11)
    stw     7, FRAME_DEAR(11)
    .endm

    // External interrupts and the decrementer, where the hypervisor lets them in: on the stack that it runs on.
    .type hypervisor_interrupt, @function
hypervisor_interrupt:
    addi    11, 1, -FRAME_SIZE
    save_registers
    stw     1, 0(11)
    b       hypervisor_dispatch
    .size hypervisor_interrupt, . - hypervisor_interrupt

    // What the hypervisor did wrong. r1 may be anything: a stack of its own, unless it runs on one of these already.
    .type hypervisor_trap, @function
hypervisor_trap:
    lwz     11, CPU_TRAP_STACKS(10)
    addi    11, 11, STACK_ROOM
    subf    11, 11, 1
    cmplwi  11, TRAP_STACKS_SIZE - STACK_ROOM
    bge     1f
    addi    11, 1, -FRAME_SIZE
    save_registers
    stw     1, 0(11)
    b       2f
1:  lwz     11, CPU_TRAP_STACKS(10)
    addi    11, 11, TRAP_STACK_SIZE - FRAME_SIZE
    save_registers
    li      3, 0
    stw     3, 0(11)
2:  lwz     13, CPU_TRAP_STACKS(10)
    addi    13, 13, STACK_ROOM
    // falls through
    .size hypervisor_trap, . - hypervisor_trap

    // r10 = the CPU's structure, r11 = the frame, without what the stub has saved.
    .type hypervisor_dispatch, @function
hypervisor_dispatch:
    mr      1, 11
    mr      2, 10
    mfspr   3, SPR_SPRG0
    mfspr   4, SPR_SPRG1
    mfspr   5, SPR_SRR0
    mfspr   6, SPR_SRR1
    lwz     7, CPU_TRAP_CR(2)
    lwz     8, CPU_TRAP_VECTOR(2)
    stw     3, FRAME_GPR + 4 * 10(1)
    stw     4, FRAME_GPR + 4 * 11(1)
    stw     5, FRAME_PC(1)
    stw     6, FRAME_MSR(1)
    stw     7, FRAME_CR(1)
    stw     8, FRAME_VECTOR(1)
    mr      3, 1
    bl      trap_dispatch
    lwz     3, FRAME_PC(1)
    lwz     4, FRAME_MSR(1)
    lwz     5, FRAME_CR(1)
    lwz     6, FRAME_LR(1)
    lwz     7, FRAME_CTR(1)
    lwz     8, FRAME_XER(1)
    mtspr   SPR_SRR0, 3
    mtspr   SPR_SRR1, 4
    mtcr    5
    mtlr    6
    mtctr   7
    mtxer   8
    lwz     0, FRAME_GPR + 4 * 0(1)
    lmw     2, FRAME_GPR + 4 * 2(1)
    lwz     1, FRAME_GPR + 4 * 1(1)
    rfi
    .size hypervisor_dispatch, . - hypervisor_dispatch

    // The critical class and machine checks, out of the hypervisor or a guest: each on its own stack, the last but
    // \below of the three.
    .macro stub_critical vector, save0, save1, number
    .balign 16
    .globl trap_vector_\vector
    .type trap_vector_\vector, @function
trap_vector_\vector:
    mtspr   SPR_SPRG4, 10
    mtspr   SPR_SPRG5, 11
    mfspr   10, SPR_SPRG2
    lwz     11, CPU_TRAP_STACKS(10)
    addi    11, 11, (\number + 1) * TRAP_STACK_SIZE - FRAME_SIZE
    save_registers
    mfcr    3
    mfspr   4, \save0
    mfspr   5, \save1
    li      6, \vector
    li      7, \number * TRAP_STACK_SIZE + STACK_ROOM
    stw     3, FRAME_CR(11)
    stw     4, FRAME_PC(11)
    stw     5, FRAME_MSR(11)
    stw     6, FRAME_VECTOR(11)
    b       critical_common
    .size trap_vector_\vector, . - trap_vector_\vector
    .endm

    stub_critical IVOR_CRITICAL, SPR_CSRR0, SPR_CSRR1, 1
    stub_critical IVOR_WATCHDOG, SPR_CSRR0, SPR_CSRR1, 1
    stub_critical IVOR_DEBUG, SPR_CSRR0, SPR_CSRR1, 1
    stub_critical IVOR_MACHINE_CHECK, SPR_MCSRR0, SPR_MCSRR1, 2

    // r7 = what the stack's limit is from the first of the stacks.
    .type critical_common, @function
critical_common:
    mfspr   3, SPR_SPRG4
    mfspr   4, SPR_SPRG5
    stw     3, FRAME_GPR + 4 * 10(11)
    stw     4, FRAME_GPR + 4 * 11(11)
    lwz     13, CPU_TRAP_STACKS(10)
    add     13, 13, 7
    mr      2, 10
    mr      1, 11
    li      0, 0
    stw     0, 0(1)
    mr      3, 1
    bl      trap_critical
    .size critical_common, . - critical_common

    .text
    // void ppc_sleep(uint32_t msr): waits with `msr`, which has EE and WE. The interrupt's handler goes on at
    // ppc_sleep_end, with both bits off (trap_dispatch()).
    .globl ppc_sleep
    .type ppc_sleep, @function
ppc_sleep:
    msync
    mtmsr   3
    isync
1:  b       1b
    .globl ppc_sleep_end
ppc_sleep_end:
    blr
    .size ppc_sleep, . - ppc_sleep

    .section .note.GNU-stack, "", @progbits
