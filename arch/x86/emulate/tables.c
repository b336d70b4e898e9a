// SPDX-License-Identifier: Apache-2.0
// Opcode maps: which bytes follow an opcode and who executes it (Intel SDM vol. 2 app. A, AMD APM vol. 3 app. A).
#include "arch/x86/emulate/internal.h"

#define K OP_KNOWN
#define M (OP_KNOWN | OP_MODRM)

#define ALU_ROW(first)                                                                                       \
    [first] = {M | OP_BYTE | OP_LOCK, HANDLER_ALU}, [(first) + 1] = {M | OP_LOCK, HANDLER_ALU},              \
    [(first) + 2] = {M | OP_BYTE, HANDLER_ALU}, [(first) + 3] = {M, HANDLER_ALU},                            \
    [(first) + 4] = {K | OP_BYTE | OP_IMM8, HANDLER_ALU}, [(first) + 5] = {K | OP_IMMZ, HANDLER_ALU}

const struct opcode emulate_map0[256] = {
    ALU_ROW(0x00), ALU_ROW(0x08), ALU_ROW(0x10), ALU_ROW(0x18),
    ALU_ROW(0x20), ALU_ROW(0x28), ALU_ROW(0x30),
    [0x38] = {M | OP_BYTE, HANDLER_ALU}, /* CMP writes nothing: LOCK is illegal */
    [0x39] = {M, HANDLER_ALU},
    [0x3a] = {M | OP_BYTE, HANDLER_ALU},
    [0x3b] = {M, HANDLER_ALU},
    [0x3c] = {K | OP_BYTE | OP_IMM8, HANDLER_ALU},
    [0x3d] = {K | OP_IMMZ, HANDLER_ALU},
    [0x06] = {K | OP_NO64, 0}, [0x07] = {K | OP_NO64, 0}, [0x0e] = {K | OP_NO64, 0},
    [0x16] = {K | OP_NO64, 0}, [0x17] = {K | OP_NO64, 0}, [0x1e] = {K | OP_NO64, 0}, [0x1f] = {K | OP_NO64, 0},
    [0x27] = {K | OP_NO64, 0}, [0x2f] = {K | OP_NO64, 0}, [0x37] = {K | OP_NO64, 0}, [0x3f] = {K | OP_NO64, 0},
    [0x40 ... 0x4f] = {K | OP_NO64, HANDLER_INC_DEC}, /* REX in 64-bit mode: never looked up there */
    [0x50 ... 0x57] = {K | OP_D64, HANDLER_PUSH},
    [0x58 ... 0x5f] = {K | OP_D64, HANDLER_POP},
    [0x60] = {K | OP_NO64, 0}, [0x61] = {K | OP_NO64, 0},
    [0x62] = {M | OP_NO64 | OP_MEMORY, 0}, /* BOUND */
    [0x63] = {M, HANDLER_MOV_EXTEND}, /* MOVSXD; ARPL outside 64-bit mode */
    [0x68] = {K | OP_D64 | OP_IMMZ, HANDLER_PUSH},
    [0x69] = {M | OP_IMMZ, HANDLER_IMUL},
    [0x6a] = {K | OP_D64 | OP_IMM8, HANDLER_PUSH},
    [0x6b] = {M | OP_IMM8, HANDLER_IMUL},
    [0x6c] = {K | OP_BYTE, HANDLER_INS_OUTS}, [0x6d] = {K, HANDLER_INS_OUTS},
    [0x6e] = {K | OP_BYTE, HANDLER_INS_OUTS}, [0x6f] = {K, HANDLER_INS_OUTS},
    [0x70 ... 0x7f] = {K | OP_F64 | OP_IMM8, 0},
    [0x80] = {M | OP_BYTE | OP_IMM8 | OP_LOCK, HANDLER_ALU_IMMEDIATE},
    [0x81] = {M | OP_IMMZ | OP_LOCK, HANDLER_ALU_IMMEDIATE},
    [0x82] = {M | OP_BYTE | OP_IMM8 | OP_LOCK | OP_NO64, HANDLER_ALU_IMMEDIATE},
    [0x83] = {M | OP_IMM8 | OP_LOCK, HANDLER_ALU_IMMEDIATE},
    [0x84] = {M | OP_BYTE, HANDLER_TEST}, [0x85] = {M, HANDLER_TEST},
    [0x86] = {M | OP_BYTE | OP_LOCK, HANDLER_XCHG}, [0x87] = {M | OP_LOCK, HANDLER_XCHG},
    [0x88] = {M | OP_BYTE, HANDLER_MOV}, [0x89] = {M, HANDLER_MOV},
    [0x8a] = {M | OP_BYTE, HANDLER_MOV}, [0x8b] = {M, HANDLER_MOV},
    [0x8c] = {M, HANDLER_MOV_SEGMENT},
    [0x8d] = {M | OP_MEMORY, HANDLER_LEA},
    [0x8e] = {M, HANDLER_MOV_SEGMENT},
    [0x8f] = {M | OP_D64, HANDLER_POP},
    [0x90 ... 0x97] = {K, HANDLER_XCHG},
    [0x98] = {K, HANDLER_CONVERT}, [0x99] = {K, HANDLER_CONVERT},
    [0x9a] = {K | OP_FAR | OP_NO64, 0},
    [0x9b] = {K, 0},
    [0x9c] = {K | OP_D64, 0}, [0x9d] = {K | OP_D64, 0}, /* PUSHF, POPF */
    [0x9e] = {K, HANDLER_FLAG}, [0x9f] = {K, HANDLER_FLAG},
    [0xa0] = {K | OP_BYTE | OP_MOFFS, HANDLER_MOV_OFFSET}, [0xa1] = {K | OP_MOFFS, HANDLER_MOV_OFFSET},
    [0xa2] = {K | OP_BYTE | OP_MOFFS, HANDLER_MOV_OFFSET}, [0xa3] = {K | OP_MOFFS, HANDLER_MOV_OFFSET},
    [0xa4] = {K | OP_BYTE, HANDLER_STRING}, [0xa5] = {K, HANDLER_STRING},
    [0xa6] = {K | OP_BYTE, HANDLER_STRING}, [0xa7] = {K, HANDLER_STRING},
    [0xa8] = {K | OP_BYTE | OP_IMM8, HANDLER_TEST}, [0xa9] = {K | OP_IMMZ, HANDLER_TEST},
    [0xaa] = {K | OP_BYTE, HANDLER_STRING}, [0xab] = {K, HANDLER_STRING},
    [0xac] = {K | OP_BYTE, HANDLER_STRING}, [0xad] = {K, HANDLER_STRING},
    [0xae] = {K | OP_BYTE, HANDLER_STRING}, [0xaf] = {K, HANDLER_STRING},
    [0xb0 ... 0xb7] = {K | OP_BYTE | OP_IMM8, HANDLER_MOV_IMMEDIATE},
    [0xb8 ... 0xbf] = {K | OP_IMMV, HANDLER_MOV_IMMEDIATE},
    [0xc0] = {M | OP_BYTE | OP_IMM8, HANDLER_SHIFT}, [0xc1] = {M | OP_IMM8, HANDLER_SHIFT},
    [0xc2] = {K | OP_F64 | OP_IMM16, 0}, [0xc3] = {K | OP_F64, 0},
    [0xc4] = {M | OP_NO64 | OP_MEMORY, 0}, [0xc5] = {M | OP_NO64 | OP_MEMORY, 0}, /* LES, LDS */
    [0xc6] = {M | OP_BYTE | OP_IMM8, HANDLER_MOV_IMMEDIATE}, [0xc7] = {M | OP_IMMZ, HANDLER_MOV_IMMEDIATE},
    [0xc8] = {K | OP_D64 | OP_IMM16 | OP_IMM8, 0}, /* ENTER */
    [0xc9] = {K | OP_D64, 0},
    [0xca] = {K | OP_IMM16, 0}, [0xcb] = {K, 0},
    [0xcc] = {K, 0}, [0xcd] = {K | OP_IMM8, 0}, [0xce] = {K | OP_NO64, 0}, [0xcf] = {K, 0},
    [0xd0] = {M | OP_BYTE, HANDLER_SHIFT}, [0xd1] = {M, HANDLER_SHIFT},
    [0xd2] = {M | OP_BYTE, HANDLER_SHIFT}, [0xd3] = {M, HANDLER_SHIFT},
    [0xd4] = {K | OP_NO64 | OP_IMM8, 0}, [0xd5] = {K | OP_NO64 | OP_IMM8, 0},
    [0xd6] = {K | OP_NO64, 0}, /* SALC */
    [0xd7] = {K, 0},
    [0xd8 ... 0xdf] = {M, 0}, /* x87 */
    [0xe0 ... 0xe3] = {K | OP_F64 | OP_IMM8, 0},
    [0xe4] = {K | OP_BYTE | OP_IMM8, HANDLER_IN_OUT}, [0xe5] = {K | OP_IMM8, HANDLER_IN_OUT},
    [0xe6] = {K | OP_BYTE | OP_IMM8, HANDLER_IN_OUT}, [0xe7] = {K | OP_IMM8, HANDLER_IN_OUT},
    [0xe8] = {K | OP_F64 | OP_IMMZ, 0}, [0xe9] = {K | OP_F64 | OP_IMMZ, 0},
    [0xea] = {K | OP_FAR | OP_NO64, 0},
    [0xeb] = {K | OP_F64 | OP_IMM8, 0},
    [0xec] = {K | OP_BYTE, HANDLER_IN_OUT}, [0xed] = {K, HANDLER_IN_OUT},
    [0xee] = {K | OP_BYTE, HANDLER_IN_OUT}, [0xef] = {K, HANDLER_IN_OUT},
    [0xf1] = {K, 0}, [0xf4] = {K, 0},
    [0xf5] = {K, HANDLER_FLAG},
    [0xf6] = {M | OP_BYTE | OP_IMM8 | OP_GROUP3 | OP_LOCK, HANDLER_GROUP3},
    [0xf7] = {M | OP_IMMZ | OP_GROUP3 | OP_LOCK, HANDLER_GROUP3},
    [0xf8] = {K, HANDLER_FLAG}, [0xf9] = {K, HANDLER_FLAG},
    [0xfa] = {K, 0}, [0xfb] = {K, 0}, /* CLI, STI: the engine's, with the interrupt window */
    [0xfc] = {K, HANDLER_FLAG}, [0xfd] = {K, HANDLER_FLAG},
    [0xfe] = {M | OP_BYTE | OP_LOCK, HANDLER_GROUP45}, [0xff] = {M | OP_LOCK, HANDLER_GROUP45},
};

const struct opcode emulate_map1[256] = {
    [0x00 ... 0x03] = {M, 0}, /* LLDT.., LGDT.., LAR, LSL */
    [0x05 ... 0x09] = {K, 0}, /* SYSCALL, CLTS, SYSRET, INVD, WBINVD */
    [0x0b] = {K, 0},
    [0x0d] = {M, HANDLER_NOP}, /* PREFETCHW */
    [0x0e] = {K, 0},
    [0x0f] = {M | OP_IMM8, 0}, /* 3DNow!: the opcode is the last byte */
    [0x10 ... 0x11] = {M, HANDLER_VECTOR},
    [0x12] = {M, HANDLER_VECTOR}, [0x13] = {M, HANDLER_VECTOR},
    [0x14 ... 0x15] = {M, 0},
    [0x16] = {M, HANDLER_VECTOR}, [0x17] = {M, HANDLER_VECTOR},
    [0x18 ... 0x19] = {M, HANDLER_NOP},
    [0x1a ... 0x1b] = {M, 0}, /* MPX */
    [0x1c ... 0x1f] = {M, HANDLER_NOP},
    [0x20 ... 0x23] = {M | OP_REG | OP_D64, 0}, /* MOV CR, DR */
    [0x28 ... 0x29] = {M, HANDLER_VECTOR},
    [0x2a] = {M, 0},
    [0x2b] = {M, HANDLER_VECTOR},
    [0x2c ... 0x2f] = {M, 0},
    [0x30 ... 0x35] = {K, 0}, [0x37] = {K, 0},
    [0x40 ... 0x4f] = {M, HANDLER_CMOV},
    [0x50 ... 0x6d] = {M, 0},
    [0x6e ... 0x6f] = {M, HANDLER_VECTOR},
    [0x70 ... 0x73] = {M | OP_IMM8, 0},
    [0x74 ... 0x76] = {M, 0},
    [0x77] = {K, 0},
    [0x78 ... 0x79] = {M | OP_D64, 0}, /* VMREAD, VMWRITE (SSE4a's forms: see emulate_decode()) */
    [0x7c ... 0x7d] = {M, 0},
    [0x7e ... 0x7f] = {M, HANDLER_VECTOR},
    [0x80 ... 0x8f] = {K | OP_F64 | OP_IMMZ, 0},
    [0x90 ... 0x9f] = {M | OP_BYTE, HANDLER_SETCC},
    [0xa0] = {K | OP_D64, 0}, [0xa1] = {K | OP_D64, 0},
    [0xa2] = {K, 0},
    [0xa3] = {M, HANDLER_BIT},
    [0xa4] = {M | OP_IMM8, HANDLER_DOUBLE_SHIFT}, [0xa5] = {M, HANDLER_DOUBLE_SHIFT},
    [0xa8] = {K | OP_D64, 0}, [0xa9] = {K | OP_D64, 0},
    [0xaa] = {K, 0},
    [0xab] = {M | OP_LOCK, HANDLER_BIT},
    [0xac] = {M | OP_IMM8, HANDLER_DOUBLE_SHIFT}, [0xad] = {M, HANDLER_DOUBLE_SHIFT},
    [0xae] = {M, HANDLER_FENCE},
    [0xaf] = {M, HANDLER_IMUL},
    [0xb0] = {M | OP_BYTE | OP_LOCK, HANDLER_CMPXCHG}, [0xb1] = {M | OP_LOCK, HANDLER_CMPXCHG},
    [0xb2] = {M | OP_MEMORY, 0},
    [0xb3] = {M | OP_LOCK, HANDLER_BIT},
    [0xb4] = {M | OP_MEMORY, 0}, [0xb5] = {M | OP_MEMORY, 0},
    [0xb6] = {M, HANDLER_MOV_EXTEND}, [0xb7] = {M, HANDLER_MOV_EXTEND},
    [0xb8] = {M, HANDLER_BIT_SCAN}, /* POPCNT with F3, else nothing we know */
    [0xb9] = {M, 0},
    [0xba] = {M | OP_IMM8 | OP_LOCK, HANDLER_BIT},
    [0xbb] = {M | OP_LOCK, HANDLER_BIT},
    [0xbc] = {M, HANDLER_BIT_SCAN}, [0xbd] = {M, HANDLER_BIT_SCAN},
    [0xbe] = {M, HANDLER_MOV_EXTEND}, [0xbf] = {M, HANDLER_MOV_EXTEND},
    [0xc0] = {M | OP_BYTE | OP_LOCK, HANDLER_XADD}, [0xc1] = {M | OP_LOCK, HANDLER_XADD},
    [0xc2] = {M | OP_IMM8, 0},
    [0xc3] = {M | OP_MEMORY, HANDLER_MOVNTI},
    [0xc4 ... 0xc6] = {M | OP_IMM8, 0},
    [0xc7] = {M | OP_LOCK, HANDLER_CMPXCHG8B},
    [0xc8 ... 0xcf] = {K, HANDLER_BSWAP},
    [0xd0 ... 0xd5] = {M, 0},
    [0xd6] = {M, HANDLER_VECTOR},
    [0xd7 ... 0xe6] = {M, 0},
    [0xe7] = {M, HANDLER_VECTOR},
    [0xe8 ... 0xef] = {M, 0},
    [0xf0] = {M, HANDLER_VECTOR}, /* LDDQU */
    [0xf1 ... 0xff] = {M, 0},
};
