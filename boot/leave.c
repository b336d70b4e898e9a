// SPDX-License-Identifier: Apache-2.0
// The last steps: the hypervisor's image in memory, page tables, end of boot services, memory map, jump.
#include "boot/leave.h"

#include <string.h>

#include "boot/console.h"
#include "boot/memory.h"
#include "boot/memory_map.h"

#define STACK_SIZE (64u * 1024)
#define LARGE_PAGE (2ull << 20)
#define FOUR_GIB   (4ull << 30)
#define LOW_MEMORY (1ull << 20)
#define MAP_SLACK  64u /* descriptors that may appear between two looks at the map */
#define HOLE_MAX                                                                                             \
    (64ull << 30) /* larger ranges of no RAM are not worth page tables; nobody reads them early */
#define EXIT_ATTEMPTS 8u

/* boot/embed.S and boot/jump.S */
extern const uint8_t hypervisor_image_start[];
extern const uint8_t hypervisor_image_end[];
_Noreturn void jump_to_hypervisor(uint64_t page_table, uint64_t entry, uint64_t handover, uint64_t stack);

static size_t hypervisor_file_size(void) {
    return (size_t)((uintptr_t)hypervisor_image_end - (uintptr_t)hypervisor_image_start);
}

uint64_t leave_hypervisor_size(void) {
    struct elf_image image;
    const char *why;

    if (elf_image_read(hypervisor_image_start, hypervisor_file_size(), &image, &why) != 0) {
        console_print("error: the hypervisor in this loader is broken: %s\n", why);
        return 0;
    }
    return image.size;
}

/* What the map may need: each range has two ends, and between two neighbouring ends lies at most one entry.
 */
static size_t map_room(const struct memory_firmware *firmware) {
    size_t own_count;

    (void)memory_owned(&own_count);
    return 2 * (firmware->size / firmware->descriptor_size + own_count + MAP_SLACK);
}

static bool look(struct memory_firmware *firmware) {
    return memory_look(firmware) == EFI_SUCCESS &&
           firmware->descriptor_size >= sizeof(struct memory_descriptor);
}

static long build_map(const struct memory_firmware *firmware, struct handover_memory *map, size_t room) {
    size_t own_count;
    const struct memory_own *own = memory_owned(&own_count);

    return memory_map_build(firmware->map, firmware->size, firmware->descriptor_size, own, own_count, map,
                            room);
}

uint64_t leave_usable_memory(void) {
    struct memory_firmware firmware = {0};
    struct handover_memory *map;
    uint64_t total = 0;
    size_t room;
    long count;

    if (!look(&firmware)) {
        return 0;
    }
    room = map_room(&firmware);
    map = memory_take(room * sizeof(*map), MEMORY_SCRATCH, MEMORY_PAGE, 0);
    if (map != NULL) {
        /* What the loader itself holds by now counts as free: its callers add their own needs to the reserve.
         */
        count = memory_map_build(firmware.map, firmware.size, firmware.descriptor_size, NULL, 0, map, room);
        total = count < 0 ? 0 : memory_map_total(map, (size_t)count, HANDOVER_MEMORY_USABLE);
        memory_give(map, room * sizeof(*map));
    }
    memory_give(firmware.map, firmware.room);
    return total;
}

static void *table_page(void *context) {
    (void)context;
    return memory_keep_page();
}

/* Everything in the map that code may read soon after the jump, the first 4 GiB in any case, and the screen.
 */
static bool map_identity(struct paging *paging, const struct leave *leave, size_t map_count,
                         const struct handover_framebuffer *screen) {
    if (paging_map_identity(paging, 0, FOUR_GIB) != 0) {
        return false;
    }
    for (size_t i = 0; i < map_count; i++) {
        const struct handover_memory *m = &leave->map[i];
        bool hole = m->type == HANDOVER_MEMORY_MMIO || m->type == HANDOVER_MEMORY_RESERVED;

        if (!(hole && m->size > HOLE_MAX) && paging_map_identity(paging, m->base, m->size) != 0 && !hole) {
            return false;
        }
    }
    return screen->width == 0 || paging_map_identity(paging, screen->address, screen->size) == 0;
}

static bool map_image(struct paging *paging, const struct elf_image *image, uint64_t physical) {
    for (uint32_t i = 0; i < image->segment_count; i++) {
        const struct elf_segment *s = &image->segments[i];
        uint64_t size = (s->memory_size + MEMORY_PAGE - 1) & ~(MEMORY_PAGE - 1);

        if (paging_map_pages(paging, s->address, physical + (s->address - image->base), size, s->writable,
                             s->executable) != 0) {
            return false;
        }
    }
    return true;
}

/* The image lies below 4 GiB, so that other CPUs can load its page tables before they are in long mode. */
static bool place_image(struct leave *leave, struct handover *handover) {
    const char *why;
    void *memory;

    if (elf_image_read(hypervisor_image_start, hypervisor_file_size(), &leave->image, &why) != 0) {
        console_print("error: the hypervisor in this loader is broken: %s\n", why);
        return false;
    }
    memory = memory_take(leave->image.size, HANDOVER_MEMORY_HYPERVISOR, LARGE_PAGE, FOUR_GIB);
    if (memory == NULL) {
        console_print(
            "error: the hypervisor needs %llu KiB of contiguous memory below 4 GiB, and there is no such "
            "block\n",
            (unsigned long long)(leave->image.size / 1024));
        return false;
    }
    elf_image_place(&leave->image, hypervisor_image_start, memory);
    handover->hypervisor_base = (uint64_t)(uintptr_t)memory;
    handover->hypervisor_size = leave->image.size;
    return true;
}

static bool prepare_tables(struct leave *leave, struct handover *handover) {
    struct memory_firmware firmware = {0};
    uint8_t *stack;
    long count;

    if (!look(&firmware)) {
        console_print("error: the firmware gives no memory map\n");
        return false;
    }
    leave->map_room = map_room(&firmware);
    leave->map = memory_keep(leave->map_room * sizeof(*leave->map));
    stack = memory_take(STACK_SIZE, HANDOVER_MEMORY_LOADER, MEMORY_PAGE, 0);
    count = leave->map == NULL ? -1 : build_map(&firmware, leave->map, leave->map_room);
    memory_give(firmware.map, firmware.room);
    if (stack == NULL || count <= 0) {
        console_print(
            "error: the firmware's memory map cannot be used, or there is no memory left for a copy\n");
        return false;
    }
    leave->stack_top = stack + STACK_SIZE;
    if (paging_start(&leave->paging) != 0 ||
        !map_identity(&leave->paging, leave, (size_t)count, &handover->framebuffer) ||
        !map_image(&leave->paging, &leave->image, handover->hypervisor_base)) {
        console_print("error: no memory for page tables\n");
        return false;
    }
    return true;
}

bool leave_prepare(struct leave *leave, struct handover *handover, bool large_1g) {
    void *low;

    *leave = (struct leave){.paging = {.page = table_page, .large_1g = large_1g}};
    low = memory_take(MEMORY_PAGE, HANDOVER_MEMORY_LOADER, MEMORY_PAGE, LOW_MEMORY);
    handover->low_page = (uint64_t)(uintptr_t)low;
    return place_image(leave, handover) && prepare_tables(leave, handover);
}

static uint64_t read_tsc(void) {
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/* Boot services are gone and the map is unusable: nothing can be returned to. */
_Noreturn static void halt(const char *why) {
    console_print("error: %s. The machine stops here.\n", why);
    for (;;) {
        __asm__ volatile("cli; hlt");
    }
}

EFI_STATUS leave_jump(EFI_HANDLE image, EFI_SYSTEM_TABLE *system, struct leave *leave,
                      struct handover *handover) {
    struct memory_firmware firmware = {0};
    EFI_STATUS status = EFI_ABORTED;
    long count;

    /* The map may change between the two calls (timers run); the key is stale then, and one looks again. */
    for (unsigned int i = 0; i < EXIT_ATTEMPTS; i++) {
        if (!look(&firmware)) {
            return EFI_OUT_OF_RESOURCES;
        }
        status = system->BootServices->ExitBootServices(image, firmware.key);
        if (status == EFI_SUCCESS) {
            break;
        }
    }
    if (status != EFI_SUCCESS) {
        return status;
    }
    console_leave_firmware();
    count = build_map(&firmware, leave->map, leave->map_room);
    if (count <= 0) {
        halt("the firmware's last memory map cannot be used");
    }
    handover->memory_map = (uint64_t)(uintptr_t)leave->map;
    handover->memory_map_count = (uint32_t)count;
    handover->tsc_jump = read_tsc();
    jump_to_hypervisor((uint64_t)(uintptr_t)leave->paging.root, leave->image.entry,
                       (uint64_t)(uintptr_t)handover, (uint64_t)(uintptr_t)leave->stack_top);
}
