// SPDX-License-Identifier: Apache-2.0
// Exceptions and interrupts of a host CPU: the frame that the entry code leaves, the vectors, the handlers.
#ifndef SAGUARO_ARCH_X86_TRAPS_H
#define SAGUARO_ARCH_X86_TRAPS_H

#include <stdbool.h>
#include <stdint.h>

#define TRAP_DEBUG         1u
#define TRAP_NMI           2u
#define TRAP_BREAKPOINT    3u
#define TRAP_DOUBLE_FAULT  8u
#define TRAP_STACK         12u
#define TRAP_PROTECTION    13u
#define TRAP_PAGE_FAULT    14u
#define TRAP_MACHINE_CHECK 18u

/* Interrupt vectors. The 8259s are moved to PIC_VECTOR and masked; what they still raise is spurious. */
#define VECTOR_PIC         0x20u /* sixteen */
#define VECTOR_UART        0x31u
#define VECTOR_MESSAGE     0x40u /* up to VECTOR_TIMER: handed out by interrupt_allocate() */
#define VECTOR_TIMER       0xe0u
#define VECTOR_KICK        0xf0u
#define VECTOR_SPURIOUS    0xffu

/* What traps.S pushes, then what the CPU pushes. */
struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector;
    uint64_t error; /* meaningless where the vector has none */
    uint64_t rip, cs, rflags, rsp, ss;
};

/* Fills the interrupt descriptor table (once) and loads it on this CPU. */
void traps_init(void);
void traps_load(void);

/* From traps.S. */
void trap_dispatch(struct trap_frame *frame);

/* Opens the interrupt window for a moment: what is pending is taken. The engine calls it after an exit that
 * an interrupt caused. */
static inline void cpu_interrupt_window(void) {
    __asm__ volatile("sti; nop; cli" ::: "memory");
}

#endif
