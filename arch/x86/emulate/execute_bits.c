// SPDX-License-Identifier: Apache-2.0
// Shifts, rotates, double shifts, bit tests and bit scans.
// Undefined flags: shifts clear AF and compute OF as for a count of 1; rotates likewise; BT leaves all but
// CF; BSF and BSR change ZF alone; a 16-bit double shift by more than 16 takes its bits from the destination
// again (as Intel's CPUs do).
#include "arch/x86/emulate/internal.h"

enum shift { SHIFT_ROL, SHIFT_ROR, SHIFT_RCL, SHIFT_RCR, SHIFT_SHL, SHIFT_SHR, SHIFT_SAL, SHIFT_SAR };

/* Rotates of a value that has `bits` bits (carry included for RCL and RCR); 0 < count < bits <= 65. */
static unsigned __int128 rotate_left(unsigned __int128 value, unsigned count, unsigned bits) {
    unsigned __int128 mask = ((unsigned __int128)1 << bits) - 1;
    return (value << count | value >> (bits - count)) & mask;
}

static uint64_t rotate(enum shift operation, uint64_t value, unsigned count, unsigned size, uint64_t *flags) {
    unsigned bits = 8 * size, carry_in = *flags & FLAG_CF ? 1 : 0;
    bool left = operation == SHIFT_ROL || operation == SHIFT_RCL;
    uint64_t sign = size_sign(size), carry;
    if (operation == SHIFT_ROL || operation == SHIFT_ROR) {
        count %= bits;
        if (count != 0)
            value = (uint64_t)rotate_left(value, left ? count : bits - count, bits);
        carry = left ? value & 1 : (value & sign) != 0;
    } else {
        count %= bits + 1;
        unsigned __int128 wide = (unsigned __int128)carry_in << bits | value;
        if (count != 0)
            wide = rotate_left(wide, left ? count : bits + 1 - count, bits + 1);
        value = (uint64_t)wide & size_mask(size);
        carry = (uint64_t)(wide >> bits) & 1;
    }
    bool top = value & sign, second = value & sign >> 1;
    bool overflow = left ? top != carry : top != second;
    *flags = (*flags & ~(uint64_t)(FLAG_CF | FLAG_OF)) | (carry ? FLAG_CF : 0) | (overflow ? FLAG_OF : 0);
    return value;
}

/* count is 1-63, already masked; value has no bits above size. *flags: status flags in and out. */
static uint64_t shift(enum shift operation, uint64_t value, unsigned count, unsigned size, uint64_t *flags) {
    unsigned bits = 8 * size;
    uint64_t result;
    bool carry, overflow;
    switch (operation) {
    case SHIFT_SHL:
    case SHIFT_SAL:
        carry = count <= bits && (value >> (bits - count) & 1);
        result = value << count & size_mask(size);
        overflow = ((result & size_sign(size)) != 0) != carry;
        break;
    case SHIFT_SHR:
        carry = value >> (count - 1) & 1;
        result = value >> count;
        overflow = (value & size_sign(size)) != 0;
        break;
    case SHIFT_SAR: {
        int64_t extended = (int64_t)sign_extend(value, size);
        carry = extended >> (count - 1) & 1;
        result = (uint64_t)(extended >> count) & size_mask(size);
        overflow = false;
        break;
    }
    default:
        return rotate(operation, value, count, size, flags);
    }
    *flags = flags_result(result, size) | (carry ? FLAG_CF : 0) | (overflow ? FLAG_OF : 0);
    return result;
}

enum emulate_result execute_shift(struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    unsigned size = in->operand_size, count;
    if (in->opcode < 0xd0)
        count = (unsigned)in->immediate;
    else
        count = in->opcode < 0xd2 ? 1 : (unsigned)emulate->registers->gpr[X86_RCX];
    count &= size == 8 ? 63 : 31;
    struct operand operand;
    uint64_t old;
    enum emulate_result result = operand_rm(emulate, size, EMULATE_WRITE, &operand);
    if (result == EMULATE_OK)
        result = operand_read(emulate, &operand, &old);
    if (result != EMULATE_OK)
        return result;
    uint64_t flags = emulate->registers->rflags & FLAG_STATUS, value = old;
    if (count != 0)
        value = shift(in->modrm >> 3 & 7, old, count, size, &flags);
    result = operand_write(emulate, &operand, value);
    if (result == EMULATE_OK)
        flags_set(emulate, FLAG_STATUS, flags);
    return result;
}

enum emulate_result execute_double_shift(struct emulate *emulate) { /* SHLD A4, A5; SHRD AC, AD */
    const struct emulate_instruction *in = &emulate->instruction;
    unsigned size = in->operand_size, bits = 8 * size;
    unsigned count = in->opcode & 1 ? (unsigned)emulate->registers->gpr[X86_RCX] : (unsigned)in->immediate;
    bool left = !(in->opcode & 8);
    count &= size == 8 ? 63 : 31;
    struct operand operand;
    uint64_t old, source = register_read(emulate, in->reg, size);
    enum emulate_result result = operand_rm(emulate, size, EMULATE_WRITE, &operand);
    if (result == EMULATE_OK)
        result = operand_read(emulate, &operand, &old);
    if (result != EMULATE_OK)
        return result;
    uint64_t value = old, flags = emulate->registers->rflags & FLAG_STATUS;
    if (count != 0) {
        bool carry;
        if (size == 2) { /* destination : source : destination, 48 bits */
            uint64_t wide = old << 32 | source << 16 | old;
            if (left) {
                carry = wide >> (48 - count) & 1;
                value = wide << count >> 32 & 0xffff;
            } else {
                carry = wide >> (count - 1) & 1;
                value = wide >> count & 0xffff;
            }
        } else if (left) {
            carry = old >> (bits - count) & 1;
            value = (old << count | source >> (bits - count)) & size_mask(size);
        } else {
            carry = old >> (count - 1) & 1;
            value = (old >> count | source << (bits - count)) & size_mask(size);
        }
        flags = flags_result(value, size) | (carry ? FLAG_CF : 0) |
                ((old ^ value) & size_sign(size) ? FLAG_OF : 0);
    }
    result = operand_write(emulate, &operand, value);
    if (result == EMULATE_OK)
        flags_set(emulate, FLAG_STATUS, flags);
    return result;
}

/* BT, BTS, BTR, BTC with a register (a signed bit number that reaches beyond the operand in memory) or an
 * immediate. */
enum emulate_result execute_bit(struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    enum { BIT_TEST = 4, BIT_SET, BIT_RESET, BIT_COMPLEMENT };
    unsigned size = in->operand_size, bits = 8 * size, operation;
    uint64_t number, offset = 0;
    if (in->opcode == EMULATE_OPCODE(1, 0xba)) {
        operation = in->modrm >> 3 & 7;
        if (operation < BIT_TEST)
            return emulate_raise(emulate, VECTOR_UD, 0);
        number = in->immediate;
    } else {
        operation = in->opcode >> 3 & 7;
        number = register_read(emulate, in->reg, size);
        int64_t unit = (int64_t)sign_extend(number, size) >> (size == 8 ? 6 : size == 4 ? 5 : 4);
        offset = (uint64_t)unit * size;
    }
    uint64_t bit = 1ull << (number & (bits - 1));

    struct operand operand = {.memory = in->memory, .locked = in->lock, .reg = in->rm, .size = (uint8_t)size};
    unsigned access = operation == BIT_TEST ? 0 : EMULATE_WRITE;
    enum emulate_result result = EMULATE_OK;
    uint64_t old;
    if (in->memory)
        result = span_prepare(emulate, in->segment,
                              (operand_address(emulate) + offset) & size_mask(in->address_size), size, access,
                              &operand.span);
    if (result == EMULATE_OK)
        result = operand_read(emulate, &operand, &old);
    if (result != EMULATE_OK)
        return result;
    for (unsigned tries = 0; tries < LOCK_TRIES; tries++) {
        uint64_t found = old;
        uint64_t value = operation == BIT_SET ? old | bit : operation == BIT_RESET ? old & ~bit : old ^ bit;
        if (operation != BIT_TEST)
            result = operand_update(emulate, &operand, &old, value);
        if (result == EMULATE_CHANGED)
            continue;
        if (result == EMULATE_OK)
            flags_set(emulate, FLAG_CF, found & bit ? FLAG_CF : 0);
        return result;
    }
    return EMULATE_RETRY;
}

/* Counting loops instead of builtins: these may become library calls in a freestanding build. */
static unsigned count_trailing(uint64_t value) { /* value != 0 */
    unsigned count = 0;
    for (; !(value & 1); value >>= 1)
        count++;
    return count;
}

static unsigned highest_bit(uint64_t value) { /* value != 0 */
    unsigned count = 0;
    while (value >>= 1)
        count++;
    return count;
}

static unsigned count_ones(uint64_t value) {
    unsigned count = 0;
    for (; value != 0; value &= value - 1)
        count++;
    return count;
}

/* BSF, BSR; with F3: POPCNT, TZCNT, LZCNT, as on every CPU that has them, whatever CPUID was made to say. */
enum emulate_result execute_bit_scan(struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    unsigned size = in->operand_size, bits = 8 * size, byte = in->opcode & 0xff;
    bool counting = in->repeat == 0xf3;
    if (byte == 0xb8 && !counting)
        return EMULATE_UNHANDLED;
    struct operand operand;
    uint64_t source, value;
    enum emulate_result result = operand_rm(emulate, size, 0, &operand);
    if (result == EMULATE_OK)
        result = operand_read(emulate, &operand, &source);
    if (result != EMULATE_OK)
        return result;
    if (byte == 0xb8) {
        register_write(emulate, in->reg, size, count_ones(source));
        flags_set(emulate, FLAG_STATUS, source == 0 ? FLAG_ZF : 0);
        return EMULATE_OK;
    }
    if (counting) {
        value = source == 0 ? bits : byte == 0xbc ? count_trailing(source) : bits - 1 - highest_bit(source);
        register_write(emulate, in->reg, size, value);
        flags_set(emulate, FLAG_CF | FLAG_ZF, (source == 0 ? FLAG_CF : 0) | (value == 0 ? FLAG_ZF : 0));
        return EMULATE_OK;
    }
    if (source != 0) /* else the destination stays (APM vol. 3, BSF) */
        register_write(emulate, in->reg, size, byte == 0xbc ? count_trailing(source) : highest_bit(source));
    flags_set(emulate, FLAG_ZF, source == 0 ? FLAG_ZF : 0);
    return EMULATE_OK;
}
