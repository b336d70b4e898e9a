// SPDX-License-Identifier: Apache-2.0
// Entry from the firmware, of the boot CPU (ePAPR 5.4: r3 = device tree) and of the others (5.5.2.2: r3 = what the
// spin table says, our struct ppc_cpu): the CPU's TLB becomes ours alone, then C begins.
#include "arch/ppc/layout.h"
#include "arch/ppc/registers.h"
#include <ppc_offsets.h>

    .section .text.start, "ax", @progbits

#define ENTRY_MAS1 (MAS1_V | MAS1_IPROT | MAS1_TSIZE(TSIZE_1M))

    // Loads a 32-bit constant.
    .macro load register, value
    lis     \register, (\value)@h
    ori     \register, \register, (\value)@l
    .endm

    // Writes entry \esel of TLB1: 1 MiB at \base, virtual = physical. Uses r5.
    .macro entry esel, base, rights, ts=0
    load    5, (MAS0_TLBSEL(1) | MAS0_ESEL(\esel))
    mtspr   SPR_MAS0, 5
    load    5, (ENTRY_MAS1 | \ts)
    mtspr   SPR_MAS1, 5
    load    5, (\base | MAS2_M)
    mtspr   SPR_MAS2, 5
    load    5, (\base | \rights)
    mtspr   SPR_MAS3, 5
    isync
    tlbwe
    .endm

    .globl _start
    .type _start, @function
_start:
    mr      31, 3
    bl      tlb_take
    load    2, boot_cpu
    mtspr   SPR_SPRG2, 2
    load    3, bss_start
    load    4, bss_end
    li      0, 0
1:  stw     0, 0(3)
    addi    3, 3, 4
    cmplw   3, 4
    blt     1b
    load    1, boot_stack_end
    load    13, (boot_stack + STACK_ROOM)
    stwu    0, -16(1)
    stw     0, 4(1)
    mr      3, 31
    bl      start_c
    b       .
    .size _start, . - _start

    .globl start_secondary
    .type start_secondary, @function
start_secondary:
    mr      31, 3
    bl      tlb_take
    // The heap and the SoC's registers, as the boot CPU has them: struct ppc_tlb_entry host_tlb1[2].
    load    3, host_tlb1
    load    4, (MAS0_TLBSEL(1) | MAS0_ESEL(TLB1_HEAP))
    bl      tlb_copy
    addi    3, 3, 16
    load    4, (MAS0_TLBSEL(1) | MAS0_ESEL(TLB1_CCSR))
    bl      tlb_copy
    mr      2, 31
    mtspr   SPR_SPRG2, 2
    lwz     1, CPU_MAIN_STACK_HIGH(2)
    lwz     13, CPU_STACK_LIMIT(2)
    li      0, 0
    stwu    0, -16(1)
    stw     0, 4(1)
    bl      start_secondary_c
    b       .
    .size start_secondary, . - start_secondary

    // Writes the entry at r3 where r4 (MAS0) says. Uses r5.
    .type tlb_copy, @function
tlb_copy:
    mtspr   SPR_MAS0, 4
    lwz     5, 0(3)
    mtspr   SPR_MAS1, 5
    lwz     5, 4(3)
    mtspr   SPR_MAS2, 5
    lwz     5, 8(3)
    mtspr   SPR_MAS3, 5
    lwz     5, 12(3)
    mtspr   SPR_MAS7, 5
    isync
    tlbwe
    isync
    blr
    .size tlb_copy, . - tlb_copy

    // Replaces the firmware's TLB entries by those of the image. The code runs in address space 1 meanwhile, so that at
    // no moment two entries match one address. Uses r4-r9, returns with address space 0, MSR = 0.
    .type tlb_take, @function
tlb_take:
    mflr    9
    bl      1f
1:  mflr    4
    li      5, 0
    mtspr   SPR_MAS4, 5                 // new entries go to TLB0 by default: the window's refill relies on it
    mtspr   SPR_MAS6, 5
    mtspr   SPR_MAS7, 5
    isync
    tlbsx   0, 4                        // the entry that we run on
    mfspr   5, SPR_MAS0
    rlwinm  6, 5, 16, 28, 31
    cmpwi   6, TLB1_ENTRIES - 1
    beq     2f
    entry   (TLB1_ENTRIES - 1), TEXT_BASE, (MAS3_SR | MAS3_SX), MAS1_TS
    li      6, TLB1_ENTRIES - 1
    b       3f
2:  entry   (TLB1_ENTRIES - 2), TEXT_BASE, (MAS3_SR | MAS3_SX), MAS1_TS
    li      6, TLB1_ENTRIES - 2
3:  load    5, 4f
    mtspr   SPR_SRR0, 5
    li      5, MSR_IS
    mtspr   SPR_SRR1, 5
    isync
    rfi
4:  li      7, 0                        // every other entry goes
    li      8, 0
5:  cmpw    7, 6
    beq     6f
    slwi    5, 7, MAS0_ESEL_SHIFT
    oris    5, 5, MAS0_TLBSEL(1)@h
    mtspr   SPR_MAS0, 5
    mtspr   SPR_MAS1, 8
    mtspr   SPR_MAS2, 8
    mtspr   SPR_MAS3, 8
    isync
    tlbwe
6:  addi    7, 7, 1
    cmpwi   7, TLB1_ENTRIES
    blt     5b
    li      5, MMUCSR0_TLB0_FI
    mtspr   SPR_MMUCSR0, 5
    isync
7:  mfspr   5, SPR_MMUCSR0
    andi.   5, 5, MMUCSR0_TLB0_FI
    bne     7b
    entry   TLB1_TEXT, TEXT_BASE, (MAS3_SR | MAS3_SX)
    entry   TLB1_RODATA, RODATA_BASE, MAS3_SR
    entry   TLB1_DATA, DATA_BASE, (MAS3_SR | MAS3_SW)
    isync
    msync
    load    5, 8f
    mtspr   SPR_SRR0, 5
    mtspr   SPR_SRR1, 8
    isync
    rfi
8:  slwi    5, 6, MAS0_ESEL_SHIFT
    oris    5, 5, MAS0_TLBSEL(1)@h
    mtspr   SPR_MAS0, 5
    mtspr   SPR_MAS1, 8
    isync
    tlbwe
    isync
    msync
    mtspr   SPR_PID, 8
    mtspr   SPR_PID1, 8
    mtspr   SPR_PID2, 8
    isync
    mtlr    9
    blr
    .size tlb_take, . - tlb_take

    .section .bss.boot_stack, "aw", @nobits
    .balign 16
    .globl boot_stack, boot_stack_end
boot_stack:
    .space MAIN_STACK_SIZE
boot_stack_end:

    .section .note.GNU-stack, "", @progbits
