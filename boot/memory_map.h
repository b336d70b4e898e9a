// SPDX-License-Identifier: Apache-2.0
// Turns the firmware's memory map and the loader's own allocations into the hand-over's sorted,
// non-overlapping map. Pure code: builds in the loader and in its unit test.
#ifndef SAGUARO_BOOT_MEMORY_MAP_H
#define SAGUARO_BOOT_MEMORY_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "abi/handover.h"

/* EFI_MEMORY_DESCRIPTOR (UEFI 2.10, section 7.2.3), stated here so that host builds need no EFI headers. */
struct memory_descriptor {
    uint32_t type;
    uint32_t reserved;
    uint64_t base;
    uint64_t virtual_base;
    uint64_t pages; /* 4 KiB each */
    uint64_t attributes;
};

#define MEMORY_ATTRIBUTE_WB               0x8ull
#define MEMORY_ATTRIBUTE_SPECIFIC_PURPOSE 0x40000ull
#define MEMORY_ATTRIBUTE_RUNTIME          0x8000000000000000ull

/* A range that the loader owns (4 KiB granular); `type` is an enum handover_memory_type. */
struct memory_own {
    uint64_t base;
    uint64_t size; /* bytes */
    uint32_t type;
};

/*
 * Fill `out` (room for `capacity` entries). The firmware's map is `map_size` bytes of descriptors
 * `descriptor_size` bytes apart. Where descriptors overlap, the one that forbids more wins; the loader's own
 * ranges win over all. Returns the number of entries, -EINVAL when the map's shape is impossible, -ENOSPC
 * when `capacity` is too small.
 */
long memory_map_build(const void *map, size_t map_size, size_t descriptor_size, const struct memory_own *own,
                      size_t own_count, struct handover_memory *out, size_t capacity);

/* The type (enum handover_memory_type) that the hand-over gives to a firmware descriptor. */
uint32_t memory_map_type(uint32_t efi_type, uint64_t attributes);

/* Bytes of all entries of one type. */
uint64_t memory_map_total(const struct handover_memory *map, size_t count, uint32_t type);

#endif
