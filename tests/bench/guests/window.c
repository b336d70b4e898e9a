// SPDX-License-Identifier: Apache-2.0
// Memory of a guest that comes and goes: opens and closes the window at 0xA0000 of its chipset (SMRAM, 32
// pages of 4 KiB), and comes to window_done() then.
#include "tests/bench/guests/bench.h"

#define TIMES        5u
#define WINDOW       0xa0000u
#define SMRAM        0x8000009cu /* the host bridge's register 0x9D is the second byte there */
#define SMRAM_OPENED 0x4au       /* D_OPEN, G_SMRAME (Intel 3 Series chipset data sheet, 5.1.29) */
#define SMRAM_CLOSED 0x02u

void window_done(void);

static void set_window(uint8_t value) {
    out32(0xcf8, SMRAM);
    out8(0xcfd, value);
}

/* A debugger stops here. */
__attribute__((noinline)) void window_done(void) {
    __asm__ volatile("" ::: "memory");
}

void guest_main(void) {
    bool right = true;

    for (uint32_t i = 1; i <= TIMES; i++) {
        set_window(SMRAM_OPENED);
        *mmio32(WINDOW) = i;
        right = right && *mmio32(WINDOW) == i;
        set_window(SMRAM_CLOSED);
        right = right && *mmio32(WINDOW) != i;
    }
    window_done();
    print("BENCH %s 1 1\n", right ? "done" : "failed");
    guest_exit(right ? 0 : 1);
}
