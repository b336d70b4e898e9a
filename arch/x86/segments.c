// SPDX-License-Identifier: Apache-2.0
// GDT and TSS of a host CPU (Intel SDM vol. 3, 3.4.5 and 7.7).
#include "arch/x86/segments.h"

#include <assert.h>
#include "arch/x86/registers.h"

static_assert(sizeof(struct x86_tss) == 104, "a 64-bit TSS has 104 bytes");

#define DESCRIPTOR_CODE64 0x00af9b000000ffffull
#define DESCRIPTOR_DATA   0x00cf93000000ffffull
#define DESCRIPTOR_TSS    0x0000890000000000ull

void segments_set_ist(struct x86_segments *segments, unsigned ist, uint64_t top) {
    segments->tss.ist[ist - 1] = top;
}

void segments_load(struct x86_segments *segments) {
    uint64_t base = (uint64_t)&segments->tss;
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) gdtr = {sizeof(segments->gdt) - 1, (uint64_t)segments->gdt};
    uint64_t gs_base = msr_read(MSR_GS_BASE);

    segments->gdt[0] = 0;
    segments->gdt[SELECTOR_CODE / 8] = DESCRIPTOR_CODE64;
    segments->gdt[SELECTOR_DATA / 8] = DESCRIPTOR_DATA;
    segments->gdt[SELECTOR_TSS / 8] =
        DESCRIPTOR_TSS | (sizeof(struct x86_tss) - 1) | (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56;
    segments->gdt[SELECTOR_TSS / 8 + 1] = base >> 32;
    segments->tss.io_map = sizeof(struct x86_tss);

    __asm__ volatile("lgdt %0\n\t"
                     "pushq %1\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "lretq\n"
                     "1:\n\t"
                     "movl %2, %%ds\n\t"
                     "movl %2, %%es\n\t"
                     "movl %2, %%ss\n\t"
                     "movl %3, %%fs\n\t"
                     "movl %3, %%gs\n\t"
                     "lldt %w3\n\t"
                     "ltr %w4"
                     :
                     : "m"(gdtr), "i"(SELECTOR_CODE), "r"(SELECTOR_DATA), "r"(0), "r"(SELECTOR_TSS)
                     : "rax", "memory");
    msr_write(MSR_FS_BASE, 0);
    msr_write(MSR_GS_BASE, gs_base);
}
