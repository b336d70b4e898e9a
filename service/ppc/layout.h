// SPDX-License-Identifier: Apache-2.0
// Where the service VM's program lies on PowerPC. Macros alone: C, assembly and the linker's script use the
// same numbers.
#ifndef SAGUARO_SERVICE_PPC_LAYOUT_H
#define SAGUARO_SERVICE_PPC_LAYOUT_H

/* Our memory, at SERVICE_PPC_BASE: the image first, each part in 1 MiB units with rights of its own. The
 * stack is at the start of the data: what exceeds it meets the constants, which cannot be written. */
#define MEMORY_BASE     0xc0000000
#define TEXT_BASE       0xc0000000 /* 1 MiB */
#define RODATA_BASE     0xc0100000 /* 1 MiB */
#define DATA_BASE       0xc0200000 /* 2 MiB; what is left of them is the heap's */
#define IMAGE_END       0xc0400000

/* What arch_map() maps lies below and above our memory, which ends at 0xffffffff at most; nothing where a
 * pointer that is none would lead. */
#define MAP_LOW         0x01000000
#define MAP_HIGH        0xffe00000

/* Entries of TLB1. The image's stay; the rest are filled when they are missed. */
#define TLB1_TEXT       0
#define TLB1_RODATA     1
#define TLB1_DATA       2 /* and 3 */
#define TLB1_FIRST_FREE 4
#define TLB1_ENTRIES    16

#define STACK_SIZE      0x8000
#define TRAP_STACK_SIZE 0x2000

/* struct trap_frame, with what a C function's caller provides below it. */
#define FRAME_LINK      16 /* bytes before it: back chain and room for the link register */
#define FRAME_SIZE      192
#define FRAME_GPR       16
#define FRAME_CR        144
#define FRAME_LR        148
#define FRAME_CTR       152
#define FRAME_XER       156
#define FRAME_PC        160
#define FRAME_MSR       164
#define FRAME_VECTOR    168
#define FRAME_ESR       172
#define FRAME_DEAR      176

#endif
