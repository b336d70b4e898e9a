// SPDX-License-Identifier: Apache-2.0
// What the emulator's own files share: opcode attributes, handlers, operands, flags. Nobody else includes
// this.
#ifndef SAGUARO_ARCH_X86_EMULATE_INTERNAL_H
#define SAGUARO_ARCH_X86_EMULATE_INTERNAL_H

#include "arch/x86/emulate/emulate.h"

#include <string.h>

/* Attributes of an opcode (emulate_instruction.attributes). */
#define OP_MODRM  0x0001u
#define OP_IMM8   0x0002u /* sign-extended */
#define OP_IMM16  0x0004u
#define OP_IMMZ   0x0008u /* 2 or 4 bytes by operand size, sign-extended */
#define OP_IMMV   0x0010u /* 2, 4 or 8 bytes by operand size */
#define OP_MOFFS  0x0020u /* address of address size */
#define OP_FAR    0x0040u /* offset of operand size (2, 4), then selector */
#define OP_BYTE   0x0080u /* operand size is 1 */
#define OP_D64    0x0100u /* operand size defaults to 8 in 64-bit mode */
#define OP_F64    0x0200u /* near branch: operand size is 8 in 64-bit mode */
#define OP_NO64   0x0400u /* #UD in 64-bit mode */
#define OP_LOCK   0x0800u /* LOCK is legal with a memory destination (groups: see lock_legal()) */
#define OP_GROUP3 0x1000u /* an immediate follows for /0 and /1 only */
#define OP_KNOWN  0x2000u
#define OP_MEMORY 0x4000u /* #UD in register form */
#define OP_REG    0x8000u /* ModRM always names registers, whatever mod says (MOV CR, DR) */

enum handler {
    HANDLER_NONE,
    HANDLER_ALU,
    HANDLER_ALU_IMMEDIATE,
    HANDLER_TEST,
    HANDLER_GROUP3,
    HANDLER_GROUP45,
    HANDLER_INC_DEC,
    HANDLER_XCHG,
    HANDLER_XADD,
    HANDLER_CMPXCHG,
    HANDLER_CMPXCHG8B,
    HANDLER_IMUL,
    HANDLER_SHIFT,
    HANDLER_DOUBLE_SHIFT,
    HANDLER_BIT,
    HANDLER_BIT_SCAN,
    HANDLER_BSWAP,
    HANDLER_MOV,
    HANDLER_MOV_IMMEDIATE,
    HANDLER_MOV_OFFSET,
    HANDLER_MOV_SEGMENT,
    HANDLER_MOV_EXTEND,
    HANDLER_MOVBE,
    HANDLER_MOVNTI,
    HANDLER_LEA,
    HANDLER_SETCC,
    HANDLER_CMOV,
    HANDLER_CONVERT,
    HANDLER_FLAG,
    HANDLER_PUSH,
    HANDLER_POP,
    HANDLER_NOP,
    HANDLER_FENCE,
    HANDLER_STRING,
    HANDLER_INS_OUTS,
    HANDLER_IN_OUT,
    HANDLER_VECTOR,
    HANDLER_COUNT
};

struct opcode {
    uint16_t attributes;
    uint8_t handler;
};
extern const struct opcode emulate_map0[256];
extern const struct opcode emulate_map1[256];

typedef enum emulate_result (*handler_function)(struct emulate *emulate);
enum emulate_result execute_alu(struct emulate *emulate);
enum emulate_result execute_alu_immediate(struct emulate *emulate);
enum emulate_result execute_test(struct emulate *emulate);
enum emulate_result execute_group3(struct emulate *emulate);
enum emulate_result execute_group45(struct emulate *emulate);
enum emulate_result execute_inc_dec(struct emulate *emulate);
enum emulate_result execute_xchg(struct emulate *emulate);
enum emulate_result execute_xadd(struct emulate *emulate);
enum emulate_result execute_cmpxchg(struct emulate *emulate);
enum emulate_result execute_cmpxchg8b(struct emulate *emulate);
enum emulate_result execute_imul(struct emulate *emulate);
enum emulate_result execute_shift(struct emulate *emulate);
enum emulate_result execute_double_shift(struct emulate *emulate);
enum emulate_result execute_bit(struct emulate *emulate);
enum emulate_result execute_bit_scan(struct emulate *emulate);
enum emulate_result execute_bswap(struct emulate *emulate);
enum emulate_result execute_mov(struct emulate *emulate);
enum emulate_result execute_mov_immediate(struct emulate *emulate);
enum emulate_result execute_mov_offset(struct emulate *emulate);
enum emulate_result execute_mov_segment(struct emulate *emulate);
enum emulate_result execute_mov_extend(struct emulate *emulate);
enum emulate_result execute_movbe(struct emulate *emulate);
enum emulate_result execute_movnti(struct emulate *emulate);
enum emulate_result execute_lea(struct emulate *emulate);
enum emulate_result execute_setcc(struct emulate *emulate);
enum emulate_result execute_cmov(struct emulate *emulate);
enum emulate_result execute_convert(struct emulate *emulate);
enum emulate_result execute_flag(struct emulate *emulate);
enum emulate_result execute_push(struct emulate *emulate);
enum emulate_result execute_pop(struct emulate *emulate);
enum emulate_result execute_call_jump(struct emulate *emulate);
enum emulate_result execute_nop(struct emulate *emulate);
enum emulate_result execute_fence(struct emulate *emulate);
enum emulate_result execute_string(struct emulate *emulate);
enum emulate_result execute_ins_outs(struct emulate *emulate);
enum emulate_result execute_in_out(struct emulate *emulate);
enum emulate_result execute_vector(struct emulate *emulate);
enum emulate_result execute_multiply_divide(struct emulate *emulate, uint64_t value);

/* A handler did an iteration of a REP under RFLAGS.TF and more are left: the #DB trap comes with RIP at the
 * instruction. */
#define EMULATE_STAY    ((enum emulate_result)0x10)
/* operand_update(): another CPU changed the locked operand; .value is what it holds now. */
#define EMULATE_CHANGED ((enum emulate_result)0x11)
/* A handler that went elsewhere: RIP is set. */
#define EMULATE_JUMPED  ((enum emulate_result)0x12)

#define VECTOR_DE       0u
#define VECTOR_UD       6u
#define VECTOR_NM       7u
#define VECTOR_TS       10u
#define VECTOR_NP       11u
#define VECTOR_SS       12u
#define VECTOR_GP       13u
#define VECTOR_PF       14u
#define VECTOR_AC       17u

#define FLAG_CF         0x00000001u
#define FLAG_FIXED      0x00000002u
#define FLAG_PF         0x00000004u
#define FLAG_AF         0x00000010u
#define FLAG_ZF         0x00000040u
#define FLAG_SF         0x00000080u
#define FLAG_TF         0x00000100u
#define FLAG_DF         0x00000400u
#define FLAG_OF         0x00000800u
#define FLAG_IOPL       0x00003000u
#define FLAG_RF         0x00010000u
#define FLAG_VM         0x00020000u
#define FLAG_AC         0x00040000u
#define FLAG_STATUS     (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

#define CR0_PE          0x00000001u
#define CR0_EM          0x00000004u
#define CR0_TS          0x00000008u
#define CR0_WP          0x00010000u
#define CR0_AM          0x00040000u
#define CR0_PG          0x80000000u
#define CR4_PSE         0x00000010u
#define CR4_PAE         0x00000020u
#define CR4_OSFXSR      0x00000200u
#define CR4_LA57        0x00001000u
#define CR4_OSXSAVE     0x00040000u
#define CR4_SMEP        0x00100000u
#define CR4_SMAP        0x00200000u
#define EFER_LMA        0x00000400u
#define EFER_NXE        0x00000800u

/* Sets .fault; the error code is dropped where the vector has none and in real mode. */
enum emulate_result emulate_raise(struct emulate *emulate, unsigned vector, uint32_t error);

/* Finds .mode and .code_size out of the system state. */
void emulate_find_mode(struct emulate *emulate);
bool emulate_canonical(const struct emulate *emulate, uint64_t address);

/* The entries that a walk read. */
struct walk_trace {
    unsigned count;
    struct {
        uint64_t gpa;
        uint64_t entry;
    } step[EMULATE_LEVELS];
};
/* emulate_walk(), which says what it read: with 8-byte entries and 4 or 5 levels, or without paging (none).
 * In other modes the trace is not complete. */
enum emulate_result walk_traced(struct emulate *emulate, uint64_t linear, unsigned access, uint64_t *gpa,
                                struct walk_trace *trace);

/* code.c */
/* Fills .bytes from the page that is known, if the instruction cannot leave it. false: fetch it. */
bool code_fetch(struct emulate *emulate);
/* Keeps a walk for execution that succeeded. */
void code_keep(struct emulate *emulate, uint64_t linear, uint64_t gpa, const struct walk_trace *trace);
/* Finds .instruction by .bytes, all 15 of which are there. */
bool code_find_decoded(struct emulate *emulate);
void code_keep_decoded(struct emulate *emulate);

/* A memory operand after translation: at most two pieces. */
struct span {
    uint64_t gpa[2];
    uint8_t first; /* bytes at gpa[0]; the rest, if any, at gpa[1] */
    uint8_t size;  /* 1-32 */
};

/* Segment and canonical checks: offset within segment -> linear address. The whole of `size` bytes is
 * checked. */
enum emulate_result segment_linear(struct emulate *emulate, unsigned segment, uint64_t offset, unsigned size,
                                   unsigned access, uint64_t *linear);
/* Linear address -> span, translating every page before any is touched. */
enum emulate_result span_translate(struct emulate *emulate, uint64_t linear, unsigned size, unsigned access,
                                   struct span *span);
/* Both, with the alignment check. */
enum emulate_result span_prepare(struct emulate *emulate, unsigned segment, uint64_t offset, unsigned size,
                                 unsigned access, struct span *span);
enum emulate_result span_read(struct emulate *emulate, const struct span *span, void *value);
enum emulate_result span_write(struct emulate *emulate, const struct span *span, const void *value);
/* The same for 1, 2, 4 and 8 bytes; a read is zero-extended. */
enum emulate_result span_read_value(struct emulate *emulate, const struct span *span, uint64_t *value);
enum emulate_result span_write_value(struct emulate *emulate, const struct span *span, uint64_t value);
/* Compare and exchange on RAM. EMULATE_OK, EMULATE_CHANGED (`expected` is new), or EMULATE_UNHANDLED: not RAM
 * in one piece. */
enum emulate_result span_exchange(struct emulate *emulate, const struct span *span, void *expected,
                                  const void *desired);
bool span_is_ram(struct emulate *emulate, const struct span *span);
/* One device access, by replay if it was answered before. */
enum emulate_result device_access(struct emulate *emulate, uint64_t address, unsigned size, bool write,
                                  uint64_t *value);
#define DEVICE_PORT (1ull << 63) /* added to a port number for device_access() */

/* Reads supervisor data (TSS, descriptor tables) at a linear address. */
enum emulate_result system_read(struct emulate *emulate, uint64_t linear, void *buffer, unsigned size);

/* Loads a data or stack segment register (MOV, POP). */
enum emulate_result segment_load(struct emulate *emulate, unsigned segment, uint16_t selector);

/* A register or memory operand of 1, 2, 4 or 8 bytes. */
struct operand {
    bool memory;
    bool locked;
    uint8_t reg;
    uint8_t size;
    struct span span;
};

uint64_t operand_address(const struct emulate *emulate);
/* The ModRM.rm operand with size bytes; access is 0 or EMULATE_WRITE. Translated, not yet read. */
enum emulate_result operand_rm(struct emulate *emulate, unsigned size, unsigned access,
                               struct operand *operand);
enum emulate_result operand_read(struct emulate *emulate, struct operand *operand, uint64_t *value);
enum emulate_result operand_write(struct emulate *emulate, const struct operand *operand, uint64_t value);
/* Writes a value computed from `*old`. EMULATE_CHANGED: compute again from `*old`. */
enum emulate_result operand_update(struct emulate *emulate, const struct operand *operand, uint64_t *old,
                                   uint64_t value);
/* How often a locked operation tries before it gives EMULATE_RETRY. */
#define LOCK_TRIES 64u

uint64_t register_read(const struct emulate *emulate, unsigned number, unsigned size);
void register_write(struct emulate *emulate, unsigned number, unsigned size, uint64_t value);
bool condition_holds(uint64_t flags, unsigned condition);

static inline uint64_t size_mask(unsigned size) {
    return ~0ull >> (64 - 8 * size);
}

static inline uint64_t size_sign(unsigned size) {
    return 1ull << (8 * size - 1);
}

static inline uint64_t sign_extend(uint64_t value, unsigned size) {
    unsigned shift = 64 - 8 * size;
    return (uint64_t)((int64_t)(value << shift) >> shift);
}

/* Zero, sign and parity flags of a result. */
static inline uint64_t flags_result(uint64_t value, unsigned size) {
    uint64_t flags = (value & size_mask(size)) == 0 ? FLAG_ZF : 0;
    if (value & size_sign(size))
        flags |= FLAG_SF;
    unsigned fold = (unsigned)(value ^ value >> 4) & 15;
    if (0x9669u >> fold & 1)
        flags |= FLAG_PF;
    return flags;
}

static inline void flags_set(struct emulate *emulate, uint64_t mask, uint64_t flags) {
    emulate->registers->rflags = (emulate->registers->rflags & ~mask) | (flags & mask);
}

#endif
