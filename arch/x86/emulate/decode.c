// SPDX-License-Identifier: Apache-2.0
// Fetch and decode: prefixes, opcode, ModRM, SIB, displacement, immediates (Intel SDM vol. 2 ch. 2, AMD APM
// vol. 3 ch. 1).
#include "arch/x86/emulate/internal.h"

#define REX_B 1u
#define REX_X 2u
#define REX_R 4u
#define REX_W 8u

/* Makes bytes[0 .. end) valid, fetching page by page; past the 15th byte is #GP (APM vol. 3, 1.1). */
static enum emulate_result fetch(struct emulate *emulate, unsigned end) {
    while (emulate->fetched < end) {
        if (emulate->fetched == EMULATE_INSTRUCTION_MAX)
            return emulate_raise(emulate, VECTOR_GP, 0);
        unsigned have = emulate->fetched, room = EMULATE_INSTRUCTION_MAX - have;
        uint64_t offset = emulate->registers->rip + have, linear;
        const struct x86_segment *code = &emulate->system->segment[X86_CS];
        if (emulate->mode == EMULATE_LONG) {
            if (!emulate_canonical(emulate, offset))
                return emulate_raise(emulate, VECTOR_GP, 0);
            linear = offset;
        } else {
            if (offset > code->limit)
                return emulate_raise(emulate, VECTOR_GP, 0);
            if (code->limit - offset < room)
                room = (unsigned)(code->limit - offset) + 1;
            linear = (uint32_t)(code->base + offset);
        }
        unsigned page = 0x1000 - (unsigned)(linear & 0xfff);
        if (room > page)
            room = page;
        uint64_t gpa;
        struct walk_trace trace;
        enum emulate_result result = walk_traced(emulate, linear, EMULATE_EXECUTE, &gpa, &trace);
        if (result != EMULATE_OK)
            return result;
        if (have == 0)
            code_keep(emulate, linear, gpa, &trace);
        if (emulate->ops->read_guest(emulate->context, gpa, emulate->bytes + have, room) != 0)
            return EMULATE_UNHANDLED;
        emulate->fetched = (uint8_t)(have + room);
    }
    return EMULATE_OK;
}

#define NEED(count)                                                                                          \
    do {                                                                                                     \
        if (__builtin_expect(at + (count) > emulate->fetched, 0)) {                                          \
            enum emulate_result need_result = fetch(emulate, at + (count));                                  \
            if (need_result != EMULATE_OK)                                                                   \
                return need_result;                                                                          \
        }                                                                                                    \
    } while (0)

/* Little-endian value at bytes[at], sign-extended. */
static uint64_t take(const struct emulate *emulate, unsigned at, unsigned size) {
    switch (size) {
    case 1:
        return (uint64_t)(int64_t)(int8_t)emulate->bytes[at];
    case 2: {
        int16_t value;
        memcpy(&value, emulate->bytes + at, sizeof(value));
        return (uint64_t)(int64_t)value;
    }
    case 4: {
        int32_t value;
        memcpy(&value, emulate->bytes + at, sizeof(value));
        return (uint64_t)(int64_t)value;
    }
    default: {
        uint64_t value;
        memcpy(&value, emulate->bytes + at, sizeof(value));
        return value;
    }
    }
}

static bool lock_legal(const struct emulate_instruction *in) {
    if (in->opcode == EMULATE_OPCODE(1, 0x20) || in->opcode == EMULATE_OPCODE(1, 0x22))
        return in->reg == 0; /* AMD's other spelling of MOV CR8 (APM vol. 3, MOV CRn) */
    if (!(in->attributes & OP_LOCK) || !in->memory)
        return false;
    unsigned group = in->modrm >> 3 & 7;
    switch (in->opcode) {
    case 0x80:
    case 0x81:
    case 0x82:
    case 0x83:
        return group != 7;
    case 0xf6:
    case 0xf7:
        return group == 2 || group == 3;
    case 0xfe:
    case 0xff:
        return group <= 1;
    case EMULATE_OPCODE(1, 0xba):
        return group >= 5;
    case EMULATE_OPCODE(1, 0xc7):
        return group == 1;
    default:
        return true;
    }
}

/* ModRM, SIB and displacement from bytes[*position]; moves it on. */
static enum emulate_result decode_modrm(struct emulate *emulate, struct emulate_instruction *in,
                                        unsigned *position) {
    unsigned at = *position;
    NEED(1);
    uint8_t modrm = emulate->bytes[at++];
    unsigned mod = modrm >> 6, rm = modrm & 7, displacement = 0;
    in->modrm = modrm;
    in->has_modrm = true;
    in->reg = (uint8_t)((modrm >> 3 & 7) | (in->rex & REX_R ? 8 : 0));
    in->rm = (uint8_t)(rm | (in->rex & REX_B ? 8 : 0));
    if (mod == 3 || (in->attributes & OP_REG)) {
        *position = at;
        return EMULATE_OK;
    }
    in->memory = true;
    unsigned segment = X86_DS;
    if (in->address_size == 2) {
        static const uint8_t bases[8] = {X86_RBX, X86_RBX, X86_RBP, X86_RBP,
                                         X86_RSI, X86_RDI, X86_RBP, X86_RBX};
        in->base = bases[rm];
        if (rm < 4)
            in->index = rm & 1 ? X86_RDI : X86_RSI;
        if (mod == 0 && rm == 6) {
            in->base = EMULATE_NO_REGISTER;
            displacement = 2;
        } else {
            if (in->base == X86_RBP)
                segment = X86_SS;
            displacement = mod; /* 0, 1 or 2 bytes */
        }
    } else {
        displacement = mod == 2 ? 4 : mod;
        if (rm == 4) {
            NEED(1);
            uint8_t sib = emulate->bytes[at++];
            unsigned index = (sib >> 3 & 7) | (in->rex & REX_X ? 8 : 0);
            in->scale = sib >> 6;
            in->index = index == 4 ? EMULATE_NO_REGISTER : (uint8_t)index;
            in->base = (uint8_t)((sib & 7) | (in->rex & REX_B ? 8 : 0));
            if ((sib & 7) == 5 && mod == 0) {
                in->base = EMULATE_NO_REGISTER;
                displacement = 4;
            }
        } else if (rm == 5 && mod == 0) {
            in->rip_relative = emulate->mode == EMULATE_LONG;
            displacement = 4;
        } else {
            in->base = in->rm;
        }
        if (in->base == X86_RSP || in->base == X86_RBP)
            segment = X86_SS;
    }
    in->segment = (uint8_t)(in->override == EMULATE_NO_SEGMENT ? segment : in->override);
    if (displacement != 0) {
        NEED(displacement);
        in->displacement = take(emulate, at, displacement);
        at += displacement;
    }
    *position = at;
    return EMULATE_OK;
}

/*
 * The rest of a VEX (C4, C5), EVEX (62) or XOP (8F) prefix and the opcode. bytes[at - 1] is the prefix's
 * first byte. Only the length matters to most callers; the 128- and 256-bit moves of VEX are executed.
 */
static enum emulate_result decode_extended(struct emulate *emulate, struct emulate_instruction *in,
                                           unsigned *position) {
    unsigned at = *position, first = emulate->bytes[at - 1], map = 1, pp;
    if (in->rex || in->lock || in->repeat || in->operand_override)
        return emulate_raise(emulate, VECTOR_UD, 0);
    unsigned extra = first == 0xc5 ? 1 : first == 0x62 ? 3 : 2;
    NEED(extra + 1);
    const uint8_t *payload = emulate->bytes + at;
    unsigned high = ~payload[0] & 0xe0u, vvvv;
    in->vex = true;
    if (first == 0xc5) {
        high &= 0x80;
        vvvv = ~payload[0] >> 3 & 15;
        in->vector_length = payload[0] >> 2 & 1;
        pp = payload[0] & 3;
    } else {
        map = payload[0] & 0x1f;
        vvvv = ~payload[1] >> 3 & 15;
        in->vector_length = payload[1] >> 2 & 1;
        pp = payload[1] & 3;
        if (payload[1] & 0x80)
            in->rex = REX_W;
    }
    if (first == 0x62) {
        map = payload[0] & 7;
        if ((payload[0] & 8) || !(payload[1] & 4))
            return EMULATE_UNHANDLED;
        in->evex = true;
        in->vector_length = payload[2] >> 5 & 3;
    }
    if (emulate->mode == EMULATE_LONG)
        in->rex |= (uint8_t)(0x40 | (high & 0x80 ? REX_R : 0) | (high & 0x40 ? REX_X : 0) |
                             (high & 0x20 ? REX_B : 0));
    in->vvvv = (uint8_t)vvvv;
    in->operand_override = pp == 1;
    in->repeat = pp == 2 ? 0xf3 : pp == 3 ? 0xf2 : 0;
    unsigned opcode = payload[extra];
    in->opcode = EMULATE_OPCODE(map, opcode);
    in->operand_size = in->rex & REX_W && emulate->mode == EMULATE_LONG ? 8 : 4;
    in->handler = HANDLER_NONE;
    in->attributes = OP_KNOWN | OP_MODRM;
    if (first == 0x8f) {
        if (map > 10)
            return EMULATE_UNHANDLED;
        if (map == 8)
            in->attributes |= OP_IMM8;
        else if (map == 10)
            in->attributes |= OP_IMMZ;
        if (map == 10)
            in->operand_size = 4; /* the immediate is 4 bytes whatever W says */
    } else if (map == 1) {
        if ((opcode >= 0x70 && opcode <= 0x73) || opcode == 0xc2 || (opcode >= 0xc4 && opcode <= 0xc6))
            in->attributes |= OP_IMM8;
        else if (opcode == 0x77 && first != 0x62)
            in->attributes = OP_KNOWN;
        if (first != 0x62 && emulate_map1[opcode].handler == HANDLER_VECTOR)
            in->handler = HANDLER_VECTOR;
    } else if (map == 3) {
        in->attributes |= OP_IMM8;
    } else if (map == 2) {
        if (first != 0x62 && opcode == 0x2a)
            in->handler = HANDLER_VECTOR;
    } else if (!(first == 0x62 && (map == 5 || map == 6))) {
        return EMULATE_UNHANDLED;
    }
    *position = at + extra + 1;
    return EMULATE_OK;
}

/* Is this C4, C5, 62 or 8F the start of a VEX, EVEX or XOP prefix? Needs the byte after it. */
static bool is_extended(const struct emulate *emulate, unsigned opcode, unsigned next) {
    if (opcode == 0x8f)
        return (next & 0x1f) >= 8 && emulate->mode >= EMULATE_PROTECTED;
    return emulate->mode == EMULATE_LONG || (emulate->mode == EMULATE_PROTECTED && next >= 0xc0);
}

/* Opcode bytes of the legacy maps, from bytes[*position]. */
static enum emulate_result decode_opcode(struct emulate *emulate, struct emulate_instruction *in,
                                         unsigned *position) {
    unsigned at = *position;
    unsigned byte = emulate->bytes[at - 1];
    if (byte != 0x0f) {
        if (byte == 0xc4 || byte == 0xc5 || byte == 0x62 || byte == 0x8f) {
            NEED(1);
            if (is_extended(emulate, byte, emulate->bytes[at]))
                return decode_extended(emulate, in, position);
        }
        in->opcode = (uint16_t)byte;
        in->attributes = emulate_map0[byte].attributes;
        in->handler = emulate_map0[byte].handler;
        return EMULATE_OK;
    }
    NEED(1);
    byte = emulate->bytes[at++];
    if (byte == 0x38 || byte == 0x3a) {
        NEED(1);
        unsigned map = byte == 0x38 ? 2 : 3;
        byte = emulate->bytes[at++];
        in->opcode = EMULATE_OPCODE(map, byte);
        in->attributes = OP_KNOWN | OP_MODRM | (map == 3 ? OP_IMM8 : 0);
        in->handler = HANDLER_NONE;
        if (map == 2 && (byte == 0xf0 || byte == 0xf1) && in->repeat != 0xf2)
            in->handler = HANDLER_MOVBE;
        else if (map == 2 && byte == 0x2a)
            in->handler = HANDLER_VECTOR;
        *position = at;
        return EMULATE_OK;
    }
    in->opcode = EMULATE_OPCODE(1, byte);
    in->attributes = emulate_map1[byte].attributes;
    in->handler = emulate_map1[byte].handler;
    if ((byte == 0x78 || byte == 0x79) && (in->operand_override || in->repeat))
        in->attributes = 0; /* SSE4a's EXTRQ and INSERTQ: not known here */
    *position = at;
    return EMULATE_OK;
}

static enum emulate_result decode_immediate(struct emulate *emulate, struct emulate_instruction *in,
                                            unsigned *position) {
    unsigned at = *position, attributes = in->attributes;
    unsigned z = in->operand_size == 2 ? 2 : 4, size;
    if ((attributes & OP_GROUP3) && (in->modrm >> 3 & 7) > 1)
        return EMULATE_OK;
    if (attributes & OP_MOFFS) {
        size = in->address_size;
        NEED(size);
        in->displacement = take(emulate, at, size);
        in->segment = in->override == EMULATE_NO_SEGMENT ? X86_DS : in->override;
        *position = at + size;
        return EMULATE_OK;
    }
    if (attributes & OP_FAR) {
        NEED(z + 2);
        in->immediate = take(emulate, at, z) & size_mask(z);
        in->second_immediate = (uint16_t)take(emulate, at + z, 2);
        *position = at + z + 2;
        return EMULATE_OK;
    }
    if (attributes & OP_IMM16) { /* RET, ENTER */
        NEED(2);
        in->immediate = take(emulate, at, 2) & 0xffff;
        at += 2;
        if (attributes & OP_IMM8) {
            NEED(1);
            in->second_immediate = emulate->bytes[at++];
        }
        *position = at;
        return EMULATE_OK;
    }
    size = attributes & OP_IMM8 ? 1 : attributes & OP_IMMZ ? z : in->operand_size == 1 ? 1 : in->operand_size;
    NEED(size);
    in->immediate = take(emulate, at, size);
    *position = at + size;
    return EMULATE_OK;
}

/* Takes note of a legacy prefix. false: it is none. */
static bool decode_prefix(struct emulate_instruction *in, unsigned byte, bool long_mode,
                          bool *address_override) {
    switch (byte) {
    case 0x66:
        in->operand_override = true;
        return true;
    case 0x67:
        *address_override = true;
        return true;
    case 0xf0:
        in->lock = true;
        return true;
    case 0xf2:
    case 0xf3:
        in->repeat = (uint8_t)byte;
        return true;
    case 0x64:
    case 0x65:
        in->override = byte == 0x64 ? X86_FS : X86_GS;
        return true;
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
        if (!long_mode) /* ignored there, and it does not undo an FS or GS prefix either */
            in->override = (uint8_t)(byte >> 3 & 3);
        return true;
    default:
        return false;
    }
}

/* .fetched bytes are there; more are fetched as they are needed. */
static enum emulate_result decode(struct emulate *emulate) {
    struct emulate_instruction *in = &emulate->instruction;
    unsigned at = 0, byte;
    bool address_override = false;
    bool long_mode = emulate->mode == EMULATE_LONG;
    in->immediate = 0;
    in->displacement = 0;
    in->second_immediate = 0;
    in->length = 0;
    in->modrm = 0;
    in->reg = 0;
    in->rm = 0;
    in->base = EMULATE_NO_REGISTER;
    in->index = EMULATE_NO_REGISTER;
    in->scale = 0;
    in->segment = X86_DS;
    in->override = EMULATE_NO_SEGMENT;
    in->rex = 0;
    in->repeat = 0;
    in->vector_length = 0;
    in->vvvv = 0;
    in->lock = false;
    in->operand_override = false;
    in->vex = false;
    in->evex = false;
    in->has_modrm = false;
    in->memory = false;
    in->rip_relative = false;

    for (;;) {
        NEED(1);
        byte = emulate->bytes[at++];
        if (byte >= 0x40 && byte <= 0x4f && long_mode) {
            in->rex = (uint8_t)byte;
            continue;
        }
        if (emulate_map0[byte].attributes != 0 || !decode_prefix(in, byte, long_mode, &address_override))
            break;
        in->rex = 0; /* a REX that is not the last prefix counts for nothing */
    }

    unsigned other = emulate->code_size == 4 ? 2 : 4; /* what 67 makes of 4, and of 2 or 8 */
    in->address_size = (uint8_t)(address_override ? other : emulate->code_size);
    enum emulate_result result = decode_opcode(emulate, in, &at);
    if (result != EMULATE_OK)
        return result;
    unsigned attributes = in->attributes;
    if (!(attributes & OP_KNOWN))
        return EMULATE_UNHANDLED;
    if (!in->vex) {
        if (attributes & OP_BYTE)
            in->operand_size = 1;
        else if (!long_mode)
            in->operand_size =
                (uint8_t)(in->operand_override ? (emulate->code_size == 4 ? 2 : 4) : emulate->code_size);
        else if ((in->rex & REX_W) || (attributes & OP_F64) ||
                 ((attributes & OP_D64) && !in->operand_override))
            in->operand_size = 8;
        else
            in->operand_size = in->operand_override ? 2 : 4;
        if (attributes & OP_REG)
            in->operand_size = long_mode ? 8 : 4;
        /* AMD and Intel differ on a near branch with 66 in 64-bit mode, down to its length. */
        if ((attributes & (OP_F64 | OP_IMMZ)) == (OP_F64 | OP_IMMZ) && long_mode && in->operand_override)
            return EMULATE_UNHANDLED;
    }
    if ((attributes & OP_NO64) && long_mode)
        return emulate_raise(emulate, VECTOR_UD, 0);
    if (attributes & OP_MODRM) {
        result = decode_modrm(emulate, in, &at);
        if (result != EMULATE_OK)
            return result;
        if ((attributes & OP_MEMORY) && !in->memory)
            return emulate_raise(emulate, VECTOR_UD, 0);
    }
    if (attributes & (OP_IMM8 | OP_IMM16 | OP_IMMZ | OP_IMMV | OP_MOFFS | OP_FAR)) {
        result = decode_immediate(emulate, in, &at);
        if (result != EMULATE_OK)
            return result;
    }
    if (in->lock) {
        if (!lock_legal(in))
            return emulate_raise(emulate, VECTOR_UD, 0);
        if (in->attributes & OP_REG)
            in->reg = 8;
    }
    in->length = (uint8_t)at;
    return EMULATE_OK;
}

enum emulate_result emulate_decode(struct emulate *emulate) {
    emulate_find_mode(emulate);
    if (emulate->bytes_count) {
        emulate->fetched =
            emulate->bytes_count <= EMULATE_INSTRUCTION_MAX ? emulate->bytes_count : EMULATE_INSTRUCTION_MAX;
        emulate->bytes_count = 0;
        return decode(emulate);
    }
    if (!code_fetch(emulate))
        emulate->fetched = 0;
    else if (code_find_decoded(emulate))
        return EMULATE_OK;
    enum emulate_result result = decode(emulate);
    if (result == EMULATE_OK)
        code_keep_decoded(emulate);
    return result;
}
