// SPDX-License-Identifier: Apache-2.0
// Checks of an e500v2 from inside: privileged instructions, special-purpose registers, interrupts, timers.
#include "tests/guests/ppc/cpu/cpu.h"

#include "tests/guests/ppc/runtime/guest.h"

bool exact, shared;

void guest_main(void) {
    exact = guest_option("exact");
    shared = guest_option("shared");
    test_privileged();
    test_registers();
    test_moves();
    test_interrupts();
    test_timers();
}
