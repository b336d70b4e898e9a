// SPDX-License-Identifier: Apache-2.0
// Interrupt vectors on PowerPC: each saves all registers in a struct trap_frame on the trap stack and calls C, which
// returns from TLB misses that it has filled and from nothing else.
#include "service/ppc/layout.h"
#include "service/ppc/registers.h"

    .section .text.vectors, "ax", @progbits

    // A trap inside a trap's handling goes on below it on the same stack.
    .macro vector number, save0, save1
    .balign 16
    .globl trap_vector_\number
trap_vector_\number:
    mtspr   SPR_SPRG0, 1
    mtspr   SPR_SPRG1, 3
    mfcr    3
    mtspr   SPR_SPRG2, 3
    lis     3, trap_stack@ha
    addi    3, 3, trap_stack@l
    subf    3, 3, 1
    cmplwi  3, TRAP_STACK_SIZE
    blt     1f
    lis     1, trap_stack_end@ha
    addi    1, 1, trap_stack_end@l
1:  addi    1, 1, -FRAME_SIZE
    mfspr   3, \save0
    stw     3, FRAME_PC(1)
    mfspr   3, \save1
    stw     3, FRAME_MSR(1)
    li      3, \number
    stw     3, FRAME_VECTOR(1)
    b       trap_common
    .endm

    vector 0, SPR_CSRR0, SPR_CSRR1
    vector 1, SPR_MCSRR0, SPR_MCSRR1
    .irp number, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    vector \number, SPR_SRR0, SPR_SRR1
    .endr
    vector 12, SPR_CSRR0, SPR_CSRR1
    .irp number, 13, 14
    vector \number, SPR_SRR0, SPR_SRR1
    .endr
    vector 15, SPR_CSRR0, SPR_CSRR1
    .irp number, 32, 33, 34, 35
    vector \number, SPR_SRR0, SPR_SRR1
    .endr

    // r1 = the frame; the interrupted r1, r3 and CR are in SPRG0, SPRG1 and SPRG2.
    .type trap_common, @function
trap_common:
    stw     0, FRAME_GPR(1)
    stw     2, FRAME_GPR + 4 * 2(1)
    stmw    4, FRAME_GPR + 4 * 4(1)
    mfspr   4, SPR_SPRG0
    mfspr   5, SPR_SPRG1
    mfspr   6, SPR_SPRG2
    stw     4, FRAME_GPR + 4 * 1(1)
    stw     5, FRAME_GPR + 4 * 3(1)
    stw     6, FRAME_CR(1)
    mflr    4
    mfctr   5
    mfxer   6
    mfspr   7, SPR_ESR
    mfspr   8, SPR_DEAR
    stw     4, FRAME_LR(1)
    stw     5, FRAME_CTR(1)
    stw     6, FRAME_XER(1)
    stw     7, FRAME_ESR(1)
    stw     8, FRAME_DEAR(1)
    li      0, 0
    stw     0, 0(1)                     // the end of the back chain
    addi    3, 1, FRAME_LINK
    bl      trap_c
    lwz     4, FRAME_PC(1)
    lwz     5, FRAME_MSR(1)
    lwz     6, FRAME_CR(1)
    lwz     7, FRAME_LR(1)
    lwz     8, FRAME_CTR(1)
    lwz     9, FRAME_XER(1)
    mtspr   SPR_SRR0, 4
    mtspr   SPR_SRR1, 5
    mtcr    6
    mtlr    7
    mtctr   8
    mtxer   9
    lwz     0, FRAME_GPR(1)
    lwz     2, FRAME_GPR + 4 * 2(1)
    lwz     3, FRAME_GPR + 4 * 3(1)
    lmw     4, FRAME_GPR + 4 * 4(1)
    lwz     1, FRAME_GPR + 4 * 1(1)
    rfi
    .size trap_common, . - trap_common

    .section .note.GNU-stack, "", @progbits
