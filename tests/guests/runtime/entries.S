// SPDX-License-Identifier: Apache-2.0
// Entries of the 256 vectors, and guest_try(): a call that an exception ends.
    .text
    .balign 16
    .globl vector_entries
vector_entries:
vector = 0
    .rept 256
    .balign 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
    push $0
    .endif
    push $vector
    jmp vector_common
vector = vector + 1
    .endr

#ifdef __x86_64__
vector_common:
    push %rax
    push %rbx
    push %rcx
    push %rdx
    push %rsi
    push %rdi
    push %rbp
    push %r8
    push %r9
    push %r10
    push %r11
    push %r12
    push %r13
    push %r14
    push %r15
    movq %rsp, %rdi
    movq %rsp, %rbx
    andq $-16, %rsp
    cld
    call interrupt_dispatch
    movq %rbx, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rbp
    pop %rdi
    pop %rsi
    pop %rdx
    pop %rcx
    pop %rbx
    pop %rax
    addq $16, %rsp
    iretq

    /* int guest_try(function, argument) */
    .globl guest_try, guest_resume
guest_try:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    push recover
    movq %rsp, recover
    movq %rdi, %rax
    movq %rsi, %rdi
    call *%rax
    movl $-1, %eax
try_end:
    pop recover
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret
    /* guest_resume(vector): back to the innermost guest_try() */
guest_resume:
    movl %edi, %eax
    movl $0x10, %ecx
    movl %ecx, %ss
    movl %ecx, %ds
    movl %ecx, %es
    movq recover, %rsp
    push $2
    popfq
    jmp try_end
    .bss
    .balign 8
    .globl recover
recover:
    .skip 8
#else
vector_common:
    pusha
    movl %esp, %ebx
    andl $-16, %esp
    subl $12, %esp
    push %ebx
    cld
    call interrupt_dispatch
    movl %ebx, %esp
    popa
    addl $8, %esp
    iretl

    .globl guest_try, guest_resume
guest_try:
    push %ebx
    push %ebp
    push %esi
    push %edi
    push recover
    movl %esp, recover
    movl 24(%esp), %eax
    push 28(%esp)
    call *%eax
    addl $4, %esp
    movl $-1, %eax
try_end:
    pop recover
    pop %edi
    pop %esi
    pop %ebp
    pop %ebx
    ret
guest_resume:
    movl 4(%esp), %eax
    movl $0x10, %ecx
    movl %ecx, %ss
    movl %ecx, %ds
    movl %ecx, %es
    movl recover, %esp
    push $2
    popf
    jmp try_end
    .bss
    .balign 8
    .globl recover
recover:
    .skip 4
#endif
    .section .note.GNU-stack, "", @progbits
