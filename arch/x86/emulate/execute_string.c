// SPDX-License-Identifier: Apache-2.0
// MOVS, CMPS, STOS, LODS, SCAS, INS, OUTS with their REP prefixes; IN and OUT; the I/O permission check.
#include "arch/x86/emulate/internal.h"

/* The page of the last access by one of a string instruction's two operands: good for as long as the
 * instruction runs. */
struct string_page {
    uint64_t linear, gpa;
    bool valid;
};

static enum emulate_result string_span(struct emulate *emulate, unsigned segment, uint64_t offset,
                                       unsigned access, struct string_page *page, struct span *span) {
    unsigned size = emulate->instruction.operand_size;
    uint64_t linear;
    enum emulate_result result = segment_linear(emulate, segment, offset, size, access, &linear);
    if (result != EMULATE_OK)
        return result;
    if ((linear & 0xfff) + size > 0x1000 || !page->valid || page->linear != linear >> 12) {
        page->valid = false;
        result = span_prepare(emulate, segment, offset, size, access, span);
        if (result == EMULATE_OK && span->first == size) {
            page->linear = linear >> 12;
            page->gpa = span->gpa[0] & ~0xfffull;
            page->valid = true;
        }
        return result;
    }
    /* Alignment within the page was decided by the first access: steps are whole operands. */
    span->gpa[0] = page->gpa | (linear & 0xfff);
    span->first = span->size = (uint8_t)size;
    return EMULATE_OK;
}

struct string_state {
    struct string_page source, destination;
    bool uses_source, uses_destination;
    uint16_t port; /* INS, OUTS */
};

static void compare(struct emulate *emulate, uint64_t a, uint64_t b, unsigned size) {
    uint64_t result = a - b, borrows = (~a & b) | ((~a | b) & result), overflow = (a ^ b) & (a ^ result);
    uint64_t sign = size_sign(size);
    flags_set(emulate, FLAG_STATUS,
              flags_result(result, size) | (borrows & sign ? FLAG_CF : 0) | (borrows & 8 ? FLAG_AF : 0) |
                  (overflow & sign ? FLAG_OF : 0));
}

/* One iteration, SI and DI not yet moved. Both operands are translated before either is touched. */
static enum emulate_result string_step(struct emulate *emulate, struct string_state *state) {
    const struct emulate_instruction *in = &emulate->instruction;
    const uint64_t *gpr = emulate->registers->gpr;
    unsigned kind = in->opcode & 0xfe, size = in->operand_size;
    uint64_t mask = size_mask(in->address_size), value = 0, other = 0;
    bool writes = kind == 0xa4 || kind == 0xaa || kind == 0x6c;
    struct span source, destination;
    enum emulate_result result = EMULATE_OK;
    if (state->uses_source) {
        unsigned segment = in->override == EMULATE_NO_SEGMENT ? X86_DS : in->override;
        result = string_span(emulate, segment, gpr[X86_RSI] & mask, 0, &state->source, &source);
    }
    if (result == EMULATE_OK && state->uses_destination)
        result = string_span(emulate, X86_ES, gpr[X86_RDI] & mask, writes ? EMULATE_WRITE : 0,
                             &state->destination, &destination);
    if (result == EMULATE_OK && state->uses_source)
        result = span_read_value(emulate, &source, &value);
    if (result != EMULATE_OK)
        return result;
    switch (kind) {
    case 0xa4: /* MOVS */
        return span_write_value(emulate, &destination, value);
    case 0xaa: /* STOS */
        return span_write_value(emulate, &destination, gpr[X86_RAX]);
    case 0xac: /* LODS */
        register_write(emulate, X86_RAX, size, value);
        return EMULATE_OK;
    case 0xa6: /* CMPS */
        result = span_read_value(emulate, &destination, &other);
        if (result == EMULATE_OK)
            compare(emulate, value, other, size);
        return result;
    case 0xae: /* SCAS */
        result = span_read_value(emulate, &destination, &other);
        if (result == EMULATE_OK)
            compare(emulate, register_read(emulate, X86_RAX, size), other, size);
        return result;
    case 0x6c: /* INS */
        result = device_access(emulate, DEVICE_PORT | state->port, size, false, &value);
        return result == EMULATE_OK ? span_write_value(emulate, &destination, value) : result;
    default: /* OUTS */
        return device_access(emulate, DEVICE_PORT | state->port, size, true, &value);
    }
}

static enum emulate_result string_run(struct emulate *emulate, struct string_state *state) {
    const struct emulate_instruction *in = &emulate->instruction;
    uint64_t *gpr = emulate->registers->gpr, *rflags = &emulate->registers->rflags;
    unsigned address = in->address_size, kind = in->opcode & 0xfe;
    uint64_t mask = size_mask(address),
             step = *rflags & FLAG_DF ? -(uint64_t)in->operand_size : in->operand_size;
    unsigned devices = 0;
    if (in->repeat && (gpr[X86_RCX] & mask) == 0)
        return EMULATE_OK;
    for (unsigned done = 0; done < EMULATE_REP_LIMIT; done++) {
        enum emulate_result result = string_step(emulate, state);
        if (result != EMULATE_OK) {
            if (result == EMULATE_RETRY && done != 0)
                *rflags |= FLAG_RF;
            return result;
        }
        if (state->uses_source)
            register_write(emulate, X86_RSI, address, gpr[X86_RSI] + step);
        if (state->uses_destination)
            register_write(emulate, X86_RDI, address, gpr[X86_RDI] + step);
        if (!in->repeat)
            return EMULATE_OK;
        devices += emulate->replay.next;
        emulate_cancel(emulate); /* this iteration's device accesses are done for good */
        uint64_t left = (gpr[X86_RCX] - 1) & mask;
        register_write(emulate, X86_RCX, address, left);
        if (left == 0)
            return EMULATE_OK;
        if ((kind == 0xa6 || kind == 0xae) && !(*rflags & FLAG_ZF) == (in->repeat == 0xf3))
            return EMULATE_OK;
        if ((*rflags & FLAG_TF) || devices >= EMULATE_DEVICE_LIMIT)
            break;
    }
    /* Between iterations: an interrupt taken here is to see RF set, as the CPU does it (SDM vol.
     * 3, 17.3.1.1). */
    *rflags |= FLAG_RF;
    return *rflags & FLAG_TF ? EMULATE_STAY : EMULATE_RETRY;
}

enum emulate_result execute_string(struct emulate *emulate) {
    unsigned kind = emulate->instruction.opcode & 0xfe;
    struct string_state state;
    state.source.valid = false;
    state.destination.valid = false;
    state.uses_source = kind == 0xa4 || kind == 0xa6 || kind == 0xac;
    state.uses_destination = kind != 0xac;
    state.port = 0;
    return string_run(emulate, &state);
}

/* May the current code use this port? The TSS's bitmap decides above IOPL and always in virtual-8086 mode
 * (SDM vol. 1, 19.5.2). */
static enum emulate_result port_check(struct emulate *emulate, uint16_t port, unsigned size) {
    const struct x86_system *system = emulate->system;
    const struct x86_segment *task = &system->segment[X86_TR];
    if (emulate->mode == EMULATE_REAL)
        return EMULATE_OK;
    if (emulate->mode != EMULATE_V86 && system->cpl <= (emulate->registers->rflags & FLAG_IOPL) >> 12)
        return EMULATE_OK;
    unsigned type = task->attributes & X86_SEG_TYPE_MASK;
    uint16_t base, bits;
    if (!(task->attributes & X86_SEG_P) || (type != 9 && type != 11) || task->limit < 0x67)
        return emulate_raise(emulate, VECTOR_GP, 0);
    uint64_t long_mask = system->efer & EFER_LMA ? ~0ull : 0xffffffffull;
    enum emulate_result result = system_read(emulate, (task->base + 0x66) & long_mask, &base, sizeof(base));
    if (result != EMULATE_OK)
        return result;
    uint64_t offset = (uint64_t)base + port / 8;
    if (offset + 1 > task->limit)
        return emulate_raise(emulate, VECTOR_GP, 0);
    result = system_read(emulate, (task->base + offset) & long_mask, &bits, sizeof(bits));
    if (result != EMULATE_OK)
        return result;
    return bits >> (port & 7) & ((1u << size) - 1) ? emulate_raise(emulate, VECTOR_GP, 0) : EMULATE_OK;
}

enum emulate_result execute_ins_outs(struct emulate *emulate) {
    struct emulate_instruction *in = &emulate->instruction;
    bool out = in->opcode & 2;
    struct string_state state;
    if (out ? !emulate->ops->io_write : !emulate->ops->io_read)
        return EMULATE_UNHANDLED;
    if (in->operand_size == 8)
        in->operand_size = 4; /* REX.W does not widen a port */
    state.source.valid = false;
    state.destination.valid = false;
    state.uses_source = out;
    state.uses_destination = !out;
    state.port = (uint16_t)emulate->registers->gpr[X86_RDX];
    enum emulate_result result = port_check(emulate, state.port, in->operand_size);
    return result == EMULATE_OK ? string_run(emulate, &state) : result;
}

enum emulate_result execute_in_out(struct emulate *emulate) {
    struct emulate_instruction *in = &emulate->instruction;
    bool out = in->opcode & 2;
    if (out ? !emulate->ops->io_write : !emulate->ops->io_read)
        return EMULATE_UNHANDLED;
    if (in->operand_size == 8)
        in->operand_size = 4;
    uint16_t port = in->opcode & 8 ? (uint16_t)emulate->registers->gpr[X86_RDX] : (uint8_t)in->immediate;
    enum emulate_result result = port_check(emulate, port, in->operand_size);
    if (result != EMULATE_OK)
        return result;
    uint64_t value = register_read(emulate, X86_RAX, in->operand_size);
    result = device_access(emulate, DEVICE_PORT | port, in->operand_size, out, &value);
    if (result == EMULATE_OK && !out)
        register_write(emulate, X86_RAX, in->operand_size, value);
    return result;
}
