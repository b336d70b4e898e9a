// SPDX-License-Identifier: Apache-2.0
// Entry of the bare PowerPC guests (ePAPR 5.5: r3 is the device tree, 64 MiB or so are mapped 1:1), the vectors, and
// run_until_interrupt(): loads a whole context and comes back when it takes an interrupt.

#define SPR_SRR0   26
#define SPR_SRR1   27
#define SPR_CSRR0  58
#define SPR_CSRR1  59
#define SPR_DEAR   61
#define SPR_ESR    62
#define SPR_IVPR   63
#define SPR_SPRG0  272
#define SPR_SPRG1  273
#define SPR_IVOR0  400
#define SPR_IVOR32 528
#define SPR_MCSRR0 570
#define SPR_MCSRR1 571
#define SPR_MCSR   572
#define SPR_MAS0   624
#define SPR_MAS1   625
#define SPR_MAS2   626
#define SPR_MAS3   627
#define SPR_MAS4   628
#define SPR_MAS6   630
#define SPR_MAS7   944

#define MSR_ME     0x1000

/* Offsets in struct context; guest.h has it. */
#define C_GPR      0
#define C_CR       128
#define C_LR       132
#define C_CTR      136
#define C_XER      140
#define C_PC       144
#define C_MSR      148
#define C_VECTOR   152
#define C_ESR      156
#define C_DEAR     160
#define C_MCSR     164
#define C_MAS      168

    .section .text.start, "ax"
    .globl guest_start
guest_start:
    mr      %r31, %r3
    /* A mapping of the runtime's own: TLB1[0] again, 0 to 64 MiB 1:1, protected from invalidation, all rights. */
    lis     %r3, 0x1000
    mtspr   SPR_MAS0, %r3
    lis     %r3, 0xc000
    ori     %r3, %r3, 8 << 8
    mtspr   SPR_MAS1, %r3
    li      %r3, 0
    mtspr   SPR_MAS2, %r3
    mtspr   SPR_MAS7, %r3
    li      %r3, 0x3f
    mtspr   SPR_MAS3, %r3
    isync
    tlbwe
    isync
    /* TLB1[1]: the board's registers, 1 MiB at 0xf_e0000000, at effective 0xe0000000; guarded, for the supervisor. */
    lis     %r3, 0x1001
    mtspr   SPR_MAS0, %r3
    lis     %r3, 0xc000
    ori     %r3, %r3, 5 << 8
    mtspr   SPR_MAS1, %r3
    lis     %r3, 0xe000
    ori     %r3, %r3, 0x0a
    mtspr   SPR_MAS2, %r3
    lis     %r3, 0xe000
    ori     %r3, %r3, 0x05
    mtspr   SPR_MAS3, %r3
    li      %r3, 0xf
    mtspr   SPR_MAS7, %r3
    isync
    tlbwe
    isync
    li      %r3, MSR_ME
    mtmsr   %r3
    isync
    lis     %r4, bss_start@ha
    addi    %r4, %r4, bss_start@l
    lis     %r5, bss_end@ha
    addi    %r5, %r5, bss_end@l
    li      %r0, 0
1:  cmplw   %r4, %r5
    bge     2f
    stw     %r0, 0(%r4)
    addi    %r4, %r4, 4
    b       1b
2:  lis     %r1, stack_top@ha
    addi    %r1, %r1, stack_top@l
    stwu    %r0, -16(%r1)
    bl      vectors_set
    mr      %r3, %r31
    bl      runtime_main
3:  b       3b

    .macro set_ivor number, spr
    li      %r3, 0
    ori     %r3, %r3, vector_\number@l
    mtspr   \spr, %r3
    .endm

    /* IVPR has the upper half of each vector's address, all of which lie in one 64 KiB. */
    .globl vectors_set
vectors_set:
    lis     %r3, vector_0@h
    mtspr   SPR_IVPR, %r3
    .irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    set_ivor \number, SPR_IVOR0 + \number
    .endr
    set_ivor 32, SPR_IVOR32
    set_ivor 33, SPR_IVOR32 + 1
    set_ivor 34, SPR_IVOR32 + 2
    set_ivor 35, SPR_IVOR32 + 3
    blr

    /* ---- vectors: everything goes into run_context, and run_until_interrupt() returns ---- */

    .macro vector number, save0, save1
    .balign 16
vector_\number:
    mtspr   SPR_SPRG0, %r3
    mtspr   SPR_SPRG1, %r4
    lis     %r3, run_context@ha
    addi    %r3, %r3, run_context@l
    mfspr   %r4, \save0
    stw     %r4, C_PC(%r3)
    mfspr   %r4, \save1
    stw     %r4, C_MSR(%r3)
    li      %r4, \number
    stw     %r4, C_VECTOR(%r3)
    b       leave
    .endm

    .text
    .balign 65536
    vector 0, SPR_CSRR0, SPR_CSRR1
    vector 1, SPR_MCSRR0, SPR_MCSRR1
    .irp number, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    vector \number, SPR_SRR0, SPR_SRR1
    .endr
    vector 12, SPR_CSRR0, SPR_CSRR1
    vector 13, SPR_SRR0, SPR_SRR1
    vector 14, SPR_SRR0, SPR_SRR1
    vector 15, SPR_CSRR0, SPR_CSRR1
    .irp number, 32, 33, 34, 35
    vector \number, SPR_SRR0, SPR_SRR1
    .endr

    /* r3 is run_context; the interrupted r3 and r4 are in SPRG0 and SPRG1. */
leave:
    stw     %r0, C_GPR(%r3)
    stw     %r1, C_GPR + 4(%r3)
    stw     %r2, C_GPR + 8(%r3)
    stmw    %r5, C_GPR + 20(%r3)
    mfspr   %r4, SPR_SPRG0
    stw     %r4, C_GPR + 12(%r3)
    mfspr   %r4, SPR_SPRG1
    stw     %r4, C_GPR + 16(%r3)
    mfcr    %r4
    stw     %r4, C_CR(%r3)
    mflr    %r4
    stw     %r4, C_LR(%r3)
    mfctr   %r4
    stw     %r4, C_CTR(%r3)
    mfxer   %r4
    stw     %r4, C_XER(%r3)
    mfspr   %r4, SPR_ESR
    stw     %r4, C_ESR(%r3)
    mfspr   %r4, SPR_DEAR
    stw     %r4, C_DEAR(%r3)
    mfspr   %r4, SPR_MCSR
    stw     %r4, C_MCSR(%r3)
    mfspr   %r4, SPR_MAS0
    stw     %r4, C_MAS(%r3)
    mfspr   %r4, SPR_MAS1
    stw     %r4, C_MAS + 4(%r3)
    mfspr   %r4, SPR_MAS2
    stw     %r4, C_MAS + 8(%r3)
    mfspr   %r4, SPR_MAS3
    stw     %r4, C_MAS + 12(%r3)
    mfspr   %r4, SPR_MAS4
    stw     %r4, C_MAS + 16(%r3)
    mfspr   %r4, SPR_MAS6
    stw     %r4, C_MAS + 24(%r3)
    mfspr   %r4, SPR_MAS7
    stw     %r4, C_MAS + 28(%r3)
    li      %r4, MSR_ME
    mtmsr   %r4
    isync
    lis     %r4, run_stack@ha
    lwz     %r1, run_stack@l(%r4)
    cmpwi   %r1, 0
    bne     1f
    lis     %r1, stack_top@ha
    addi    %r1, %r1, stack_top@l
    addi    %r1, %r1, -64
    bl      runtime_unexpected
1:  li      %r0, 0
    stw     %r0, run_stack@l(%r4)
    lmw     %r13, 12(%r1)
    lwz     %r2, 8(%r1)
    lwz     %r0, 88(%r1)
    mtcr    %r0
    lwz     %r0, 100(%r1)
    mtlr    %r0
    addi    %r1, %r1, 96
    blr

    /* Loads run_context and goes there; returns when that takes an interrupt. */
    .globl run_until_interrupt
run_until_interrupt:
    mflr    %r0
    stw     %r0, 4(%r1)
    stwu    %r1, -96(%r1)
    stw     %r2, 8(%r1)
    stmw    %r13, 12(%r1)
    mfcr    %r0
    stw     %r0, 88(%r1)
    lis     %r4, run_stack@ha
    stw     %r1, run_stack@l(%r4)
    lis     %r3, run_context@ha
    addi    %r3, %r3, run_context@l
    lwz     %r4, C_PC(%r3)
    mtspr   SPR_SRR0, %r4
    lwz     %r4, C_MSR(%r3)
    mtspr   SPR_SRR1, %r4
    lwz     %r4, C_CR(%r3)
    mtcr    %r4
    lwz     %r4, C_LR(%r3)
    mtlr    %r4
    lwz     %r4, C_CTR(%r3)
    mtctr   %r4
    lwz     %r4, C_XER(%r3)
    mtxer   %r4
    lmw     %r4, C_GPR + 16(%r3)
    lwz     %r0, C_GPR(%r3)
    lwz     %r1, C_GPR + 4(%r3)
    lwz     %r2, C_GPR + 8(%r3)
    lwz     %r3, C_GPR + 12(%r3)
    rfi

    .bss
    .balign 16
stack_bottom:
    .space 16384
stack_top:
    .globl run_stack
run_stack:
    .space 4
