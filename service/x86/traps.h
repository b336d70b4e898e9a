// SPDX-License-Identifier: Apache-2.0
// Exceptions of the service VM's program on x86: each ends this run, with a report.
#ifndef SAGUARO_SERVICE_X86_TRAPS_H
#define SAGUARO_SERVICE_X86_TRAPS_H

#include <stdint.h>

/* As traps.S and the CPU push it. */
struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

/* Loads GDT, TSS and IDT. Exceptions have a stack of their own. */
void traps_init(void);
void trap_report(const struct trap_frame *frame) __attribute__((noreturn));

#endif
