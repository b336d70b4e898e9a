// SPDX-License-Identifier: Apache-2.0
// Entry on PowerPC (abi/service.h): supervisor mode, address space 0; TLB1[0] maps our memory at SERVICE_PPC_BASE with
// all rights. Gives each part of the image its own rights, sets the vectors, and calls C.
//   r3 = SERVICE_MAGIC, r4, r5 = the board (high, low), r6 = start of our memory, r7 = its size.
#include "service/ppc/layout.h"
#include "service/ppc/registers.h"

    .section .text.start, "ax", @progbits

    .macro load register, value
    lis     \register, (\value)@h
    ori     \register, \register, (\value)@l
    .endm

    // Writes entry \number of TLB1: 1 MiB of our memory at \base. Uses r8.
    .macro entry number, base, rights, space=0
    load    8, MAS0_TLB1(\number)
    mtspr   SPR_MAS0, 8
    load    8, (MAS1_V | MAS1_IPROT | MAS1_TSIZE(TSIZE_1M) | \space)
    mtspr   SPR_MAS1, 8
    load    8, (\base | MAS2_M)
    mtspr   SPR_MAS2, 8
    load    8, (\base - MEMORY_BASE + \rights)
    add     8, 8, 6
    mtspr   SPR_MAS3, 8
    isync
    tlbwe
    .endm

    .macro no_entry number
    load    8, MAS0_TLB1(\number)
    mtspr   SPR_MAS0, 8
    li      8, 0
    mtspr   SPR_MAS1, 8
    isync
    tlbwe
    .endm

    .globl _start
    .type _start, @function
_start:
    li      0, 0
    mtspr   SPR_PID, 0
    mtspr   SPR_PID1, 0
    mtspr   SPR_PID2, 0
    mtspr   SPR_MAS2, 0
    mtspr   SPR_MAS3, 0
    mtspr   SPR_MAS7, 0
    isync
    // In address space 1 meanwhile, so that at no moment two entries match one address.
    entry   (TLB1_ENTRIES - 1), TEXT_BASE, (MAS3_SR | MAS3_SX), MAS1_TS
    load    8, 1f
    mtspr   SPR_SRR0, 8
    li      8, MSR_IS | MSR_DS
    mtspr   SPR_SRR1, 8
    isync
    rfi
1:  entry   TLB1_TEXT, TEXT_BASE, (MAS3_SR | MAS3_SX)
    entry   TLB1_RODATA, RODATA_BASE, MAS3_SR
    entry   TLB1_DATA, DATA_BASE, (MAS3_SR | MAS3_SW)
    entry   (TLB1_DATA + 1), (DATA_BASE + 0x100000), (MAS3_SR | MAS3_SW)
    // Whatever else the hypervisor may have left.
    .set number, TLB1_FIRST_FREE
    .rept TLB1_ENTRIES - 1 - TLB1_FIRST_FREE
    no_entry number
    .set number, number + 1
    .endr
    load    8, 2f
    mtspr   SPR_SRR0, 8
    li      8, MSR_ME
    mtspr   SPR_SRR1, 8
    isync
    rfi
2:  no_entry (TLB1_ENTRIES - 1)
    msync
    isync

    .macro set_vector number, spr
    load    8, trap_vector_\number
    mtspr   \spr, 8
    .endm
    // IVPR has the upper half of each vector's address, an IVOR the lower; other bits of a register do not count.
    load    8, TEXT_BASE
    mtspr   SPR_IVPR, 8
    .irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    set_vector \number, SPR_IVOR(\number)
    .endr
    set_vector 32, SPR_IVOR32
    set_vector 33, (SPR_IVOR32 + 1)
    set_vector 34, (SPR_IVOR32 + 2)
    set_vector 35, (SPR_IVOR32 + 3)

    load    1, stack_end
    li      0, 0
    stwu    0, -16(1)
    stw     0, 4(1)
    bl      start_c                     // start_c(magic, board's high and low half, memory, size)
    b       .
    .size _start, . - _start

    // At the start of the data: see layout.h.
    .section .bss.stack, "aw", @nobits
    .balign 16
    .globl stack_low, stack_end, trap_stack, trap_stack_end
stack_low:
    .skip STACK_SIZE
stack_end:
trap_stack:
    .skip TRAP_STACK_SIZE
trap_stack_end:

    .section .note.GNU-stack, "", @progbits
