// SPDX-License-Identifier: Apache-2.0
// The hypervisor's address space (AS 0 of every CPU): which address lies behind which entry of the CPU's
// TLB1. Macros alone: assembly and the linker's script use the same numbers.
#ifndef SAGUARO_ARCH_PPC_LAYOUT_H
#define SAGUARO_ARCH_PPC_LAYOUT_H

/* The image: virtual = physical. Below it nothing is mapped, so that a NULL pointer faults. */
#define TEXT_BASE         0x00100000
#define RODATA_BASE       0x00200000
#define DATA_BASE         0x00300000
#define IMAGE_END         0x00400000 /* each part has 1 MiB */

#define HEAP_BASE         0x40000000 /* one page of 4, 16 or 64 MiB */
#define WINDOW_BASE       0x50000000 /* single pages, by entries of TLB0; the same on all CPUs */
#define WINDOW_RING       64         /* slots; a power of two */
#define LARGE_WINDOW_BASE 0x58000000 /* 2 MiB by two entries */
#define BOOT_MAP_BASE     0x60000000 /* what the firmware left, while the machine starts */
#define BOOT_MAP_END      0xe0000000
#define CCSR_BASE         0xe0000000 /* the SoC's registers, 1 MiB */
#define SPARE_BASE        0xe0200000 /* a page of a CPU's release register in the spin table */

/* Entries of TLB1. Those of the hypervisor have IPROT and stay; the rest are for guests' large pages, and
 * for the boot map before there are guests. */
#define TLB1_TEXT         0
#define TLB1_RODATA       1
#define TLB1_DATA         2
#define TLB1_HEAP         3
#define TLB1_CCSR         4
#define TLB1_SPARE        5
#define TLB1_LARGE_WINDOW 6 /* and 7 */
#define TLB1_FIRST_GUEST  8
#define TLB1_ENTRIES      16

/* Stacks. A function whose frame would reach below r13 traps instead (-fstack-limit-register): STACK_ROOM
 * bytes are left then for the trap's own frame. */
#define STACK_ROOM        0x200
#define MAIN_STACK_SIZE   0x8000
#define TRAP_STACK_SIZE   0x2000 /* each of three: traps, critical interrupts, machine checks */
#define TRAP_STACKS_SIZE  0x6000

#endif
