// SPDX-License-Identifier: Apache-2.0
// The interrupt descriptor table and what follows an exception: a listed fixup, or a report and the end.
#include "arch/x86/traps.h"

#include <assert.h>
#include <stddef.h>
#include "arch/x86/fixup.h"
#include "arch/x86/interrupts.h"
#include "arch/x86/report.h"
#include "arch/x86/segments.h"

static_assert(sizeof(struct trap_frame) == 22 * 8, "traps.S pushes 17 words above the CPU's 5");
static_assert(offsetof(struct trap_frame, rip) == 17 * 8, "traps.S pushes 17 words above the CPU's 5");

#define TRAP_STUB_SIZE 16u

/* Intel SDM vol. 3, 6.14.1. */
struct gate {
    uint16_t offset_low;
    uint16_t selector;
    uint8_t ist;
    uint8_t type;
    uint16_t offset_middle;
    uint32_t offset_high;
    uint32_t reserved;
};

#define GATE_INTERRUPT 0x8eu

static struct gate idt[256] __attribute__((aligned(16)));

extern const char trap_stubs[];
extern const struct fixup fixup_table_start[], fixup_table_end[];

uint64_t fixup_find(uint64_t rip) {
    for (const struct fixup *f = fixup_table_start; f < fixup_table_end; f++)
        if (f->fault == rip)
            return f->resume;
    return 0;
}

void traps_init(void) {
    for (unsigned vector = 0; vector < 256; vector++) {
        uint64_t stub = (uint64_t)trap_stubs + vector * TRAP_STUB_SIZE;
        struct gate *gate = &idt[vector];
        gate->offset_low = (uint16_t)stub;
        gate->offset_middle = (uint16_t)(stub >> 16);
        gate->offset_high = (uint32_t)(stub >> 32);
        gate->selector = SELECTOR_CODE;
        gate->type = GATE_INTERRUPT;
    }
    idt[TRAP_DOUBLE_FAULT].ist = IST_DOUBLE_FAULT;
    idt[TRAP_NMI].ist = IST_NMI;
    idt[TRAP_MACHINE_CHECK].ist = IST_MACHINE_CHECK;
}

void traps_load(void) {
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) idtr = {sizeof(idt) - 1, (uint64_t)idt};
    __asm__ volatile("lidt %0" ::"m"(idtr));
}

void trap_dispatch(struct trap_frame *frame) {
    uint64_t resume;

    if (frame->vector >= 32) {
        interrupt_dispatch((unsigned)frame->vector);
        return;
    }
    if (frame->vector == TRAP_NMI) {
        report_nmi(frame);
        return;
    }
    if (frame->vector != TRAP_MACHINE_CHECK && frame->vector != TRAP_DOUBLE_FAULT) {
        resume = fixup_find(frame->rip);
        if (resume) {
            frame->rip = resume;
            return;
        }
    }
    report_exception(frame);
}
