// SPDX-License-Identifier: Apache-2.0
// Ends with the TSC at its first instruction as exit code. A multiboot 1 kernel of a few instructions, in 32-bit mode.
    .section .multiboot, "a"
    .balign 4
    .long 0x1badb002, 0, -0x1badb002

    .text
    .globl start
start:
    rdtsc
    movl $0xf4, %edx
    outl %eax, %dx
2:  jmp 2b
    .section .note.GNU-stack, "", @progbits
