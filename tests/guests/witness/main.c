// SPDX-License-Identifier: Apache-2.0
// The neighbour of a hostile guest: for some seconds it looks whether its memory is its own, its timer comes
// in time and its clock goes on; then it ends.
#include "tests/guests/runtime/guest.h"

#define FIRST   0x400000u
#define BYTES   0x800000u
#define SECONDS 8u
#define PERIOD  5000u /* microseconds */

static uint64_t word_at(uint64_t address) {
    return address * 0x9e3779b97f4a7c15 ^ 0x5a5a5a5a;
}

void guest_main(void) {
    uint64_t wrong = 0, late = 0, rounds = 0;

    lapic_enable();
    for (uint64_t at = FIRST; at < FIRST + BYTES; at += 8)
        *(volatile uint64_t *)at = word_at(at);
    lapic_write(APIC_LVT_TIMER, 0x60);
    lapic_write(APIC_DIVIDE, 0xb);
    uint64_t start = now_us(), at = FIRST;
    print("witness watches\n");
    while (now_us() - start < SECONDS * 1000000) {
        uint32_t before = irq_count[0x60];
        uint64_t armed = now_us();
        lapic_write(APIC_COUNT, PERIOD * 1000);
        while (irq_count[0x60] == before)
            __asm__ volatile("sti; hlt; cli" ::: "memory");
        uint64_t took = now_us() - armed;
        if (took - PERIOD > late)
            late = took - PERIOD;
        for (unsigned i = 0; i < 4096; i++, at = at + 8 < FIRST + BYTES ? at + 8 : FIRST)
            wrong += *(volatile uint64_t *)at != word_at(at);
        rounds++;
    }
    check_equal(wrong, 0, "memory is as it was");
    check_range(rounds, 20, UINT64_MAX, "time was had");
    check_range(late, 0, 4000000,
                "the timer is never seconds late"); /* the machine under it is shared, too */
    print("%u rounds, at most %u us late\n", rounds, late);
}
