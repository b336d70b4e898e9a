// SPDX-License-Identifier: Apache-2.0
// The emulator's decoder against Zydis, an independent one: lengths and memory operands of every opcode with
// every ModRM byte, of structured and of random bytes, in 16-, 32- and 64-bit code; and
// emulate_fast_length().
// unit-sources: arch/x86/emulate/*.c
// unit-libs: -lZydis
#include "arch/x86/emulate/emulate.h"

#include <Zydis/Zydis.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t state = 0x123456789abcdefull;
static uint64_t random64(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545f4914f6cdd1dull;
}
static unsigned below(unsigned limit) {
    return (unsigned)(random64() >> 33) % limit;
}

/* Memory that takes everything: only what the instruction decodes to matters here. */
static int read_guest(void *context, uint64_t gpa, void *buffer, unsigned size) {
    (void)context, (void)gpa;
    memset(buffer, 0, size);
    return 0;
}
static int write_guest(void *context, uint64_t gpa, const void *buffer, unsigned size) {
    (void)context, (void)gpa, (void)buffer, (void)size;
    return 0;
}
static int cmpxchg_guest(void *context, uint64_t gpa, unsigned size, void *expected, const void *desired) {
    (void)context, (void)gpa, (void)size, (void)expected, (void)desired;
    return 0;
}
static int mmio_read(void *context, uint64_t gpa, unsigned size, uint64_t *value) {
    (void)context, (void)gpa, (void)size;
    *value = 0;
    return 0;
}
static int mmio_write(void *context, uint64_t gpa, unsigned size, uint64_t value) {
    (void)context, (void)gpa, (void)size, (void)value;
    return 0;
}
static int io_read(void *context, uint16_t port, unsigned size, uint32_t *value) {
    (void)context, (void)port, (void)size;
    *value = 0;
    return 0;
}
static int io_write(void *context, uint16_t port, unsigned size, uint32_t value) {
    (void)context, (void)port, (void)size, (void)value;
    return 0;
}
static void vector_read(void *context, unsigned number, void *value, unsigned size) {
    (void)context, (void)number;
    memset(value, 0, size);
}
static void vector_write(void *context, unsigned number, const void *value, unsigned size) {
    (void)context, (void)number, (void)value, (void)size;
}
static const struct emulate_ops ops = {read_guest, write_guest, cmpxchg_guest, mmio_read,   mmio_write,
                                       io_read,    io_write,    NULL,          vector_read, vector_write};

static struct x86_registers registers;
static struct x86_system machine;
static struct emulate emulator;
static ZydisDecoder decoders[3];
static unsigned mode; /* 0: 16 bits, 1: 32, 2: 64 */

static void set_mode(unsigned new_mode) {
    mode = new_mode;
    machine.cr0 = 0x33;
    machine.cr4 = 0x40600;
    machine.efer = mode == 2 ? 0x500 : 0;
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++) {
        machine.segment[i].attributes = 0xc93;
        machine.segment[i].limit = 0xffffffffu;
        machine.segment[i].selector = 8;
    }
    machine.segment[X86_CS].attributes = mode == 2 ? 0xa9b : mode == 1 ? 0xc9b : 0x89b;
}

static int set_up(void **unused) {
    (void)unused;
    assert_true(
        ZYAN_SUCCESS(ZydisDecoderInit(&decoders[0], ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16)));
    assert_true(
        ZYAN_SUCCESS(ZydisDecoderInit(&decoders[1], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32)));
    assert_true(
        ZYAN_SUCCESS(ZydisDecoderInit(&decoders[2], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)));
    emulate_init(&emulator, &registers, &machine, &ops, NULL, 52);
    emulator.xcr0 = 7;
    return 0;
}

static void report(const uint8_t *code, const char *what, unsigned ours, unsigned theirs) {
    fprintf(stderr, "%s: ours %u, Zydis %u, mode %u:", what, ours, theirs, mode);
    for (unsigned i = 0; i < 15; i++)
        fprintf(stderr, " %02x", code[i]);
    fprintf(stderr, "\n");
}
static unsigned failures;
#define MISMATCH(what, ours, theirs)                                                                         \
    do {                                                                                                     \
        report(code, what, (unsigned)(ours), (unsigned)(theirs));                                            \
        if (++failures >= 20)                                                                                \
            fail();                                                                                          \
        return;                                                                                              \
    } while (0)

static unsigned gpr_of(ZydisRegister name) {
    if (name == ZYDIS_REGISTER_NONE)
        return EMULATE_NO_REGISTER;
    ZyanI8 id = ZydisRegisterGetId(name);
    return id < 0 ? 0xfe : (unsigned)id;
}

static void compare_memory(const uint8_t *code, const ZydisDecodedInstruction *z,
                           const ZydisDecodedOperand *operands) {
    const struct emulate_instruction *in = &emulator.instruction;
    for (unsigned i = 0; i < z->operand_count_visible; i++) {
        const ZydisDecodedOperand *operand = &operands[i];
        if (operand->type != ZYDIS_OPERAND_TYPE_MEMORY)
            continue;
        if (operand->visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT ||
            operand->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM || in->evex)
            return;
        if (!in->memory)
            MISMATCH("memory operand", 0, 1);
        bool relative = operand->mem.base == ZYDIS_REGISTER_RIP || operand->mem.base == ZYDIS_REGISTER_EIP;
        if (in->rip_relative != relative)
            MISMATCH("RIP-relative", in->rip_relative, relative);
        /* SIB.base 5 with mod 0 is no base whatever REX.B says (SDM vol. 2, table 2-5); Zydis 4.0.0 forgets
         * that after a 67 prefix. */
        bool no_base = mode == 2 && in->address_size == 4 && in->base == EMULATE_NO_REGISTER &&
                       in->modrm >> 6 == 0 && operand->mem.base == ZYDIS_REGISTER_R13D;
        if (!relative && !no_base && in->base != gpr_of(operand->mem.base))
            MISMATCH("base", in->base, gpr_of(operand->mem.base));
        if (ZydisRegisterGetClass(operand->mem.index) <= ZYDIS_REGCLASS_GPR64 &&
            in->index != gpr_of(operand->mem.index))
            MISMATCH("index", in->index, gpr_of(operand->mem.index));
        if (operand->mem.index != ZYDIS_REGISTER_NONE && 1u << in->scale != operand->mem.scale)
            MISMATCH("scale", 1u << in->scale, operand->mem.scale);
        uint64_t mask = ~0ull >> (64 - 8 * in->address_size);
        if (operand->mem.disp.has_displacement &&
            ((in->displacement ^ (uint64_t)operand->mem.disp.value) & mask))
            MISMATCH("displacement", in->displacement, operand->mem.disp.value);
        unsigned segment = (unsigned)(operand->mem.segment - ZYDIS_REGISTER_ES);
        bool same = in->segment == segment || (mode == 2 && in->segment < X86_FS && segment < X86_FS);
        if (z->attributes & ZYDIS_ATTRIB_HAS_NOTRACK) /* 3E has another meaning to Zydis there */
            same = true;
        if (operand->mem.type != ZYDIS_MEMOP_TYPE_AGEN && operand->mem.type != ZYDIS_MEMOP_TYPE_MIB && !same)
            MISMATCH("segment", in->segment, segment);
        return;
    }
}

/* Instructions of Xeon Phi's first generation only, in VEX encodings that mean nothing, or something else, on
 * every other CPU. */
static bool foreign(const ZydisDecodedInstruction *z) {
    switch (z->mnemonic) {
    case ZYDIS_MNEMONIC_JKZD:
    case ZYDIS_MNEMONIC_JKNZD:
        return true;
    default:
        return z->encoding == ZYDIS_INSTRUCTION_ENCODING_MVEX || z->meta.isa_ext == ZYDIS_ISA_EXT_KNC;
    }
}

/* Forms that Zydis knows and we leave undecoded on purpose. */
static bool left_out(const ZydisDecodedInstruction *z) {
    switch (z->meta.category) {
    case ZYDIS_CATEGORY_PADLOCK:
    case ZYDIS_CATEGORY_COND_BR:
    case ZYDIS_CATEGORY_UNCOND_BR:
    case ZYDIS_CATEGORY_CALL:
        /* near branches with 66 in 64-bit mode, where AMD and Intel differ */
        return z->meta.category == ZYDIS_CATEGORY_PADLOCK ||
               (mode == 2 && (z->attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE));
    default:
        break;
    }
    return z->mnemonic == ZYDIS_MNEMONIC_EXTRQ || z->mnemonic == ZYDIS_MNEMONIC_INSERTQ;
}

static unsigned agreed, executed;

static void compare(const uint8_t *code) {
    ZydisDecodedInstruction z;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    ZyanStatus status = ZydisDecoderDecodeFull(&decoders[mode], code, 15, &z, operands);
    memcpy(emulator.bytes, code, 15);
    emulator.bytes_count = 15;
    registers.rip = 0x1000;
    enum emulate_result result = emulate_decode(&emulator);
    const struct emulate_instruction *in = &emulator.instruction;

    if (ZYAN_SUCCESS(status)) {
        if (foreign(&z))
            return;
        if (result == EMULATE_OK) {
            if (in->length != z.length)
                MISMATCH("length", in->length, z.length);
            compare_memory(code, &z, operands);
            agreed++;
        } else if (result == EMULATE_UNHANDLED) {
            if (!left_out(&z))
                MISMATCH("not decoded", 0, z.mnemonic);
        } else {
            MISMATCH("fault", emulator.fault.vector, z.mnemonic);
        }
        return;
    }
    if (status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG || status == ZYDIS_STATUS_NO_MORE_DATA) {
        /* An unknown or illegal form may be seen as such before its end. */
        if (result == EMULATE_OK)
            MISMATCH("too long", in->length, 16);
        return;
    }
    if (result != EMULATE_OK || in->handler == 0)
        return;
    /* Zydis calls it invalid: executing it must not succeed. */
    memset(&registers, 0, sizeof(registers));
    registers.rip = 0x1000;
    memcpy(emulator.bytes, code, 15);
    emulator.bytes_count = 15;
    result = emulate_one(&emulator);
    executed++;
    if (result == EMULATE_OK || result == EMULATE_RETRY)
        MISMATCH("executes what is invalid", in->opcode, status);
}

static void every_modrm(void **unused) {
    (void)unused;
    static const char *const prefixes[] = {"",     "\x66",     "\x67",     "\xf2", "\xf3",
                                           "\x48", "\x66\x4f", "\xf3\x41", "\x65", "\xf0"};
    static const char *const maps[] = {"", "\x0f", "\x0f\x38", "\x0f\x3a"};
    uint8_t code[16];
    for (mode = 0; mode < 3; mode++) {
        set_mode(mode);
        for (unsigned p = 0; p < sizeof(prefixes) / sizeof(prefixes[0]); p++)
            for (unsigned m = 0; m < 4; m++)
                for (unsigned opcode = 0; opcode < 256; opcode++)
                    for (unsigned modrm = 0; modrm < 256; modrm++) {
                        /* the operand-size and index variety comes with the random ones */
                        if (m >= 2 && modrm % 5)
                            continue;
                        unsigned at = 0;
                        for (const char *c = prefixes[p]; *c; c++)
                            code[at++] = (uint8_t)*c;
                        for (const char *c = maps[m]; *c; c++)
                            code[at++] = (uint8_t)*c;
                        code[at++] = (uint8_t)opcode;
                        code[at++] = (uint8_t)modrm;
                        uint64_t tail[2] = {random64(), random64()};
                        memcpy(code + at, tail, 16 - at);
                        compare(code);
                    }
    }
    assert_int_equal(failures, 0);
    assert_true(agreed > 1000000);
}

static void vex(void **unused) {
    (void)unused;
    for (unsigned i = 0; i < 600000; i++) {
        uint8_t code[16];
        uint64_t tail[2] = {random64(), random64()};
        memcpy(code, tail, 16);
        set_mode(below(3));
        unsigned kind = below(8);
        code[0] = kind < 3 ? 0xc4 : kind < 5 ? 0xc5 : kind < 7 ? 0x62 : 0x8f;
        if (kind < 3)
            code[1] = (uint8_t)((code[1] & 0xe0) | below(4));
        else if (kind == 7)
            code[1] = (uint8_t)((code[1] & 0xe0) | (7 + below(5)));
        else if (kind >= 5)
            code[1] = (uint8_t)((code[1] & 0xf0) | below(7)), code[2] |= 4;
        compare(code);
    }
    assert_int_equal(failures, 0);
}

static void structured(void **unused) {
    (void)unused;
    static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67,
                                       0xf0, 0xf2, 0xf3, 0x40, 0x44, 0x48, 0x4f};
    for (unsigned i = 0; i < 1500000; i++) {
        uint8_t code[16];
        unsigned at = 0, count = below(8) == 0 ? below(14) : below(4);
        uint64_t tail[2] = {random64(), random64()};
        memcpy(code, tail, 16);
        set_mode(below(3));
        for (unsigned j = 0; j < count; j++)
            code[at++] = prefixes[below(sizeof(prefixes))];
        unsigned map = below(8);
        if (map >= 4 && at < 13) {
            code[at++] = 0x0f;
            if (map == 6)
                code[at++] = 0x38;
            if (map == 7)
                code[at++] = 0x3a;
        }
        compare(code);
    }
    assert_int_equal(failures, 0);
}

static void noise(void **unused) {
    (void)unused;
    for (unsigned i = 0; i < 1000000; i++) {
        uint8_t code[16];
        uint64_t tail[2] = {random64(), random64()};
        memcpy(code, tail, 16);
        set_mode(below(3));
        compare(code);
    }
    assert_int_equal(failures, 0);
    assert_true(executed > 0);
}

/* The fast lengths agree with the decoder wherever they claim to know, and know what they are there for. */
static void fast_lengths(void **unused) {
    (void)unused;
    static const struct {
        const char *code;
        unsigned length;
    } known[] = {
        {"\x0f\xa2", 2},     {"\x0f\x32", 2},     {"\x0f\x30", 2},     {"\x0f\x31", 2},
        {"\xf4", 1},         {"\xe6\x80", 2},     {"\xed", 1},         {"\x66\xef", 2},
        {"\xf3\x6c", 2},     {"\x0f\x01\xd9", 3}, {"\x0f\x01\xc1", 3}, {"\x0f\x01\xd1", 3},
        {"\x0f\x01\xf9", 3}, {"\xf3\x90", 2},     {"\x0f\x09", 2},     {"\x0f\x08", 2},
        {"\x0f\x06", 2},     {"\x0f\x22\xd8", 3}, {"\x0f\x20\x05", 3}, {"\x0f\x23\xf8", 3},
        {"\xcd\x80", 2},     {"\x0f\x01\xc8", 3}, {"\x66\x0f\xa2", 3},
    };
    for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        for (unsigned long_mode = 0; long_mode < 2; long_mode++)
            assert_int_equal(emulate_fast_length((const uint8_t *)known[i].code,
                                                 (unsigned)strlen(known[i].code), long_mode),
                             known[i].length);
    assert_int_equal(emulate_fast_length((const uint8_t *)"\x44\x0f\x20\xc0", 4, true), 4); /* MOV RAX, CR8 */
    assert_int_equal(emulate_fast_length((const uint8_t *)"\x44\x0f\x20\xc0", 4, false), 0);
    assert_int_equal(emulate_fast_length((const uint8_t *)"\x0f\x01\x38", 3, true),
                     0); /* INVLPG needs ModRM */
    assert_int_equal(emulate_fast_length((const uint8_t *)"\x0f", 1, true), 0);
    assert_int_equal(emulate_fast_length((const uint8_t *)"\xe6", 1, true), 0);
    assert_int_equal(
        emulate_fast_length(
            (const uint8_t *)"\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\xf4", 16, true),
        0);

    unsigned hits = 0;
    static const uint8_t likely[] = {0x0f, 0x66, 0x67, 0xf3, 0x48, 0x41, 0x01,
                                     0x20, 0x22, 0xe4, 0xcd, 0x6e, 0x30};
    for (unsigned i = 0; i < 1000000; i++) {
        uint8_t code[16];
        uint64_t tail[2] = {random64(), random64()};
        memcpy(code, tail, 16);
        for (unsigned j = 0; j < 3; j++)
            if (below(2))
                code[j] = likely[below(sizeof(likely))];
        set_mode(below(3));
        unsigned length = emulate_fast_length(code, 15, mode == 2);
        if (length == 0)
            continue;
        memcpy(emulator.bytes, code, 15);
        emulator.bytes_count = 15;
        if (emulate_decode(&emulator) != EMULATE_OK || emulator.instruction.length != length) {
            report(code, "fast length", length, emulator.instruction.length);
            fail();
        }
        assert_int_equal(emulate_fast_length(code, length, mode == 2), length);
        assert_int_equal(emulate_fast_length(code, length - 1, mode == 2), 0);
        hits++;
    }
    assert_true(hits > 10000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_modrm), cmocka_unit_test(vex),          cmocka_unit_test(structured),
        cmocka_unit_test(noise),       cmocka_unit_test(fast_lengths),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
