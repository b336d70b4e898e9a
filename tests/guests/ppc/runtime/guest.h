// SPDX-License-Identifier: Apache-2.0
// The runtime of the bare PowerPC test guests: checks, output, and code that runs in a context of its own
// until it takes an interrupt. A guest defines guest_main(); what it prints last is "DONE pass" or "DONE
// fail", and then it switches its machine off.
#ifndef SAGUARO_TESTS_GUESTS_PPC_RUNTIME_GUEST_H
#define SAGUARO_TESTS_GUESTS_PPC_RUNTIME_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define array_count(array) (sizeof(array) / sizeof((array)[0]))

/* The guest itself: in supervisor mode, address space 0, with interrupts off; TLB1[0] maps the first 64 MiB
 * 1:1 with all rights, TLB1[1] the board. Returns when all is checked. */
void guest_main(void);

/* --- checks: each has a name and prints one line; of those that stand for many, a failure alone --- */

bool check(bool ok, const char *name);
bool check_equal(uint32_t got, uint32_t expected, const char *name);
bool check_range(uint32_t got, uint32_t low, uint32_t high, const char *name);
bool check_quiet(bool ok, const char *name, uint32_t detail);
void guest_finish(void) __attribute__((noreturn));
/* %s %c %u %x (all 32 bits) %% only. */
void print(const char *format, ...);
/* Whether the command line (/chosen/bootargs) has this word. */
bool guest_option(const char *option);
extern uint32_t timebase_hz;

/* --- registers --- */

#define MFSPR(number)                                                                                        \
    ({                                                                                                       \
        uint32_t value_;                                                                                     \
        __asm__ volatile("mfspr %0, %1" : "=r"(value_) : "i"(number) : "memory");                            \
        value_;                                                                                              \
    })
#define MTSPR(number, value)                                                                                 \
    __asm__ volatile("mtspr %0, %1; isync" ::"i"(number), "r"((uint32_t)(value)) : "memory")

enum {
    SPR_DEC = 22,
    SPR_SRR0 = 26,
    SPR_SRR1 = 27,
    SPR_PID = 48,
    SPR_DECAR = 54,
    SPR_CSRR0 = 58,
    SPR_CSRR1 = 59,
    SPR_DEAR = 61,
    SPR_ESR = 62,
    SPR_IVPR = 63,
    SPR_USPRG0 = 256,
    SPR_SPRG0 = 272,
    SPR_TBL_WRITE = 284,
    SPR_TBU_WRITE = 285,
    SPR_PIR = 286,
    SPR_PVR = 287,
    SPR_TSR = 336,
    SPR_TCR = 340,
    SPR_IVOR0 = 400,
    SPR_SPEFSCR = 512,
    SPR_IVOR32 = 528,
    SPR_MCSRR0 = 570,
    SPR_MCSRR1 = 571,
    SPR_MAS0 = 624,
    SPR_MAS1 = 625,
    SPR_MAS2 = 626,
    SPR_MAS3 = 627,
    SPR_MAS4 = 628,
    SPR_MAS6 = 630,
    SPR_PID1 = 633,
    SPR_PID2 = 634,
    SPR_TLB0CFG = 688,
    SPR_TLB1CFG = 689,
    SPR_MAS7 = 944,
    SPR_MMUCSR0 = 1012,
    SPR_MMUCFG = 1015,
    SPR_SVR = 1023,
};

#define MSR_SPE 0x02000000u
#define MSR_WE  0x00040000u
#define MSR_CE  0x00020000u
#define MSR_EE  0x00008000u
#define MSR_PR  0x00004000u
#define MSR_ME  0x00001000u
#define MSR_IS  0x00000020u
#define MSR_DS  0x00000010u

#define ESR_PIL 0x08000000u
#define ESR_PPR 0x04000000u
#define ESR_PTR 0x02000000u
#define ESR_ST  0x00800000u
#define ESR_SPV 0x00000080u

#define TCR_WIE 0x08000000u
#define TCR_DIE 0x04000000u
#define TCR_FIE 0x00800000u
#define TCR_ARE 0x00400000u
#define TSR_ENW 0x80000000u
#define TSR_WIS 0x40000000u
#define TSR_DIS 0x08000000u
#define TSR_FIS 0x04000000u

enum { /* IVOR numbers */
       VECTOR_CRITICAL = 0,
       VECTOR_MACHINE_CHECK = 1,
       VECTOR_DSI = 2,
       VECTOR_ISI = 3,
       VECTOR_EXTERNAL = 4,
       VECTOR_ALIGNMENT = 5,
       VECTOR_PROGRAM = 6,
       VECTOR_SYSTEM_CALL = 8,
       VECTOR_DECREMENTER = 10,
       VECTOR_FIXED_INTERVAL = 11,
       VECTOR_WATCHDOG = 12,
       VECTOR_DTLB = 13,
       VECTOR_ITLB = 14,
       VECTOR_SPE = 32,
};

static inline uint64_t timebase(void) {
    uint32_t high, low, again;
    do {
        __asm__ volatile("mfspr %0, 269; mfspr %1, 268; mfspr %2, 269"
                         : "=r"(high), "=r"(low), "=r"(again)::"memory");
    } while (high != again);
    return (uint64_t)high << 32 | low;
}

/* --- code in a context of its own --- */

/* start.S knows the layout. */
struct context {
    uint32_t gpr[32];
    uint32_t cr, lr, ctr, xer;
    uint32_t pc, msr; /* where it is entered; then where the interrupt was taken, from (C/MC)SRR0 and 1 */
    uint32_t vector;  /* IVOR number of that */
    uint32_t esr, dear, mcsr;
    uint32_t mas[8]; /* [5] unused */
};
extern struct context run_context;
/* Enters run_context and returns after its first interrupt, with run_context as it was then; after a program
 * interrupt its MSR has neither CE nor WE. */
void run_enter(void);
/* IVPR and all IVORs as the runtime needs them. */
void vectors_set(void);

/* Memory for code that is made up: a page at CODE, whose end is a trap. */
#define CODE 0x00800000u
/* Puts `count` words and a trap (tw 31, r0, r0) at `at` for execution. */
void code_write(uint32_t at, const uint32_t *words, unsigned count);
/*
 * Runs words at CODE with the MSR given (MSR_ME is added) and run_context's registers as they are, to their
 * first interrupt. Whether it came to the end, and if not, more in run_context.
 */
bool run_words(uint32_t msr, const uint32_t *words, unsigned count);
bool run_word(uint32_t msr, uint32_t word);

/* Instruction words. */
#define OP_TRAP              0x7fe00008u
#define OP_BLR               0x4e800020u
#define OP_SC                0x44000002u
#define OP_RFI               0x4c000064u
#define OP_RFCI              0x4c000066u
#define OP_RFMCI             0x4c00004cu
#define OP_ISYNC             0x4c00012cu
#define OP_TLBRE             0x7c000764u
#define OP_TLBWE             0x7c0007a4u
#define OP_TLBSYNC           0x7c00046cu
#define OP_BRANCH_SELF       0x48000000u
#define OP_TLBSX(rb)         (0x7c000724u | (uint32_t)(rb) << 11)
#define OP_TLBIVAX(rb)       (0x7c000624u | (uint32_t)(rb) << 11)
#define OP_DCBI(rb)          (0x7c0003acu | (uint32_t)(rb) << 11)
#define OP_MFMSR(rt)         (0x7c0000a6u | (uint32_t)(rt) << 21)
#define OP_MTMSR(rs)         (0x7c000124u | (uint32_t)(rs) << 21)
#define OP_WRTEE(rs)         (0x7c000106u | (uint32_t)(rs) << 21)
#define OP_WRTEEI(e)         (0x7c000146u | (uint32_t)(e) << 15)
#define OP_SPR(number)       (((uint32_t)(number)&31) << 16 | ((uint32_t)(number) >> 5 & 31) << 11)
#define OP_MFSPR(rt, number) (0x7c0002a6u | (uint32_t)(rt) << 21 | OP_SPR(number))
#define OP_MTSPR(number, rs) (0x7c0003a6u | (uint32_t)(rs) << 21 | OP_SPR(number))
#define OP_LWZ(rt, ra)       (0x80000000u | (uint32_t)(rt) << 21 | (uint32_t)(ra) << 16)
#define OP_STW(rs, ra)       (0x90000000u | (uint32_t)(rs) << 21 | (uint32_t)(ra) << 16)
#define OP_ADDI(rt, ra, si)                                                                                  \
    (0x38000000u | (uint32_t)(rt) << 21 | (uint32_t)(ra) << 16 | ((uint32_t)(si)&0xffff))

/* --- the TLB --- */

struct tlb_entry {
    uint32_t mas1, mas2, mas3, mas7;
};
#define MAS0_TLB1        0x10000000u
#define MAS0_WAY(number) ((uint32_t)(number) << 16)
#define MAS1_VALID       0x80000000u
#define MAS1_IPROT       0x40000000u
#define MAS1_TID(pid)    ((uint32_t)(pid) << 16)
#define MAS1_TS          0x00001000u
#define MAS1_SIZE(size)  ((uint32_t)(size) << 8) /* pages of 4^size KiB, 1 to 11 */
#define MAS3_ALL         0x3fu
#define MAS3_UX          0x20u
#define MAS3_SX          0x10u
#define MAS3_UW          0x08u
#define MAS3_SW          0x04u
#define MAS3_UR          0x02u
#define MAS3_SR          0x01u

void tlb_write(uint32_t mas0, struct tlb_entry entry);
struct tlb_entry tlb_read(uint32_t mas0, uint32_t address); /* the address names a set of TLB0 */
/* Searches for an address. Whether it is there; MAS0 to MAS3 and MAS7 have the entry, or what to write a new
 * one with. */
bool tlb_search(uint32_t address, unsigned pid, unsigned space);
void tlb_invalidate(uint32_t operand); /* tlbivax */
void tlb_flash(bool tlb0, bool tlb1);  /* all that is not protected */

/* A repeatable generator (xorshift). */
uint32_t random_next(uint32_t *state);

#endif
