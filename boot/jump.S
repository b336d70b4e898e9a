// SPDX-License-Identifier: Apache-2.0
// The jump into the hypervisor: interrupts off, the loader's page tables, its stack, RDI = hand-over block.
// This code runs on through the change of page tables because they map all memory where it was.

    .text
    .globl jump_to_hypervisor
    .type jump_to_hypervisor, @function
// void jump_to_hypervisor(page table, entry, hand-over block, stack top): RDI, RSI, RDX, RCX
jump_to_hypervisor:
    cli
    cld
    mov %rdx, %r8
    mov %rcx, %r9

    // EFER.NXE before tables with no-execute bits are loaded: with it off the bit is reserved.
    mov $0xc0000080, %ecx
    rdmsr
    bts $11, %eax
    wrmsr

    // CR4 without CET, which has to go before CR0.WP may change, without PCIDE, and without PGE: clearing it also drops
    // the firmware's global translations.
    mov %cr4, %rax
    btr $23, %rax
    btr $17, %rax
    btr $7, %rax
    mov %rax, %cr4

    // CR0.WP: read-only pages bind the hypervisor too.
    mov %cr0, %rax
    bts $16, %rax
    mov %rax, %cr0

    mov %rdi, %cr3
    mov %r9, %rsp
    mov %r8, %rdi
    mov %rsi, %rax
    xor %ebp, %ebp
    push %rbp // the end of the call chain, and the alignment that a called function finds
    jmp *%rax
    .size jump_to_hypervisor, . - jump_to_hypervisor

    .section .note.GNU-stack, "", @progbits
