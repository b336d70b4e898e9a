// SPDX-License-Identifier: Apache-2.0
// MUL, IMUL, DIV, IDIV (Intel SDM vol. 2). No 128-bit division: a freestanding build has no library for it.
#include "arch/x86/emulate/internal.h"

static void multiply_flags(struct emulate *emulate, uint64_t low, unsigned size, bool overflow) {
    uint64_t flags = (flags_result(low, size) & (FLAG_SF | FLAG_PF)) | (overflow ? FLAG_CF | FLAG_OF : 0);
    flags_set(emulate, FLAG_STATUS, flags);
}

/* Writes a double-width result or quotient and remainder: AX, or DX:AX, EDX:EAX, RDX:RAX. */
static void write_pair(struct emulate *emulate, unsigned size, uint64_t low, uint64_t high) {
    if (size == 1) {
        register_write(emulate, X86_RAX, 2, (low & 0xff) | high << 8);
        return;
    }
    register_write(emulate, X86_RAX, size, low);
    register_write(emulate, X86_RDX, size, high);
}

static void multiply(struct emulate *emulate, uint64_t a, uint64_t b, unsigned size, bool is_signed) {
    uint64_t low, high;
    bool overflow;
    if (is_signed) {
        __int128 product = (__int128)(int64_t)sign_extend(a, size) * (int64_t)sign_extend(b, size);
        low = (uint64_t)product;
        high = size == 8 ? (uint64_t)(product >> 64) : low >> 8 * size;
        overflow = product != (int64_t)sign_extend(low, size);
    } else {
        unsigned __int128 product = (unsigned __int128)a * b;
        low = (uint64_t)product;
        high = size == 8 ? (uint64_t)(product >> 64) : low >> 8 * size;
        overflow = high != 0;
    }
    write_pair(emulate, size, low, high);
    multiply_flags(emulate, low, size, overflow);
}

/* high:low / divisor, high < divisor: one bit of the quotient at a time. */
static uint64_t divide_long(uint64_t high, uint64_t low, uint64_t divisor, uint64_t *remainder) {
    if (high == 0) {
        *remainder = low % divisor;
        return low / divisor;
    }
    uint64_t quotient = 0;
    for (unsigned i = 0; i < 64; i++) {
        bool carry = high >> 63;
        high = high << 1 | low >> 63;
        low <<= 1;
        quotient <<= 1;
        if (carry || high >= divisor) {
            high -= divisor;
            quotient |= 1;
        }
    }
    *remainder = high;
    return quotient;
}

static enum emulate_result divide(struct emulate *emulate, uint64_t divisor, unsigned size, bool is_signed) {
    uint64_t low = register_read(emulate, X86_RAX, size == 1 ? 2 : size), high = 0;
    if (size == 1) {
        high = low >> 8;
        low &= 0xff;
    } else {
        high = register_read(emulate, X86_RDX, size);
    }
    bool negative = is_signed && (high & size_sign(size)),
         divisor_negative = is_signed && (divisor & size_sign(size));
    uint64_t mask = size_mask(size);
    if (negative) { /* two's complement of high:low within 2 * size bytes */
        low = -low & mask;
        high = (~high + (low == 0)) & mask;
    }
    if (divisor_negative)
        divisor = -divisor & mask;
    if (high >= divisor)
        return emulate_raise(emulate, VECTOR_DE, 0);
    uint64_t quotient, remainder;
    if (size == 8) {
        quotient = divide_long(high, low, divisor, &remainder);
    } else {
        uint64_t dividend = high << 8 * size | low;
        quotient = dividend / divisor;
        remainder = dividend % divisor;
    }
    if (is_signed) {
        bool quotient_negative = negative != divisor_negative;
        if (quotient > size_sign(size) - (quotient_negative ? 0 : 1))
            return emulate_raise(emulate, VECTOR_DE, 0);
        if (quotient_negative)
            quotient = -quotient;
        if (negative)
            remainder = -remainder;
    }
    write_pair(emulate, size, quotient, remainder);
    return EMULATE_OK;
}

/* F6, F7 /4-7 */
enum emulate_result execute_multiply_divide(struct emulate *emulate, uint64_t value) {
    unsigned size = emulate->instruction.operand_size, group = emulate->instruction.modrm >> 3 & 7;
    if (group >= 6)
        return divide(emulate, value, size, group == 7);
    multiply(emulate, register_read(emulate, X86_RAX, size), value, size, group == 5);
    return EMULATE_OK;
}

/* 0F AF, 69, 6B */
enum emulate_result execute_imul(struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    unsigned size = in->operand_size;
    struct operand operand;
    uint64_t source;
    enum emulate_result result = operand_rm(emulate, size, 0, &operand);
    if (result == EMULATE_OK)
        result = operand_read(emulate, &operand, &source);
    if (result != EMULATE_OK)
        return result;
    uint64_t other = in->opcode < 0x100 ? in->immediate : register_read(emulate, in->reg, size);
    __int128 product = (__int128)(int64_t)sign_extend(source, size) * (int64_t)sign_extend(other, size);
    uint64_t low = (uint64_t)product;
    register_write(emulate, in->reg, size, low);
    multiply_flags(emulate, low, size, product != (int64_t)sign_extend(low, size));
    return EMULATE_OK;
}
