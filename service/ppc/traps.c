// SPDX-License-Identifier: Apache-2.0
// Interrupts on PowerPC: TLB misses, and the report of all others (e500 core manual, 5.7).
#include "service/ppc/traps.h"

#include <stdbool.h>
#include <stddef.h>
#include "service/arch.h"
#include "service/log.h"
#include "service/ppc/layout.h"
#include "service/ppc/map.h"
#include "service/ppc/registers.h"

#define MAX_FRAMES 16u

_Static_assert(offsetof(struct trap_frame, cr) + FRAME_LINK == FRAME_CR, "traps.S knows the frame");
_Static_assert(offsetof(struct trap_frame, dear) + FRAME_LINK == FRAME_DEAR, "traps.S knows the frame");
_Static_assert(sizeof(struct trap_frame) + FRAME_LINK <= FRAME_SIZE, "traps.S knows the frame");
_Static_assert(FRAME_SIZE % 16 == 0, "the stack stays aligned");

extern const uint8_t stack_low[], stack_end[], text_end[];

static const char *name_of(uint32_t vector) {
    static const char *const names[] = {
        [IVOR_MACHINE_CHECK] = "machine check",
        [IVOR_DATA_STORAGE] = "data storage interrupt",
        [IVOR_INST_STORAGE] = "instruction storage interrupt",
        [IVOR_ALIGNMENT] = "alignment interrupt",
        [IVOR_PROGRAM] = "program interrupt",
        [IVOR_SYSTEM_CALL] = "system call",
        [IVOR_DATA_TLB] = "data TLB error",
        [IVOR_INST_TLB] = "instruction TLB error",
    };
    return vector < sizeof(names) / sizeof(names[0]) && names[vector] ? names[vector] : "interrupt";
}

/* Return addresses by the back chain, while it stays on the stack and goes up. A function's own lies in the
 * frame above its own (System V ABI, PowerPC supplement). */
static void report_frames(uint32_t sp) {
    for (unsigned i = 0; i < MAX_FRAMES; i++) {
        if (sp % 4 || sp < (uint32_t)stack_low || sp > (uint32_t)stack_end - 8)
            return;
        uint32_t next = *(const uint32_t *)sp;
        if (next % 4 || next <= sp || next > (uint32_t)stack_end - 8)
            return;
        uint32_t address = *(const uint32_t *)(next + 4);
        if (address < TEXT_BASE || address >= (uint32_t)text_end)
            return;
        service_log(LOG_ERROR, "  called from %08x", (unsigned)address);
        sp = next;
    }
}

__attribute__((noreturn)) static void report(const struct trap_frame *frame) {
    static unsigned depth;
    unsigned pc = (unsigned)frame->pc, dear = (unsigned)frame->dear;
    const char *name = name_of(frame->vector);

    /* The report itself has failed. */
    if (depth++ > 1)
        arch_die();
    if (depth > 1)
        service_fatal("%s while reporting, at %08x", name, pc);

    bool overflow = frame->vector == IVOR_DATA_STORAGE && (frame->esr & ESR_ST) && frame->dear < DATA_BASE &&
                    frame->dear >= RODATA_BASE && frame->gpr[1] - DATA_BASE < STACK_SIZE / 2;
    service_log(LOG_ERROR, "%s (IVOR%u) at %08x, address %08x%s", name, (unsigned)frame->vector, pc, dear,
                overflow ? ": the stack has overflowed" : "");
    service_log(LOG_ERROR, "msr %08x esr %08x lr %08x ctr %08x xer %08x cr %08x", (unsigned)frame->msr,
                (unsigned)frame->esr, (unsigned)frame->lr, (unsigned)frame->ctr, (unsigned)frame->xer,
                (unsigned)frame->cr);
    for (unsigned i = 0; i < 32; i += 8) {
        const uint32_t *r = &frame->gpr[i];
        service_log(LOG_ERROR, "r%-2u %08x %08x %08x %08x %08x %08x %08x %08x", i, (unsigned)r[0],
                    (unsigned)r[1], (unsigned)r[2], (unsigned)r[3], (unsigned)r[4], (unsigned)r[5],
                    (unsigned)r[6], (unsigned)r[7]);
    }
    report_frames(frame->gpr[1]);
    service_fatal("%s at %08x, address %08x", name, pc, dear);
}

void trap_c(const struct trap_frame *frame) {
    if (frame->vector != IVOR_DATA_TLB || !map_fill(frame->dear))
        report(frame);
}

void arch_die(void) {
    /* Without a vector that is mapped no instruction can be executed any more; a hypervisor sees a guest that
     * takes one interrupt after the other and gets nowhere. */
    for (;;)
        __asm__ volatile("mtspr %0, %1\n\tisync\n\ttrap" : : "i"(SPR_IVPR), "r"(0) : "memory");
}
