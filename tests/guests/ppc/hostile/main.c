// SPDX-License-Identifier: Apache-2.0
// Guests that mean no good: random instructions in supervisor and user mode, every special-purpose register,
// random TLB entries, addresses and hypercalls, loops that never let go. The command line says which, and
// with "seed" another order. What comes back does not matter; that the guest gets to its end, or dies alone,
// does.
#include "tests/guests/ppc/hostile/hostile.h"

static uint32_t state = 0x2545f491;
uint32_t ticks; /* of a run, at most */

uint32_t next(void) {
    return random_next(&state);
}

/* Registers for a run: random, small, or addresses of this test's own. */
static uint32_t value(void) {
    uint32_t random = next();

    switch (random >> 29) {
    case 0:
        return random & 0xff;
    case 1:
        return 0u - (random & 0xff);
    case 2:
    case 3:
        return USER + (random & 0x3fff);
    case 4:
        return 1u << (random & 31);
    default:
        return next();
    }
}

void prepare(void) {
    vectors_set();
    MTSPR(SPR_PID, 0);
    MTSPR(SPR_PID1, 0);
    MTSPR(SPR_PID2, 0);
    MTSPR(SPR_DECAR, 0);
    MTSPR(SPR_TCR, TCR_DIE);
    MTSPR(SPR_TSR, 0xffffffff);
    for (unsigned i = 0; i < 32; i++)
        run_context.gpr[i] = value();
    run_context.cr = next();
    run_context.lr = value();
    run_context.ctr = next() & 7 ? next() & 0xff : next();
    run_context.xer = next();
    MTSPR(SPR_DEC, ticks);
}

void user_pages(void) {
    for (unsigned i = 0; i < 4; i++)
        tlb_write(MAS0_WAY(0),
                  (struct tlb_entry){MAS1_VALID | MAS1_TS | MAS1_SIZE(1), USER + i * PAGE,
                                     (PHYS + i * PAGE) | MAS3_UR | MAS3_UX | (i > 0 ? MAS3_UW : 0), 0});
}

/* Words that any program could have, in user mode and an address space of four pages. */
static void user(void) {
    user_pages();
    for (unsigned run = 0; run < RUNS; run++) {
        uint32_t words[WORDS];

        for (unsigned i = 0; i < WORDS; i++)
            words[i] = run & 1 ? next() : random_word();
        prepare();
        code_write(PHYS, words, WORDS);
        run_context.pc = USER;
        run_context.msr = MSR_ME | MSR_EE | MSR_PR | MSR_IS | MSR_DS;
        run_enter();
    }
    check(true, "random words in user mode");
}

/* Privileged words in supervisor mode, but for what would take this guest's own ground away. */
static void supervisor(void) {
    for (unsigned run = 0; run < RUNS; run++) {
        uint32_t words[WORDS];

        prepare();
        for (unsigned i = 0; i < WORDS; i++)
            words[i] = privileged_word(8 + i);
        run_words(MSR_EE, words, WORDS);
        if (run % 64 == 0)
            tlb_flash(true, true);
    }
    check(true, "random words in supervisor mode");
}

static void registers(void) {
    for (unsigned number = 0; number < 1024; number++) {
        prepare();
        run_word(MSR_EE, OP_MFSPR(6, number));
        prepare();
        run_word(MSR_EE | MSR_PR, OP_MFSPR(6, number));
        prepare();
        run_word(MSR_EE | MSR_PR, OP_MTSPR(number, 6));
        for (unsigned i = 0; i < 4 && !register_spared(number); i++) {
            prepare();
            run_context.gpr[6] = register_value(number);
            run_word(MSR_EE, OP_MTSPR(number, 6));
        }
    }
    prepare();
    check(true, "every special-purpose register");
}

/* Calls of the hypervisor: each number of KVM's and the ePAPR's, and random ones. On the bare machine they
 * are plain system calls. */
static void hypercalls(void) {
    for (unsigned run = 0; run < RUNS; run++) {
        prepare();
        run_context.gpr[11] = run < 512 ? (run & 1 ? 42u << 16 : 1u << 16) | run >> 1
                              : run & 1 ? (next() & 1 ? 42u << 16 : 1u << 16) | (next() & 0xff)
                                        : next();
        run_context.gpr[3] =
            0x50000000 | (next() & 0x0ffff000); /* a magic page would lie where nothing of this guest is */
        run_context.gpr[0] = next();
        run_word(MSR_EE | (next() & 1 ? MSR_PR : 0), next() & 1 ? OP_SC | 0x20 : OP_SC);
    }
    check(true, "random hypercalls");
}

/* Never lets go, with interrupts off. */
static void spin(void) {
    check(true, "about to spin");
    for (;;)
        ;
}

/* Waits for an interrupt that does not come. */
static void halt(void) {
    check(true, "about to halt");
    MTSPR(1008, 0x00800000); /* HID0[DOZE] */
    for (;;)
        __asm__ volatile("msync; mtmsr %0; isync" ::"r"(MSR_WE | MSR_ME));
}

/* An interrupt whose handler is nowhere: it takes another one, and another, for ever. */
static void lost(void) {
    check(true, "about to be lost");
    MTSPR(SPR_IVPR, 0x50000000);
    __asm__ volatile("sc");
}

/* A fetch from where nothing is, with machine checks masked: the CPU stops. */
static void checkstop(void) {
    tlb_write(MAS0_WAY(0), (struct tlb_entry){MAS1_VALID | MAS1_SIZE(1), USER, 0x10000000 | MAS3_ALL, 0x8});
    check(true, "about to stop");
    __asm__ volatile("mtmsr %0; isync; mtctr %1; bctr" ::"r"(0), "r"(USER) : "ctr");
    __builtin_unreachable();
}

void guest_main(void) {
    static const struct {
        const char *name;
        void (*run)(void);
    } modes[] = {
        {"user", user},
        {"supervisor", supervisor},
        {"registers", registers},
        {"tlb", random_tlb},
        {"memory", random_memory},
        {"hypercalls", hypercalls},
        {"spin", spin},
        {"halt", halt},
        {"lost", lost},
        {"checkstop", checkstop},
    };
    ticks = timebase_hz / 1000;
    if (guest_option("seed"))
        state = (uint32_t)timebase() | 1;
    print("seed 0x%x\n", state);
    for (unsigned i = 0; i < array_count(modes); i++)
        if (guest_option(modes[i].name)) {
            modes[i].run();
            MTSPR(SPR_TCR, 0);
            return;
        }
    check(false, "no such mode");
}
