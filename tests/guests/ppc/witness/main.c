// SPDX-License-Identifier: Apache-2.0
// The neighbour of a hostile guest: for some seconds it looks whether its memory is its own, its timer comes
// in time and its clock goes on; then it ends.
#include "tests/guests/ppc/runtime/guest.h"

#define FIRST   0x00a00000u
#define BYTES   0x00600000u
#define SECONDS 6u
#define BDNZ    0x42000000u /* to itself */

static uint32_t word_at(uint32_t address) {
    return address * 0x9e3779b9 ^ 0x5a5a5a5a;
}

void guest_main(void) {
    uint32_t wrong = 0, rounds = 0, at = FIRST, ms = timebase_hz / 1000, period = 5 * ms;
    uint64_t late = 0;

    for (uint32_t address = FIRST; address < FIRST + BYTES; address += 4)
        *(volatile uint32_t *)address = word_at(address);
    print("witness watches\n");
    MTSPR(SPR_TCR, TCR_DIE);
    uint64_t start = timebase();
    while (timebase() - start < (uint64_t)SECONDS * timebase_hz) {
        MTSPR(SPR_TSR, TSR_DIS);
        uint64_t armed = timebase();
        MTSPR(SPR_DEC, period);
        run_context.ctr = 0xffffffff;
        run_word(MSR_EE | MSR_PR, BDNZ);
        uint64_t took = timebase() - armed;
        if (run_context.vector != VECTOR_DECREMENTER || took + 100 < period)
            wrong++;
        if (took > period && took - period > late)
            late = took - period;
        for (unsigned i = 0; i < 8192; i++, at = at + 4 < FIRST + BYTES ? at + 4 : FIRST)
            wrong += *(volatile uint32_t *)at != word_at(at);
        rounds++;
    }
    MTSPR(SPR_TCR, 0);
    check_equal(wrong, 0, "memory is as it was, and the timer comes");
    check_range(rounds, 20, UINT32_MAX, "time was had");
    check_range((uint32_t)(late / ms), 0, 4000,
                "the timer is never seconds late"); /* the machine under it is shared, too */
    print("%u rounds, at most %u ms late\n", rounds, (uint32_t)(late / ms));
}
