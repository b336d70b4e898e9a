// SPDX-License-Identifier: Apache-2.0
// The hand-over block, checked and copied. Until host_map_load() physical memory is mapped where it is, so
// that the block's addresses are pointers.
#include "arch/x86/platform.h"

#include <errno.h>
#include <string.h>
#include "arch/x86/host_map.h"

#define MAX_MEMORY 4096u
#define MAX_FILES  1024u
#define MAX_HOST   4096u /* CPUs */
#define MAX_STRING 4096u
#define MAX_CONFIG (2u << 20)
#define LOW_MEMORY 0x100000ull
#define FOUR_GIB   (1ull << 32)

static struct platform_info info;
static const struct handover *block;

const struct platform_info *platform_info(void) {
    return &info;
}

static const void *at(uint64_t physical) {
    return (const void *)physical;
}

static const struct handover_memory *find_memory(const struct handover_memory *map, unsigned count,
                                                 uint64_t physical, uint64_t size) {
    for (unsigned i = 0; i < count; i++)
        if (physical >= map[i].base && physical - map[i].base < map[i].size)
            return size <= map[i].size - (physical - map[i].base) ? &map[i] : NULL;
    return NULL;
}

/* An array or string of the block lies in one range of LOADER memory. */
static bool from_loader(uint64_t physical, uint64_t size) {
    const struct handover_memory *range =
        find_memory(at(block->memory_map), block->memory_map_count, physical, size);
    return range && range->type == HANDOVER_MEMORY_LOADER;
}

/* Length of a string in LOADER memory, -1: it is none. */
static int64_t string_length(uint64_t physical) {
    for (uint64_t length = 0; length < MAX_STRING && from_loader(physical, length + 1); length++)
        if (!((const char *)at(physical))[length])
            return (int64_t)length;
    return -1;
}

/* Whether [physical, physical + size) is whole in one range of memory that was taken for files. */
static bool is_file_memory(uint64_t physical, uint64_t size) {
    const struct handover_memory *range =
        find_memory(at(block->memory_map), block->memory_map_count, physical, size);
    return physical % PAGE_SIZE == 0 && range && range->type == HANDOVER_MEMORY_FILE;
}

static const char *check_roms(void) {
    const struct handover_rom *roms = at(block->roms);

    if (block->rom_count > HANDOVER_MAX_ROMS ||
        (block->rom_count &&
         (block->roms % 8 || !from_loader(block->roms, block->rom_count * sizeof(struct handover_rom)))))
        return "a bad list of expansion ROMs";
    for (unsigned i = 0; i < block->rom_count; i++) {
        const struct handover_rom *rom = &roms[i];
        if (rom->size < HANDOVER_ROM_MIN || rom->size > HANDOVER_ROM_MAX || rom->size & (rom->size - 1))
            return "an expansion ROM of an impossible size";
        if (!is_file_memory(rom->address, rom->size))
            return "an expansion ROM outside the files' memory";
        const uint8_t *image = at(rom->address);
        if (image[0] != 0x55 || image[1] != 0xaa)
            return "an expansion ROM without its signature";
        for (unsigned j = 0; j < i; j++)
            if (roms[j].segment == rom->segment && roms[j].bus == rom->bus && roms[j].devfn == rom->devfn)
                return "two expansion ROMs of one function";
    }
    return NULL;
}

static const char *check_memory_map(void) {
    const struct handover_memory *map = at(block->memory_map);
    uint64_t end = 0;

    if (!block->memory_map || !block->memory_map_count || block->memory_map_count > MAX_MEMORY)
        return "no memory map";
    for (unsigned i = 0; i < block->memory_map_count; i++) {
        if (map[i].base < end || map[i].base % PAGE_SIZE || map[i].size % PAGE_SIZE || !map[i].size ||
            map[i].base + map[i].size < map[i].base)
            return "a memory map that is not in order";
        end = map[i].base + map[i].size;
    }
    return NULL;
}

const char *platform_open(uint64_t handover) {
    block = at(handover);
    if (!handover || handover % 8 || block->magic != HANDOVER_MAGIC)
        return "no hand-over block";
    if (block->version != HANDOVER_VERSION || block->size < sizeof(*block))
        return "a hand-over block of another version";
    const char *error = check_memory_map();
    if (error)
        return error;
    if (!from_loader(handover, sizeof(*block)))
        return "a hand-over block outside the loader's memory";
    if (!block->config_size || block->config_size > MAX_CONFIG || block->config % 8 ||
        !from_loader(block->config, block->config_size))
        return "no config";
    if (block->file_count > MAX_FILES ||
        (block->file_count && !from_loader(block->files, block->file_count * sizeof(struct handover_file))))
        return "a bad list of files";
    if (block->cpu_count > MAX_HOST ||
        (block->cpu_count && !from_loader(block->cpus, block->cpu_count * sizeof(struct handover_cpu))))
        return "a bad list of CPUs";
    if (string_length(block->config_name) < 0 || string_length(block->command_line) < 0)
        return "a bad string";
    const struct handover_file *files = at(block->files);
    for (unsigned i = 0; i < block->file_count; i++) {
        if (string_length(files[i].name) < 0)
            return "a file without a name";
        if (!files[i].size)
            continue;
        if (!is_file_memory(files[i].address, files[i].size))
            return "a file outside the files' memory";
    }
    return check_roms();
}

/* A free 2 MiB block, below 4 GiB if there is one. 0: none. */
static uint64_t find_reserve(void) {
    const struct handover_memory *map = at(block->memory_map);
    uint64_t found = 0;

    for (unsigned i = 0; i < block->memory_map_count; i++) {
        uint64_t end = map[i].base + map[i].size;
        if (map[i].type != HANDOVER_MEMORY_USABLE || end > HEAP_LIMIT || map[i].base < LOW_MEMORY)
            continue;
        /* The highest below 4 GiB: devices of the service VM may want low memory. */
        uint64_t top = end & ~(LARGE_PAGE_SIZE - 1);
        if (top < map[i].base + LARGE_PAGE_SIZE)
            continue;
        if (!found || top <= FOUR_GIB)
            found = top - LARGE_PAGE_SIZE;
    }
    return found;
}

static void add_range(struct memory_range *ranges, unsigned limit, unsigned *count, uint64_t base,
                      uint64_t end) {
    if (base < LOW_MEMORY)
        base = LOW_MEMORY;
    if (end > HEAP_LIMIT)
        end = HEAP_LIMIT;
    if (base >= end)
        return;
    if (*count && ranges[*count - 1].base + ranges[*count - 1].size == base) {
        ranges[*count - 1].size += end - base;
        return;
    }
    if (*count < limit) {
        ranges[(*count)++] = (struct memory_range){base, end - base};
        return;
    }
    /* More ranges than fit: the smallest is left unused. */
    unsigned smallest = 0;
    for (unsigned i = 1; i < *count; i++)
        if (ranges[i].size < ranges[smallest].size)
            smallest = i;
    if (ranges[smallest].size >= end - base)
        return;
    memmove(&ranges[smallest], &ranges[smallest + 1], (*count - smallest - 1) * sizeof(*ranges));
    ranges[*count - 1] = (struct memory_range){base, end - base};
}

unsigned platform_usable(struct memory_range *ranges, unsigned limit, uint64_t *reserve) {
    const struct handover_memory *map = at(block->memory_map);
    unsigned count = 0;

    *reserve = find_reserve();
    for (unsigned i = 0; i < block->memory_map_count; i++) {
        if (map[i].type != HANDOVER_MEMORY_USABLE)
            continue;
        uint64_t base = map[i].base, end = base + map[i].size;
        if (*reserve >= base && *reserve < end && *reserve) {
            add_range(ranges, limit, &count, base, *reserve);
            base = *reserve + LARGE_PAGE_SIZE;
        }
        add_range(ranges, limit, &count, base, end);
    }
    return count;
}

static void *copy(uint64_t physical, uint64_t size) {
    void *to = heap_allocate(size ? size : 1, NULL);
    if (to && size)
        memcpy(to, at(physical), size);
    return to;
}

static char *copy_string(uint64_t physical) {
    return copy(physical, (uint64_t)string_length(physical) + 1);
}

int platform_copy(void) {
    const struct handover_file *files = at(block->files);

    info.handover = *block;
    info.boot.config_size = block->config_size;
    info.boot.config = copy(block->config, block->config_size);
    info.config_name = copy_string(block->config_name);
    info.command_line = copy_string(block->command_line);
    info.memory_count = block->memory_map_count;
    info.memory = copy(block->memory_map, info.memory_count * sizeof(*info.memory));
    info.cpu_count = block->cpu_count;
    info.cpus = copy(block->cpus, info.cpu_count * sizeof(*info.cpus));
    info.boot.file_count = block->file_count;
    struct boot_file *own = heap_allocate((block->file_count + 1) * sizeof(*own), NULL);
    info.boot.file = own;
    const struct handover_rom *roms = at(block->roms);
    struct boot_rom *own_roms = heap_allocate((block->rom_count + 1) * sizeof(*own_roms), NULL);
    info.boot.rom_count = block->rom_count;
    info.boot.rom = own_roms;
    if (!own_roms || !info.boot.config || !info.config_name || !info.command_line || !info.memory ||
        !info.cpus || !own)
        return -ENOMEM;
    for (unsigned i = 0; i < block->file_count; i++) {
        own[i] = (struct boot_file){copy_string(files[i].name), files[i].address, files[i].size};
        if (!own[i].name)
            return -ENOMEM;
    }
    for (unsigned i = 0; i < block->rom_count; i++)
        own_roms[i] =
            (struct boot_rom){roms[i].segment, roms[i].bus, roms[i].devfn, roms[i].address, roms[i].size};
    return 0;
}

unsigned platform_memory_type(uint64_t physical, uint64_t size) {
    const struct handover_memory *range = find_memory(info.memory, info.memory_count, physical, size);
    return range ? range->type : 0;
}

bool platform_option(const char *name, char *value, size_t size) {
    size_t length = strlen(name);
    const char *p = info.command_line;

    while (p && *p) {
        while (*p == ' ')
            p++;
        const char *end = p;
        while (*end && *end != ' ')
            end++;
        if ((size_t)(end - p) >= length && !memcmp(p, name, length) &&
            (p + length == end || p[length] == '=')) {
            if (size) {
                const char *from = p + length == end ? end : p + length + 1;
                size_t n = (size_t)(end - from) < size - 1 ? (size_t)(end - from) : size - 1;
                memcpy(value, from, n);
                value[n] = 0;
            }
            return true;
        }
        p = end;
    }
    return false;
}
