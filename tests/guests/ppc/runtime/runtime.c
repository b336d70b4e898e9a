// SPDX-License-Identifier: Apache-2.0
// The rest of the bare PowerPC guests' runtime: the device tree's command line, made-up code, the TLB.
#include "tests/guests/ppc/runtime/guest.h"

#define FDT_MAGIC      0xd00dfeedu
#define FDT_BEGIN_NODE 1u
#define FDT_END_NODE   2u
#define FDT_PROP       3u
#define FDT_NOP        4u

struct context run_context;
uint32_t timebase_hz;
static const char *cmdline = "";

/* QEMU 7.2 tells the cause of a program interrupt in SRR1, as CPUs of another kind do; MSR[CE] is among these
 * bits. */
#define SRR1_CAUSE 0x001e0000u

void runtime_main(const uint32_t *tree);
void run_until_interrupt(void);
void runtime_unexpected(void) __attribute__((noreturn));

/* The compiler calls these by itself. */
void *memset(void *to, int value, size_t size);
void *memcpy(void *restrict to, const void *restrict from, size_t size);

void *memset(void *to, int value, size_t size) {
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)to)[i] = (uint8_t)value;
    return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t size) {
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    return to;
}

static bool same(const char *a, const char *b) {
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

/* Takes the first properties of these names, wherever they are: only one node of the board's tree has each.
 */
static void read_tree(const uint32_t *tree) {
    if (tree[0] != FDT_MAGIC)
        return;
    const uint32_t *at = (const uint32_t *)((const char *)tree + tree[2]);
    const char *strings = (const char *)tree + tree[3];
    for (;;) {
        switch (*at++) {
        case FDT_BEGIN_NODE: {
            const char *name = (const char *)at;
            while (*name)
                name++;
            at = (const uint32_t *)(((uintptr_t)name + 4) & ~3u);
            break;
        }
        case FDT_PROP:
            if (same(strings + at[1], "bootargs"))
                cmdline = (const char *)(at + 2);
            else if (same(strings + at[1], "timebase-frequency"))
                timebase_hz = at[2];
            at += 2 + (at[0] + 3) / 4;
            break;
        case FDT_END_NODE:
        case FDT_NOP:
            break;
        default:
            return;
        }
    }
}

bool guest_option(const char *option) {
    for (const char *at = cmdline; *at;) {
        const char *wanted = option;
        for (; *at && *at != ' ' && *at == *wanted; at++, wanted++)
            ;
        if (!*wanted && (!*at || *at == ' '))
            return true;
        while (*at && *at != ' ')
            at++;
        while (*at == ' ')
            at++;
    }
    return false;
}

void runtime_main(const uint32_t *tree) {
    read_tree(tree);
    guest_main();
    guest_finish();
}

/* An interrupt that no context was there for. */
void runtime_unexpected(void) {
    check_quiet(false, "unexpected interrupt", run_context.lr);
    guest_finish();
}

void code_write(uint32_t at, const uint32_t *words, unsigned count) {
    volatile uint32_t *code = (volatile uint32_t *)at;

    for (unsigned i = 0; i <= count; i++) {
        code[i] = i < count ? words[i] : OP_TRAP;
        __asm__ volatile("dcbst 0, %0; msync; icbi 0, %0; msync; isync" ::"r"(&code[i]) : "memory");
    }
}

void run_enter(void) {
    run_until_interrupt();
    if (run_context.vector == VECTOR_PROGRAM)
        run_context.msr &= ~SRR1_CAUSE;
}

bool run_words(uint32_t msr, const uint32_t *words, unsigned count) {
    code_write(CODE, words, count);
    run_context.pc = CODE;
    run_context.msr = msr | MSR_ME;
    run_enter();
    return run_context.vector == VECTOR_PROGRAM && run_context.esr == ESR_PTR &&
           run_context.pc == CODE + 4 * count;
}

bool run_word(uint32_t msr, uint32_t word) {
    return run_words(msr, &word, 1);
}

void tlb_write(uint32_t mas0, struct tlb_entry entry) {
    MTSPR(SPR_MAS0, mas0);
    MTSPR(SPR_MAS1, entry.mas1);
    MTSPR(SPR_MAS2, entry.mas2);
    MTSPR(SPR_MAS3, entry.mas3);
    MTSPR(SPR_MAS7, entry.mas7);
    __asm__ volatile("isync; tlbwe; msync; isync" ::: "memory");
}

static struct tlb_entry mas_entry(void) {
    return (struct tlb_entry){MFSPR(SPR_MAS1), MFSPR(SPR_MAS2), MFSPR(SPR_MAS3), MFSPR(SPR_MAS7)};
}

struct tlb_entry tlb_read(uint32_t mas0, uint32_t address) {
    MTSPR(SPR_MAS0, mas0);
    MTSPR(SPR_MAS2, address & ~0xfffu);
    __asm__ volatile("isync; tlbre; isync" ::: "memory");
    return mas_entry();
}

bool tlb_search(uint32_t address, unsigned pid, unsigned space) {
    MTSPR(SPR_MAS6, pid << 16 | space);
    __asm__ volatile("isync; tlbsx 0, %0; isync" ::"r"(address) : "memory");
    return (MFSPR(SPR_MAS1) & MAS1_VALID) != 0;
}

void tlb_invalidate(uint32_t operand) {
    __asm__ volatile("tlbivax 0, %0; msync; tlbsync; msync; isync" ::"r"(operand) : "memory");
}

void tlb_flash(bool tlb0, bool tlb1) {
    uint32_t bits = (tlb0 ? 4u : 0) | (tlb1 ? 2u : 0);

    MTSPR(SPR_MMUCSR0, bits);
    while (MFSPR(SPR_MMUCSR0) & bits)
        ;
    __asm__ volatile("msync; isync" ::: "memory");
}

uint32_t random_next(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}
