// SPDX-License-Identifier: Apache-2.0
// The timers of Book E: decrementer with auto-reload, fixed-interval timer, watchdog, time base; delivery to
// user and supervisor mode, and what masks them.
#include "tests/guests/ppc/cpu/cpu.h"
#include "tests/guests/ppc/runtime/guest.h"

#define BDNZ_SELF 0x42000000u
#define SPIN      400000000u /* rounds: far longer than any timer here */
#define SLACK     100u       /* ticks that the rounding of clocks may take */
#define HID0      1008
#define HID0_DOZE 0x00800000u

/* Counts down at CODE until an interrupt comes. */
static void spin(uint32_t msr, uint32_t rounds) {
    run_context.ctr = rounds;
    run_word(msr, BDNZ_SELF);
}

static void quiet(void) {
    MTSPR(SPR_TCR, 0);
    MTSPR(SPR_DECAR, 0);
    MTSPR(SPR_DEC, 0x7fffffff); /* QEMU 7.2 takes a 0 for one that has run out, a little later */
    MTSPR(SPR_TSR, 0xffffffff);
}

static bool decremented(uint32_t msr) {
    return run_context.vector == VECTOR_DECREMENTER && run_context.pc == CODE &&
           run_context.msr == (msr | MSR_ME);
}

static void test_decrementer(uint32_t ms) {
    for (unsigned user = 0; user < 2; user++) {
        uint32_t msr = user ? MSR_EE | MSR_PR : MSR_EE;

        quiet();
        MTSPR(SPR_TCR, TCR_DIE);
        uint64_t start = timebase();
        MTSPR(SPR_DEC, ms);
        spin(msr, SPIN);
        uint64_t end = timebase();
        check(decremented(msr), user ? "decrementer in user mode" : "decrementer");
        check(end - start + SLACK >= ms && end - start < 1000ull * ms, "the decrementer takes its time");
        check_equal(MFSPR(SPR_TSR) & TSR_DIS, TSR_DIS, "TSR[DIS]");
        /* It is there until TSR[DIS] is cleared. */
        spin(msr, SPIN);
        check(decremented(msr), "decrementer again, while TSR[DIS] stands");
        MTSPR(SPR_TSR, TSR_DIS);
        check_equal(MFSPR(SPR_TSR) & TSR_DIS, 0, "TSR[DIS] is cleared by writing 1");
        spin(msr, 1000000);
        check_equal(run_context.vector, VECTOR_PROGRAM, "a decrementer at 0 rests");
        if (exact)
            check_equal(MFSPR(SPR_DEC), 0, "DEC rests at 0");
    }
    quiet();
    MTSPR(SPR_DEC, ms);
    while (!(MFSPR(SPR_TSR) & TSR_DIS))
        ;
    spin(MSR_EE, 1000000);
    check_equal(run_context.vector, VECTOR_PROGRAM, "TCR[DIE] masks the decrementer");
    MTSPR(SPR_TCR, TCR_DIE);
    spin(0, 1000000);
    check_equal(run_context.vector, VECTOR_PROGRAM, "MSR[EE] masks the decrementer");
    run_word(0, OP_WRTEEI(1));
    check(run_context.vector == VECTOR_DECREMENTER && run_context.pc == CODE + 4, "wrteei 1 lets it through");
    run_context.gpr[5] = MSR_EE | MSR_ME;
    run_word(0, OP_MTMSR(5));
    check(run_context.vector == VECTOR_DECREMENTER && run_context.pc == CODE + 4, "mtmsr lets it through");
    quiet();
    if (!exact)
        return;
    MTSPR(SPR_DEC, 0x40000000);
    uint32_t first = MFSPR(SPR_DEC), second = MFSPR(SPR_DEC);
    check(first <= 0x40000000 && second <= first && second > 0x20000000, "DEC counts down");
    quiet();
}

static void test_reload(uint32_t ms) {
    uint64_t start;

    quiet();
    MTSPR(SPR_DECAR, 2 * ms);
    MTSPR(SPR_TCR, TCR_DIE | TCR_ARE);
    start = timebase();
    MTSPR(SPR_DEC, 2 * ms);
    unsigned came = 0;
    for (; came < 5; came++) {
        spin(MSR_EE, SPIN);
        if (!decremented(MSR_EE))
            break;
        MTSPR(SPR_TSR, TSR_DIS);
    }
    uint64_t took = timebase() - start;
    check_equal(came, 5, "the decrementer reloads itself");
    check(took + SLACK >= 10ull * ms && took < 10000ull * ms, "the reloaded decrementer keeps its period");
    quiet();
}

/* Bits 47 (FIT) and 45 (watchdog) of the time base: 2^17 and 2^19 ticks. */
static void test_fixed_interval(void) {
    quiet();
    MTSPR(SPR_TCR, TCR_FIE | 0x03000000 | 0xbu << 13);
    MTSPR(SPR_TSR, TSR_FIS);
    uint64_t start = timebase();
    unsigned came = 0;
    for (; came < 4; came++) {
        spin(MSR_EE, SPIN);
        if (run_context.vector != VECTOR_FIXED_INTERVAL)
            break;
        MTSPR(SPR_TSR, TSR_FIS);
    }
    uint64_t took = timebase() - start;
    check_equal(came, 4, "fixed-interval timer");
    check(took >= 3ull << 17 && took < 3000ull << 17, "the fixed-interval timer keeps its period");
    quiet();
}

static void test_watchdog(void) {
    quiet();
    MTSPR(SPR_TCR, TCR_WIE | 0x40000000 | 0xbu << 17); /* bit 45; no reset */
    MTSPR(SPR_TSR, TSR_ENW | TSR_WIS);
    spin(MSR_CE, SPIN); /* the first time-out sets ENW, the second WIS */
    check_equal(run_context.vector, VECTOR_WATCHDOG, "watchdog");
    check_equal(run_context.msr, MSR_CE | MSR_ME, "CSRR1 of the watchdog");
    check_equal(MFSPR(SPR_TSR) & (TSR_ENW | TSR_WIS), TSR_ENW | TSR_WIS, "TSR of the watchdog");
    spin(MSR_EE, 1000000);
    check_equal(run_context.vector, VECTOR_PROGRAM, "MSR[CE] masks the watchdog");
    quiet();
}

static void test_timebase(uint32_t ms) {
    uint64_t before = timebase();

    check(timebase() >= before, "the time base does not go back");
    MTSPR(SPR_TBL_WRITE, 0);
    MTSPR(SPR_TBU_WRITE, 0x1234);
    MTSPR(SPR_TBL_WRITE, 0x1000);
    uint64_t set = timebase();
    uint64_t expected = shared ? before : 0x123400001000;
    check(set >= expected && set < expected + 1000ull * ms,
          shared ? "the time base stays" : "the time base can be set");
    while (timebase() < set + ms)
        ;
    check(true, "the time base goes on");
}

/* The wait state ends with an interrupt. */
static void test_wait(uint32_t ms) {
    static const uint32_t words[] = {OP_MTMSR(5), BDNZ_SELF};

    quiet();
    MTSPR(HID0, MFSPR(HID0) | HID0_DOZE);
    MTSPR(SPR_TCR, TCR_DIE);
    run_context.gpr[5] = MSR_WE | MSR_EE | MSR_CE | MSR_ME;
    run_context.ctr = SPIN;
    uint64_t start = timebase();
    MTSPR(SPR_DEC, 5 * ms);
    run_words(0, words, array_count(words));
    check(run_context.vector == VECTOR_DECREMENTER && timebase() - start + SLACK >= 5 * ms,
          "the wait state ends with an interrupt");
    check_range(run_context.pc, CODE + 4, CODE + 4, "the wait state ends behind mtmsr");
    quiet();
}

void test_timers(void) {
    check_range(timebase_hz, 1000000, 4000000000u, "timebase-frequency of the device tree");
    uint32_t ms = timebase_hz / 1000;
    test_decrementer(ms);
    test_reload(ms);
    if (exact) {
        test_fixed_interval();
        test_watchdog();
    }
    test_timebase(ms);
    test_wait(ms);
}
