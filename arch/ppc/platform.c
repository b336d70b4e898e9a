// SPDX-License-Identifier: Apache-2.0
// The boot map's uses: the device tree, then the bundle.
#include "arch/ppc/platform.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <libfdt.h>
#include "arch/ppc/host_map.h"
#include "arch/ppc/layout.h"
#include "arch/ppc/memory_map.h"
#include "lib/bundle.h"

#define MAX_RANGES 32
#define TREE_MAX   0x400000u
#define TREE_ALIGN 8u

static struct machine machine;
static struct boot_info boot = {.arch = CONFIG_ARCH_PPC};

const struct machine *platform_machine(void) {
    return &machine;
}

const struct boot_info *platform_boot_info(void) {
    return &boot;
}

const char *platform_read_tree(uint64_t tree) {
    const void *at = tree % TREE_ALIGN == 0 ? host_map_boot(tree, FDT_V17_SIZE) : NULL;
    size_t size = at != NULL && fdt_magic(at) == FDT_MAGIC ? fdt_totalsize(at) : 0;

    if (size < FDT_V17_SIZE || size > TREE_MAX)
        return "is not there";
    at = host_map_boot(tree, size);
    const char *error = at != NULL ? machine_read(at, size, &machine) : "cannot be mapped";
    host_map_boot_end();
    return error;
}

int platform_start_memory(void) {
    struct memory_range ranges[MAX_RANGES], heap;
    unsigned count = memory_map_usable(&machine, IMAGE_END, ranges, MAX_RANGES);

    if (!memory_map_heap(ranges, count, &heap))
        return -ENOMEM;
    host_map_heap(heap.base, (uint32_t)heap.size);
    return memory_init_heap(ranges, count, &heap);
}

static char *text_copy(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = heap_allocate(size, NULL);
    if (copy != NULL)
        memcpy(copy, text, size);
    return copy;
}

/* The bundle is mapped at `bundle`; its first file is the config, the others stay where they are. */
static int bundle_keep(const void *bundle, unsigned count) {
    struct bundle_entry config = bundle_file(bundle, 0);
    struct boot_file *files = heap_allocate(count * sizeof(files[0]), NULL);
    void *copy = config.size <= LARGE_PAGE_SIZE ? heap_allocate((size_t)config.size, NULL) : NULL;

    if (files == NULL || copy == NULL)
        return -ENOMEM;
    memcpy(copy, (const char *)bundle + config.offset, (size_t)config.size);
    for (unsigned i = 1; i < count; i++) {
        struct bundle_entry entry = bundle_file(bundle, i);
        struct boot_file *file = &files[i - 1];
        file->name = text_copy(entry.name);
        file->address = machine.bundle + entry.offset;
        file->size = entry.size;
        if (file->name == NULL)
            return -ENOMEM;
    }
    boot.config = copy;
    boot.config_size = (size_t)config.size;
    boot.file = files;
    boot.file_count = count - 1;
    return 0;
}

int platform_read_bundle(char *why, size_t why_size) {
    const void *bundle = NULL;

    if (machine.bundle_size == 0) {
        snprintf(why, why_size, "is not there: the firmware has loaded no initial RAM disk");
        return -ENOENT;
    }
    if (machine.bundle % 4096 == 0)
        bundle = host_map_boot(machine.bundle, machine.bundle_size);
    if (bundle == NULL) {
        snprintf(why, why_size, "lies where it cannot be read");
        return -EINVAL;
    }
    int count = bundle_check(bundle, machine.bundle_size, why, why_size);
    if (count > 0) {
        count = bundle_keep(bundle, (unsigned)count);
        if (count < 0)
            snprintf(why, why_size, "does not fit into the memory that there is");
    }
    host_map_boot_end();
    return count;
}
