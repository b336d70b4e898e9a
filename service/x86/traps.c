// SPDX-License-Identifier: Apache-2.0
// Exceptions on x86: descriptor tables, and the report (Intel SDM vol. 3, 6.13 to 6.15 and 7.7).
#include "service/x86/traps.h"

#include <stdbool.h>
#include <stddef.h>
#include "service/arch.h"
#include "service/log.h"
#include "service/x86/layout.h"

#define MAX_FRAMES        16u
#define STUB_SIZE         16u
#define GATE_INTERRUPT    0x8e00ull /* 64-bit, present, interrupts off */
#define DESCRIPTOR_CODE64 0x00af9b000000ffffull
#define DESCRIPTOR_DATA   0x00cf93000000ffffull
#define DESCRIPTOR_TSS    0x0000890000000000ull

struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3, io_map;
} __attribute__((packed));
_Static_assert(sizeof(struct tss) == 104, "a 64-bit TSS has 104 bytes");

struct table_register {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

extern const uint8_t trap_stubs[], stack_guard[], stack_low[], stack_end[], trap_stack_end[], text_start[],
    text_end[];

static struct tss tss;
static uint64_t gdt[5];
static uint64_t idt[TRAPS][2];

void traps_init(void) {
    uint64_t base = (uint64_t)&tss;
    struct table_register gdtr = {sizeof(gdt) - 1, (uint64_t)gdt}, idtr = {sizeof(idt) - 1, (uint64_t)idt};

    tss.ist[0] = (uint64_t)trap_stack_end;
    tss.io_map = sizeof(tss);
    gdt[SELECTOR_CODE / 8] = DESCRIPTOR_CODE64;
    gdt[SELECTOR_DATA / 8] = DESCRIPTOR_DATA;
    gdt[SELECTOR_TSS / 8] =
        DESCRIPTOR_TSS | (sizeof(tss) - 1) | (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56;
    gdt[SELECTOR_TSS / 8 + 1] = base >> 32;
    for (unsigned i = 0; i < TRAPS; i++) {
        uint64_t stub = (uint64_t)trap_stubs + STUB_SIZE * (uint64_t)i;
        idt[i][0] = (stub & 0xffff) | (uint64_t)SELECTOR_CODE << 16 | 1ull << 32 /* IST 1 */ |
                    GATE_INTERRUPT << 32 | (stub >> 16 & 0xffff) << 48;
        idt[i][1] = stub >> 32;
    }
    __asm__ volatile("lgdt %0\n\t"
                     "ltr %w1\n\t"
                     "lidt %2"
                     :
                     : "m"(gdtr), "r"(SELECTOR_TSS), "m"(idtr)
                     : "memory");
}

/* ---- the report */

static const char *name_of(uint64_t vector) {
    static const char *const names[TRAPS] = {
        [0] = "divide error",
        [1] = "debug exception",
        [2] = "NMI",
        [3] = "breakpoint",
        [4] = "overflow",
        [5] = "bound range exceeded",
        [6] = "invalid opcode",
        [7] = "device not available",
        [8] = "double fault",
        [10] = "invalid TSS",
        [11] = "segment not present",
        [12] = "stack fault",
        [13] = "general protection",
        [14] = "page fault",
        [16] = "x87 error",
        [17] = "alignment check",
        [18] = "machine check",
        [19] = "SIMD error",
    };
    return vector < TRAPS && names[vector] ? names[vector] : "exception";
}

static bool is_code(uint64_t address) {
    return address >= (uint64_t)text_start && address < (uint64_t)text_end;
}

static bool on_stack(uint64_t address) {
    return address % 8 == 0 && address >= (uint64_t)stack_low && address <= (uint64_t)stack_end - 16;
}

/* Return addresses by the chain of frame pointers, while it stays on the stack and goes up. A jump to nowhere
 * has made no frame yet: its caller is on top of the stack. */
static void report_frames(uint64_t rip, uint64_t rsp, uint64_t rbp) {
    if (!is_code(rip) && on_stack(rsp) && is_code(*(const uint64_t *)rsp))
        service_log(LOG_ERROR, "  called from %016lx", *(const unsigned long *)rsp);
    for (unsigned i = 0; i < MAX_FRAMES; i++) {
        if (!on_stack(rbp))
            return;
        uint64_t next = ((const uint64_t *)rbp)[0], address = ((const uint64_t *)rbp)[1];
        if (!is_code(address))
            return;
        service_log(LOG_ERROR, "  called from %016lx", (unsigned long)address);
        if (next <= rbp)
            return;
        rbp = next;
    }
}

void trap_report(const struct trap_frame *frame) {
    static unsigned depth;
    uint64_t address;

    __asm__ volatile("movq %%cr2, %0" : "=r"(address));
    /* The report itself has failed. */
    if (depth++ > 1)
        arch_die();
    if (depth > 1)
        service_fatal("%s while reporting, at %016lx", name_of(frame->vector), (unsigned long)frame->rip);

    bool overflow = address >= (uint64_t)stack_guard && address < (uint64_t)stack_low && frame->vector == 14;
#define U(value) ((unsigned long)(value))
    service_log(LOG_ERROR, "%s (vector %u, error code 0x%lx) at %016lx, address %016lx%s",
                name_of(frame->vector), (unsigned)frame->vector, U(frame->error), U(frame->rip), U(address),
                overflow ? ": the stack has overflowed" : "");
    service_log(LOG_ERROR, "rax %016lx rbx %016lx rcx %016lx rdx %016lx", U(frame->rax), U(frame->rbx),
                U(frame->rcx), U(frame->rdx));
    service_log(LOG_ERROR, "rsi %016lx rdi %016lx rbp %016lx rsp %016lx", U(frame->rsi), U(frame->rdi),
                U(frame->rbp), U(frame->rsp));
    service_log(LOG_ERROR, "r8  %016lx r9  %016lx r10 %016lx r11 %016lx", U(frame->r8), U(frame->r9),
                U(frame->r10), U(frame->r11));
    service_log(LOG_ERROR, "r12 %016lx r13 %016lx r14 %016lx r15 %016lx rflags %08lx", U(frame->r12),
                U(frame->r13), U(frame->r14), U(frame->r15), U(frame->rflags));
    report_frames(frame->rip, frame->rsp, frame->rbp);
    service_fatal("%s at %016lx, address %016lx", name_of(frame->vector), U(frame->rip), U(address));
#undef U
}

void arch_die(void) {
    static const struct table_register none;

    /* Without an IDT an exception shuts the CPU down. */
    __asm__ volatile("lidt %0\n\tud2" : : "m"(none));
    __builtin_unreachable();
}
