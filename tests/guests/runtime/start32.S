// SPDX-License-Identifier: Apache-2.0
// Entry of 32-bit test guests by multiboot 1: flat segments, no paging.
#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 3

    .section .multiboot, "a"
    .balign 4
    .long MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

    .text
    .globl start
start:
    cli
    movl %eax, boot_magic
    movl %ebx, boot_info
    lgdt gdt_pointer
    ljmp $0x08, $1f
1:  movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %eax, %fs
    movl %eax, %gs
    movl $boot_stack_end, %esp
    xorl %ebp, %ebp
    movl %cr4, %eax
    orl $0x600, %eax /* OSFXSR, OSXMMEXCPT */
    movl %eax, %cr4
    movl %cr0, %eax
    orl $0x20, %eax
    movl %eax, %cr0
    call runtime_main
2:  hlt
    jmp 2b

    .data
    .balign 16
    .globl gdt, gdt_end, gdt_pointer
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff /* 0x08: 32-bit code */
    .quad 0x00cf93000000ffff /* 0x10: data */
    .quad 0x00af9b000000ffff /* 0x18: 64-bit code */
    .quad 0x00cff3000000ffff /* 0x20: user data */
    .quad 0x00affb000000ffff /* 0x28: user 64-bit code */
    .quad 0x00cffb000000ffff /* 0x30: user 32-bit code */
    .quad 0, 0
    .quad 0x00009b000000ffff /* 0x48: 16-bit code */
    .quad 0x000093000000ffff /* 0x50: 16-bit data */
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt
    .globl boot_magic, boot_info, boot_pvh
    .balign 4
boot_magic:
    .long 0
boot_info:
    .long 0
boot_pvh:
    .long 0

    .bss
    .balign 4096
boot_stack:
    .skip 65536
boot_stack_end:
    .section .note.GNU-stack, "", @progbits
