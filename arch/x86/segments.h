// SPDX-License-Identifier: Apache-2.0
// Segments of a host CPU: GDT and TSS, and the stacks that the TSS names for exceptions that must not trust
// the stack they interrupt.
#ifndef SAGUARO_ARCH_X86_SEGMENTS_H
#define SAGUARO_ARCH_X86_SEGMENTS_H

#include <stdint.h>

#define SELECTOR_CODE     0x08u
#define SELECTOR_DATA     0x10u
#define SELECTOR_TSS      0x18u

/* Interrupt-stack-table numbers (Intel SDM vol. 3, 6.14.5). */
#define IST_DOUBLE_FAULT  1u
#define IST_NMI           2u
#define IST_MACHINE_CHECK 3u

struct x86_tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7]; /* ist[0] is IST1 */
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t io_map; /* offset; beyond the limit: none */
} __attribute__((packed));

struct x86_segments {
    uint64_t gdt[5];
    struct x86_tss tss;
};

/* Fills GDT and TSS and loads them, with all segment registers, on this CPU. GS base is kept. */
void segments_load(struct x86_segments *segments);
/* Stack for an IST number (1-7): its upper end. Takes effect with the next such exception. */
void segments_set_ist(struct x86_segments *segments, unsigned ist, uint64_t top);

#endif
