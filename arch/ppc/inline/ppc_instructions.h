// SPDX-License-Identifier: Apache-2.0
// The instructions behind arch/ppc/instructions.h, which says what each of them does.
#ifndef SAGUARO_ARCH_PPC_INLINE_INSTRUCTIONS_H
#define SAGUARO_ARCH_PPC_INLINE_INSTRUCTIONS_H

#include <stdint.h>
#include "arch/ppc/registers.h"

/* The number is part of the instruction. */
#define spr_read(spr)                                                                                        \
    __extension__({                                                                                          \
        uint32_t spr_value;                                                                                  \
        __asm__ volatile("mfspr %0, %1" : "=r"(spr_value) : "i"(spr) : "memory");                            \
        spr_value;                                                                                           \
    })
#define spr_write(spr, value) __asm__ volatile("mtspr %0, %1" ::"i"(spr), "r"((uint32_t)(value)) : "memory")

static inline uint32_t msr_read(void) {
    uint32_t value;
    __asm__ volatile("mfmsr %0" : "=r"(value)::"memory");
    return value;
}
static inline void msr_write(uint32_t value) {
    __asm__ volatile("mtmsr %0; isync" ::"r"(value) : "memory");
}

/* e500 core manual, 2.6.2: the upper half is read again, for a carry between the two. */
static inline uint64_t timebase_read(void) {
    uint32_t high = 0, low = 0, again = 0;
    do
        __asm__ volatile("mfspr %0, 269; mfspr %1, 268; mfspr %2, 269" : "=r"(high), "=r"(low), "=r"(again));
    while (high != again);
    return (uint64_t)high << 32 | low;
}

static inline void context_sync(void) {
    __asm__ volatile("isync" ::: "memory");
}
static inline void memory_sync(void) {
    __asm__ volatile("msync" ::: "memory");
}
static inline void io_sync(void) {
    __asm__ volatile("mbar" ::: "memory");
}

static inline void cache_store(const void *at) {
    __asm__ volatile("dcbst 0, %0" ::"r"(at) : "memory");
}
/* e500 core manual, 11.3: flash invalidation, done when the bit is 0 again. */
static inline void cache_forget_code(void) {
    memory_sync();
    context_sync();
    spr_write(SPR_L1CSR1, spr_read(SPR_L1CSR1) | L1CSR0_CFI);
    for (unsigned i = 0; i < 1000 && (spr_read(SPR_L1CSR1) & L1CSR0_CFI); i++)
        ;
    context_sync();
}

static inline void tlb_write(void) {
    __asm__ volatile("isync; tlbwe; isync; msync" ::: "memory");
}
static inline void tlb_search(uint32_t address) {
    __asm__ volatile("isync; tlbsx 0, %0; isync" ::"r"(address) : "memory");
}
static inline void tlb_flash(uint32_t which) {
    spr_write(SPR_MMUCSR0, which);
    context_sync();
    while ((spr_read(SPR_MMUCSR0) & which) != 0)
        continue;
    __asm__ volatile("msync; isync" ::: "memory");
}

#endif
