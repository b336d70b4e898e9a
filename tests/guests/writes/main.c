// SPDX-License-Identifier: Apache-2.0
// A guest that writes to as many pages as its command line says ("3000-pages", or none), again and again, and
// to hardly any other.
#include "tests/guests/runtime/guest.h"

#define FIRST 0x1000000u /* behind the guest itself */
#define PAGE  0x1000u

void guest_main(void) {
    unsigned pages = guest_option("3000-pages") ? 3000 : 0;

    print("writing to %u pages\n", pages);
    for (;;) {
        /* Not in their order. */
        for (unsigned i = 0; i < pages; i++)
            *(volatile uint8_t *)(uint64_t)(FIRST + i * 7 % pages * PAGE) += 1;
        delay_us(1000);
    }
}
