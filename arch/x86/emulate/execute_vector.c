// SPDX-License-Identifier: Apache-2.0
// SSE, SSE2 and AVX moves between vector registers and memory. The others, MMX and EVEX included, are not
// executed.
#include "arch/x86/emulate/internal.h"

#define PREFIX_NONE 0u
#define PREFIX_66   1u
#define PREFIX_F3   2u
#define PREFIX_F2   3u

/* What a form moves. */
struct form {
    uint8_t size; /* bytes in memory; 0: the vector's whole length */
    bool store;
    bool aligned; /* #GP unless the operand is aligned to its size */
    bool memory_only;
    bool high;    /* bits 127-64 of the register */
    bool merge;   /* a load leaves the rest of the register, even from memory */
    bool general; /* the other operand is a general register */
};

static bool find_form(const struct emulate_instruction *in, struct form *form) {
    unsigned prefix = in->repeat == 0xf3     ? PREFIX_F3
                      : in->repeat == 0xf2   ? PREFIX_F2
                      : in->operand_override ? PREFIX_66
                                             : PREFIX_NONE;
    bool plain = prefix == PREFIX_NONE || prefix == PREFIX_66;
    *form = (struct form){0};
    switch (in->opcode) {
    case EMULATE_OPCODE(1, 0x10): /* MOVUPS, MOVUPD, MOVSS, MOVSD */
    case EMULATE_OPCODE(1, 0x11):
        form->store = in->opcode & 1;
        form->size = prefix == PREFIX_F3 ? 4 : prefix == PREFIX_F2 ? 8 : 0;
        return !(in->vex && form->size && !in->memory); /* three operands there */
    case EMULATE_OPCODE(1, 0x12):                       /* MOVLPS, MOVLPD, MOVHPS, MOVHPD */
    case EMULATE_OPCODE(1, 0x16):
        form->merge = true;
        form->high = in->opcode & 4;
        form->size = 8;
        return plain && in->memory && !in->vex;
    case EMULATE_OPCODE(1, 0x13):
    case EMULATE_OPCODE(1, 0x17):
        form->store = true;
        form->high = in->opcode & 4;
        form->size = 8;
        form->memory_only = true;
        return plain;
    case EMULATE_OPCODE(1, 0x28): /* MOVAPS, MOVAPD */
    case EMULATE_OPCODE(1, 0x29):
        form->store = in->opcode & 1;
        form->aligned = true;
        return plain;
    case EMULATE_OPCODE(1, 0x2b): /* MOVNTPS, MOVNTPD */
        form->store = form->aligned = form->memory_only = true;
        return plain;
    case EMULATE_OPCODE(1, 0x6e): /* MOVD, MOVQ */
        form->general = true;
        form->size = in->rex & 8 ? 8 : 4;
        return prefix == PREFIX_66;
    case EMULATE_OPCODE(1, 0x7e):
        form->general = form->store = prefix == PREFIX_66;
        form->size = prefix == PREFIX_F3 || (in->rex & 8) ? 8 : 4;
        return prefix == PREFIX_66 || prefix == PREFIX_F3;
    case EMULATE_OPCODE(1, 0x6f): /* MOVDQA, MOVDQU */
    case EMULATE_OPCODE(1, 0x7f):
        form->store = in->opcode & 0x10;
        form->aligned = prefix == PREFIX_66;
        return prefix == PREFIX_66 || prefix == PREFIX_F3;
    case EMULATE_OPCODE(1, 0xd6): /* MOVQ */
        form->store = true;
        form->size = 8;
        return prefix == PREFIX_66;
    case EMULATE_OPCODE(1, 0xe7): /* MOVNTDQ */
        form->store = form->aligned = form->memory_only = true;
        return prefix == PREFIX_66;
    case EMULATE_OPCODE(1, 0xf0): /* LDDQU */
        form->memory_only = true;
        return prefix == PREFIX_F2;
    default: /* 0F 38 2A, MOVNTDQA */
        form->aligned = form->memory_only = true;
        return prefix == PREFIX_66;
    }
}

static enum emulate_result check_state(struct emulate *emulate) {
    const struct x86_system *system = emulate->system;
    if (emulate->instruction.vex) {
        if (!(system->cr4 & CR4_OSXSAVE) || (emulate->xcr0 & 6) != 6)
            return emulate_raise(emulate, VECTOR_UD, 0);
    } else if ((system->cr0 & CR0_EM) || !(system->cr4 & CR4_OSFXSR)) {
        return emulate_raise(emulate, VECTOR_UD, 0);
    }
    return system->cr0 & CR0_TS ? emulate_raise(emulate, VECTOR_NM, 0) : EMULATE_OK;
}

/* The register side of a load: `size` bytes of data at `data`, the rest of its 32 zero. */
static void vector_load(struct emulate *emulate, const struct form *form, unsigned number,
                        const uint8_t *data, unsigned size, bool merge) {
    const struct emulate_ops *ops = emulate->ops;
    if (emulate->instruction.vex) {
        ops->vector_write(emulate->context, number, data, 32);
        return;
    }
    uint8_t value[16];
    memcpy(value, data, sizeof(value));
    if (merge) {
        ops->vector_read(emulate->context, number, value, sizeof(value));
        memcpy(value + (form->high ? 8 : 0), data, size);
    }
    ops->vector_write(emulate->context, number, value, sizeof(value));
}

static enum emulate_result register_form(struct emulate *emulate, const struct form *form, unsigned size) {
    const struct emulate_instruction *in = &emulate->instruction;
    const struct emulate_ops *ops = emulate->ops;
    uint8_t data[32] = {0};
    unsigned width = size > 16 ? 32 : 16, from = form->store ? in->reg : in->rm,
             to = form->store ? in->rm : in->reg;
    uint64_t value = 0;
    if (form->general && form->store) {
        ops->vector_read(emulate->context, from, data, 16);
        memcpy(&value, data, size);
        register_write(emulate, to, size, value);
        return EMULATE_OK;
    }
    if (form->general) {
        value = register_read(emulate, from, size);
        memcpy(data, &value, sizeof(value));
    } else {
        ops->vector_read(emulate->context, from, data, width);
        memset(data + size, 0, sizeof(data) - size);
    }
    /* MOVSS and MOVSD between registers keep the rest; MOVQ clears it. */
    bool merge = in->opcode == EMULATE_OPCODE(1, 0x10) || in->opcode == EMULATE_OPCODE(1, 0x11);
    vector_load(emulate, form, to, data, size, merge && size < 16);
    return EMULATE_OK;
}

enum emulate_result execute_vector(struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    const struct emulate_ops *ops = emulate->ops;
    struct form form;
    if (!ops->vector_read || !ops->vector_write || !find_form(in, &form))
        return EMULATE_UNHANDLED;
    if (form.memory_only && !in->memory)
        return emulate_raise(emulate, VECTOR_UD, 0);
    if (in->vex) {
        /* VEX.vvvv must be unused. Parts of a vector need L = 0, except that scalar moves ignore it. */
        bool scalar = in->opcode == EMULATE_OPCODE(1, 0x10) || in->opcode == EMULATE_OPCODE(1, 0x11);
        if (in->vvvv != 0 || (form.size != 0 && !scalar && in->vector_length != 0))
            return emulate_raise(emulate, VECTOR_UD, 0);
    }
    enum emulate_result result = check_state(emulate);
    if (result != EMULATE_OK)
        return result;
    unsigned size = form.size ? form.size : in->vector_length ? 32 : 16;
    if (!in->memory)
        return register_form(emulate, &form, size);

    uint64_t offset = operand_address(emulate);
    unsigned access = form.store ? EMULATE_WRITE : 0;
    struct span span;
    uint8_t data[32] = {0};
    if (form.aligned) {
        uint64_t linear;
        result = segment_linear(emulate, in->segment, offset, size, access, &linear);
        if (result != EMULATE_OK)
            return result;
        if (linear & (size - 1))
            return emulate_raise(emulate, VECTOR_GP, 0);
    }
    result = span_prepare(emulate, in->segment, offset, size, access, &span);
    if (result != EMULATE_OK)
        return result;
    if (form.store) {
        ops->vector_read(emulate->context, in->reg, data, size > 16 ? 32 : 16);
        return span_write(emulate, &span, data + (form.high ? 8 : 0));
    }
    result = span_read(emulate, &span, data);
    if (result == EMULATE_OK)
        vector_load(emulate, &form, in->reg, data, size, form.merge);
    return result;
}
