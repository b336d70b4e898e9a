// SPDX-License-Identifier: Apache-2.0
// Made-up instruction words.
#include "tests/guests/ppc/hostile/hostile.h"

/* Extended opcodes of primary opcode 31 that there are. */
static const uint16_t extended[] = {
    0,   4,   8,   10,  11,  15,  19,  20,  23,  24,  26,  28,  32,  40,  54,  55,  60,  62,   75,  83,  86,
    87,  104, 119, 124, 131, 136, 138, 144, 146, 150, 151, 163, 183, 200, 202, 215, 232, 234,  235, 246, 247,
    262, 266, 278, 279, 284, 310, 311, 316, 323, 334, 339, 343, 371, 375, 390, 407, 412, 438,  439, 444, 451,
    454, 459, 462, 467, 470, 476, 486, 491, 512, 533, 534, 535, 536, 566, 567, 597, 598, 599,  631, 661, 662,
    663, 695, 725, 727, 758, 759, 786, 790, 792, 824, 854, 914, 918, 922, 946, 978, 982, 1014,
};
static const uint16_t extended19[] = {0, 16, 33, 38, 39, 50, 51, 129, 150, 193, 225, 257, 289, 417, 449, 528};

uint32_t random_word(void) {
    uint32_t fields = next() & 0x03fff801, low = next() & 0xffff;

    switch (next() & 7) {
    case 0:
    case 1:
    case 2:
        return 31u << 26 | fields | (uint32_t)extended[next() % array_count(extended)] << 1;
    case 3:
        return 19u << 26 | fields | (uint32_t)extended19[next() % array_count(extended19)] << 1;
    case 4: /* loads and stores, near */
        return (32 + next() % 16) << 26 | (fields & 0x03ff0000) | (low & 0xfc);
    case 5: /* arithmetic with a number */
        return (7 + next() % 9) << 26 | (fields & 0x03ff0000) | low;
    case 6: /* branches, near */
        return (next() & 1 ? 16u << 26 | (fields & 0x03ff0000) : 18u << 26) | (low & 0x1f);
    default:
        return next() & 3 ? 4u << 26 | (next() & 0x03ffffff) : OP_SC;
    }
}

bool register_spared(unsigned number) {
    return number == SPR_IVPR || (number >= SPR_IVOR0 && number < SPR_IVOR0 + 16) ||
           (number >= SPR_IVOR32 && number < SPR_IVOR32 + 4);
}

uint32_t register_value(unsigned number) {
    uint32_t value = next() & 1 ? next() : 1u << (next() & 31);

    return number == SPR_TCR || number == 308 ? value & ~0x30000000u
                                              : value; /* no reset by watchdog or DBCR0 */
}

/* An MSR that keeps ME and does not wait. */
static uint32_t msr_value(void) {
    uint32_t value = next() & 1 ? next() : 1u << (next() & 31);

    return (value & ~MSR_WE) | MSR_ME;
}

uint32_t privileged_word(unsigned reg) {
    static const uint32_t plain[] = {OP_TLBRE,     OP_TLBSYNC,   OP_ISYNC,
                                     OP_WRTEEI(0), OP_WRTEEI(1), 0x7c0004ac /* msync */};
    unsigned number, to = 24 + next() % 8;

    switch (next() & 7) {
    case 0:
        return OP_MFSPR(to, next() & 0x3ff);
    case 1:
    case 2:
        number = next() & 0x3ff;
        if (register_spared(number) || number == SPR_TSR)
            return OP_MFSPR(to, number);
        run_context.gpr[reg] = register_value(number);
        return OP_MTSPR(number, reg);
    case 3:
        return plain[next() % array_count(plain)];
    case 4:
        run_context.gpr[reg] = msr_value();
        return next() & 1 ? OP_MTMSR(reg) : OP_WRTEE(reg);
    case 5:
        return next() & 1 ? OP_TLBSX(reg) : OP_TLBIVAX(reg);
    case 6:
        return OP_MFMSR(to);
    default:
        return next() & 1 ? OP_SC : 31u << 26 | (next() & 0x03e0f800) | 598u << 1;
    }
}
