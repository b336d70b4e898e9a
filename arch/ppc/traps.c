// SPDX-License-Identifier: Apache-2.0
// The vectors and what follows a trap out of the hypervisor: an interrupt that was let in, a listed fixup, or
// a report and the end.
#include "arch/ppc/traps.h"

#include <assert.h>
#include <stddef.h>
#include "arch/ppc/fixup.h"
#include "arch/ppc/instructions.h"
#include "arch/ppc/interrupts.h"
#include "arch/ppc/report.h"
#include "core/timer.h"

static_assert(sizeof(struct trap_frame) % 16 == 0, "it lies on the stack");

extern const struct fixup fixup_table_start[], fixup_table_end[];
extern const char ppc_sleep_end[];

/* The IVORs are numbers inside the instructions that write them. */
#define VECTOR_LOAD(spr, n)                                                                                  \
    do {                                                                                                     \
        extern const char trap_vector_##n[];                                                                 \
        spr_write(spr, (uint32_t)trap_vector_##n & 0xfff0u);                                                 \
    } while (0)

void traps_load(void) {
    extern const char text_start[];

    spr_write(SPR_IVPR, (uint32_t)text_start & 0xffff0000u);
    VECTOR_LOAD(SPR_IVOR(0), 0);
    VECTOR_LOAD(SPR_IVOR(1), 1);
    VECTOR_LOAD(SPR_IVOR(2), 2);
    VECTOR_LOAD(SPR_IVOR(3), 3);
    VECTOR_LOAD(SPR_IVOR(4), 4);
    VECTOR_LOAD(SPR_IVOR(5), 5);
    VECTOR_LOAD(SPR_IVOR(6), 6);
    VECTOR_LOAD(SPR_IVOR(7), 7);
    VECTOR_LOAD(SPR_IVOR(8), 8);
    VECTOR_LOAD(SPR_IVOR(9), 9);
    VECTOR_LOAD(SPR_IVOR(10), 10);
    VECTOR_LOAD(SPR_IVOR(11), 11);
    VECTOR_LOAD(SPR_IVOR(12), 12);
    VECTOR_LOAD(SPR_IVOR(13), 13);
    VECTOR_LOAD(SPR_IVOR(14), 14);
    VECTOR_LOAD(SPR_IVOR(15), 15);
    VECTOR_LOAD(SPR_IVOR32, 32);
    VECTOR_LOAD(SPR_IVOR33, 33);
    VECTOR_LOAD(SPR_IVOR34, 34);
    VECTOR_LOAD(SPR_IVOR35, 35);
    context_sync();
}

uint32_t fixup_find(uint32_t pc) {
    for (const struct fixup *f = fixup_table_start; f < fixup_table_end; f++) {
        if (f->fault == pc)
            return f->resume;
    }
    return 0;
}

void trap_dispatch(struct trap_frame *frame) {
    if (frame->vector == IVOR_EXTERNAL || frame->vector == IVOR_DECREMENTER) {
        if (frame->vector == IVOR_EXTERNAL)
            interrupt_dispatch();
        else
            interrupt_timer();
        if ((frame->msr & MSR_WE) != 0) {
            frame->pc = (uint32_t)ppc_sleep_end;
            frame->msr &= ~(uint32_t)(MSR_WE | MSR_EE);
        }
        return;
    }
    if (frame->vector == IVOR_DATA_STORAGE || frame->vector == IVOR_DATA_TLB) {
        uint32_t resume = fixup_find(frame->pc);
        if (resume != 0) {
            frame->pc = resume;
            return;
        }
    }
    report_exception(frame);
}

void trap_critical(struct trap_frame *frame) {
    report_exception(frame);
}
