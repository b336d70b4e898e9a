// SPDX-License-Identifier: Apache-2.0
// Fields and opcodes of the instructions that the hypervisor executes for a guest (e500 core manual, ch. 3
// and app. A).
#ifndef SAGUARO_ARCH_PPC_GUEST_DECODE_H
#define SAGUARO_ARCH_PPC_GUEST_DECODE_H

#include <stdint.h>

static inline unsigned decode_primary(uint32_t word) {
    return word >> 26;
}
static inline unsigned decode_extended(uint32_t word) {
    return word >> 1 & 0x3ff;
}
/* RT, RS, BO or TO. */
static inline unsigned decode_rt(uint32_t word) {
    return word >> 21 & 31;
}
static inline unsigned decode_ra(uint32_t word) {
    return word >> 16 & 31;
}
static inline unsigned decode_rb(uint32_t word) {
    return word >> 11 & 31;
}
/* SPR and PMR numbers have their halves swapped. */
static inline unsigned decode_spr(uint32_t word) {
    return (word >> 16 & 31) | (word >> 6 & 0x3e0);
}
static inline int32_t decode_displacement(uint32_t word) {
    return (int16_t)word;
}

/* Primary opcodes. */
#define OP_BRANCH_GROUP 19
#define OP_GROUP        31
#define OP_LWZ          32
#define OP_LWZU         33
#define OP_LBZ          34
#define OP_LBZU         35
#define OP_STW          36
#define OP_STWU         37
#define OP_STB          38
#define OP_STBU         39
#define OP_LHZ          40
#define OP_LHZU         41
#define OP_LHA          42
#define OP_LHAU         43
#define OP_STH          44
#define OP_STHU         45

/* Extended opcodes of 19. */
#define OP19_RFMCI      38
#define OP19_RFI        50
#define OP19_RFCI       51

/* Extended opcodes of 31. */
#define OP31_ICBT       22
#define OP31_LWZX       23
#define OP31_DCBST      54
#define OP31_LWZUX      55
#define OP31_WAIT       62
#define OP31_MFMSR      83
#define OP31_DCBF       86
#define OP31_LBZX       87
#define OP31_LBZUX      119
#define OP31_WRTEE      131
#define OP31_DCBTSTLS   134
#define OP31_MTMSR      146
#define OP31_STWX       151
#define OP31_WRTEEI     163
#define OP31_DCBTLS     166
#define OP31_STWUX      183
#define OP31_STBX       215
#define OP31_ICBLC      230
#define OP31_DCBTST     246
#define OP31_STBUX      247
#define OP31_DCBT       278
#define OP31_LHZX       279
#define OP31_LHZUX      311
#define OP31_MFPMR      334
#define OP31_MFSPR      339
#define OP31_LHAX       343
#define OP31_LHAUX      375
#define OP31_DCBLC      390
#define OP31_STHX       407
#define OP31_STHUX      439
#define OP31_MTPMR      462
#define OP31_MTSPR      467
#define OP31_DCBI       470
#define OP31_ICBTLS     486
#define OP31_LWBRX      534
#define OP31_TLBSYNC    566
#define OP31_STWBRX     662
#define OP31_DCBA       758
#define OP31_TLBIVAX    786
#define OP31_LHBRX      790
#define OP31_TLBSX      914
#define OP31_STHBRX     918
#define OP31_TLBRE      946
#define OP31_TLBWE      978
#define OP31_ICBI       982
#define OP31_DCBZ       1014

/* sc with LEV 1; what the rest of the word holds is ignored. */
#define WORD_SC         0x44000002u
#define WORD_SC_MASK    0xfc000002u
#define WORD_SC_LEVEL1  0x00000020u

#endif
