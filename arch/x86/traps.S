// SPDX-License-Identifier: Apache-2.0
// Entry from exceptions and interrupts: 256 stubs that push their vector, and the common path that saves the general
// registers. The hypervisor has no user mode, so that GS is always its own. struct trap_frame is in traps.h.
    .text

// Vectors for which the CPU pushes an error code (Intel SDM vol. 3, 6.13; AMD APM vol. 2, table 8-1).
#define HAS_ERROR(v) \
    ((v) == 8 || ((v) >= 10 && (v) <= 14) || (v) == 17 || (v) == 21 || (v) == 29 || (v) == 30)

    .balign 16
    .globl trap_stubs
trap_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if HAS_ERROR(vector)
    pushq $vector
    jmp trap_common
    .else
    pushq $0
    pushq $vector
    jmp trap_common
    .endif
    .set vector, vector + 1
    .endr

    .balign 16
    .globl trap_common
    .type trap_common, @function
trap_common:
    pushq %rax
    pushq %rbx
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %rbp
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    cld
    movq %rsp, %rdi
    // 22 words lie on a stack that the CPU had aligned to 16: the call below needs no adjustment.
    call trap_dispatch
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rbp
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rbx
    popq %rax
    addq $16, %rsp
    iretq
    .size trap_common, . - trap_common

    .section .note.GNU-stack, "", @progbits
