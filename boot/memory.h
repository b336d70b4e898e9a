// SPDX-License-Identifier: Apache-2.0
// Physical pages that the loader takes from the firmware, and the list of those that stay in use after the
// jump.
#ifndef SAGUARO_BOOT_MEMORY_H
#define SAGUARO_BOOT_MEMORY_H

#include <efi.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/handover.h"
#include "boot/memory_map.h"

#define MEMORY_SCRATCH 0u /* type of pages that nobody needs after the jump */
#define MEMORY_PAGE    4096ull

void memory_open(EFI_BOOT_SERVICES *boot);

/*
 * `size` bytes in contiguous pages, aligned to `alignment` (a power of two from 4096 on), all below `limit`
 * (0: anywhere). `type` is MEMORY_SCRATCH or an enum handover_memory_type, which the range then has in the
 * hand-over's map. Content is undefined. NULL: there is no such memory.
 */
void *memory_take(uint64_t size, uint32_t type, uint64_t alignment, uint64_t limit);

/* Give back what memory_take() returned. */
void memory_give(void *memory, uint64_t size);

/* Zeroed LOADER memory that stays until the hypervisor is done with it: 16-byte aligned pieces, and whole
 * pages. NULL: none. */
void *memory_keep(size_t size);
void *memory_keep_page(void);

/* Bytes of RAM that are free now, and the largest free block; both 0 if the firmware does not say. */
void memory_free_now(uint64_t *total, uint64_t *largest);

/* The firmware's memory map; all zero before the first look. */
struct memory_firmware {
    void *map; /* scratch memory with room for growth */
    UINTN room;
    UINTN size;
    UINTN descriptor_size;
    UINTN key;
};

/* Look at the map (again). Takes memory only when what there is does not suffice. */
EFI_STATUS memory_look(struct memory_firmware *firmware);

/* Ranges that stay in use. */
const struct memory_own *memory_owned(size_t *count);

#endif
