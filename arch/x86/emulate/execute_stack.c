// SPDX-License-Identifier: Apache-2.0
// PUSH, POP, and near CALL and JMP through a register or memory.
#include "arch/x86/emulate/internal.h"

static unsigned stack_size(const struct emulate *emulate) {
    if (emulate->mode == EMULATE_LONG)
        return 8;
    return emulate->mode != EMULATE_V86 && (emulate->system->segment[X86_SS].attributes & X86_SEG_DB) ? 4 : 2;
}

/* Operand size of FF /2, /4, /6, which default to 64 bits in 64-bit mode. */
static unsigned default_64(const struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    if (emulate->mode != EMULATE_LONG)
        return in->operand_size;
    return in->operand_override && !(in->rex & 8) ? 2 : 8;
}

/* Translates the slot that a push would write; *sp is RSP after it. */
static enum emulate_result push_prepare(struct emulate *emulate, unsigned size, struct span *span,
                                        uint64_t *sp) {
    *sp = (emulate->registers->gpr[X86_RSP] - size) & size_mask(stack_size(emulate));
    return span_prepare(emulate, X86_SS, *sp, size, EMULATE_WRITE, span);
}

enum emulate_result execute_push(struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    unsigned size = in->has_modrm ? default_64(emulate) : in->operand_size;
    struct operand operand = {.memory = false, .size = (uint8_t)size};
    struct span span;
    uint64_t value = in->immediate, sp;
    enum emulate_result result = EMULATE_OK;
    if (in->has_modrm)
        result = operand_rm(emulate, size, 0, &operand);
    else if (in->opcode < 0x60)
        operand.reg = (uint8_t)((in->opcode & 7) | (in->rex & 1) << 3);
    if (result == EMULATE_OK)
        result = push_prepare(emulate, size, &span, &sp);
    if (result == EMULATE_OK && (in->has_modrm || in->opcode < 0x60))
        result = operand_read(emulate, &operand, &value);
    if (result == EMULATE_OK)
        result = span_write_value(emulate, &span, value);
    if (result == EMULATE_OK)
        register_write(emulate, X86_RSP, stack_size(emulate), sp);
    return result;
}

enum emulate_result execute_pop(struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    unsigned size = in->operand_size, stack = stack_size(emulate);
    if (in->has_modrm && (in->modrm >> 3 & 7))
        return emulate_raise(emulate, VECTOR_UD, 0);
    uint64_t *rsp = &emulate->registers->gpr[X86_RSP], before = *rsp, value = 0;
    struct operand operand = {.memory = false, .size = (uint8_t)size};
    struct span span;
    enum emulate_result result = span_prepare(emulate, X86_SS, before & size_mask(stack), size, 0, &span);
    if (result != EMULATE_OK)
        return result;
    register_write(emulate, X86_RSP, stack, before + size); /* an address that uses RSP sees it incremented */
    if (in->has_modrm)
        result = operand_rm(emulate, size, EMULATE_WRITE, &operand);
    else
        operand.reg = (uint8_t)((in->opcode & 7) | (in->rex & 1) << 3);
    if (result == EMULATE_OK)
        result = span_read_value(emulate, &span, &value);
    if (result == EMULATE_OK)
        result = operand_write(emulate, &operand, value);
    if (result != EMULATE_OK)
        *rsp = before;
    return result;
}

/* FF /2 and /4; the far forms are not executed. */
enum emulate_result execute_call_jump(struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    unsigned group = in->modrm >> 3 & 7, size = default_64(emulate);
    bool call = group == 2;
    if ((group != 2 && group != 4) || (emulate->mode == EMULATE_LONG && size == 2))
        return EMULATE_UNHANDLED; /* with 66 in 64-bit mode AMD and Intel differ */
    struct operand operand;
    struct span span;
    uint64_t target, sp = 0, next = emulate->registers->rip + in->length;
    enum emulate_result result = operand_rm(emulate, size, 0, &operand);
    if (result == EMULATE_OK && call)
        result = push_prepare(emulate, size, &span, &sp);
    if (result == EMULATE_OK)
        result = operand_read(emulate, &operand, &target);
    if (result != EMULATE_OK)
        return result;
    if (emulate->mode == EMULATE_LONG ? !emulate_canonical(emulate, target)
                                      : target > emulate->system->segment[X86_CS].limit)
        return emulate_raise(emulate, VECTOR_GP, 0);
    if (call) {
        result = span_write_value(emulate, &span, next);
        if (result != EMULATE_OK)
            return result;
        register_write(emulate, X86_RSP, stack_size(emulate), sp);
    }
    emulate->registers->rip = target;
    return EMULATE_JUMPED;
}
