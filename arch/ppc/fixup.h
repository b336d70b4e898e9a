// SPDX-License-Identifier: Apache-2.0
// Accesses that may fault by right: a fault at a listed address goes on at the address listed beside it.
#ifndef SAGUARO_ARCH_PPC_FIXUP_H
#define SAGUARO_ARCH_PPC_FIXUP_H

#include <errno.h>
#include <stdint.h>

/* One entry of section .fixup_table. */
struct fixup {
    uint32_t fault; /* address of the instruction */
    uint32_t resume;
};

#define FIXUP(fault, resume)                                                                                 \
    ".pushsection .fixup_table, \"a\"\n\t"                                                                   \
    ".balign 4\n\t"                                                                                          \
    ".long " fault ", " resume "\n\t"                                                                        \
    ".popsection"

/* Where to go on after a fault at `pc`; 0: nowhere. */
uint32_t fixup_find(uint32_t pc);

/* Reads a word of the hypervisor's own address space. 0, or -EFAULT: nothing is mapped there (*value is 0).
 */
static inline int read32_safe(uint32_t address, uint32_t *value) {
    int error = -EFAULT;
    uint32_t word = 0;
    __asm__ volatile("1: lwz %1, 0(%2)\n\t"
                     "li %0, 0\n"
                     "2:\n\t" FIXUP("1b", "2b")
                     : "+r"(error), "+r"(word)
                     : "b"(address)
                     : "memory");
    *value = word;
    return error;
}

#endif
