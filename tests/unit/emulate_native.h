// SPDX-License-Identifier: Apache-2.0
// Runs one instruction on the host CPU and in the emulator, with the same state, and compares. The forms to
// run are in test_emulate_native.c, which defines _GNU_SOURCE first.
#ifndef SAGUARO_TESTS_UNIT_EMULATE_NATIVE_H
#define SAGUARO_TESTS_UNIT_EMULATE_NATIVE_H

#include "arch/x86/emulate/emulate.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cmocka.h>

#define CF    0x001u
#define PF    0x004u
#define AF    0x010u
#define ZF    0x040u
#define SF    0x080u
#define DF    0x400u
#define OF    0x800u
#define ALL   (CF | PF | AF | ZF | SF | OF)

#define CASES 1500 /* per form */
#define DATA  0x2000u

/* What the generated code loads and stores. It lies below 2 GB so that absolute and 32-bit addresses reach
 * it. */
struct exchange {
    uint64_t gpr[16];
    uint64_t flags;
    uint64_t host_rsp;
    uint8_t ymm[16][32];
};
static struct area {
    uint8_t code[4096];
    struct exchange in, out;
    uint8_t data[DATA] __attribute__((aligned(4096)));
} * area;
static uint8_t mirror[DATA]; /* the emulator's copy of area->data */
static bool have_avx;

static uint64_t state = 0x9e3779b97f4a7c15ull;
static uint64_t random64(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545f4914f6cdd1dull;
}
static unsigned below(unsigned limit) {
    return (unsigned)(random64() >> 33) % limit;
}

/* Values that sit at the edges more often than chance would have it. */
static uint64_t interesting(void) {
    static const uint64_t edges[] = {0,
                                     1,
                                     2,
                                     0x7f,
                                     0x80,
                                     0xff,
                                     0x7fff,
                                     0x8000,
                                     0xffff,
                                     0x7fffffff,
                                     0x80000000u,
                                     0xffffffffu,
                                     0x7fffffffffffffffull,
                                     0x8000000000000000ull,
                                     ~0ull,
                                     0x100,
                                     0x10000,
                                     0x100000000ull};
    uint64_t value = random64();
    switch (below(4)) {
    case 0:
        return edges[below(sizeof(edges) / sizeof(edges[0]))];
    case 1:
        return value >> below(64);
    default:
        return value;
    }
}

/* ---- the native side ---- */

static uint8_t *emit; /* next byte of code */
static uint8_t *instruction_at, *epilogue_at;
static volatile sig_atomic_t native_signal;
static volatile uint64_t native_rsp; /* when it came */

static void bytes(const char *hex) {
    unsigned value;
    for (; sscanf(hex, "%2x", &value) == 1; hex += 2)
        *emit++ = (uint8_t)value;
}
static void relative(const void *target) {
    int32_t displacement = (int32_t)((const uint8_t *)target - (emit + 4));
    memcpy(emit, &displacement, 4);
    emit += 4;
}
/* mov between a register and a RIP-relative quadword */
static void move_gpr(unsigned number, const void *memory, bool store) {
    *emit++ = (uint8_t)(0x48 | (number >> 3) << 2);
    *emit++ = store ? 0x89 : 0x8b;
    *emit++ = (uint8_t)(5 | (number & 7) << 3);
    relative(memory);
}
static void move_vector(unsigned number, const void *memory, bool store) {
    if (have_avx) {
        *emit++ = 0xc5; /* vmovdqu ymm */
        *emit++ = number >= 8 ? 0x7e : 0xfe;
        *emit++ = store ? 0x7f : 0x6f;
    } else {
        *emit++ = 0xf3; /* movdqu */
        if (number >= 8)
            *emit++ = 0x44;
        *emit++ = 0x0f;
        *emit++ = store ? 0x7f : 0x6f;
    }
    *emit++ = (uint8_t)(5 | (number & 7) << 3);
    relative(memory);
}

/* Room for the instruction under test; what follows it is filled with NOPs. */
static void build_frame(void) {
    emit = area->code;
    bytes("53555657415441554156415766909090"); /* push rbx rbp rsi rdi r12-r15 */
    move_gpr(4, &area->in.host_rsp, true);
    for (unsigned i = 0; i < 16; i++)
        move_vector(i, area->in.ymm[i], false);
    bytes("ff35"); /* push [flags]; popfq */
    relative(&area->in.flags);
    bytes("9d");
    for (unsigned i = 0; i < 16; i++)
        if (i != 4)
            move_gpr(i, &area->in.gpr[i], false);
    move_gpr(4, &area->in.gpr[4], false);
    instruction_at = emit;
    memset(emit, 0x90, 16);
    emit += 16;
    epilogue_at = emit;
    for (unsigned i = 0; i < 16; i++)
        move_gpr(i, &area->out.gpr[i], true);
    move_gpr(4, &area->in.host_rsp, false);
    bytes("9c8f05"); /* pushfq; pop [flags] */
    relative(&area->out.flags);
    for (unsigned i = 0; i < 16; i++)
        move_vector(i, area->out.ymm[i], true);
    bytes("fc");
    if (have_avx)
        bytes("c5f877"); /* vzeroupper */
    bytes("415f415e415d415c5f5e5d5bc3");
}

static void on_signal(int number, siginfo_t *info, void *context) {
    ucontext_t *machine = context;
    uintptr_t rip = (uintptr_t)machine->uc_mcontext.gregs[REG_RIP];
    (void)info;
    if (rip < (uintptr_t)instruction_at || rip >= (uintptr_t)epilogue_at) {
        signal(number, SIG_DFL); /* not ours: let it be seen */
        return;
    }
    native_signal = number;
    machine->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)epilogue_at;
    /* Where RSP was a number like any other: a return to one that is no canonical address is a fault of its
     * own on some machines (Linux 6.18 on an AMD EPYC). */
    native_rsp = (uint64_t)machine->uc_mcontext.gregs[REG_RSP];
    machine->uc_mcontext.gregs[REG_RSP] = (greg_t)area->in.host_rsp;
}

static void run_native(void) {
    native_signal = 0;
    ((void (*)(void))(uintptr_t)area->code)();
    if (native_signal)
        area->out.gpr[4] = native_rsp;
}

/* ---- the emulator's side ---- */

static struct x86_registers registers;
static struct x86_system machine;
static struct emulate emulator;
static uint8_t vectors[16][32];

static uint8_t *find(uint64_t gpa, unsigned size) {
    uint64_t start = (uintptr_t)area->data;
    if (gpa >= start && gpa - start + size <= DATA)
        return mirror + (gpa - start);
    return NULL;
}
static int read_guest(void *context, uint64_t gpa, void *buffer, unsigned size) {
    (void)context;
    const uint8_t *from = find(gpa, size);
    if (!from && gpa >= (uintptr_t)area->code && gpa + size <= (uintptr_t)area->code + sizeof(area->code))
        from = (const uint8_t *)(uintptr_t)gpa;
    if (!from)
        return -EFAULT;
    memcpy(buffer, from, size);
    return 0;
}
static int write_guest(void *context, uint64_t gpa, const void *buffer, unsigned size) {
    (void)context;
    uint8_t *to = find(gpa, size);
    if (!to)
        return -EFAULT;
    memcpy(to, buffer, size);
    return 0;
}
static int cmpxchg_guest(void *context, uint64_t gpa, unsigned size, void *expected, const void *desired) {
    (void)context;
    uint8_t *to = find(gpa, size);
    if (!to)
        return -EFAULT;
    if (memcmp(to, expected, size) != 0) {
        memcpy(expected, to, size);
        return 1;
    }
    memcpy(to, desired, size);
    return 0;
}
static int no_read(void *context, uint64_t gpa, unsigned size, uint64_t *value) {
    (void)context, (void)gpa, (void)size, (void)value;
    return -EFAULT;
}
static int no_write(void *context, uint64_t gpa, unsigned size, uint64_t value) {
    (void)context, (void)gpa, (void)size, (void)value;
    return -EFAULT;
}
static void vector_read(void *context, unsigned number, void *value, unsigned size) {
    (void)context;
    memcpy(value, vectors[number], size);
}
static void vector_write(void *context, unsigned number, const void *value, unsigned size) {
    (void)context;
    memcpy(vectors[number], value, size);
}
static const struct emulate_ops ops = {
    .read_guest = read_guest,
    .write_guest = write_guest,
    .cmpxchg_guest = cmpxchg_guest,
    .mmio_read = no_read,
    .mmio_write = no_write,
    .vector_read = vector_read,
    .vector_write = vector_write,
};

/* ---- the cases ---- */

enum kind {
    RM, /* ModRM */
    RM_ONLY_MEMORY,
    RM_ONLY_REGISTER,
    PLAIN, /* no operand bytes */
    STRING,
    BITS, /* BT with a register: the bit number is kept near */
    SHIFTS,
    DOUBLE_SHIFTS,
    DIVIDE,
    PAIR, /* CMPXCHG8B, CMPXCHG16B */
    STACK,
};

struct form {
    const char *name;
    const char *opcode; /* hex, mandatory prefix first */
    enum kind kind;
    int group;      /* ModRM.reg, or -1: free */
    int immediate;  /* bytes; 9: by operand size (2 or 4); 10: by operand size (2, 4, 8) */
    bool byte;      /* no operand-size prefix and no REX.W */
    bool lock;      /* try LOCK with memory */
    unsigned flags; /* defined status flags */
    const char *feature;
    bool fixed_size; /* a mandatory prefix stands in the opcode: no 66 */
    bool aligned;    /* to 16 bytes in memory most of the time */
};

/* Instruction bytes and the memory operand that was chosen. */
struct generated {
    uint8_t code[16];
    unsigned length, size;
    bool memory, lock, rex_w;
    int base, index;
    unsigned reg, rm;
    unsigned count; /* shifts by immediate */
    uint64_t target;
};

static void put(struct generated *g, unsigned byte) {
    g->code[g->length++] = (uint8_t)byte;
}
static void put32(struct generated *g, uint32_t value) {
    memcpy(g->code + g->length, &value, 4);
    g->length += 4;
}

/* ModRM for memory at g->target; sets the registers that the address needs. Bytes after it: `tail` (for
 * RIP-relative). */
static void put_memory(struct generated *g, unsigned reg, unsigned form, unsigned tail, unsigned rex_at,
                       bool address32) {
    uint64_t *gpr = area->in.gpr, target = g->target;
    uint64_t upper = address32 ? random64() << 32 : 0;
    unsigned mod_reg = (reg & 7) << 3;
    if (form == 0) { /* RIP-relative */
        put(g, mod_reg | 5);
        put32(g, (uint32_t)(target - ((uintptr_t)instruction_at + g->length + 4 + tail)));
        return;
    }
    if (form == 1) { /* absolute */
        put(g, mod_reg | 4);
        put(g, 0x25);
        put32(g, (uint32_t)target);
        return;
    }
    if (form == 2 && g->index != 4 &&
        g->index != (int)reg) { /* an index without a base; REX.B counts for nothing */
        unsigned scale = below(4);
        int32_t displacement = (int32_t)random64();
        displacement += (int32_t)((target - (uint64_t)(int64_t)displacement) & ((1u << scale) - 1));
        gpr[g->index] = (uint64_t)((int64_t)(target - (uint64_t)(int64_t)displacement) >> scale);
        put(g, mod_reg | 4);
        put(g, scale << 6 | (g->index & 7) << 3 | 5);
        if (rex_at && below(2))
            g->code[rex_at] |= 1;
        if (g->index >= 8)
            g->code[rex_at] |= 2;
        put32(g, (uint32_t)displacement);
        return;
    }
    bool indexed = form & 1;
    unsigned mod = below(3), base = (unsigned)g->base, index = (unsigned)g->index, scale = below(4);
    int32_t displacement = mod == 0 ? 0 : mod == 1 ? (int8_t)random64() : (int32_t)random64();
    if (mod == 0 && (base & 7) == 5)
        mod = 1;
    if (indexed && index != base && index != 4) {
        gpr[index] = below(2) ? random64() % 4096 : interesting();
        if (base == reg && index == reg)
            gpr[index] = 0;
        gpr[base] = target - (gpr[index] << scale) - (uint64_t)(int64_t)displacement;
        put(g, mod << 6 | mod_reg | 4);
        put(g, scale << 6 | (index & 7) << 3 | (base & 7));
        if (index >= 8)
            g->code[rex_at] |= 2;
    } else {
        gpr[base] = target - (uint64_t)(int64_t)displacement;
        put(g, mod << 6 | mod_reg | ((base & 7) == 4 ? 4 : base & 7));
        if ((base & 7) == 4)
            put(g, 0x24);
    }
    if (address32)
        gpr[base] = (gpr[base] & 0xffffffffu) | upper;
    if (base >= 8)
        g->code[rex_at] |= 1;
    if (mod == 1)
        put(g, (uint8_t)displacement);
    else if (mod == 2)
        put32(g, (uint32_t)displacement);
}

static void put_modrm(const struct form *form, struct generated *g, unsigned rex_at, unsigned immediate,
                      bool address32) {
    unsigned reg = form->group >= 0 ? (unsigned)form->group : g->reg;
    if (reg >= 8)
        g->code[rex_at] |= 4;
    if (!g->memory) {
        put(g, 0xc0 | (reg & 7) << 3 | (g->rm & 7));
        if (g->rm >= 8)
            g->code[rex_at] |= 1;
        return;
    }
    put_memory(g, reg, below(8), immediate, rex_at, address32);
}

static void generate(const struct form *form, struct generated *g) {
    memset(g, 0, sizeof(*g));
    bool string = form->kind == STRING, address32 = !string && form->kind != STACK && below(8) == 0;
    if (form->kind == RM_ONLY_MEMORY || form->kind == PAIR)
        g->memory = true;
    else if (form->kind != RM_ONLY_REGISTER && form->kind != PLAIN && !string)
        g->memory = below(3) != 0;
    g->lock = form->lock && g->memory && below(2);
    bool operand16 = !form->byte && !form->fixed_size && below(4) == 0 && form->kind != PAIR;
    g->rex_w = (!form->byte || form->kind == PAIR) && form->kind != STACK && below(3) == 0;
    bool rex = g->rex_w || below(2);
    g->size = form->byte ? 1 : g->rex_w ? 8 : operand16 ? 2 : 4;
    g->reg = below(16);
    g->rm = below(16);
    g->base = (int)below(16);
    g->index = (int)below(16);
    g->target = (uintptr_t)area->data + 0x800 + below(0x1000); /* some cross the page */
    if (form->aligned && below(8))
        g->target &= ~31ull;
    if (form->kind == PAIR && below(8))
        g->target &= ~15ull;
    if (g->lock ||
        strcmp(form->name, "xchg") == 0) /* a locked access that crosses a line is another test's */
        g->target &= ~15ull;
    if (below(3) == 0) /* without REX: AH, CH, DH, BH */
        g->base &= 7, g->index &= 7, g->reg &= 7, g->rm &= 7;
    if (form->kind == BITS) { /* the bit number's register must stay what it is */
        while (g->base == (int)g->reg)
            g->base = (int)below(16);
        while (g->index == (int)g->reg)
            g->index = (int)below(16);
        uint64_t mask = ~0ull >> (64 - 8 * g->size);
        if (g->memory)
            area->in.gpr[g->reg] = (area->in.gpr[g->reg] & ~mask) | ((below(0x4000) - 0x2000ull) & mask);
    }
    if (g->base >= 8 || g->index >= 8 || g->reg >= 8 || g->rm >= 8)
        rex = true; /* may be needed */
    if (below(16) == 0)
        put(g, below(2) ? 0x3e : 0x26); /* ignored overrides */
    if (address32)
        put(g, 0x67);
    if (operand16)
        put(g, 0x66);
    if (g->lock)
        put(g, 0xf0);
    const char *opcode = form->opcode;
    unsigned value;
    while (sscanf(opcode, "%2x", &value) == 1 && (value == 0x66 || value == 0xf2 || value == 0xf3)) {
        put(g, value);
        opcode += 2;
    }
    unsigned rex_at = 0;
    bool vex = value == 0xc4 || value == 0xc5;
    if (vex) {
        g->base &= 7, g->index &= 7, g->reg &= 7, g->rm &= 7;
    } else if (rex) {
        rex_at = g->length;
        put(g, 0x40 | (g->rex_w ? 8 : 0));
    }
    for (; sscanf(opcode, "%2x", &value) == 1; opcode += 2)
        put(g, value);
    unsigned immediate = form->immediate == 9    ? (operand16 && !g->rex_w ? 2 : 4)
                         : form->immediate == 10 ? g->size
                                                 : (unsigned)form->immediate;
    if (form->kind == STACK && g->base == 4) /* RSP stays where the stack is */
        g->base = 3;
    if (form->kind != PLAIN && !string && form->group != -2)
        put_modrm(form, g, rex_at, immediate, address32);
    for (unsigned i = 0; i < immediate; i++)
        put(g, (unsigned)random64() & 0xff);
    if (immediate == 1)
        g->count = g->code[g->length - 1];
}

/* Which status flags are defined for this very case. */
static unsigned defined_flags(const struct form *form, const struct generated *g) {
    if (form->kind != SHIFTS && form->kind != DOUBLE_SHIFTS)
        return form->flags;
    unsigned count = form->immediate ? g->count
                     : strncmp(form->opcode, "d1", 2) == 0 || strncmp(form->opcode, "d0", 2) == 0
                         ? 1
                         : (unsigned)area->in.gpr[1];
    count &= g->size == 8 ? 63 : 31;
    if (count == 0)
        return ALL;
    unsigned bits = 8 * g->size;
    if (form->kind == SHIFTS && form->group < 4) { /* rotates */
        unsigned flags = ALL & ~OF;
        return count == 1 ? flags | OF : flags;
    }
    unsigned flags = ALL & ~(AF | OF);
    if (count == 1)
        flags |= OF;
    if (count >= bits && form->group != 7)
        flags &= ~CF;
    return flags;
}

static void dump(const struct form *form, const struct generated *g, const char *what) {
    fprintf(stderr, "%s: %s differs:", form->name, what);
    for (unsigned i = 0; i < g->length; i++)
        fprintf(stderr, " %02x", g->code[i]);
    fprintf(stderr, "\n  signal %d, emulator's result fault vector %u\n", (int)native_signal,
            emulator.fault.vector);
    for (unsigned i = 0; i < 16; i++)
        fprintf(stderr, "  r%-2u in %016llx native %016llx emulated %016llx\n", i,
                (unsigned long long)area->in.gpr[i], (unsigned long long)area->out.gpr[i],
                (unsigned long long)registers.gpr[i]);
    fprintf(stderr, "  flags in %llx native %llx emulated %llx\n", (unsigned long long)area->in.flags,
            (unsigned long long)area->out.flags, (unsigned long long)registers.rflags);
}

static void check_case(const struct form *form, const struct generated *g) {
    const uint64_t flags = defined_flags(form, g) | DF;
    memcpy(mirror, area->data, DATA);
    memcpy(registers.gpr, area->in.gpr, sizeof(registers.gpr));
    memcpy(vectors, area->in.ymm, sizeof(vectors));
    registers.rflags = area->in.flags | 2;
    registers.rip = (uintptr_t)instruction_at;
    memset(instruction_at, 0x90, 16);
    memcpy(instruction_at, g->code, g->length);

    enum emulate_result result = emulate_one(&emulator);
    if (result != EMULATE_OK && result != EMULATE_FAULT) {
        dump(form, g, "result (not executed)");
        fail();
    }
    run_native();
    if ((result == EMULATE_FAULT) != (native_signal != 0)) {
        dump(form, g, "faulting");
        fail();
    }
    if (result == EMULATE_FAULT) {
        assert_int_equal(native_signal, emulator.fault.vector == 0   ? SIGFPE
                                        : emulator.fault.vector == 6 ? SIGILL
                                                                     : SIGSEGV);
        assert_memory_equal(registers.gpr, area->in.gpr, sizeof(registers.gpr));
        assert_memory_equal(mirror, area->data, DATA);
        return;
    }
    if (registers.rip != (uintptr_t)instruction_at + g->length) {
        dump(form, g, "length");
        fail();
    }
    if (memcmp(registers.gpr, area->out.gpr, sizeof(registers.gpr)) != 0) {
        dump(form, g, "a register");
        fail();
    }
    if ((registers.rflags ^ area->out.flags) & flags) {
        dump(form, g, "a flag");
        fail();
    }
    if (memcmp(mirror, area->data, DATA) != 0) {
        dump(form, g, "memory");
        fail();
    }
    for (unsigned i = 0; i < 16; i++)
        if (memcmp(vectors[i], area->out.ymm[i], have_avx ? 32 : 16) != 0) {
            dump(form, g, "a vector register");
            fail();
        }
}

/* A 16-bit double shift by more than 16 has no defined result; what we do is what the CPUs of one maker do.
 */
static bool double_shift_undefined(const struct form *form, const struct generated *g) {
    unsigned count = form->immediate ? g->count : (unsigned)area->in.gpr[1];
    return form->kind == DOUBLE_SHIFTS && g->size == 2 && (count & 31) > 16;
}

static void randomise(void) {
    for (unsigned i = 0; i < 16; i++)
        area->in.gpr[i] = interesting();
    area->in.flags = (random64() & (ALL | DF)) | 0x202;
    for (unsigned i = 0; i < 16; i++)
        for (unsigned j = 0; j < 4; j++) {
            uint64_t value = random64();
            memcpy(&area->in.ymm[i][8 * j], &value, 8);
        }
}

static void run_form(const struct form *form) {
    struct generated g;
    for (unsigned i = 0; i < CASES; i++) {
        randomise();
        if (form->kind == STRING) {
            for (unsigned r = 6; r < 8; r++)
                area->in.gpr[r] = (uintptr_t)area->data + 0x800 + below(0x1000);
            area->in.gpr[1] = below(4) ? below(40) : 0;
            if (below(2)) /* equal stretches make REPE and REPNE go on */
                memset(area->data, below(2), DATA);
            area->in.gpr[0] = below(2) ? 0 : area->in.gpr[0];
        } else {
            area->in.gpr[4] = (uintptr_t)area->data + 0x800 + 8 * below(0x100);
        }
        if (form->kind == DIVIDE && below(2)) /* a quotient that fits, more often */
            area->in.gpr[2] = below(2) ? below(4) : (area->in.gpr[0] & 1 ? ~0ull : 0);
        generate(form, &g);
        uint64_t *memory = (uint64_t *)(area->data + (g.target - (uintptr_t)area->data) / 8 * 8);
        for (unsigned j = 0; j < 6; j++)
            memory[j] = interesting();
        if (strncmp(form->name, "cmpxchg", 7) == 0 && g.memory && below(2)) {
            uint8_t *at = area->data + (g.target - (uintptr_t)area->data);
            memcpy(at, &area->in.gpr[0], 8);
            if (form->kind == PAIR)
                memcpy(at + (g.rex_w ? 8 : 4), &area->in.gpr[2], 8);
        }
        if (!double_shift_undefined(form, &g))
            check_case(form, &g);
    }
}

static bool supported(const char *feature) {
    __builtin_cpu_init();
    if (!feature)
        return true;
    if (strcmp(feature, "avx") == 0)
        return have_avx;
    if (strcmp(feature, "popcnt") == 0)
        return __builtin_cpu_supports("popcnt");
    if (strcmp(feature, "bmi") == 0)
        return __builtin_cpu_supports("bmi") && __builtin_cpu_supports("avx2"); /* LZCNT came with them */
    if (strcmp(feature, "movbe") == 0)
        return __builtin_cpu_supports("avx2"); /* every such CPU has it */
    if (strcmp(feature, "sse4.1") == 0)
        return __builtin_cpu_supports("sse4.1");
    return false;
}

/* cmocka sets its own handlers before every test. */
static void catch_signals(void) {
    static uint8_t alternate[65536];
    stack_t stack_memory = {.ss_sp = alternate, .ss_size = sizeof(alternate)};
    sigaltstack(&stack_memory, NULL);
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGFPE, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}

static void run_forms(const struct form *forms, unsigned count) {
    if (!area)
        skip(); /* no memory that is both writable and executable here */
    catch_signals();
    for (unsigned i = 0; i < count; i++)
        if (supported(forms[i].feature))
            run_form(&forms[i]);
}
#define RUN(forms) run_forms(forms, sizeof(forms) / sizeof((forms)[0]))

static int set_up(void **unused) {
    (void)unused;
    __builtin_cpu_init();
    have_avx = __builtin_cpu_supports("avx");
    void *memory = mmap(NULL, sizeof(*area), PROT_READ | PROT_WRITE | PROT_EXEC,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (memory == MAP_FAILED)
        return 0;
    area = memory;
    build_frame();
    machine.efer = 0x500;
    machine.cr0 = 0x33; /* no paging: linear addresses are the host's own */
    machine.cr4 = 0x40620;
    machine.cpl = 3;
    machine.segment[X86_CS].attributes = 0xafb;
    uint16_t ss;
    __asm__("mov %%ss, %0" : "=r"(ss));
    machine.segment[X86_SS].selector = ss;
    emulate_init(&emulator, &registers, &machine, &ops, NULL, 52);
    emulator.xcr0 = 7;
    return 0;
}

#endif
