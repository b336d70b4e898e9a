// SPDX-License-Identifier: Apache-2.0
// A firmware image: 16-bit code from the reset vector. Real mode, its interrupts, devices in memory through a data segment of
// 4 GiB, protected mode and back, a halt that the PIT ends, I/O strings.
    .code16

    .section .reset, "ax"
    ljmp $0xf000, $start
    .balign 16, 0x90

    .text
number:
    .byte 0 /* of ROM: see check_rom */

/* Prints the string behind the call. */
print:
    pop %si
1:  movb %cs:(%si), %al
    incw %si
    orb %al, %al
    jz 3f
    movb %al, %ah
    movw $0x3fd, %dx
2:  inb %dx, %al
    testb $0x20, %al
    jz 2b
    movb %ah, %al
    movw $0x3f8, %dx
    outb %al, %dx
    jmp 1b
3:  jmp *%si

    /* check VALUE, EXPECTED, NAME: 32-bit values; the check's number counts in BP. */
    .macro check got, expected, name
    incw %bp
    movl \got, %eax
    cmpl \expected, %eax
    je 1f
    call print
    .asciz "FAIL \name\r\n"
    jmp fail
1:  call print
    .asciz "ok \name\r\n"
    .endm

fail:
    movzwl %bp, %eax
    movw $0xf4, %dx
    outl %eax, %dx
1:  cli
    hlt
    jmp 1b

start:
    xorw %bp, %bp
    movl %edx, %edi /* the processor's signature */
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7000, %sp
    pushw %di
    movl $1, %eax
    cpuid
    popw %di
    movzwl %ax, %eax
    movl %eax, %ecx
    movzwl %di, %edi
    check %ecx, %edi, "EDX is the processor's signature"
    movl %cr0, %ecx
    andl $0x60000011, %ecx
    check %ecx, $0x60000010, "CR0 at reset"

    /* RAM, segments, the ROM's two places. */
    movl $0x12345678, 0x5000
    movw $0x4f0, %ax
    movw %ax, %es
    movl %es:0x100, %ecx
    check %ecx, $0x12345678, "segments"
    movw $0xf000, %ax
    movw %ax, %es
    movl %es:0xfff0, %ecx
    movl %cs:0xfff0, %edi
    check %ecx, %edi, "the ROM below 1 MiB"
    movb $0x55, %es:number
    movzbl %es:number, %ecx
    check %ecx, $0, "the ROM cannot be written"
    movw $0xffff, %ax
    movw %ax, %es
    movl $0xabcdef01, %es:0x8010 /* 0x108000 */
    movl %es:0x8010, %ecx
    check %ecx, $0xabcdef01, "A20 is open"

    /* Software interrupts and exceptions by the vector table. */
    movl $0xf0000000 + int_handler, 0x21 * 4
    movl $0xf0000000 + divide_handler, 0
    movl $0xf0000000 + timer_handler, 8 * 4
    xorl %ecx, %ecx
    int $0x21
    check %ecx, $0x77, "INT n"
    xorl %ecx, %ecx
    xorw %ax, %ax
    movb $0, %bl
    divb %bl
    check %ecx, $0x88, "#DE"

    /* CPUID and I/O exits in real mode. */
    movl $0x40000000, %eax
    cpuid
    movl %ebx, %ecx
    check %ecx, $0x4b4d564b, "CPUID"
    movl $0x80000000, %eax
    movw $0xcf8, %dx
    outl %eax, %dx
    movw $0xcfc, %dx
    inl %dx, %eax
    movl %eax, %ecx
    check %ecx, $0x29c08086, "IN and OUT"
    xorw %ax, %ax
    movw %ax, %es
    movw $0x6000, %di
    movw $2, %cx
    movw $0xcfc, %dx
    cld
    rep insl
    movl 0x6004, %ecx
    check %ecx, $0x29c08086, "REP INS"
    movw $0x3f8, %dx
    movw $outs_end - outs, %cx
    movw $outs, %si
    rep outsb %cs:(%si), %dx
    movzwl %cx, %ecx
    check %ecx, $0, "REP OUTS with a segment override"

    /* Protected mode: the local APIC's page by 32-bit code; then real mode again with DS of 4 GiB. */
    cli
    lgdtl %cs:gdt_pointer
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $0x08, $0xf0000 + protected
    .code32
protected:
    movw $0x10, %ax
    movw %ax, %ds
    movl $0x1ff, 0xfee000f0 /* enabled */
    movl $0x700, 0xfee00350 /* LINT0: ExtINT */
    movl 0xfee00030, %ecx
    andl $0xff, %ecx
    ljmpw $0x18, $leave
    .code16
leave:
    movl %cr0, %eax
    andb $0xfe, %al
    movl %eax, %cr0
    ljmp $0xf000, $real
real:
    check %ecx, $0x14, "a read of the local APIC in protected mode"
    movl $0xfee00080, %ebx
    movl $0x30, %ds:(%ebx)
    addl $3, (%ebx)
    movl (%ebx), %ecx
    check %ecx, $0x33, "real mode with a segment of 4 GiB"
    movl $0, (%ebx)
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss

    /* The PIT through the PIC: interrupt 8, out of a halt. */
    movb $0x11, %al
    outb %al, $0x20
    movb $8, %al
    outb %al, $0x21
    movb $4, %al
    outb %al, $0x21
    movb $1, %al
    outb %al, $0x21
    movb $0xfe, %al
    outb %al, $0x21
    movb $0x34, %al
    outb %al, $0x43
    movb $0x9c, %al
    outb %al, $0x40
    movb $0x2e, %al
    outb %al, $0x40
    movl $0, 0x6100
1:  sti
    hlt
    cli
    cmpl $5, 0x6100
    jb 1b
    movl 0x6100, %ecx
    check %ecx, $5, "five halts ended by the PIT"
    call print
    .asciz "done\r\n"
    xorl %eax, %eax
    movw $0xf4, %dx
    outl %eax, %dx
2:  hlt
    jmp 2b

int_handler:
    movl $0x77, %ecx
    iretw
divide_handler:
    movl $0x88, %ecx
    pushw %bp
    movw %sp, %bp
    addw $2, 2(%bp) /* over the DIV */
    popw %bp
    iretw
timer_handler:
    incl 0x6100
    pushw %ax
    movb $0x20, %al
    outb %al, $0x20
    popw %ax
    iretw

outs:
    .ascii "ok REP OUTS\r\n"
outs_end:

    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff /* 0x08: 32-bit code */
    .quad 0x00cf93000000ffff /* 0x10: data */
    .quad 0x00009b0f0000ffff /* 0x18: 16-bit code at 0xf0000 */
gdt_pointer:
    .word . - gdt - 1
    .long 0xf0000 + gdt
    .section .note.GNU-stack, "", @progbits
