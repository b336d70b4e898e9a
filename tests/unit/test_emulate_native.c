// SPDX-License-Identifier: Apache-2.0
// The emulator against the CPU that runs this test: the same instruction, registers, flags and memory go to
// both, and everything that the manuals define about the outcome must be equal. 64-bit mode, unprivileged
// forms.
// unit-sources: arch/x86/emulate/*.c
#define _GNU_SOURCE
#include "tests/unit/emulate_native.h"

static void alu(void **unused) {
    (void)unused;
    static const char *const names[8] = {"add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"};
    for (unsigned operation = 0; operation < 8; operation++) {
        unsigned logic = operation == 1 || operation == 4 || operation == 6 ? ALL & ~AF : ALL;
        for (unsigned low = 0; low < 6; low++) {
            char opcode[3];
            snprintf(opcode, sizeof(opcode), "%02x", operation << 3 | low);
            struct form form = {.name = names[operation],
                                .opcode = opcode,
                                .kind = low < 4 ? RM : PLAIN,
                                .group = -1,
                                .immediate = low < 4    ? 0
                                             : low == 4 ? 1
                                                        : 9,
                                .byte = !(low & 1),
                                .lock = low < 2 && operation != 7,
                                .flags = logic};
            run_forms(&form, 1);
        }
        for (unsigned opcode = 0x80; opcode < 0x84; opcode++) {
            if (opcode == 0x82)
                continue;
            char text[3];
            snprintf(text, sizeof(text), "%02x", opcode);
            struct form form = {.name = names[operation],
                                .opcode = text,
                                .kind = RM,
                                .group = (int)operation,
                                .immediate = opcode == 0x81 ? 9 : 1,
                                .byte = opcode == 0x80,
                                .lock = operation != 7,
                                .flags = logic};
            run_forms(&form, 1);
        }
    }
    static const struct form others[] = {
        {"test", "84", RM, -1, 0, true, false, ALL & ~AF, NULL, false, false},
        {"test", "85", RM, -1, 0, false, false, ALL & ~AF, NULL, false, false},
        {"test", "a8", PLAIN, -1, 1, true, false, ALL & ~AF, NULL, false, false},
        {"test", "a9", PLAIN, -1, 9, false, false, ALL & ~AF, NULL, false, false},
        {"test", "f6", RM, 0, 1, true, false, ALL & ~AF, NULL, false, false},
        {"test", "f7", RM, 0, 9, false, false, ALL & ~AF, NULL, false, false},
        {"not", "f6", RM, 2, 0, true, true, ALL, NULL, false, false},
        {"not", "f7", RM, 2, 0, false, true, ALL, NULL, false, false},
        {"neg", "f6", RM, 3, 0, true, true, ALL, NULL, false, false},
        {"neg", "f7", RM, 3, 0, false, true, ALL, NULL, false, false},
        {"inc", "fe", RM, 0, 0, true, true, ALL, NULL, false, false},
        {"inc", "ff", RM, 0, 0, false, true, ALL, NULL, false, false},
        {"dec", "fe", RM, 1, 0, true, true, ALL, NULL, false, false},
        {"dec", "ff", RM, 1, 0, false, true, ALL, NULL, false, false},
        {"xadd", "0fc0", RM, -1, 0, true, true, ALL, NULL, false, false},
        {"xadd", "0fc1", RM, -1, 0, false, true, ALL, NULL, false, false},
        {"cmpxchg", "0fb0", RM, -1, 0, true, true, ALL, NULL, false, false},
        {"cmpxchg", "0fb1", RM, -1, 0, false, true, ALL, NULL, false, false},
        {"cmpxchg8b", "0fc7", PAIR, 1, 0, false, true, ALL, NULL, false, false},
        {"xchg", "86", RM, -1, 0, true, true, ALL, NULL, false, false},
        {"xchg", "87", RM, -1, 0, false, true, ALL, NULL, false, false},
    };
    RUN(others);
}

static void multiply_divide(void **unused) {
    (void)unused;
    static const struct form forms[] = {
        {"mul", "f6", RM, 4, 0, true, false, CF | OF, NULL, false, false},
        {"mul", "f7", RM, 4, 0, false, false, CF | OF, NULL, false, false},
        {"imul", "f6", RM, 5, 0, true, false, CF | OF, NULL, false, false},
        {"imul", "f7", RM, 5, 0, false, false, CF | OF, NULL, false, false},
        {"imul", "0faf", RM, -1, 0, false, false, CF | OF, NULL, false, false},
        {"imul", "69", RM, -1, 9, false, false, CF | OF, NULL, false, false},
        {"imul", "6b", RM, -1, 1, false, false, CF | OF, NULL, false, false},
        {"div", "f6", DIVIDE, 6, 0, true, false, 0, NULL, false, false},
        {"div", "f7", DIVIDE, 6, 0, false, false, 0, NULL, false, false},
        {"idiv", "f6", DIVIDE, 7, 0, true, false, 0, NULL, false, false},
        {"idiv", "f7", DIVIDE, 7, 0, false, false, 0, NULL, false, false},
    };
    for (unsigned i = 0; i < 3; i++)
        RUN(forms);
}

static void shifts(void **unused) {
    (void)unused;
    static const char *const names[8] = {"rol", "ror", "rcl", "rcr", "shl", "shr", "sal", "sar"};
    static const char *const opcodes[6] = {"c0", "c1", "d0", "d1", "d2", "d3"};
    for (int group = 0; group < 8; group++)
        for (unsigned i = 0; i < 6; i++) {
            struct form form = {.name = names[group],
                                .opcode = opcodes[i],
                                .kind = SHIFTS,
                                .group = group,
                                .immediate = i < 2,
                                .byte = !(i & 1)};
            run_forms(&form, 1);
        }
}

static void double_shifts(void **unused) {
    (void)unused;
    static const struct form forms[] = {
        {"shld", "0fa4", DOUBLE_SHIFTS, -1, 1, false, false, 0, NULL, false, false},
        {"shld", "0fa5", DOUBLE_SHIFTS, -1, 0, false, false, 0, NULL, false, false},
        {"shrd", "0fac", DOUBLE_SHIFTS, -1, 1, false, false, 0, NULL, false, false},
        {"shrd", "0fad", DOUBLE_SHIFTS, -1, 0, false, false, 0, NULL, false, false},
    };
    RUN(forms);
}

static void bits(void **unused) {
    (void)unused;
    static const struct form forms[] = {
        {"bt", "0fa3", BITS, -1, 0, false, false, CF | ZF, NULL, false, false},
        {"bts", "0fab", BITS, -1, 0, false, true, CF | ZF, NULL, false, false},
        {"btr", "0fb3", BITS, -1, 0, false, true, CF | ZF, NULL, false, false},
        {"btc", "0fbb", BITS, -1, 0, false, true, CF | ZF, NULL, false, false},
        {"bt", "0fba", RM, 4, 1, false, false, CF | ZF, NULL, false, false},
        {"bts", "0fba", RM, 5, 1, false, true, CF | ZF, NULL, false, false},
        {"btr", "0fba", RM, 6, 1, false, true, CF | ZF, NULL, false, false},
        {"btc", "0fba", RM, 7, 1, false, true, CF | ZF, NULL, false, false},
        {"bsf", "0fbc", RM, -1, 0, false, false, ZF, NULL, false, false},
        {"bsr", "0fbd", RM, -1, 0, false, false, ZF, NULL, false, false},
        {"popcnt", "f30fb8", RM, -1, 0, false, false, ALL, "popcnt", false, false},
        {"tzcnt", "f30fbc", RM, -1, 0, false, false, CF | ZF, "bmi", false, false},
        {"lzcnt", "f30fbd", RM, -1, 0, false, false, CF | ZF, "bmi", false, false},
    };
    RUN(forms);
}

static void moves(void **unused) {
    (void)unused;
    static const struct form forms[] = {
        {"mov", "88", RM, -1, 0, true, false, ALL, NULL, false, false},
        {"mov", "89", RM, -1, 0, false, false, ALL, NULL, false, false},
        {"mov", "8a", RM, -1, 0, true, false, ALL, NULL, false, false},
        {"mov", "8b", RM, -1, 0, false, false, ALL, NULL, false, false},
        {"mov", "c6", RM, 0, 1, true, false, ALL, NULL, false, false},
        {"mov", "c7", RM, 0, 9, false, false, ALL, NULL, false, false},
        {"mov", "b4", PLAIN, -1, 1, true, false, ALL, NULL, false, false},
        {"mov", "bf", PLAIN, -1, 10, false, false, ALL, NULL, false, false},
        {"movzx", "0fb6", RM, -1, 0, false, false, ALL, NULL, false, false},
        {"movzx", "0fb7", RM, -1, 0, false, false, ALL, NULL, false, false},
        {"movsx", "0fbe", RM, -1, 0, false, false, ALL, NULL, false, false},
        {"movsx", "0fbf", RM, -1, 0, false, false, ALL, NULL, false, false},
        {"movsxd", "63", RM, -1, 0, false, false, ALL, NULL, false, false},
        {"movbe", "0f38f0", RM_ONLY_MEMORY, -1, 0, false, false, ALL, "movbe", false, false},
        {"movbe", "0f38f1", RM_ONLY_MEMORY, -1, 0, false, false, ALL, "movbe", false, false},
        {"movnti", "0fc3", RM_ONLY_MEMORY, -1, 0, false, false, ALL, NULL, true, false},
        {"lea", "8d", RM_ONLY_MEMORY, -1, 0, false, false, ALL, NULL, false, false},
        {"xchg", "92", PLAIN, -1, 0, false, false, ALL, NULL, false, false},
        {"nop", "90", PLAIN, -1, 0, false, false, ALL, NULL, false, false},
        {"nop", "0f1f", RM, 0, 0, false, false, ALL, NULL, false, false},
        {"prefetch", "0f18", RM_ONLY_MEMORY, 1, 0, false, false, ALL, NULL, false, false},
        {"clflush", "0fae", RM_ONLY_MEMORY, 7, 0, false, false, ALL, NULL, true, false},
        {"lfence", "0faee8", PLAIN, -1, 0, false, false, ALL, NULL, true, false},
        {"cbw", "98", PLAIN, -1, 0, false, false, ALL, NULL, false, false},
        {"cwd", "99", PLAIN, -1, 0, false, false, ALL, NULL, false, false},
        {"sahf", "9e", PLAIN, -1, 0, true, false, ALL, NULL, false, false},
        {"lahf", "9f", PLAIN, -1, 0, true, false, ALL, NULL, false, false},
        {"cmc", "f5", PLAIN, -1, 0, true, false, ALL, NULL, false, false},
        {"clc", "f8", PLAIN, -1, 0, true, false, ALL, NULL, false, false},
        {"stc", "f9", PLAIN, -1, 0, true, false, ALL, NULL, false, false},
        {"cld", "fc", PLAIN, -1, 0, true, false, ALL, NULL, false, false},
        {"std", "fd", PLAIN, -1, 0, true, false, ALL, NULL, false, false},
        {"bswap", "0fcb", PLAIN, -1, 0, false, false, ALL, NULL, true, false},
        {"mov seg", "8c", RM, 2, 0, false, false, ALL, NULL, false, false},
    };
    RUN(forms);
    for (unsigned condition = 0; condition < 16; condition++) {
        char opcode[5];
        snprintf(opcode, sizeof(opcode), "0f%02x", 0x40 | condition);
        struct form cmov = {.name = "cmov", .opcode = opcode, .kind = RM, .group = -1, .flags = ALL};
        run_forms(&cmov, 1);
        snprintf(opcode, sizeof(opcode), "0f%02x", 0x90 | condition);
        struct form set = {
            .name = "set", .opcode = opcode, .kind = RM, .group = 0, .byte = true, .flags = ALL};
        run_forms(&set, 1);
    }
}

static void strings(void **unused) {
    (void)unused;
    static const char *const prefixes[3] = {"", "f3", "f2"};
    static const struct {
        const char *name;
        unsigned opcode;
    } list[] = {{"movs", 0xa4}, {"cmps", 0xa6}, {"stos", 0xaa}, {"lods", 0xac}, {"scas", 0xae}};
    for (unsigned i = 0; i < 5; i++)
        for (unsigned low = 0; low < 2; low++)
            for (unsigned p = 0; p < 3; p++) {
                char opcode[5];
                snprintf(opcode, sizeof(opcode), "%s%02x", prefixes[p], list[i].opcode | low);
                struct form form = {.name = list[i].name,
                                    .opcode = opcode,
                                    .kind = STRING,
                                    .group = -1,
                                    .byte = !low,
                                    .flags = ALL};
                run_forms(&form, 1);
            }
}

static void stack(void **unused) {
    (void)unused;
    static const struct form forms[] = {
        {"push", "50", PLAIN, -1, 0, true, false, ALL, NULL, false, false},
        {"push", "54", PLAIN, -1, 0, true, false, ALL, NULL, false, false},
        {"push", "6654", PLAIN, -1, 0, true, false, ALL, NULL, false, false},
        {"push", "4150", PLAIN, -1, 0, true, false, ALL, NULL, false, false},
        {"pop", "415f", PLAIN, -1, 0, true, false, ALL, NULL, false, false},
        {"push", "57", PLAIN, -1, 0, true, false, ALL, NULL, false, false},
        {"push", "6a", PLAIN, -1, 1, true, false, ALL, NULL, false, false},
        {"push", "68", PLAIN, -1, 9, true, false, ALL, NULL, false, false},
        {"push", "666a", PLAIN, -1, 1, true, false, ALL, NULL, false, false},
        {"pop", "58", PLAIN, -1, 0, true, false, ALL, NULL, false, false},
        {"pop", "5c", PLAIN, -1, 0, true, false, ALL, NULL, false, false},
        {"pop", "665f", PLAIN, -1, 0, true, false, ALL, NULL, false, false},
        {"push", "ff", STACK, 6, 0, false, false, ALL, NULL, false, false},
        {"pop", "8f", STACK, 0, 0, false, false, ALL, NULL, false, false},
        {"push [rsp]", "ff742408", PLAIN, -1, 0, true, false, ALL, NULL, false, false},
        {"pop [rsp]", "8f442410", PLAIN, -1, 0, true, false, ALL, NULL, false, false},
        {"pop [rsp]", "668f0424", PLAIN, -1, 0, true, false, ALL, NULL, false, false},
    };
    RUN(forms);
}

static void vector_moves(void **unused) {
    (void)unused;
    static const struct form forms[] = {
        {"movups", "0f10", RM, -1, 0, false, false, ALL, NULL, true, false},
        {"movups", "0f11", RM, -1, 0, false, false, ALL, NULL, true, false},
        {"movupd", "660f10", RM, -1, 0, false, false, ALL, NULL, true, false},
        {"movupd", "660f11", RM, -1, 0, false, false, ALL, NULL, true, false},
        {"movss", "f30f10", RM, -1, 0, false, false, ALL, NULL, true, false},
        {"movss", "f30f11", RM, -1, 0, false, false, ALL, NULL, true, false},
        {"movsd", "f20f10", RM, -1, 0, false, false, ALL, NULL, true, false},
        {"movsd", "f20f11", RM, -1, 0, false, false, ALL, NULL, true, false},
        {"movlps", "0f12", RM_ONLY_MEMORY, -1, 0, false, false, ALL, NULL, true, false},
        {"movlps", "0f13", RM_ONLY_MEMORY, -1, 0, false, false, ALL, NULL, true, false},
        {"movhpd", "660f16", RM_ONLY_MEMORY, -1, 0, false, false, ALL, NULL, true, false},
        {"movhpd", "660f17", RM_ONLY_MEMORY, -1, 0, false, false, ALL, NULL, true, false},
        {"movaps", "0f28", RM, -1, 0, false, false, ALL, NULL, true, true},
        {"movaps", "0f29", RM, -1, 0, false, false, ALL, NULL, true, true},
        {"movapd", "660f28", RM, -1, 0, false, false, ALL, NULL, true, true},
        {"movntps", "0f2b", RM_ONLY_MEMORY, -1, 0, false, false, ALL, NULL, true, true},
        {"movntpd", "660f2b", RM_ONLY_MEMORY, -1, 0, false, false, ALL, NULL, true, true},
        {"movd", "660f6e", RM, -1, 0, false, false, ALL, NULL, true, false},
        {"movd", "660f7e", RM, -1, 0, false, false, ALL, NULL, true, false},
        {"movq", "f30f7e", RM, -1, 0, false, false, ALL, NULL, true, false},
        {"movq", "660fd6", RM, -1, 0, false, false, ALL, NULL, true, false},
        {"movdqa", "660f6f", RM, -1, 0, false, false, ALL, NULL, true, true},
        {"movdqa", "660f7f", RM, -1, 0, false, false, ALL, NULL, true, true},
        {"movdqu", "f30f6f", RM, -1, 0, false, false, ALL, NULL, true, false},
        {"movdqu", "f30f7f", RM, -1, 0, false, false, ALL, NULL, true, false},
        {"movntdq", "660fe7", RM_ONLY_MEMORY, -1, 0, false, false, ALL, NULL, true, true},
        {"lddqu", "f20ff0", RM_ONLY_MEMORY, -1, 0, false, false, ALL, NULL, true, false},
        {"movntdqa", "660f382a", RM_ONLY_MEMORY, -1, 0, false, false, ALL, "sse4.1", true, true},
        {"vmovups xmm", "c5f810", RM, -1, 0, true, false, ALL, "avx", true, false},
        {"vmovups ymm", "c5fc10", RM, -1, 0, true, false, ALL, "avx", true, false},
        {"vmovups ymm", "c5fc11", RM, -1, 0, true, false, ALL, "avx", true, false},
        {"vmovss", "c5fa10", RM_ONLY_MEMORY, -1, 0, true, false, ALL, "avx", true, false},
        {"vmovss l=1", "c5fe11", RM_ONLY_MEMORY, -1, 0, true, false, ALL, "avx", true, false},
        {"vmovsd", "c5fb10", RM_ONLY_MEMORY, -1, 0, true, false, ALL, "avx", true, false},
        {"vmovaps", "c5fc28", RM, -1, 0, true, false, ALL, "avx", true, true},
        {"vmovaps", "c5f829", RM, -1, 0, true, false, ALL, "avx", true, true},
        {"vmovntps", "c5fc2b", RM_ONLY_MEMORY, -1, 0, true, false, ALL, "avx", true, true},
        {"vmovd", "c5f96e", RM, -1, 0, true, false, ALL, "avx", true, false},
        {"vmovd", "c5f97e", RM, -1, 0, true, false, ALL, "avx", true, false},
        {"vmovq", "c5fa7e", RM, -1, 0, true, false, ALL, "avx", true, false},
        {"vmovq", "c5f9d6", RM, -1, 0, true, false, ALL, "avx", true, false},
        {"vmovq w", "c4e1f96e", RM, -1, 0, true, false, ALL, "avx", true, false},
        {"vmovq w", "c4e1f97e", RM, -1, 0, true, false, ALL, "avx", true, false},
        {"vmovlps", "c5f813", RM_ONLY_MEMORY, -1, 0, true, false, ALL, "avx", true, false},
        {"vmovdqa", "c5fd6f", RM, -1, 0, true, false, ALL, "avx", true, true},
        {"vmovdqa", "c5f97f", RM, -1, 0, true, false, ALL, "avx", true, true},
        {"vmovdqu", "c5fe6f", RM, -1, 0, true, false, ALL, "avx", true, false},
        {"vmovdqu", "c4e17e7f", RM, -1, 0, true, false, ALL, "avx", true, false},
        {"vmovntdq", "c5fde7", RM_ONLY_MEMORY, -1, 0, true, false, ALL, "avx", true, true},
        {"vmovdqu l=1 vvvv used", "c5ee6f", RM, -1, 0, true, false, ALL, "avx", true, false},
        {"vmovd l=1", "c5fd6e", RM, -1, 0, true, false, ALL, "avx", true, false},
    };
    RUN(forms);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alu),          cmocka_unit_test(multiply_divide),
        cmocka_unit_test(shifts),       cmocka_unit_test(double_shifts),
        cmocka_unit_test(bits),         cmocka_unit_test(moves),
        cmocka_unit_test(strings),      cmocka_unit_test(stack),
        cmocka_unit_test(vector_moves),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
