// SPDX-License-Identifier: Apache-2.0
// A guest beside the attacker: memory with a pattern that nobody else changes.
#include "tests/guests/attack/attack.h"

#define PAGES 256u

static volatile uint64_t *pattern;
static uint64_t factor;

void victim_fill(uint64_t key) {
    factor = key | 1;
    pattern = memory_take(PAGES * PAGE);
    for (uint64_t i = 0; i < PAGES * PAGE / 8; i++)
        pattern[i] = (i + 1) * factor;
}

uint64_t victim_wrong(void) {
    uint64_t wrong = 0;

    for (uint64_t i = 0; pattern && i < PAGES * PAGE / 8; i++)
        wrong += pattern[i] != (i + 1) * factor;
    return wrong;
}
