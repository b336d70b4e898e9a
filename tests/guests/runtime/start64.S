// SPDX-License-Identifier: Apache-2.0
// Entry of 64-bit test guests: by multiboot 1 or PVH in 32-bit mode, then long mode with the first 4 GiB mapped 1:1. Also where
// the other CPUs start.
#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 3

    .section .multiboot, "a"
    .balign 4
    .long MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 4, 18
    .asciz "Xen"
    .long pvh_start

    .text
    .code32
    .globl start, pvh_start
pvh_start:
    movb $1, boot_pvh
start:
    cli
    movl %eax, boot_magic
    movl %ebx, boot_info
    movl $boot_stack_end, %esp
    /* PML4, one page of PDPT, four of PD; user access is allowed down to the last level, whose entries forbid it. */
    movl $boot_pdpt + 7, boot_pml4
    movl $boot_pd + 7, %eax
    movl $boot_pdpt, %edi
    movl $4, %ecx
1:  movl %eax, (%edi)
    addl $0x1000, %eax
    addl $8, %edi
    loop 1b
    movl $0x83, %eax
    movl $boot_pd, %edi
    movl $2048, %ecx
2:  movl %eax, (%edi)
    addl $0x200000, %eax
    addl $8, %edi
    loop 2b
    lgdt gdt_pointer
    movl $boot_stack_end, %esi
    jmp enter_long

    /* Both kinds of CPUs, with the stack's top in ESI. */
    .globl enter_long
enter_long:
    movl %cr4, %eax
    orl $0x620, %eax /* PAE, OSFXSR, OSXMMEXCPT */
    movl %eax, %cr4
    movl $boot_pml4, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x900, %eax /* LME, NXE */
    wrmsr
    movl %cr0, %eax
    orl $0x80000021, %eax /* PG, NE, PE */
    andl $0x9fffffff, %eax /* not CD, NW */
    movl %eax, %cr0
    ljmp $0x18, $long_mode
    .code64
long_mode:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %eax, %fs
    movl %eax, %gs
    movl %esi, %esp
    xorl %ebp, %ebp
    cmpl $boot_stack_end, %esi
    jne ap_main
    call runtime_main
3:  hlt
    jmp 3b

    /* Copied to 0x8000. */
    .balign 16
    .code16
    .globl ap_trampoline, ap_trampoline_end
ap_trampoline:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    lgdtl 0x8000 + (5f - ap_trampoline)
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $0x08, $ap_protected
    .balign 4
5:  .word gdt_end - gdt - 1
    .long gdt
ap_trampoline_end:
    .code32
ap_protected:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $1, %eax
    cpuid
    shrl $24, %ebx
    incl %ebx
    shll $14, %ebx
    leal ap_stacks(%ebx), %esi
    jmp enter_long

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
    .quad 0, 0               /* 0x38: TSS */
    .quad 0x00009b000000ffff /* 0x48: 16-bit code */
    .quad 0x000093000000ffff /* 0x50: 16-bit data */
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .quad gdt
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
    .globl boot_pml4, boot_pdpt, boot_pd, ap_stacks
boot_pml4:
    .skip 4096
boot_pdpt:
    .skip 4096
boot_pd:
    .skip 4 * 4096
boot_stack:
    .skip 65536
boot_stack_end:
ap_stacks:
    .skip 17 * 16384
    .section .note.GNU-stack, "", @progbits
