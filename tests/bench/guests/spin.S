// SPDX-License-Identifier: Apache-2.0
// Never stops, never exits. A multiboot 1 kernel of a few instructions, in 32-bit mode.
    .section .multiboot, "a"
    .balign 4
    .long 0x1badb002, 0, -0x1badb002

    .text
    .globl start
start:
    cli
1:  jmp 1b
    .section .note.GNU-stack, "", @progbits
