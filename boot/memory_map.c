// SPDX-License-Identifier: Apache-2.0
// Turns the firmware's memory map and the loader's own allocations into the hand-over's sorted,
// non-overlapping map. Firmware maps come unsorted and, on some machines, overlapping or with nonsense sizes:
// nothing here relies on order.
#include "boot/memory_map.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define PAGE_SIZE     4096ull
/* x86-64 physical addresses have at most 52 bits (AMD APM vol. 2, section 5.1): a range beyond is nonsense.
 */
#define ADDRESS_LIMIT (1ull << 52)

/* EFI_MEMORY_TYPE (UEFI 2.10, section 7.2.1). */
enum {
    EFI_LOADER_CODE = 1,
    EFI_LOADER_DATA = 2,
    EFI_BOOT_CODE = 3,
    EFI_BOOT_DATA = 4,
    EFI_RUNTIME_CODE = 5,
    EFI_RUNTIME_DATA = 6,
    EFI_CONVENTIONAL = 7,
    EFI_ACPI_RECLAIM = 9,
    EFI_ACPI_NVS = 10,
    EFI_MMIO = 11,
    EFI_MMIO_PORTS = 12,
};

struct range {
    uint64_t base;
    uint64_t end; /* exclusive */
    uint32_t type;
    uint64_t attributes;
};

uint32_t memory_map_type(uint32_t efi_type, uint64_t attributes) {
    switch (efi_type) {
    case EFI_LOADER_CODE:
    case EFI_LOADER_DATA:
    case EFI_BOOT_CODE:
    case EFI_BOOT_DATA:
    case EFI_CONVENTIONAL:
        if (attributes & MEMORY_ATTRIBUTE_RUNTIME) {
            return HANDOVER_MEMORY_RUNTIME;
        }
        /* RAM that cannot be cached, or that the firmware keeps for one purpose, is no general memory. */
        if (!(attributes & MEMORY_ATTRIBUTE_WB) || (attributes & MEMORY_ATTRIBUTE_SPECIFIC_PURPOSE)) {
            return HANDOVER_MEMORY_RESERVED;
        }
        return HANDOVER_MEMORY_USABLE;
    case EFI_RUNTIME_CODE:
    case EFI_RUNTIME_DATA:
        return HANDOVER_MEMORY_RUNTIME;
    case EFI_ACPI_RECLAIM:
        return HANDOVER_MEMORY_ACPI;
    case EFI_ACPI_NVS:
        return HANDOVER_MEMORY_ACPI_NVS;
    case EFI_MMIO:
    case EFI_MMIO_PORTS:
        return HANDOVER_MEMORY_MMIO;
    default:
        return HANDOVER_MEMORY_RESERVED;
    }
}

/* Which of two overlapping ranges is believed: the higher one. */
static unsigned int rank(uint32_t type) {
    switch (type) {
    case HANDOVER_MEMORY_HYPERVISOR:
    case HANDOVER_MEMORY_LOADER:
    case HANDOVER_MEMORY_FILE:
        return 6;
    case HANDOVER_MEMORY_RUNTIME:
        return 5;
    case HANDOVER_MEMORY_ACPI_NVS:
        return 4;
    case HANDOVER_MEMORY_ACPI:
        return 3;
    case HANDOVER_MEMORY_MMIO:
        return 2;
    case HANDOVER_MEMORY_RESERVED:
        return 1;
    default:
        return 0;
    }
}

/* The firmware's descriptor as a page-granular range; false if nothing of it can be used or has to be kept.
 */
static bool range_from_descriptor(const void *bytes, struct range *range) {
    struct memory_descriptor d;

    memcpy(&d, bytes, sizeof(d));
    range->type = memory_map_type(d.type, d.attributes);
    range->attributes = d.attributes;
    if (d.pages == 0 || d.base >= ADDRESS_LIMIT) {
        return false;
    }
    if (d.pages > (ADDRESS_LIMIT - d.base) / PAGE_SIZE) {
        /* Runs past the end of the address space. RAM like that cannot exist; anything else is kept away
         * from. */
        if (range->type == HANDOVER_MEMORY_USABLE) {
            return false;
        }
        range->base = d.base & ~(PAGE_SIZE - 1);
        range->end = ADDRESS_LIMIT;
        return true;
    }
    range->base = d.base;
    range->end = d.base + d.pages * PAGE_SIZE;
    if (range->type == HANDOVER_MEMORY_USABLE) {
        range->base = (range->base + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
        range->end &= ~(PAGE_SIZE - 1);
    } else {
        range->base &= ~(PAGE_SIZE - 1);
        range->end = (range->end + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
    }
    return range->base < range->end;
}

static bool range_from_own(const struct memory_own *own, struct range *range) {
    if (own->size == 0 || own->base >= ADDRESS_LIMIT || own->size > ADDRESS_LIMIT - own->base) {
        return false;
    }
    range->base = own->base & ~(PAGE_SIZE - 1);
    range->end = (own->base + own->size + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
    range->type = own->type;
    range->attributes = 0;
    return true;
}

/*
 * What holds at `position`: the highest-ranking range there, up to the next place where any range begins or
 * ends. Returns false, with `end` the next beginning (or the limit), when nothing covers `position`.
 */
static bool map_at(uint64_t position, const uint8_t *map, size_t count, size_t stride,
                   const struct memory_own *own, size_t own_count, struct range *found) {
    bool covered = false;
    uint64_t next = ADDRESS_LIMIT;
    uint64_t firmware_attributes = 0;
    unsigned int firmware_rank = 0;
    bool firmware_seen = false;

    found->type = HANDOVER_MEMORY_RESERVED;
    for (size_t i = 0; i < count + own_count; i++) {
        struct range range;
        bool is_own = i >= count;

        if (!(is_own ? range_from_own(&own[i - count], &range)
                     : range_from_descriptor(map + i * stride, &range)) ||
            range.end <= position) {
            continue;
        }
        if (range.base > position) {
            next = range.base < next ? range.base : next;
            continue;
        }
        next = range.end < next ? range.end : next;
        if (!covered || rank(range.type) > rank(found->type)) {
            found->type = range.type;
            covered = true;
        }
        if (!is_own && (!firmware_seen || rank(range.type) > firmware_rank)) {
            firmware_seen = true;
            firmware_rank = rank(range.type);
            firmware_attributes = range.attributes;
        }
    }
    found->base = position;
    found->end = next;
    found->attributes = firmware_attributes; /* an own range keeps those of the memory that it lies in */
    return covered;
}

/* Attributes matter where the firmware's ranges are mapped again (runtime services); elsewhere the first ones
 * stand. */
static bool can_merge(const struct handover_memory *last, const struct range *range) {
    if (last->type != range->type || last->base + last->size != range->base) {
        return false;
    }
    switch (range->type) {
    case HANDOVER_MEMORY_RUNTIME:
    case HANDOVER_MEMORY_MMIO:
    case HANDOVER_MEMORY_RESERVED:
        return last->efi_attributes == range->attributes;
    default:
        return true;
    }
}

long memory_map_build(const void *map, size_t map_size, size_t descriptor_size, const struct memory_own *own,
                      size_t own_count, struct handover_memory *out, size_t capacity) {
    struct range range;
    size_t count = 0;
    size_t descriptors;

    if (descriptor_size < sizeof(struct memory_descriptor) || map_size % descriptor_size != 0) {
        return -EINVAL;
    }
    descriptors = map_size / descriptor_size;
    for (uint64_t position = 0; position < ADDRESS_LIMIT; position = range.end) {
        if (!map_at(position, map, descriptors, descriptor_size, own, own_count, &range)) {
            continue;
        }
        if (count != 0 && can_merge(&out[count - 1], &range)) {
            out[count - 1].size += range.end - range.base;
            continue;
        }
        if (count == capacity) {
            return -ENOSPC;
        }
        out[count++] = (struct handover_memory){
            .base = range.base,
            .size = range.end - range.base,
            .type = range.type,
            .efi_attributes = range.attributes,
        };
    }
    return (long)count;
}

uint64_t memory_map_total(const struct handover_memory *map, size_t count, uint32_t type) {
    uint64_t total = 0;

    for (size_t i = 0; i < count; i++) {
        if (map[i].type == type) {
            total += map[i].size;
        }
    }
    return total;
}
