// SPDX-License-Identifier: Apache-2.0
// Entry on x86 (abi/service.h): 32-bit protected mode without paging, anywhere in memory. Builds page tables in the
// image's own memory, enters long mode and jumps to where the image is linked.
//   EAX = SERVICE_MAGIC, EBX = the board, ECX = start of our memory, EDX = its size.
#include "service/x86/layout.h"

// Where something of the image lies, counted from the start of our memory, which EBP holds.
#define OFFSET(symbol)       (symbol - IMAGE_BASE)
#define AT(symbol)           OFFSET(symbol)(%ebp)
#define ENTRY(symbol, index) OFFSET(symbol)(%ebp, index, 8) // of a table

#define CR0_PE         0x00000001
#define CR0_WP         0x00010000
#define CR0_PG         0x80000000
#define CR4_PAE        0x00000020
#define MSR_EFER       0xc0000080
#define EFER_LME_NXE   0x00000900

    .section .text.start, "ax", @progbits
    .code32
    .globl _start
    .type _start, @function
_start:
    cli
    cld
    movl %ecx, %ebp
    leal AT(stack_end), %esp
    pushl %eax
    pushl %ebx
    pushl %ecx
    pushl %edx

    // The image, at IMAGE_BASE: a page table's entries lie one behind the other, as its pages do.
    leal AT(boot_pdpt_image), %eax
    orl $(PAGE_PRESENT | PAGE_WRITE), %eax
    movl $PML4_IMAGE, %edi
    movl %eax, ENTRY(boot_pml4, %edi)
    leal AT(boot_pd_image), %eax
    orl $(PAGE_PRESENT | PAGE_WRITE), %eax
    movl $PDPT_IMAGE, %edi
    movl %eax, ENTRY(boot_pdpt_image, %edi)
    leal AT(boot_pt_image), %eax
    orl $(PAGE_PRESENT | PAGE_WRITE), %eax
    leal AT(boot_pd_image), %edi
    movl $IMAGE_TABLES, %ecx
1:  movl %eax, (%edi)
    addl $0x1000, %eax
    addl $8, %edi
    loop 1b
    movl $OFFSET(text_start), %eax
    movl $OFFSET(text_end), %ecx
    movl $PAGE_PRESENT, %esi
    xorl %ebx, %ebx
    call map_image
    movl $OFFSET(rodata_start), %eax
    movl $OFFSET(rodata_end), %ecx
    movl $PAGE_NX_HIGH, %ebx
    call map_image
    movl $OFFSET(data_start), %eax
    movl $OFFSET(data_end), %ecx
    movl $(PAGE_PRESENT | PAGE_WRITE), %esi
    call map_image
    movl $OFFSET(stack_guard), %eax
    shrl $12, %eax
    movl $0, ENTRY(boot_pt_image, %eax)
    movl $0, 4 + ENTRY(boot_pt_image, %eax)

    // Our memory where it is, 2 MiB a page. It lies in two page directories at most, that of its start and the next.
    movl %ebp, %ecx
    shrl $30, %ecx
    leal AT(boot_pd_memory), %eax
    orl $(PAGE_PRESENT | PAGE_WRITE), %eax
    movl %eax, ENTRY(boot_pdpt_memory, %ecx)
    addl $0x1000, %eax
    movl %eax, 8 + ENTRY(boot_pdpt_memory, %ecx)
    leal AT(boot_pdpt_memory), %eax
    orl $(PAGE_PRESENT | PAGE_WRITE), %eax
    movl %eax, AT(boot_pml4)
    movl %ebp, %edi
    shrl $21, %edi
    andl $0x1ff, %edi
    movl (%esp), %ecx
    shrl $21, %ecx
    leal (PAGE_PRESENT | PAGE_WRITE | PAGE_LARGE)(%ebp), %eax
    xorl %ebx, %ebx                     // the first one holds this code
2:  movl %eax, ENTRY(boot_pd_memory, %edi)
    movl %ebx, 4 + ENTRY(boot_pd_memory, %edi)
    movl $PAGE_NX_HIGH, %ebx
    addl $0x200000, %eax
    incl %edi
    loop 2b

    // Long mode (AMD APM vol. 2, 14.6; Intel SDM vol. 3, 9.8.5). The hypervisor offers NX on every machine.
    movl $CR4_PAE, %eax
    movl %eax, %cr4
    leal AT(boot_pml4), %eax
    movl %eax, %cr3
    movl $MSR_EFER, %ecx
    rdmsr
    orl $EFER_LME_NXE, %eax
    wrmsr
    movl $(CR0_PG | CR0_WP | CR0_PE | 0x30), %eax
    movl %eax, %cr0
    leal AT(boot_gdt), %eax
    movl %eax, 2 + AT(boot_gdtr)
    lgdt AT(boot_gdtr)
    leal AT(start64), %eax
    popl %edx
    popl %ecx
    popl %ebx
    popl %edi
    pushl $SELECTOR_CODE
    pushl %eax
    lret
    .size _start, . - _start

    // Maps the image from offset EAX to ECX (the last page whole): ESI and EBX are the entries' lower and upper bits.
    .type map_image, @function
map_image:
    movl %eax, %edi
    shrl $12, %edi
    addl %ebp, %eax
    addl %ebp, %ecx
1:  movl %eax, %edx
    orl %esi, %edx
    movl %edx, ENTRY(boot_pt_image, %edi)
    movl %ebx, 4 + ENTRY(boot_pt_image, %edi)
    incl %edi
    addl $0x1000, %eax
    cmpl %ecx, %eax
    jb 1b
    ret
    .size map_image, . - map_image

    .code64
    .type start64, @function
start64:
    movabsq $1f, %rax
    jmp *%rax
1:  movl $SELECTOR_DATA, %eax
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    leaq stack_end(%rip), %rsp
    xorl %ebp, %ebp
    pushq %rbp                  // ends the chain of frames, and aligns as a call would
    // EDI = magic; upper halves are not defined after 32-bit code.
    movl %edi, %edi
    movl %ebx, %esi
    xchgl %ecx, %edx            // start_c(magic, board, memory, size)
    call start_c
    ud2
    .size start64, . - start64

    .section .data.start, "aw", @progbits
    .balign 8
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff    // SELECTOR_CODE
    .quad 0x00cf93000000ffff    // SELECTOR_DATA
boot_gdtr:
    .word 3 * 8 - 1
    .quad 0

    .section .bss.pages, "aw", @nobits
    .balign 4096
    .globl boot_pml4, boot_pd_memory
boot_pml4:
    .skip 4096
boot_pdpt_image:
    .skip 4096
boot_pd_image:
    .skip 4096
boot_pt_image:
    .skip 4096 * IMAGE_TABLES
boot_pdpt_memory:
    .skip 4096
boot_pd_memory:
    .skip 2 * 4096

    .globl stack_guard, stack_low, stack_end, trap_stack_end
stack_guard:                    // not mapped
    .skip 4096
stack_low:
    .skip STACK_SIZE
stack_end:
    .skip TRAP_STACK_SIZE
trap_stack_end:

    .section .note.GNU-stack, "", @progbits
