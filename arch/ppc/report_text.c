// SPDX-License-Identifier: Apache-2.0
// The words of a report (e500 core manual, 5.7 and 2.7.1.6).
#include "arch/ppc/report_text.h"

#include <stdio.h>
#include "arch/ppc/registers.h"

const char *trap_name(uint32_t vector) {
    static const char *const names[] = {
        [IVOR_CRITICAL] = "critical interrupt",
        [IVOR_MACHINE_CHECK] = "machine check",
        [IVOR_DATA_STORAGE] = "data storage interrupt",
        [IVOR_INST_STORAGE] = "instruction storage interrupt",
        [IVOR_EXTERNAL] = "external interrupt",
        [IVOR_ALIGNMENT] = "alignment interrupt",
        [IVOR_PROGRAM] = "program interrupt",
        [IVOR_FP_UNAVAILABLE] = "floating point unavailable",
        [IVOR_SYSTEM_CALL] = "system call",
        [IVOR_AP_UNAVAILABLE] = "auxiliary processor unavailable",
        [IVOR_DECREMENTER] = "decrementer",
        [IVOR_FIXED_TIMER] = "fixed-interval timer",
        [IVOR_WATCHDOG] = "watchdog timer",
        [IVOR_DATA_TLB] = "data TLB error",
        [IVOR_INST_TLB] = "instruction TLB error",
        [IVOR_DEBUG] = "debug interrupt",
        [IVOR_SPE_UNAVAILABLE] = "SPE unavailable",
        [IVOR_SPE_FP_DATA] = "SPE floating-point data",
        [IVOR_SPE_FP_ROUND] = "SPE floating-point round",
        [IVOR_PERFORMANCE] = "performance monitor",
    };
    return vector < sizeof(names) / sizeof(names[0]) && names[vector] != NULL ? names[vector] : "unknown";
}

static const char *program_reason(uint32_t esr) {
    if ((esr & ESR_PTR) != 0)
        return "a trap instruction";
    if ((esr & ESR_PIL) != 0)
        return "an illegal instruction";
    if ((esr & ESR_PPR) != 0)
        return "a privileged instruction";
    return "an instruction that is not implemented";
}

void trap_explain(char *text, size_t size, uint32_t vector, uint32_t esr, uint32_t dear, uint32_t pc) {
    const char *access = (esr & ESR_ST) != 0 ? "write to" : "read of";

    if (size == 0)
        return;
    text[0] = '\0';
    switch (vector) {
    case IVOR_DATA_TLB:
        snprintf(text, size, "%s 0x%08x, which is not mapped", access, (unsigned)dear);
        break;
    case IVOR_DATA_STORAGE:
        snprintf(text, size, "%s 0x%08x, which is mapped but not for that", access, (unsigned)dear);
        break;
    case IVOR_INST_TLB:
        snprintf(text, size, "instruction fetch from 0x%08x, which is not mapped", (unsigned)pc);
        break;
    case IVOR_INST_STORAGE:
        snprintf(text, size, "instruction fetch from 0x%08x, which is mapped but not executable",
                 (unsigned)pc);
        break;
    case IVOR_ALIGNMENT:
        snprintf(text, size, "%s 0x%08x", access, (unsigned)dear);
        break;
    case IVOR_PROGRAM:
        snprintf(text, size, "%s", program_reason(esr));
        break;
    default:
        break;
    }
}
