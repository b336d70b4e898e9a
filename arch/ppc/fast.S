// SPDX-License-Identifier: Apache-2.0
// The fast path: what a guest's kernel does most often is done here, on the guest's registers in the CPU, and the guest
// goes on. Everything else, and everything that has consequences, goes to guest_exit as if it had not been here.
#include "arch/ppc/layout.h"
#include "arch/ppc/registers.h"
#include <ppc_offsets.h>

// On the way, r10 = &vcpu->state->registers (= vcpu->state), r8, r9 and r11 are scratch; the guest's r8-r11 and CR are in
// the state. LR too, from where the state's `lr` is written; CTR and XER
// (so no instruction that sets its carry) are the guest's. vcpu->slow = 0 means that no interrupt of the guest's waits
// and no register is kept elsewhere; SLOW_MAGIC alone that SRR0, SRR1 and MSR, with others, are on the magic page, where
// only the guest's supervisor mode changes them: then rfi, system calls and BUCSR are all that is done here. CR7 says
// which (eq: 0).

    // Offsets on the magic page (guest/magic.c).
    .set MAGIC_SPRG3, 60
    .set MAGIC_SRR0, 68
    .set MAGIC_SRR1, 76
    .set MAGIC_MSR, 92
    .set MAGIC_SPRG4, 212

    .text

    // Counts at vcpu->exits + \cause, of 64 bits. \vcpu is kept, \scratch is used; CR is not the guest's.
    .macro count_exit vcpu, scratch, cause
    lwz     \scratch, (VCPU_EXITS + 8 * \cause + 4)(\vcpu)
    addi    \scratch, \scratch, 1
    cmpwi   \scratch, 0
    stw     \scratch, (VCPU_EXITS + 8 * \cause + 4)(\vcpu)
    bne     990f
    lwz     \scratch, (VCPU_EXITS + 8 * \cause)(\vcpu)
    addi    \scratch, \scratch, 1
    stw     \scratch, (VCPU_EXITS + 8 * \cause)(\vcpu)
990:
    .endm

    // The host PIDs of the mode with the other MSR[PR] become the present ones. r11 = vCPU; uses r8 and r9.
    .macro switch_pids
    lwz     8, VCPU_OTHER_PID0(11)
    lwz     9, VCPU_HOST_PID0(11)
    stw     8, VCPU_HOST_PID0(11)
    stw     9, VCPU_OTHER_PID0(11)
    mtspr   SPR_PID, 8
    lwz     8, VCPU_OTHER_PID1(11)
    lwz     9, VCPU_HOST_PID1(11)
    stw     8, VCPU_HOST_PID1(11)
    stw     9, VCPU_OTHER_PID1(11)
    mtspr   SPR_PID1, 8
    .endm

    // A program interrupt of the guest's; r10 = state, where CR is saved; SPRG0, SPRG1 = r10, r11.
    .globl fast_program
    .type fast_program, @function
fast_program:
    mfspr   11, SPR_ESR
    andis.  11, 11, ESR_PPR@h
    beq     give_up_unsaved
    stw     8, STATE_GPR + 4 * 8(10)
    stw     9, STATE_GPR + 4 * 9(10)
    mfspr   8, SPR_SPRG2
    lwz     8, CPU_VCPU(8)
    lwz     9, VCPU_SLOW(8)
    lwz     11, STATE_MSR(10)
    rlwinm  11, 11, 0, MSR_PR
    or      9, 9, 11
    cmpwi   7, 9, 0
    beq     7, 1f
    cmpwi   9, SLOW_MAGIC
    bne     give_up_early
1:
    // From here on a fault may come: all that it would overwrite is saved.
    mfspr   8, SPR_SPRG0
    mfspr   9, SPR_SPRG1
    stw     8, STATE_GPR + 4 * 10(10)
    stw     9, STATE_GPR + 4 * 11(10)
    mfspr   9, SPR_SRR0
    mfspr   8, SPR_SRR1
    stw     9, STATE_PC(10)
    // The instruction, through the guest's own real entry (MAS3[SR] is set where it may read). The hypervisor's own data
    // are out of reach meanwhile.
    mfmsr   11
    ori     11, 11, MSR_DS
    mtmsr   11
    isync
    .globl fast_fetch
fast_fetch:
    lwz     9, 0(9)
    xori    11, 11, MSR_DS
    mtmsr   11
    isync
    bne     7, fast_magic
    srwi    11, 9, 26
    cmpwi   11, 31
    bne     fast_return
    rlwinm  11, 9, 31, 22, 31
    cmpwi   11, 163                     // wrteei
    beq     fast_ee
    cmpwi   11, 339                     // mfspr
    beq     fast_mfspr
    cmpwi   11, 467                     // mtspr
    beq     fast_mtspr
    cmpwi   11, 83                      // mfmsr
    beq     fast_mfmsr
    cmpwi   11, 131                     // wrtee
    bne     give_up
    mr      11, 9
    li      8, 0
    b       source_register

fast_ee:                                // r9 has EE where MSR has it
    lwz     11, STATE_MSR(10)
    rlwimi  11, 9, 0, MSR_EE
    stw     11, STATE_MSR(10)
    b       fast_next

fast_mfmsr:
    mr      11, 9
    lwz     9, STATE_MSR(10)
    b       target_register

    // r8 = where the state has the register that the instruction in r9 names, with SPR_* flags; 0: not here.
    .macro find_spr
    rlwinm  8, 9, 17, 26, 30
    rlwimi  8, 9, 27, 21, 25
    addis   8, 8, spr_table@ha
    lhz     8, spr_table@l(8)
    .endm

    // Flags: all bits can be written; all but the lowest two.
    .set SPR_WRITE, 1
    .set SPR_WRITE_ADDRESS, 2

fast_mfspr:
    mr      11, 9
    find_spr
    rlwinm. 8, 8, 0, 0, 29
    beq     give_up
    lwzx    9, 10, 8
    b       target_register

fast_mtspr:
    mr      11, 9
    find_spr
    andi.   9, 8, SPR_WRITE | SPR_WRITE_ADDRESS
    bne     source_register
    rlwinm  9, 11, 0, 11, 20
    lis     8, BUCSR_FIELD@h
    ori     8, 8, BUCSR_FIELD@l
    cmpw    9, 8
    bne     give_up
    li      8, SPR_WRITE | SPR_WRITE_ADDRESS
    b       source_register

    // The halves of the number are exchanged in the instruction.
    .set BUCSR_FIELD, ((SPR_BUCSR & 31) << 16) | ((SPR_BUCSR >> 5) << 11)

have_source:                            // r9 = value, r8 as find_spr left it; 0: wrtee; both flags alone: BUCSR
    lwz     11, STATE_LR(10)
    mtlr    11
    cmpwi   8, 0
    beq     fast_ee
    cmpwi   8, SPR_WRITE | SPR_WRITE_ADDRESS
    beq     2f
    andi.   11, 8, SPR_WRITE_ADDRESS
    beq     1f
    rlwinm  9, 9, 0, 0, 29
1:  rlwinm  8, 8, 0, 0, 29
    stwx    9, 10, 8
    b       fast_next
2:  andi.   11, 9, BUCSR_BPEN
    stw     11, STATE_BUCSR(10)
    andi.   9, 9, BUCSR_BBFI
    beq     fast_next
    mfspr   11, SPR_BUCSR
    ori     11, 11, BUCSR_BBFI
    mtspr   SPR_BUCSR, 11
    isync
    b       fast_next

have_target:
    lwz     11, STATE_LR(10)
    mtlr    11
    // falls through

fast_next:
    lwz     9, STATE_PC(10)
    addi    9, 9, 4
    mtspr   SPR_SRR0, 9
fast_done:
    mfspr   11, SPR_SPRG2
    lwz     11, CPU_VCPU(11)
    count_exit 11, 9, EXIT_FAST
fast_leave:
    lwz     11, STATE_CR(10)
    mtcr    11
    lwz     8, STATE_GPR + 4 * 8(10)
    lwz     9, STATE_GPR + 4 * 9(10)
    lwz     11, STATE_GPR + 4 * 11(10)
    lwz     10, STATE_GPR + 4 * 10(10)
    rfi

    // rfi, if the guest stays in its address spaces and does not go to sleep.
fast_return:
    lis     8, 0x4c00
    ori     8, 8, 0x0064
    cmpw    9, 8
    bne     give_up
    mfspr   11, SPR_SPRG2
    lwz     11, CPU_VCPU(11)
    lwz     8, STATE_SRR1(10)
    andis.  9, 8, MSR_WE@h
    bne     give_up
    lwz     9, STATE_MSR(10)
    xor     9, 9, 8
    andi.   9, 9, MSR_PR | MSR_IS | MSR_DS
    beq     2f
    cmpwi   9, MSR_PR
    bne     give_up
    lwz     9, VCPU_OTHER_PID0(11)
    cmpwi   9, 0
    beq     give_up
    switch_pids
    lwz     8, STATE_SRR1(10)
2:  lis     9, GUEST_MSR@h
    ori     9, 9, GUEST_MSR@l
    and     8, 8, 9
    stw     8, STATE_MSR(10)
    lwz     9, STATE_SRR0(10)
    rlwinm  9, 9, 0, 0, 29
    mtspr   SPR_SRR0, 9
    b       fast_done

    // With the magic page in use; r9 = the instruction.
fast_magic:
    mfspr   11, SPR_SPRG2
    lwz     11, CPU_VCPU(11)
    lis     8, 0x4c00
    ori     8, 8, 0x0064
    cmpw    9, 8
    beq     1f
    rlwinm  8, 9, 0, 11, 5
    lis     11, (0x7c0003a6 | BUCSR_FIELD)@h
    ori     11, 11, (0x7c0003a6 | BUCSR_FIELD)@l
    cmpw    8, 11
    bne     give_up
    mr      11, 9
    li      8, SPR_WRITE | SPR_WRITE_ADDRESS
    b       source_register
1:  lwz     9, VCPU_MAGIC(11)
    lwz     8, MAGIC_SRR1(9)
    stw     8, STATE_SRR1(10)
    andis.  9, 8, MSR_WE@h
    bne     give_up
    lwz     9, STATE_MSR(10)
    xor     9, 9, 8
    andi.   9, 9, MSR_PR | MSR_IS | MSR_DS
    beq     2f
    cmpwi   9, MSR_PR
    bne     give_up
    lwz     9, VCPU_OTHER_PID0(11)
    cmpwi   9, 0
    beq     give_up
    switch_pids
    lwz     9, VCPU_MAGIC(11)           // what user mode can read
    lwz     8, MAGIC_SPRG3(9)
    mtspr   SPR_SPRG3, 8
    lwz     8, MAGIC_SPRG4(9)
    mtspr   SPR_SPRG4, 8
    lwz     8, (MAGIC_SPRG4 + 8)(9)
    mtspr   SPR_SPRG5, 8
    lwz     8, (MAGIC_SPRG4 + 16)(9)
    mtspr   SPR_SPRG6, 8
    lwz     8, (MAGIC_SPRG4 + 24)(9)
    mtspr   SPR_SPRG7, 8
    lwz     8, STATE_SRR1(10)
2:  lis     9, GUEST_MSR@h
    ori     9, 9, GUEST_MSR@l
    and     8, 8, 9
    stw     8, STATE_MSR(10)
    lwz     9, VCPU_MAGIC(11)
    stw     8, MAGIC_MSR(9)
    lwz     9, MAGIC_SRR0(9)
    rlwinm  9, 9, 0, 0, 29
    mtspr   SPR_SRR0, 9
    b       fast_done

    // Nothing was changed yet: the state of the exit as it was. r8-r11 are in the state.
give_up:
    lwz     8, STATE_GPR + 4 * 8(10)
    lwz     9, STATE_GPR + 4 * 9(10)
    li      11, IVOR_PROGRAM
    b       guest_exit
    // The fetch faulted, and the fault has overwritten what the first interrupt left. r8 = SRR1, r11 = MSR with DS.
    .globl fast_fault
fast_fault:
    xori    11, 11, MSR_DS
    mtmsr   11
    isync
    mtspr   SPR_SRR1, 8
    lwz     8, STATE_PC(10)
    mtspr   SPR_SRR0, 8
    lis     8, ESR_PPR@h
    mtspr   SPR_ESR, 8
    lwz     8, STATE_GPR + 4 * 10(10)
    lwz     9, STATE_GPR + 4 * 11(10)
    mtspr   SPR_SPRG0, 8
    mtspr   SPR_SPRG1, 9
    b       give_up
give_up_early:
    lwz     8, STATE_GPR + 4 * 8(10)
    lwz     9, STATE_GPR + 4 * 9(10)
give_up_unsaved:
    li      11, IVOR_PROGRAM
    b       guest_exit
    .size fast_program, . - fast_program

    // A system call out of the guest's user mode in address space 0: the guest's own interrupt, IVOR8. As fast_program.
    .globl fast_system_call
    .type fast_system_call, @function
fast_system_call:
    stw     8, STATE_GPR + 4 * 8(10)
    stw     9, STATE_GPR + 4 * 9(10)
    mfspr   11, SPR_SPRG2
    lwz     11, CPU_VCPU(11)
    lwz     9, STATE_MSR(10)
    lwz     8, VCPU_SLOW(11)
    cmpwi   7, 8, 0
    beq     7, 2f
    cmpwi   8, SLOW_MAGIC
    bne     1f
2:  andi.   8, 9, MSR_PR | MSR_IS | MSR_DS
    cmpwi   8, MSR_PR
    bne     1f
    lwz     8, VCPU_OTHER_PID0(11)
    cmpwi   8, 0
    beq     1f
    stw     9, STATE_SRR1(10)
    andi.   8, 9, MSR_ME | MSR_DE       // what stays, and CE
    andis.  9, 9, MSR_CE@h
    or      9, 9, 8
    stw     9, STATE_MSR(10)
    mfspr   8, SPR_SRR0
    stw     8, STATE_SRR0(10)
    lwz     8, STATE_IVPR(10)
    lwz     9, STATE_IVOR8(10)
    or      9, 9, 8
    mtspr   SPR_SRR0, 9
    beq     7, 3f
    lwz     9, VCPU_MAGIC(11)
    lwz     8, STATE_SRR0(10)
    stw     8, MAGIC_SRR0(9)
    lwz     8, STATE_SRR1(10)
    stw     8, MAGIC_SRR1(9)
    lwz     8, STATE_MSR(10)
    stw     8, MAGIC_MSR(9)
3:  switch_pids
    count_exit 11, 9, EXIT_SYSTEM_CALL
    mfspr   8, SPR_SPRG0
    mfspr   9, SPR_SPRG1
    stw     8, STATE_GPR + 4 * 10(10)
    stw     9, STATE_GPR + 4 * 11(10)
    b       fast_leave
1:  lwz     8, STATE_GPR + 4 * 8(10)
    lwz     9, STATE_GPR + 4 * 9(10)
    li      11, IVOR_SYSTEM_CALL
    b       guest_exit
    .size fast_system_call, . - fast_system_call

    // r9 = the register that the instruction in r11 has in its RS field. r8 is kept.
    .type source_register, @function
source_register:
    mflr    9
    stw     9, STATE_LR(10)
    rlwinm  11, 11, 14, 24, 28
    addis   11, 11, sources@ha
    addi    11, 11, sources@l
    mtlr    11
    blr
    .balign 8
sources:
    .set number, 0
    .rept 32
    .if number >= 8 && number <= 11
    lwz     9, (STATE_GPR + 4 * number)(10)
    .else
    mr      9, number
    .endif
    b       have_source
    .set number, number + 1
    .endr
    .size source_register, . - source_register

    // The same for RT, which becomes r9.
    .type target_register, @function
target_register:
    mflr    8
    stw     8, STATE_LR(10)
    rlwinm  8, 11, 14, 24, 28
    addis   8, 8, targets@ha
    addi    8, 8, targets@l
    mtlr    8
    blr
    .balign 8
targets:
    .set number, 0
    .rept 32
    .if number >= 8 && number <= 11
    stw     9, (STATE_GPR + 4 * number)(10)
    .else
    mr      number, 9
    .endif
    b       have_target
    .set number, number + 1
    .endr
    .size target_register, . - target_register

    // By SPR number: a half-word, offset in the state and flags. SPRG3-7 are in the CPU too, where user mode reads them:
    // writing them is not for here.
    .section .rodata.spr_table, "a", @progbits
    .macro spr number, offset
    .org    spr_table + 2 * \number
    .short  \offset
    .endm
    .balign 4
spr_table:
    spr     SPR_SRR0, (STATE_SRR0 | SPR_WRITE_ADDRESS)
    spr     SPR_SRR1, (STATE_SRR1 | SPR_WRITE)
    spr     SPR_PID, (STATE_PID)
    spr     SPR_CSRR0, (STATE_CSRR0 | SPR_WRITE_ADDRESS)
    spr     SPR_CSRR1, (STATE_CSRR1 | SPR_WRITE)
    spr     SPR_DEAR, (STATE_DEAR | SPR_WRITE)
    spr     SPR_ESR, (STATE_ESR)
    spr     SPR_SPRG0, (STATE_SPRG | SPR_WRITE)
    spr     SPR_SPRG1, (STATE_SPRG + 4 | SPR_WRITE)
    spr     SPR_SPRG2, (STATE_SPRG + 8 | SPR_WRITE)
    spr     SPR_SPRG3, (STATE_SPRG + 12)
    spr     SPR_SPRG4, (STATE_SPRG + 16)
    spr     SPR_SPRG5, (STATE_SPRG + 20)
    spr     SPR_SPRG6, (STATE_SPRG + 24)
    spr     SPR_SPRG7, (STATE_SPRG + 28)
    spr     SPR_MAS0, (STATE_MAS)
    spr     SPR_MAS1, (STATE_MAS + 4)
    spr     SPR_MAS2, (STATE_MAS + 8)
    spr     SPR_MAS3, (STATE_MAS + 12)
    spr     SPR_MAS4, (STATE_MAS + 16)
    spr     SPR_MAS6, (STATE_MAS + 24)
    spr     SPR_EPR, (STATE_EPR)
    spr     SPR_MAS7, (STATE_MAS + 28)
    .org    spr_table + 2 * 1024
    .size spr_table, . - spr_table

    .section .note.GNU-stack, "", @progbits
