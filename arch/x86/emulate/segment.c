// SPDX-License-Identifier: Apache-2.0
// Modes, segment checks and segment loads (Intel SDM vol. 3 ch. 5, AMD APM vol. 2 ch. 4).
#include "arch/x86/emulate/internal.h"

#include <errno.h>

#define TYPE_ACCESSED 0x1u
#define TYPE_WRITABLE 0x2u /* data: writable; code: readable */
#define TYPE_DOWN     0x4u /* data: expand-down; code: conforming */
#define TYPE_CODE     0x8u

enum emulate_result emulate_raise(struct emulate *emulate, unsigned vector, uint32_t error) {
    static const uint32_t with_error =
        1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 17;
    emulate->fault.vector = (uint8_t)vector;
    emulate->fault.has_error = (with_error >> vector & 1) && (emulate->system->cr0 & CR0_PE);
    emulate->fault.error = emulate->fault.has_error ? error : 0;
    return EMULATE_FAULT;
}

void emulate_find_mode(struct emulate *emulate) {
    const struct x86_system *system = emulate->system;
    unsigned attributes = system->segment[X86_CS].attributes;
    if (!(system->cr0 & CR0_PE)) {
        emulate->mode = EMULATE_REAL;
        emulate->code_size = 2;
    } else if ((system->efer & EFER_LMA) && (attributes & X86_SEG_L)) {
        emulate->mode = EMULATE_LONG;
        emulate->code_size = 8;
    } else if ((emulate->registers->rflags & FLAG_VM) && !(system->efer & EFER_LMA)) {
        emulate->mode = EMULATE_V86;
        emulate->code_size = 2;
    } else {
        emulate->mode = EMULATE_PROTECTED;
        emulate->code_size = attributes & X86_SEG_DB ? 4 : 2;
    }
    /* Unreal mode can even have a 32-bit code segment; the CPU decodes by the cached D bit there. */
    if (emulate->mode == EMULATE_REAL && (attributes & X86_SEG_DB))
        emulate->code_size = 4;
}

bool emulate_canonical(const struct emulate *emulate, uint64_t address) {
    unsigned shift = emulate->system->cr4 & CR4_LA57 ? 7 : 16;
    return (uint64_t)((int64_t)(address << shift) >> shift) == address;
}

/* The slow half of segment_linear(): anything but a flat-enough expand-up segment. */
static bool segment_allows(const struct emulate *emulate, const struct x86_segment *segment, uint64_t offset,
                           unsigned size, unsigned access) {
    unsigned type = segment->attributes & X86_SEG_TYPE_MASK;
    if (emulate->mode == EMULATE_PROTECTED) {
        if (!(segment->attributes & X86_SEG_P))
            return false; /* a null selector: engines show it as not present */
        if (type & TYPE_CODE) {
            if ((access & EMULATE_WRITE) || !(type & TYPE_WRITABLE))
                return false;
        } else if ((access & EMULATE_WRITE) && !(type & TYPE_WRITABLE)) {
            return false;
        }
    }
    if ((type & (TYPE_CODE | TYPE_DOWN)) == TYPE_DOWN && emulate->mode == EMULATE_PROTECTED) {
        uint64_t top = segment->attributes & X86_SEG_DB ? 0xffffffffu : 0xffffu;
        return offset > segment->limit && offset + size - 1 <= top;
    }
    return offset + size - 1 <= segment->limit;
}

enum emulate_result segment_linear(struct emulate *emulate, unsigned name, uint64_t offset, unsigned size,
                                   unsigned access, uint64_t *linear) {
    const struct x86_segment *segment = &emulate->system->segment[name];
    if (emulate->mode == EMULATE_LONG) {
        uint64_t address = name >= X86_FS ? segment->base + offset : offset;
        *linear = address;
        if (__builtin_expect(
                emulate_canonical(emulate, address) && emulate_canonical(emulate, address + size - 1), 1))
            return EMULATE_OK;
    } else {
        *linear = (uint32_t)(segment->base + offset);
        if (__builtin_expect(segment_allows(emulate, segment, offset, size, access), 1))
            return EMULATE_OK;
    }
    return emulate_raise(emulate, name == X86_SS ? VECTOR_SS : VECTOR_GP, 0);
}

enum emulate_result system_read(struct emulate *emulate, uint64_t linear, void *buffer, unsigned size) {
    uint8_t *to = buffer;
    while (size != 0) {
        unsigned piece = 0x1000 - (unsigned)(linear & 0xfff);
        if (piece > size)
            piece = size;
        uint64_t gpa;
        enum emulate_result result = emulate_walk(emulate, linear, EMULATE_IMPLICIT, &gpa);
        if (result != EMULATE_OK)
            return result;
        if (emulate->ops->read_guest(emulate->context, gpa, to, piece) != 0)
            return EMULATE_UNHANDLED;
        to += piece;
        linear += piece;
        size -= piece;
    }
    return EMULATE_OK;
}

/* Sets a descriptor's accessed bit in memory, atomically. */
static enum emulate_result set_accessed(struct emulate *emulate, uint64_t linear, uint64_t *descriptor) {
    uint64_t gpa;
    enum emulate_result result = emulate_walk(emulate, linear + 5, EMULATE_WRITE | EMULATE_IMPLICIT, &gpa);
    if (result != EMULATE_OK)
        return result;
    for (unsigned tries = 0; tries < LOCK_TRIES; tries++) {
        uint8_t expected = (uint8_t)(*descriptor >> 40), desired = expected | TYPE_ACCESSED;
        int changed = emulate->ops->cmpxchg_guest(emulate->context, gpa, 1, &expected, &desired);
        if (changed < 0)
            return EMULATE_UNHANDLED;
        if (changed == 0) {
            *descriptor |= (uint64_t)TYPE_ACCESSED << 40;
            return EMULATE_OK;
        }
        if ((expected ^ (*descriptor >> 40)) & ~TYPE_ACCESSED & 0xff)
            return EMULATE_RETRY; /* another descriptor by now: check it anew */
        *descriptor |= (uint64_t)TYPE_ACCESSED << 40;
    }
    return EMULATE_RETRY;
}

/* SS in 64-bit mode may be loaded with a null selector below CPL 3 whose RPL is the CPL. */
static enum emulate_result load_null(struct emulate *emulate, unsigned name, uint16_t selector) {
    struct x86_system *system = emulate->system;
    struct x86_segment *segment = &system->segment[name];
    if (name == X86_SS &&
        (emulate->mode != EMULATE_LONG || system->cpl == 3 || (selector & 3) != system->cpl))
        return emulate_raise(emulate, VECTOR_GP, 0);
    segment->selector = selector;
    segment->attributes = name == X86_SS ? (uint16_t)(system->cpl << X86_SEG_DPL_SHIFT) : 0;
    segment->base = 0;
    segment->limit = 0;
    return EMULATE_OK;
}

enum emulate_result segment_load(struct emulate *emulate, unsigned name, uint16_t selector) {
    struct x86_system *system = emulate->system;
    struct x86_segment *segment = &system->segment[name];
    if (emulate->mode == EMULATE_REAL || emulate->mode == EMULATE_V86) {
        segment->selector = selector;
        segment->base = (uint64_t)selector
                        << 4; /* limit and attributes stay: that is what unreal mode lives on */
        return EMULATE_OK;
    }
    if ((selector & 0xfffc) == 0)
        return load_null(emulate, name, selector);

    uint32_t error = selector & 0xfffcu, offset = selector & 0xfff8u;
    uint64_t table = system->gdtr.base, limit = system->gdtr.limit, descriptor;
    if (selector & 4) {
        if (!(system->segment[X86_LDTR].attributes & X86_SEG_P))
            return emulate_raise(emulate, VECTOR_GP, error);
        table = system->segment[X86_LDTR].base;
        limit = system->segment[X86_LDTR].limit;
    }
    if (offset + 7 > limit)
        return emulate_raise(emulate, VECTOR_GP, error);
    uint64_t linear = table + offset;
    if (!(system->efer & EFER_LMA))
        linear = (uint32_t)linear;
    enum emulate_result result = system_read(emulate, linear, &descriptor, sizeof(descriptor));
    if (result != EMULATE_OK)
        return result;

    unsigned attributes = (unsigned)(descriptor >> 40 & 0xff) | (unsigned)(descriptor >> 52 & 0xf) << 8;
    unsigned type = attributes & X86_SEG_TYPE_MASK, dpl = attributes >> X86_SEG_DPL_SHIFT & 3,
             rpl = selector & 3;
    bool code = type & TYPE_CODE;
    if (!(attributes & X86_SEG_S))
        return emulate_raise(emulate, VECTOR_GP, error);
    if (name == X86_SS) {
        if (code || !(type & TYPE_WRITABLE) || rpl != system->cpl || dpl != system->cpl)
            return emulate_raise(emulate, VECTOR_GP, error);
    } else {
        if (code && !(type & TYPE_WRITABLE))
            return emulate_raise(emulate, VECTOR_GP, error);
        if (!(code && (type & TYPE_DOWN)) && (rpl > dpl || system->cpl > dpl))
            return emulate_raise(emulate, VECTOR_GP, error);
    }
    if (!(attributes & X86_SEG_P))
        return emulate_raise(emulate, name == X86_SS ? VECTOR_SS : VECTOR_NP, error);
    if (!(type & TYPE_ACCESSED)) {
        result = set_accessed(emulate, linear, &descriptor);
        if (result != EMULATE_OK)
            return result;
        attributes |= TYPE_ACCESSED;
    }
    uint32_t raw = (uint32_t)(descriptor & 0xffff) | (uint32_t)(descriptor >> 32 & 0xf0000);
    segment->selector = selector;
    segment->attributes = (uint16_t)attributes;
    segment->limit = attributes & X86_SEG_G ? raw << 12 | 0xfff : raw;
    segment->base = (descriptor >> 16 & 0xffffff) | (descriptor >> 32 & 0xff000000u);
    return EMULATE_OK;
}
