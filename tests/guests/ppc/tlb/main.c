// SPDX-License-Identifier: Apache-2.0
// Checks of an e500v2's TLBs from inside.
#include "tests/guests/ppc/tlb/tlb.h"

void guest_main(void) {
    for (uint32_t at = PHYS; at < PHYS + (16u << 20); at += 4)
        *(volatile uint32_t *)at = content(at);
    clear_all();
    test_misses();
    test_rights();
    test_spaces();
    test_pages();
    clear_all();
}
