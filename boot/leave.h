// SPDX-License-Identifier: Apache-2.0
// The last steps: the hypervisor's image in memory, page tables, end of boot services, memory map, jump.
#ifndef SAGUARO_BOOT_LEAVE_H
#define SAGUARO_BOOT_LEAVE_H

#include <efi.h>
#include <stdbool.h>

#include "abi/handover.h"
#include "boot/elf_image.h"
#include "boot/paging.h"

/* Everything that has to exist before boot services end. */
struct leave {
    struct elf_image image;
    struct paging paging;
    uint8_t *stack_top;
    struct handover_memory *map; /* room for the hand-over's memory map */
    size_t map_room;
};

/* Bytes of RAM that are free once boot services have ended; 0: the firmware gives no memory map. */
uint64_t leave_usable_memory(void);

/* Size in memory of the embedded hypervisor; 0 if this build holds no sound one (which was printed). */
uint64_t leave_hypervisor_size(void);

/* Prepare. Errors were printed when this returns false. */
bool leave_prepare(struct leave *leave, struct handover *handover, bool large_1g);

/* End boot services and jump. Returns only if the firmware refuses, with its status. */
EFI_STATUS leave_jump(EFI_HANDLE image, EFI_SYSTEM_TABLE *system, struct leave *leave,
                      struct handover *handover);

#endif
