// SPDX-License-Identifier: Apache-2.0
// Where another CPU begins after INIT and SIPI: real mode at the start of a page under 1 MiB, to which smp.c copies what
// lies between trampoline and trampoline_end. From there straight into long mode (Intel SDM vol. 3, 10.8.5 was read for
// the order; AMD APM vol. 2, 14.8). The fields at the end are filled in by smp.c: struct trampoline_data there.
    .section .rodata.trampoline, "a", @progbits
    .balign 16
    .globl trampoline, trampoline_data, trampoline_end

#define OFFSET(label) (label - trampoline)

    .code16
trampoline:
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    // A CPU that comes too late, or was not asked for, finds nobody to be.
    xorl %eax, %eax
    lock xchgl %eax, OFFSET(data_ticket)
    testl %eax, %eax
    jz 9f
    lidtl OFFSET(no_idt)
    lgdtl OFFSET(data_gdtr)
    movl $0x20, %eax            // CR4.PAE
    movl %eax, %cr4
    movl OFFSET(data_cr3), %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx      // EFER: LME and NXE
    rdmsr
    orl $0x900, %eax
    wrmsr
    movl $0x80010011, %eax      // CR0: PG, WP, ET, PE
    movl %eax, %cr0
    ljmpl *OFFSET(data_far)
9:  hlt
    jmp 9b

    .balign 8
no_idt:
    .word 0
    .long 0

    .code64
    .balign 16
    .globl trampoline_long
trampoline_long:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movq trampoline_data_stack(%rip), %rsp
    movq trampoline_data_cpu(%rip), %rdi
    movq trampoline_data_root(%rip), %rsi
    jmp *trampoline_data_entry(%rip)

    .balign 16
trampoline_data:
data_gdt:
    .quad 0
    .quad 0x00af9b000000ffff    // 0x08: 64-bit code
    .quad 0x00cf93000000ffff    // 0x10: data
data_gdtr:
    .word 23
    .long 0                     // address of data_gdt
    .word 0
data_far:
    .long 0                     // address of trampoline_long
    .word 0x08
    .word 0
data_ticket:
    .long 0
data_cr3:
    .long 0
trampoline_data_root:
    .quad 0
trampoline_data_stack:
    .quad 0
trampoline_data_cpu:
    .quad 0
trampoline_data_entry:
    .quad 0
trampoline_end:

    .section .note.GNU-stack, "", @progbits
