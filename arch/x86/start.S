// SPDX-License-Identifier: Apache-2.0
// Where the loader jumps to, and where another CPU arrives from the trampoline. See abi/handover.h.
    .section .text.start, "ax", @progbits
    .globl _start
    .type _start, @function
// RDI: physical address of the hand-over block. The loader's page tables are live, interrupts are off.
_start:
    cli
    cld
    leaq boot_stack_end(%rip), %rsp
    xorl %ebp, %ebp
    pushq %rbp                  // ends the chain of frames, and aligns as a call would
    call start_c
    ud2
    .size _start, . - _start

    .text
    .globl start_ap
    .type start_ap, @function
// RDI: this CPU's struct x86_cpu, RSI: CR3 with the hypervisor's own tables, RSP: its own stack.
start_ap:
    movq %rsi, %cr3
    xorl %ebp, %ebp
    pushq %rbp
    call start_ap_c
    ud2
    .size start_ap, . - start_ap

    .section .bss.boot_stack, "aw", @nobits
    .balign 4096
    .globl boot_stack_guard, boot_stack, boot_stack_end
boot_stack_guard:               // not mapped in the hypervisor's own tables
    .skip 4096
boot_stack:
    .skip 32768
boot_stack_end:

    .section .note.GNU-stack, "", @progbits
