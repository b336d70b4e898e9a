// SPDX-License-Identifier: Apache-2.0
// What single operations of a guest's supervisor code take, in ticks of the time base: each is repeated in a
// loop, with what it needs around it, and the same loop without it is taken off.
#include "tests/guests/ppc/runtime/guest.h"

#define TURNS  2000u
#define ROUNDS 5u
#define PAGE   0x10000000u /* effective: nothing else maps it */
#define TARGET 0x01000000u /* physical */

extern const char ops_return[]; /* start of a vector: rfi */

/* r3: the MSR as it is; r4: PAGE; r5: where rfi goes. */
#define REPEAT(body)                                                                                         \
    ({                                                                                                       \
        uint32_t msr_;                                                                                       \
        __asm__ volatile("mfmsr %0" : "=r"(msr_));                                                           \
        uint64_t start_ = timebase();                                                                        \
        __asm__ volatile("mtctr %[turns]; mr 3, %[msr]; lis 4, %[page]; lis 5, 2f@ha; addi 5, 5, 2f@l\n"     \
                         "1:" body "; 2: bdnz 1b"                                                            \
                         :                                                                                   \
                         : [turns] "r"(TURNS), [msr] "r"(msr_), [page] "i"(PAGE >> 16)                       \
                         : "r0", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "ctr",       \
                           "cr0", "memory");                                                                 \
        (uint32_t)(timebase() - start_);                                                                     \
    })

/* One line for each round: "BENCH name ticks turns". */
#define MEASURE(name, body, without)                                                                         \
    for (unsigned round_ = 0; round_ < ROUNDS; round_++) {                                                   \
        uint32_t with_ = REPEAT(body), less_ = REPEAT(without);                                              \
        print("BENCH %s %u %u\n", name, with_ - less_, TURNS);                                               \
    }

__asm__(".section .text\n"
        ".balign 16\n"
        "ops_return: rfi\n");

static void measure_hypercalls(void) {
    MEASURE("hypercall", "lis 11, 0x2a; ori 11, 11, 3; sc 1", "lis 11, 0x2a; ori 11, 11, 3")
    MEASURE("hypercall-kvm", "lis 0, 0x4b56; ori 0, 0, 0x4d21; lis 11, 0x2a; ori 11, 11, 3; sc",
            "lis 0, 0x4b56; ori 0, 0, 0x4d21; lis 11, 0x2a; ori 11, 11, 3")
}

void guest_main(void) {
    MTSPR(SPR_IVPR, (uint32_t)ops_return & 0xffff0000u);
    MTSPR(SPR_IVOR0 + VECTOR_SYSTEM_CALL, (uint32_t)ops_return & 0xffffu);
    MTSPR(SPR_MAS0, 0);
    MTSPR(SPR_MAS1, MAS1_VALID | MAS1_SIZE(1));
    MTSPR(SPR_MAS2, PAGE);
    MTSPR(SPR_MAS3, TARGET | MAS3_ALL);
    MTSPR(SPR_MAS7, 0);
    MEASURE("scale", ".rept 100; nop; .endr", "")
    MEASURE("mfmsr", "mfmsr 6", "")
    MEASURE("wrteei", "wrteei 0", "")
    MEASURE("mtmsr", "mtmsr 3", "")
    MEASURE("mfspr-sprg0", "mfspr 6, 272", "")
    MEASURE("mtspr-srr0", "mtspr 26, 5", "")
    MEASURE("rfi", "mtspr 26, 5; mtspr 27, 3; rfi", "mtspr 26, 5; mtspr 27, 3")
    MEASURE("sc-rfi", "li 0, 20; sc", "li 0, 20")
    MEASURE("tlbwe", "tlbwe", "")
    MEASURE("tlb-fill", "tlbwe; lwz 6, 0(4)", "tlbwe")
    if (guest_option("hypercalls"))
        measure_hypercalls();
    vectors_set();
    print("BENCH done 1 1\n");
}
