// SPDX-License-Identifier: Apache-2.0
// Entry from exceptions on x86: a stub for each vector, and the common path that saves the general registers. None of
// them returns. struct trap_frame is in traps.h.
#include "service/x86/layout.h"

    .text

// Vectors for which the CPU pushes an error code (Intel SDM vol. 3, 6.13; AMD APM vol. 2, table 8-1).
#define HAS_ERROR(v) \
    ((v) == 8 || ((v) >= 10 && (v) <= 14) || (v) == 17 || (v) == 21 || (v) == 29 || (v) == 30)

    .balign 16
    .globl trap_stubs
trap_stubs:
    .set vector, 0
    .rept TRAPS
    .balign 16
    .if !HAS_ERROR(vector)
    pushq $0
    .endif
    pushq $vector
    jmp trap_common
    .set vector, vector + 1
    .endr

    .balign 16
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
    call trap_report
    ud2
    .size trap_common, . - trap_common

    .section .note.GNU-stack, "", @progbits
