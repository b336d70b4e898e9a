// SPDX-License-Identifier: Apache-2.0
// Instructions that may fault by right: a fault at a listed address goes on at the address listed beside it.
#ifndef SAGUARO_ARCH_X86_FIXUP_H
#define SAGUARO_ARCH_X86_FIXUP_H

#include <errno.h>
#include <stdint.h>

/* One entry of section .fixup_table. */
struct fixup {
    uint64_t fault; /* address of the instruction */
    uint64_t resume;
};

#define FIXUP(fault, resume)                                                                                 \
    ".pushsection .fixup_table, \"a\"\n\t"                                                                   \
    ".balign 8\n\t"                                                                                          \
    ".quad " fault ", " resume "\n\t"                                                                        \
    ".popsection"

/* Where to go on after a fault at `rip`; 0: nowhere. */
uint64_t fixup_find(uint64_t rip);

/* Reads an MSR. 0, or -EFAULT (the CPU has no such MSR; *value is 0). */
static inline int rdmsr_safe(uint32_t msr, uint64_t *value) {
    int error = -EFAULT;
    uint32_t low = 0, high = 0;
    __asm__ volatile("1: rdmsr\n\t"
                     "xorl %0, %0\n"
                     "2:\n\t" FIXUP("1b", "2b")
                     : "+r"(error), "+a"(low), "+d"(high)
                     : "c"(msr)
                     : "memory");
    *value = (uint64_t)high << 32 | low;
    return error;
}

/* Writes an MSR. 0, or -EFAULT (no such MSR, or not that value). */
static inline int wrmsr_safe(uint32_t msr, uint64_t value) {
    int error = -EFAULT;
    __asm__ volatile("1: wrmsr\n\t"
                     "xorl %0, %0\n"
                     "2:\n\t" FIXUP("1b", "2b")
                     : "+r"(error)
                     : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
    return error;
}

/* Writes an extended control register (XCR0). 0, or -EFAULT (a combination that the CPU refuses). */
static inline int xsetbv_safe(uint32_t xcr, uint64_t value) {
    int error = -EFAULT;
    __asm__ volatile("1: xsetbv\n\t"
                     "xorl %0, %0\n"
                     "2:\n\t" FIXUP("1b", "2b")
                     : "+r"(error)
                     : "c"(xcr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
    return error;
}

#endif
