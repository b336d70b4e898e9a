// SPDX-License-Identifier: Apache-2.0
// Moves between registers and memory, LEA, XCHG, conditional sets and moves, conversions, flag instructions,
// hints.
#include "arch/x86/emulate/internal.h"

static unsigned opcode_register(const struct emulate_instruction *in) {
    return (in->opcode & 7) | (in->rex & 1u) << 3;
}

/* Loads ModRM.rm (size bytes) into *value. */
static enum emulate_result load(struct emulate *emulate, unsigned size, uint64_t *value) {
    struct operand operand;
    enum emulate_result result = operand_rm(emulate, size, 0, &operand);
    return result == EMULATE_OK ? operand_read(emulate, &operand, value) : result;
}

static enum emulate_result store(struct emulate *emulate, unsigned size, uint64_t value) {
    struct operand operand;
    enum emulate_result result = operand_rm(emulate, size, EMULATE_WRITE, &operand);
    return result == EMULATE_OK ? operand_write(emulate, &operand, value) : result;
}

enum emulate_result execute_mov(struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    unsigned size = in->operand_size;
    if (!(in->opcode & 2))
        return store(emulate, size, register_read(emulate, in->reg, size));
    uint64_t value;
    enum emulate_result result = load(emulate, size, &value);
    if (result == EMULATE_OK)
        register_write(emulate, in->reg, size, value);
    return result;
}

enum emulate_result execute_mov_immediate(struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    if (!in->has_modrm) {
        register_write(emulate, opcode_register(in), in->operand_size, in->immediate);
        return EMULATE_OK;
    }
    if (in->modrm == 0xf8)
        return EMULATE_UNHANDLED; /* XABORT, XBEGIN */
    if (in->modrm >> 3 & 7)
        return emulate_raise(emulate, VECTOR_UD, 0);
    return store(emulate, in->operand_size, in->immediate);
}

enum emulate_result execute_mov_offset(struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    unsigned size = in->operand_size;
    bool write = in->opcode & 2;
    struct span span;
    uint64_t value = 0;
    enum emulate_result result =
        span_prepare(emulate, in->segment, in->displacement & size_mask(in->address_size), size,
                     write ? EMULATE_WRITE : 0, &span);
    if (result != EMULATE_OK)
        return result;
    if (write) {
        value = register_read(emulate, X86_RAX, size);
        return span_write_value(emulate, &span, value);
    }
    result = span_read_value(emulate, &span, &value);
    if (result == EMULATE_OK)
        register_write(emulate, X86_RAX, size, value);
    return result;
}

enum emulate_result execute_mov_segment(struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    unsigned name = in->modrm >> 3 & 7;
    bool to_segment = in->opcode & 2;
    if (name > X86_GS || (to_segment && name == X86_CS))
        return emulate_raise(emulate, VECTOR_UD, 0);
    if (!to_segment) /* memory gets 16 bits, a register is zero-extended to the operand size */
        return store(emulate, in->memory ? 2 : in->operand_size, emulate->system->segment[name].selector);
    uint64_t selector;
    enum emulate_result result = load(emulate, 2, &selector);
    if (result == EMULATE_OK)
        result = segment_load(emulate, name, (uint16_t)selector);
    if (result == EMULATE_OK && name == X86_SS)
        emulate->interrupt_shadow = true;
    return result;
}

/* MOVZX, MOVSX, MOVSXD */
enum emulate_result execute_mov_extend(struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    unsigned size = in->opcode & 1 ? 2 : 1;
    bool is_signed = in->opcode & 8;
    if (in->opcode == 0x63) {
        if (emulate->mode != EMULATE_LONG)
            return EMULATE_UNHANDLED; /* ARPL */
        size = in->operand_size == 2 ? 2 : 4;
        is_signed = true;
    }
    uint64_t value;
    enum emulate_result result = load(emulate, size, &value);
    if (result == EMULATE_OK)
        register_write(emulate, in->reg, in->operand_size, is_signed ? sign_extend(value, size) : value);
    return result;
}

static uint64_t swap_bytes(uint64_t value, unsigned size) {
    return __builtin_bswap64(value) >> (64 - 8 * size);
}

enum emulate_result execute_movbe(struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    unsigned size = in->operand_size;
    if (!in->memory)
        return emulate_raise(emulate, VECTOR_UD, 0);
    if (in->repeat)
        return EMULATE_UNHANDLED;
    if (in->opcode & 1)
        return store(emulate, size, swap_bytes(register_read(emulate, in->reg, size), size));
    uint64_t value;
    enum emulate_result result = load(emulate, size, &value);
    if (result == EMULATE_OK)
        register_write(emulate, in->reg, size, swap_bytes(value, size));
    return result;
}

enum emulate_result execute_movnti(struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    if (in->operand_override || in->repeat)
        return emulate_raise(emulate, VECTOR_UD, 0);
    return store(emulate, in->operand_size, register_read(emulate, in->reg, in->operand_size));
}

enum emulate_result execute_lea(struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    register_write(emulate, in->reg, in->operand_size, operand_address(emulate));
    return EMULATE_OK;
}

enum emulate_result execute_xchg(struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    unsigned size = in->operand_size;
    if (!in->has_modrm) {
        unsigned number = opcode_register(in);
        if (number == 0)
            return EMULATE_OK; /* NOP, PAUSE */
        uint64_t value = register_read(emulate, number, size);
        register_write(emulate, number, size, register_read(emulate, X86_RAX, size));
        register_write(emulate, X86_RAX, size, value);
        return EMULATE_OK;
    }
    struct operand operand;
    uint64_t old, value = register_read(emulate, in->reg, size);
    enum emulate_result result = operand_rm(emulate, size, EMULATE_WRITE, &operand);
    operand.locked = true; /* with or without the prefix */
    if (result == EMULATE_OK)
        result = operand_read(emulate, &operand, &old);
    if (result != EMULATE_OK)
        return result;
    for (unsigned tries = 0; tries < LOCK_TRIES; tries++) {
        uint64_t found = old;
        result = operand_update(emulate, &operand, &old, value);
        if (result == EMULATE_CHANGED)
            continue;
        if (result == EMULATE_OK)
            register_write(emulate, in->reg, size, found);
        return result;
    }
    return EMULATE_RETRY;
}

bool condition_holds(uint64_t flags, unsigned condition) {
    bool holds;
    switch (condition >> 1 & 7) {
    case 0:
        holds = flags & FLAG_OF;
        break;
    case 1:
        holds = flags & FLAG_CF;
        break;
    case 2:
        holds = flags & FLAG_ZF;
        break;
    case 3:
        holds = flags & (FLAG_CF | FLAG_ZF);
        break;
    case 4:
        holds = flags & FLAG_SF;
        break;
    case 5:
        holds = flags & FLAG_PF;
        break;
    case 6:
        holds = !(flags & FLAG_SF) != !(flags & FLAG_OF);
        break;
    default:
        holds = (flags & FLAG_ZF) || !(flags & FLAG_SF) != !(flags & FLAG_OF);
        break;
    }
    return holds != (condition & 1);
}

enum emulate_result execute_setcc(struct emulate *emulate) {
    return store(emulate, 1, condition_holds(emulate->registers->rflags, emulate->instruction.opcode & 15));
}

enum emulate_result execute_cmov(struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    unsigned size = in->operand_size;
    uint64_t value;
    enum emulate_result result = load(emulate, size, &value); /* memory is read whatever the condition */
    if (result != EMULATE_OK)
        return result;
    if (!condition_holds(emulate->registers->rflags, in->opcode & 15))
        value = register_read(emulate, in->reg, size); /* still clears bits 63-32 after a 32-bit move */
    register_write(emulate, in->reg, size, value);
    return EMULATE_OK;
}

/* 98: CBW, CWDE, CDQE; 99: CWD, CDQ, CQO */
enum emulate_result execute_convert(struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    unsigned size = in->operand_size;
    uint64_t value = emulate->registers->gpr[X86_RAX];
    if (in->opcode == 0x98)
        register_write(emulate, X86_RAX, size, sign_extend(value, size / 2));
    else
        register_write(emulate, X86_RDX, size, value & size_sign(size) ? ~0ull : 0);
    return EMULATE_OK;
}

enum emulate_result execute_flag(struct emulate *emulate) {
    uint64_t *flags = &emulate->registers->rflags, *rax = &emulate->registers->gpr[X86_RAX];
    const uint64_t low = FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF | FLAG_CF;
    switch (emulate->instruction.opcode) {
    case 0x9e: /* SAHF */
        flags_set(emulate, low, *rax >> 8);
        break;
    case 0x9f: /* LAHF */
        *rax = (*rax & ~0xff00ull) | ((*flags & low) | FLAG_FIXED) << 8;
        break;
    case 0xf5: /* CMC */
        *flags ^= FLAG_CF;
        break;
    case 0xf8: /* CLC */
        *flags &= ~(uint64_t)FLAG_CF;
        break;
    case 0xf9: /* STC */
        *flags |= FLAG_CF;
        break;
    case 0xfc: /* CLD */
        *flags &= ~(uint64_t)FLAG_DF;
        break;
    default: /* STD */
        *flags |= FLAG_DF;
        break;
    }
    return EMULATE_OK;
}

enum emulate_result execute_bswap(struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    unsigned number = opcode_register(in), size = in->operand_size;
    /* Undefined with a 16-bit operand: CPUs clear it. */
    uint64_t value = size == 2 ? 0 : swap_bytes(register_read(emulate, number, size), size);
    register_write(emulate, number, size, value);
    return EMULATE_OK;
}

enum emulate_result execute_nop(struct emulate *emulate) {
    (void)emulate; /* prefetches and hint NOPs do not touch memory and do not fault */
    return EMULATE_OK;
}

/* 0F AE: cache-line flushes and fences. Flushing a device's or RAM's line changes nothing that a guest sees,
 * but its address can fault. */
enum emulate_result execute_fence(struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    unsigned group = in->modrm >> 3 & 7;
    if (!in->memory)
        return group >= 5 && !in->operand_override && !in->repeat ? EMULATE_OK : EMULATE_UNHANDLED;
    if (in->repeat || !(group == 7 || (group == 6 && in->operand_override)))
        return EMULATE_UNHANDLED;
    struct span span;
    return span_prepare(emulate, in->segment, operand_address(emulate), 1, 0, &span);
}
