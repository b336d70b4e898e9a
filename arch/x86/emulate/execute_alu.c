// SPDX-License-Identifier: Apache-2.0
// Integer arithmetic and logic, TEST, XADD, CMPXCHG, multiplication and division.
// Flags that the manuals leave undefined: logic clears AF; MUL and IMUL set SF and PF by the low half and
// clear ZF and AF; DIV and IDIV leave all as they were.
#include "arch/x86/emulate/internal.h"

enum alu { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };

static uint64_t add_flags(uint64_t a, uint64_t b, uint64_t result, unsigned size) {
    uint64_t carries = (a & b) | ((a | b) & ~result), overflow = (a ^ result) & (b ^ result),
             sign = size_sign(size);
    return flags_result(result, size) | (carries & sign ? FLAG_CF : 0) | (carries & 8 ? FLAG_AF : 0) |
           (overflow & sign ? FLAG_OF : 0);
}

static uint64_t subtract_flags(uint64_t a, uint64_t b, uint64_t result, unsigned size) {
    uint64_t borrows = (~a & b) | ((~a | b) & result), overflow = (a ^ b) & (a ^ result),
             sign = size_sign(size);
    return flags_result(result, size) | (borrows & sign ? FLAG_CF : 0) | (borrows & 8 ? FLAG_AF : 0) |
           (overflow & sign ? FLAG_OF : 0);
}

/* The result; *flags gets all six status flags. Operands may carry rubbish above `size`. */
static uint64_t compute(enum alu operation, uint64_t a, uint64_t b, unsigned size, uint64_t carry,
                        uint64_t *flags) {
    uint64_t result;
    switch (operation) {
    case ALU_ADC:
    case ALU_ADD:
        result = a + b + (operation == ALU_ADC ? carry : 0);
        *flags = add_flags(a, b, result, size);
        return result;
    case ALU_SBB:
    case ALU_SUB:
    case ALU_CMP:
        result = a - b - (operation == ALU_SBB ? carry : 0);
        *flags = subtract_flags(a, b, result, size);
        return result;
    case ALU_OR:
        result = a | b;
        break;
    case ALU_AND:
        result = a & b;
        break;
    default:
        result = a ^ b;
        break;
    }
    *flags = flags_result(result, size);
    return result;
}

/* destination = destination OP source, LOCK included. */
static enum emulate_result alu_to_rm(struct emulate *emulate, enum alu operation, uint64_t source) {
    unsigned size = emulate->instruction.operand_size;
    struct operand operand;
    uint64_t old, flags;
    enum emulate_result result =
        operand_rm(emulate, size, operation == ALU_CMP ? 0 : EMULATE_WRITE, &operand);
    if (result == EMULATE_OK)
        result = operand_read(emulate, &operand, &old);
    if (result != EMULATE_OK)
        return result;
    uint64_t carry = emulate->registers->rflags & FLAG_CF;
    for (unsigned tries = 0; tries < LOCK_TRIES; tries++) {
        uint64_t value = compute(operation, old, source, size, carry, &flags);
        if (operation != ALU_CMP)
            result = operand_update(emulate, &operand, &old, value);
        if (result == EMULATE_CHANGED)
            continue;
        if (result == EMULATE_OK)
            flags_set(emulate, FLAG_STATUS, flags);
        return result;
    }
    return EMULATE_RETRY;
}

enum emulate_result execute_alu(struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    enum alu operation = in->opcode >> 3 & 7;
    unsigned form = in->opcode & 7, size = in->operand_size, target = in->reg;
    if (form < 2)
        return alu_to_rm(emulate, operation, register_read(emulate, in->reg, size));
    uint64_t source = in->immediate, flags;
    if (form < 4) {
        struct operand operand;
        enum emulate_result result = operand_rm(emulate, size, 0, &operand);
        if (result == EMULATE_OK)
            result = operand_read(emulate, &operand, &source);
        if (result != EMULATE_OK)
            return result;
    } else {
        target = X86_RAX;
    }
    uint64_t value = compute(operation, register_read(emulate, target, size), source, size,
                             emulate->registers->rflags & FLAG_CF, &flags);
    if (operation != ALU_CMP)
        register_write(emulate, target, size, value);
    flags_set(emulate, FLAG_STATUS, flags);
    return EMULATE_OK;
}

enum emulate_result execute_alu_immediate(struct emulate *emulate) {
    return alu_to_rm(emulate, emulate->instruction.modrm >> 3 & 7, emulate->instruction.immediate);
}

static enum emulate_result test_rm(struct emulate *emulate, uint64_t source) {
    unsigned size = emulate->instruction.operand_size;
    struct operand operand;
    uint64_t value;
    enum emulate_result result = operand_rm(emulate, size, 0, &operand);
    if (result == EMULATE_OK)
        result = operand_read(emulate, &operand, &value);
    if (result == EMULATE_OK)
        flags_set(emulate, FLAG_STATUS, flags_result(value & source, size));
    return result;
}

enum emulate_result execute_test(struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    unsigned size = in->operand_size;
    if (in->has_modrm)
        return test_rm(emulate, register_read(emulate, in->reg, size));
    flags_set(emulate, FLAG_STATUS,
              flags_result(register_read(emulate, X86_RAX, size) & in->immediate, size));
    return EMULATE_OK;
}

/* NOT, NEG, INC, DEC of ModRM.rm. */
static enum emulate_result unary(struct emulate *emulate, unsigned operation) {
    enum { UNARY_INC, UNARY_DEC, UNARY_NOT, UNARY_NEG };
    unsigned size = emulate->instruction.operand_size;
    struct operand operand;
    uint64_t old, value, flags = 0, mask = 0;
    enum emulate_result result = operand_rm(emulate, size, EMULATE_WRITE, &operand);
    if (result == EMULATE_OK)
        result = operand_read(emulate, &operand, &old);
    if (result != EMULATE_OK)
        return result;
    for (unsigned tries = 0; tries < LOCK_TRIES; tries++) {
        switch (operation) {
        case UNARY_INC:
            value = compute(ALU_ADD, old, 1, size, 0, &flags);
            mask = FLAG_STATUS & ~FLAG_CF;
            break;
        case UNARY_DEC:
            value = compute(ALU_SUB, old, 1, size, 0, &flags);
            mask = FLAG_STATUS & ~FLAG_CF;
            break;
        case UNARY_NOT:
            value = ~old;
            break;
        default:
            value = compute(ALU_SUB, 0, old, size, 0, &flags);
            mask = FLAG_STATUS;
            break;
        }
        result = operand_update(emulate, &operand, &old, value);
        if (result == EMULATE_CHANGED)
            continue;
        if (result == EMULATE_OK)
            flags_set(emulate, mask, flags);
        return result;
    }
    return EMULATE_RETRY;
}

enum emulate_result execute_inc_dec(struct emulate *emulate) { /* 40-4F outside 64-bit mode */
    const struct emulate_instruction *in = &emulate->instruction;
    unsigned number = in->opcode & 7, size = in->operand_size;
    uint64_t flags;
    uint64_t value =
        compute(in->opcode & 8 ? ALU_SUB : ALU_ADD, register_read(emulate, number, size), 1, size, 0, &flags);
    register_write(emulate, number, size, value);
    flags_set(emulate, FLAG_STATUS & ~FLAG_CF, flags);
    return EMULATE_OK;
}

enum emulate_result execute_group3(struct emulate *emulate) {
    unsigned group = emulate->instruction.modrm >> 3 & 7, size = emulate->instruction.operand_size;
    if (group < 2)
        return test_rm(emulate, emulate->instruction.immediate);
    if (group < 4)
        return unary(emulate, group);
    struct operand operand;
    uint64_t value;
    enum emulate_result result = operand_rm(emulate, size, 0, &operand);
    if (result == EMULATE_OK)
        result = operand_read(emulate, &operand, &value);
    return result == EMULATE_OK ? execute_multiply_divide(emulate, value) : result;
}

enum emulate_result execute_group45(struct emulate *emulate) {
    unsigned group = emulate->instruction.modrm >> 3 & 7;
    if (group < 2)
        return unary(emulate, group);
    if (emulate->instruction.operand_size == 1 || group == 7)
        return emulate_raise(emulate, VECTOR_UD, 0);
    if (group == 6)
        return execute_push(emulate);
    return execute_call_jump(emulate);
}

enum emulate_result execute_xadd(struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    unsigned size = in->operand_size;
    struct operand operand;
    uint64_t old, flags, source = register_read(emulate, in->reg, size);
    enum emulate_result result = operand_rm(emulate, size, EMULATE_WRITE, &operand);
    if (result == EMULATE_OK)
        result = operand_read(emulate, &operand, &old);
    if (result != EMULATE_OK)
        return result;
    for (unsigned tries = 0; tries < LOCK_TRIES; tries++) {
        uint64_t value = compute(ALU_ADD, old, source, size, 0, &flags);
        if (operand.memory) {
            result = operand_update(emulate, &operand, &old, value);
            if (result == EMULATE_CHANGED)
                continue;
            if (result != EMULATE_OK)
                return result;
            register_write(emulate, in->reg, size, old);
        } else { /* XADD of a register with itself leaves the sum */
            register_write(emulate, in->reg, size, old);
            register_write(emulate, in->rm, size, value);
        }
        flags_set(emulate, FLAG_STATUS, flags);
        return EMULATE_OK;
    }
    return EMULATE_RETRY;
}

enum emulate_result execute_cmpxchg(struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    unsigned size = in->operand_size;
    struct operand operand;
    uint64_t old, flags, source = register_read(emulate, in->reg, size);
    uint64_t expected = register_read(emulate, X86_RAX, size);
    enum emulate_result result = operand_rm(emulate, size, EMULATE_WRITE, &operand);
    if (result == EMULATE_OK)
        result = operand_read(emulate, &operand, &old);
    if (result != EMULATE_OK)
        return result;
    for (unsigned tries = 0; tries < LOCK_TRIES; tries++) {
        bool equal = old == expected;
        compute(ALU_CMP, expected, old, size, 0, &flags);
        /* Memory is written in either case (SDM, CMPXCHG); a register is not: it would lose its upper half.
         */
        if (operand.memory || equal) {
            uint64_t found = old;
            result = operand_update(emulate, &operand, &old, equal ? source : found);
            if (result == EMULATE_CHANGED)
                continue;
            if (result != EMULATE_OK)
                return result;
        }
        if (!equal)
            register_write(emulate, X86_RAX, size, old);
        flags_set(emulate, FLAG_STATUS, flags);
        return EMULATE_OK;
    }
    return EMULATE_RETRY;
}

enum emulate_result execute_cmpxchg8b(struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    if ((in->modrm >> 3 & 7) != 1 || !in->memory)
        return EMULATE_UNHANDLED; /* RDRAND, RDSEED, XSAVEC, VMPTRLD, ... */
    unsigned half = in->operand_size == 8 ? 8 : 4;
    uint64_t *gpr = emulate->registers->gpr, offset = operand_address(emulate);
    struct span span;
    if (half == 8) {
        uint64_t linear;
        enum emulate_result checked =
            segment_linear(emulate, in->segment, offset, 16, EMULATE_WRITE, &linear);
        if (checked != EMULATE_OK)
            return checked;
        if (linear & 15)
            return emulate_raise(emulate, VECTOR_GP, 0);
    }
    enum emulate_result result = span_prepare(emulate, in->segment, offset, 2 * half, EMULATE_WRITE, &span);
    if (result != EMULATE_OK)
        return result;
    if (in->lock && span.first != span.size && span_is_ram(emulate, &span))
        return EMULATE_UNHANDLED;

    uint8_t old[16], expected[16], desired[16];
    memcpy(expected, &gpr[X86_RAX], half);
    memcpy(expected + half, &gpr[X86_RDX], half);
    memcpy(desired, &gpr[X86_RBX], half);
    memcpy(desired + half, &gpr[X86_RCX], half);
    memcpy(old, expected, sizeof(old));
    bool equal;
    result = in->lock ? span_exchange(emulate, &span, old, desired) : EMULATE_UNHANDLED;
    if (result == EMULATE_UNHANDLED) {
        result = span_read(emulate, &span, old);
        if (result != EMULATE_OK)
            return result;
        equal = memcmp(old, expected, 2 * half) == 0;
        result = span_write(emulate, &span, equal ? desired : old);
        if (result != EMULATE_OK)
            return result;
    } else {
        equal = result == EMULATE_OK;
    }
    if (!equal) {
        gpr[X86_RAX] = 0;
        gpr[X86_RDX] = 0;
        memcpy(&gpr[X86_RAX], old, half);
        memcpy(&gpr[X86_RDX], old + half, half);
    }
    flags_set(emulate, FLAG_ZF, equal ? FLAG_ZF : 0);
    return EMULATE_OK;
}
