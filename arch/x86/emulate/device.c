// SPDX-License-Identifier: Apache-2.0
// The short way through the emulator: a plain move between a register or an immediate and a device's
// register, in 64-bit mode. Everything else goes through emulate_one().
#include "arch/x86/emulate/internal.h"

#include <errno.h>

/* What a move does at its memory operand. */
struct plain_move {
    bool write;
    bool extend;         /* sign-extend what was read */
    uint8_t size;        /* of the memory operand */
    uint8_t target_size; /* of the register read into */
    uint64_t value;      /* to write */
};

/* Is the instruction such a move? */
static inline bool plain_move(const struct emulate *emulate, struct plain_move *move) {
    const struct emulate_instruction *in = &emulate->instruction;

    if (!in->memory)
        return false;
    move->size = move->target_size = in->operand_size;
    move->extend = false;
    switch (in->handler) {
    case HANDLER_MOV:
        move->write = !(in->opcode & 2);
        if (move->write)
            move->value = register_read(emulate, in->reg, in->operand_size);
        return true;
    case HANDLER_MOV_IMMEDIATE:
        move->write = true;
        move->value = in->immediate & size_mask(in->operand_size);
        return !(in->modrm >> 3 & 7);
    case HANDLER_MOV_EXTEND:
        if (in->opcode == 0x63)
            return false;
        move->write = false;
        move->size = in->opcode & 1 ? 2 : 1;
        move->extend = in->opcode & 8;
        return true;
    default:
        return false;
    }
}

bool emulate_device(struct emulate *emulate, enum emulate_result *result) {
    const struct emulate_instruction *in = &emulate->instruction;
    struct x86_registers *registers = emulate->registers;
    struct emulate_replay *replay = &emulate->replay;
    struct plain_move move = {0};

    emulate_find_mode(emulate);
    /* A fault, a trap or an access in pieces that is half done: not here. */
    if (emulate->mode != EMULATE_LONG || (registers->rflags & (FLAG_TF | FLAG_RF)) ||
        (replay->count && replay->rip == registers->rip) || !code_fetch(emulate) ||
        !code_find_decoded(emulate) || !plain_move(emulate, &move))
        return false;
    /* Bases other than those of FS and GS are 0 in this mode. What the CPU has checked on its way to the
     * address, up to the guest's own tables, it has checked for the same direction. */
    if (in->segment >= X86_FS || move.write != emulate->gpa_write ||
        ((operand_address(emulate) ^ emulate->gpa) & 0xfff) || (emulate->gpa & 0xfff) + move.size > 0x1000)
        return false;
    emulate->gpa_valid = false;
    replay->count = 0;
    int error;
    uint64_t value = 0;
    if (move.write)
        error = emulate->ops->mmio_write(emulate->context, emulate->gpa, move.size, move.value);
    else
        error = emulate->ops->mmio_read(emulate->context, emulate->gpa, move.size, &value);
    if (__builtin_expect(error != 0, 0)) {
        *result = error == -EAGAIN ? EMULATE_RETRY : EMULATE_UNHANDLED;
        return true;
    }
    if (!move.write) {
        value &= size_mask(move.size);
        register_write(emulate, in->reg, move.target_size,
                       move.extend ? sign_extend(value, move.size) : value);
    }
    emulate->interrupt_shadow = false;
    emulate->debug_trap = false;
    registers->rip += in->length;
    *result = EMULATE_OK;
    return true;
}
