// SPDX-License-Identifier: Apache-2.0
// The instructions of arch/ppc/instructions.h for unit tests on the host: functions of the test.
#ifndef SAGUARO_TESTS_PPC_INSTRUCTIONS_H
#define SAGUARO_TESTS_PPC_INSTRUCTIONS_H

#include <stdint.h>

/* Each test that needs them defines these. */
uint32_t spr_read(unsigned spr);
void spr_write(unsigned spr, uint32_t value);
uint32_t msr_read(void);
void msr_write(uint32_t value);
uint64_t timebase_read(void);
/* Of arch/ppc/inline/arch_inline.h. */
uint64_t time_from_timebase(uint64_t ticks);
uint64_t clock_scale(uint64_t value, uint64_t ratio);
void context_sync(void);
void memory_sync(void);
void io_sync(void);
/* Caches: nothing to do, but it is counted. */
__attribute__((weak)) unsigned test_code_forgotten;
static inline void cache_forget_code(void) {
    test_code_forgotten++;
}
void tlb_write(void);
void tlb_search(uint32_t address);
void tlb_flash(uint32_t which);

#endif
