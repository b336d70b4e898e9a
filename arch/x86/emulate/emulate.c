// SPDX-License-Identifier: Apache-2.0
// Entry points of the emulator: set-up, one instruction, stepping over one.
#include "arch/x86/emulate/internal.h"

static const handler_function handlers[HANDLER_COUNT] = {
    [HANDLER_ALU] = execute_alu,
    [HANDLER_ALU_IMMEDIATE] = execute_alu_immediate,
    [HANDLER_TEST] = execute_test,
    [HANDLER_GROUP3] = execute_group3,
    [HANDLER_GROUP45] = execute_group45,
    [HANDLER_INC_DEC] = execute_inc_dec,
    [HANDLER_XCHG] = execute_xchg,
    [HANDLER_XADD] = execute_xadd,
    [HANDLER_CMPXCHG] = execute_cmpxchg,
    [HANDLER_CMPXCHG8B] = execute_cmpxchg8b,
    [HANDLER_IMUL] = execute_imul,
    [HANDLER_SHIFT] = execute_shift,
    [HANDLER_DOUBLE_SHIFT] = execute_double_shift,
    [HANDLER_BIT] = execute_bit,
    [HANDLER_BIT_SCAN] = execute_bit_scan,
    [HANDLER_BSWAP] = execute_bswap,
    [HANDLER_MOV] = execute_mov,
    [HANDLER_MOV_IMMEDIATE] = execute_mov_immediate,
    [HANDLER_MOV_OFFSET] = execute_mov_offset,
    [HANDLER_MOV_SEGMENT] = execute_mov_segment,
    [HANDLER_MOV_EXTEND] = execute_mov_extend,
    [HANDLER_MOVBE] = execute_movbe,
    [HANDLER_MOVNTI] = execute_movnti,
    [HANDLER_LEA] = execute_lea,
    [HANDLER_SETCC] = execute_setcc,
    [HANDLER_CMOV] = execute_cmov,
    [HANDLER_CONVERT] = execute_convert,
    [HANDLER_FLAG] = execute_flag,
    [HANDLER_PUSH] = execute_push,
    [HANDLER_POP] = execute_pop,
    [HANDLER_NOP] = execute_nop,
    [HANDLER_FENCE] = execute_fence,
    [HANDLER_STRING] = execute_string,
    [HANDLER_INS_OUTS] = execute_ins_outs,
    [HANDLER_IN_OUT] = execute_in_out,
    [HANDLER_VECTOR] = execute_vector,
};

/* Handlers that make exactly one data access, and a plain one: the CPU's guest-physical address can stand for
 * the walk. */
#define ONE_ACCESS                                                                                           \
    (1ull << HANDLER_MOV | 1ull << HANDLER_MOV_IMMEDIATE | 1ull << HANDLER_MOV_OFFSET |                      \
     1ull << HANDLER_MOV_EXTEND | 1ull << HANDLER_MOVBE | 1ull << HANDLER_MOVNTI | 1ull << HANDLER_TEST |    \
     1ull << HANDLER_VECTOR)
_Static_assert(HANDLER_COUNT <= 64, "ONE_ACCESS is a 64-bit set");

void emulate_init(struct emulate *emulate, struct x86_registers *registers, struct x86_system *system,
                  const struct emulate_ops *ops, void *context, unsigned physical_bits) {
    memset(emulate, 0, sizeof(*emulate));
    emulate->registers = registers;
    emulate->system = system;
    emulate->ops = ops;
    emulate->context = context;
    emulate->physical_mask = (1ull << physical_bits) - 1;
    emulate->xcr0 = 1;
    emulate->epoch = 1;
    emulate->code.linear = UINT64_MAX;
}

void emulate_cancel(struct emulate *emulate) {
    emulate->replay.count = 0;
    emulate->replay.next = 0;
}

void emulate_skip(struct emulate *emulate, unsigned length) {
    struct x86_registers *registers = emulate->registers;
    const struct x86_system *system = emulate->system;
    registers->rip += length;
    if (!(system->efer & EFER_LMA) || !(system->segment[X86_CS].attributes & X86_SEG_L))
        registers->rip = (uint32_t)registers->rip;
    registers->rflags &= ~(uint64_t)FLAG_RF;
    emulate->debug_trap = registers->rflags & FLAG_TF;
}

enum emulate_result emulate_one(struct emulate *emulate) {
    struct emulate_replay *replay = &emulate->replay;
    struct x86_registers *registers = emulate->registers;
    replay->next = 0;
    if (replay->rip != registers->rip)
        replay->count = 0;
    emulate->interrupt_shadow = false;
    emulate->debug_trap = false;

    enum emulate_result result = emulate_decode(emulate);
    if (result == EMULATE_OK) {
        unsigned handler = emulate->instruction.handler;
        if (!(ONE_ACCESS >> handler & 1))
            emulate->gpa_valid = false;
        result = handlers[handler] ? handlers[handler](emulate) : EMULATE_UNHANDLED;
    }
    emulate->gpa_valid = false;
    switch ((unsigned)result) {
    case EMULATE_OK:
        replay->count = 0;
        emulate_skip(emulate, emulate->instruction.length);
        return EMULATE_OK;
    case EMULATE_JUMPED:
        replay->count = 0;
        registers->rflags &= ~(uint64_t)FLAG_RF;
        emulate->debug_trap = registers->rflags & FLAG_TF;
        return EMULATE_OK;
    case EMULATE_STAY:
        emulate->debug_trap = true;
        return EMULATE_OK;
    case EMULATE_RETRY:
        replay->rip = registers->rip;
        return EMULATE_RETRY;
    default:
        replay->count = 0;
        return result;
    }
}

unsigned emulate_peek(struct emulate *emulate, uint8_t *buffer, unsigned size) {
    const struct x86_segment *code = &emulate->system->segment[X86_CS];
    struct emulate_fault fault = emulate->fault;
    unsigned done = 0;
    emulate_find_mode(emulate);
    while (done < size) {
        uint64_t offset = emulate->registers->rip + done, gpa;
        uint64_t linear = emulate->mode == EMULATE_LONG ? offset : (uint32_t)(code->base + offset);
        unsigned piece = 0x1000 - (unsigned)(linear & 0xfff);
        if (piece > size - done)
            piece = size - done;
        if (emulate_walk(emulate, linear, EMULATE_EXECUTE | EMULATE_PEEK, &gpa) != EMULATE_OK ||
            emulate->ops->read_guest(emulate->context, gpa, buffer + done, piece) != 0)
            break;
        done += piece;
    }
    emulate->fault = fault;
    return done;
}
