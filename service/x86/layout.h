// SPDX-License-Identifier: Apache-2.0
// Where the service VM's program lies on x86. Macros alone: C, assembly and the linker's script use the same
// numbers.
#ifndef SAGUARO_SERVICE_X86_LAYOUT_H
#define SAGUARO_SERVICE_X86_LAYOUT_H

/* The image's virtual addresses. All else is mapped at its guest-physical address. */
#define IMAGE_BASE      0xffffffff80000000
#define IMAGE_TABLES    4 /* page tables for it: 2 MiB each */
#define IMAGE_MAX       (IMAGE_TABLES * 0x200000)

#define STACK_SIZE      0x8000
#define TRAP_STACK_SIZE 0x4000

#define SELECTOR_CODE   0x08
#define SELECTOR_DATA   0x10
#define SELECTOR_TSS    0x18

#define PAGE_PRESENT    0x001
#define PAGE_WRITE      0x002
#define PAGE_UNCACHED   0x018 /* PCD and PWT: entry 3 of the PAT, as it is after a reset */
#define PAGE_LARGE      0x080
#define PAGE_NX_HIGH    0x80000000 /* bit 63, in the upper half of an entry */

#define PML4_IMAGE      511 /* entries that lead to IMAGE_BASE */
#define PDPT_IMAGE      510

#define TRAPS           32

#endif
