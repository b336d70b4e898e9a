// SPDX-License-Identifier: Apache-2.0
// Physical pages that the loader takes from the firmware, and the list of those that stay in use after the
// jump.
#include "boot/memory.h"

#include <stdbool.h>
#include <string.h>

#define CHUNK     (256u * 1024) /* LOADER memory is taken in chunks, so that the list and the map stay short */
#define OWNED_MAX 1024u

static EFI_BOOT_SERVICES *services;
static struct memory_own owned[OWNED_MAX];
static size_t owned_count;

/* One growing area: small pieces, or pages. */
struct area {
    uint8_t *next;
    size_t left;
};
static struct area pieces;
static struct area pages;

void memory_open(EFI_BOOT_SERVICES *boot) {
    services = boot;
}

void *memory_take(uint64_t size, uint32_t type, uint64_t alignment, uint64_t limit) {
    uint64_t slack = alignment > MEMORY_PAGE ? alignment - MEMORY_PAGE : 0;
    EFI_PHYSICAL_ADDRESS at = limit - 1;
    uint64_t base;
    uint64_t count;
    uint64_t before;

    if (size == 0 || size > UINT64_MAX / 4 || (type != MEMORY_SCRATCH && owned_count == OWNED_MAX)) {
        return NULL;
    }
    size = (size + MEMORY_PAGE - 1) & ~(MEMORY_PAGE - 1);
    count = (size + slack) / MEMORY_PAGE;
    if (services->AllocatePages(limit != 0 ? AllocateMaxAddress : AllocateAnyPages, EfiLoaderData, count,
                                &at) != EFI_SUCCESS) {
        return NULL;
    }
    if (at == 0) { /* page 0 is memory like any other to the firmware, but its address means "none" here */
        void *other = memory_take(size, type, alignment, limit);

        services->FreePages(0, count);
        return other;
    }
    base = (at + slack) & ~(alignment - 1);
    before = (base - at) / MEMORY_PAGE;
    if (before != 0) {
        services->FreePages(at, before);
    }
    if (slack / MEMORY_PAGE - before != 0) {
        services->FreePages(base + size, slack / MEMORY_PAGE - before);
    }
    if (type != MEMORY_SCRATCH) {
        owned[owned_count++] = (struct memory_own){.base = base, .size = size, .type = type};
    }
    return (void *)(uintptr_t)base;
}

void memory_give(void *memory, uint64_t size) {
    uint64_t base = (uint64_t)(uintptr_t)memory;

    for (size_t i = 0; i < owned_count; i++) {
        if (owned[i].base == base) {
            owned[i] = owned[--owned_count];
            break;
        }
    }
    services->FreePages(base, (size + MEMORY_PAGE - 1) / MEMORY_PAGE);
}

static void *area_take(struct area *area, size_t size) {
    void *piece;

    if (size > area->left) {
        size_t chunk = size > CHUNK ? (size + MEMORY_PAGE - 1) & ~(MEMORY_PAGE - 1) : CHUNK;

        area->left = 0;
        area->next = memory_take(chunk, HANDOVER_MEMORY_LOADER, MEMORY_PAGE, 0);
        if (area->next == NULL) {
            return NULL;
        }
        memset(area->next, 0, chunk);
        area->left = chunk;
    }
    piece = area->next;
    area->next += size;
    area->left -= size;
    return piece;
}

void *memory_keep(size_t size) {
    return size > SIZE_MAX / 2 ? NULL : area_take(&pieces, (size + 15) & ~(size_t)15);
}

void *memory_keep_page(void) {
    return area_take(&pages, MEMORY_PAGE);
}

EFI_STATUS memory_look(struct memory_firmware *firmware) {
    EFI_STATUS status;
    UINT32 version;

    for (;;) {
        firmware->size = firmware->room;
        status = services->GetMemoryMap(&firmware->size, firmware->map, &firmware->key,
                                        &firmware->descriptor_size, &version);
        if (status != EFI_BUFFER_TOO_SMALL) {
            return status;
        }
        if (firmware->map != NULL) {
            memory_give(firmware->map, firmware->room);
        }
        firmware->room = firmware->size + 8192; /* taking and freeing memory adds descriptors */
        firmware->map = memory_take(firmware->room, MEMORY_SCRATCH, MEMORY_PAGE, 0);
        if (firmware->map == NULL) {
            firmware->room = 0;
            return EFI_OUT_OF_RESOURCES;
        }
    }
}

void memory_free_now(uint64_t *total, uint64_t *largest) {
    struct memory_firmware firmware = {0};

    *total = *largest = 0;
    if (memory_look(&firmware) == EFI_SUCCESS &&
        firmware.descriptor_size >= sizeof(struct memory_descriptor)) {
        for (UINTN at = 0; at + sizeof(struct memory_descriptor) <= firmware.size;
             at += firmware.descriptor_size) {
            struct memory_descriptor d;

            memcpy(&d, (uint8_t *)firmware.map + at, sizeof(d));
            if (d.type == EfiConventionalMemory &&
                memory_map_type(d.type, d.attributes) == HANDOVER_MEMORY_USABLE) {
                *total += d.pages * MEMORY_PAGE;
                *largest = d.pages * MEMORY_PAGE > *largest ? d.pages * MEMORY_PAGE : *largest;
            }
        }
    }
    if (firmware.map != NULL) {
        memory_give(firmware.map, firmware.room);
    }
}

const struct memory_own *memory_owned(size_t *count) {
    *count = owned_count;
    return owned;
}
