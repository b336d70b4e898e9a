// SPDX-License-Identifier: Apache-2.0
// Loads a multiboot 1 kernel with its modules (Multiboot Specification 0.6.96, 3.2 "Machine state", 3.3 "Boot
// information format").
#include "arch/x86/load/load_internal.h"
#include "arch/x86/registers.h"
#include "lib/config.h"

#include <errno.h>
#include <string.h>

#define BOOTLOADER_MAGIC 0x2badb002u
#define FOUR_GIB         0x100000000ull

enum {
    INFO_MEMORY = 1 << 0,
    INFO_CMDLINE = 1 << 2,
    INFO_MODULES = 1 << 3,
    INFO_MEMORY_MAP = 1 << 6,
    INFO_LOADER_NAME = 1 << 9,
};

struct multiboot_info {
    uint32_t flags;
    uint32_t mem_lower; /* KiB from 0 on */
    uint32_t mem_upper; /* KiB from 1 MiB on */
    uint32_t boot_device;
    uint32_t cmdline;
    uint32_t mods_count;
    uint32_t mods_addr;
    uint32_t syms[4];
    uint32_t mmap_length; /* bytes */
    uint32_t mmap_addr;
    uint32_t drives_length;
    uint32_t drives_addr;
    uint32_t config_table;
    uint32_t boot_loader_name;
    uint32_t apm_table;
};

struct multiboot_module {
    uint32_t start;
    uint32_t end; /* one past the last byte */
    uint32_t string;
    uint32_t reserved;
};

struct multiboot_memory {
    uint32_t size; /* of the rest */
    struct pc_e820_entry entry;
} __attribute__((packed));

static int load_string(struct vm *vm, uint64_t *at, const char *text, uint32_t *out) {
    uint64_t place;
    int error = load_low(vm, at, text, strlen(text) + 1, &place);

    *out = error ? 0 : (uint32_t)place;
    return error;
}

/* Modules lie above the kernel, each on a page of its own, in the order of the config. */
static int load_modules(struct vm *vm, const struct image_loadable *image, uint64_t *low,
                        struct multiboot_info *info) {
    const struct config_guest *config = vm->config;
    struct multiboot_module modules[CONFIG_MAX_MODULES];
    const struct memory_range free = pc_ram_free(vm);
    uint64_t at = image->highest > free.base ? image->highest : free.base;
    uint64_t ram = free.base + free.size, place;
    char name[CONFIG_MAX_PATH + 1];
    int error;

    if (config->module_count && ram > FOUR_GIB)
        return load_error(vm, -ENOMEM,
                          "modules lie below 4 GiB, where there was no room for the guest's identity-memory");
    for (unsigned i = 0; i < config->module_count; i++) {
        config_module_file(config->modules[i], name);
        const struct boot_file *file = load_find(vm, name);
        if (!file)
            return -ENOENT;
        at = (at + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
        if (at > ram || file->size > ram - at)
            return load_error(
                vm, -ENOMEM,
                "module \"%.40s\" needs %llu bytes from 0x%llx on; the RAM of %u MiB ends before", name,
                (unsigned long long)file->size, (unsigned long long)at, (unsigned)(config->memory >> 20));
        error = vm_load_later(vm, file, 0, at, file->size);
        if (error)
            return load_error(vm, error, "module \"%.40s\" cannot be placed at 0x%llx", name,
                              (unsigned long long)at);
        modules[i] = (struct multiboot_module){.start = (uint32_t)at, .end = (uint32_t)(at + file->size)};
        error = load_string(vm, low, config->modules[i], &modules[i].string);
        if (error)
            return error;
        at += file->size;
    }
    error = load_low(vm, low, modules, config->module_count * sizeof(modules[0]), &place);
    if (error)
        return error;
    info->mods_count = config->module_count;
    info->mods_addr = (uint32_t)place;
    return 0;
}

static int load_memory_map(struct vm *vm, uint64_t *low, struct multiboot_info *info) {
    struct pc_e820_entry entries[PC_E820_MAX];
    struct multiboot_memory map[PC_E820_MAX];
    unsigned count = pc_e820(vm, entries);
    uint64_t place;

    for (unsigned i = 0; i < count; i++) {
        map[i] = (struct multiboot_memory){.size = sizeof(entries[i]), .entry = entries[i]};
        if (entries[i].type == PC_E820_RAM && entries[i].base == 0)
            info->mem_lower = (uint32_t)(entries[i].size >> 10);
        if (entries[i].type == PC_E820_RAM && entries[i].base == 0x100000)
            info->mem_upper = (uint32_t)(entries[i].size >> 10);
    }
    int error = load_low(vm, low, map, count * sizeof(map[0]), &place);
    if (error)
        return error;
    info->mmap_length = count * sizeof(map[0]);
    info->mmap_addr = (uint32_t)place;
    return 0;
}

int load_multiboot(struct vm *vm) {
    const struct config_guest *config = vm->config;
    const struct boot_file *kernel = load_find(vm, config->image);
    struct x86_vcpu *vcpu = x86_vcpu(vm->vcpu[0]);
    struct image_loadable image;
    struct multiboot_info info;
    uint64_t low = LOAD_LOW, place;
    char why[96];

    if (!kernel)
        return -ENOENT;
    struct image_source source = load_source(kernel);
    if (image_multiboot_parse(&source, &image, why, sizeof(why)))
        return load_error(vm, -EINVAL, "\"%.40s\" %s", kernel->name, why);

    memset(&info, 0, sizeof(info));
    info.flags = INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MEMORY_MAP | INFO_LOADER_NAME;
    int error = load_segments(vm, kernel, &image);
    if (!error)
        error = load_modules(vm, &image, &low, &info);
    if (!error)
        error = load_memory_map(vm, &low, &info);
    if (!error)
        error = load_string(vm, &low, config->cmdline, &info.cmdline);
    if (!error)
        error = load_string(vm, &low, "Saguaro", &info.boot_loader_name);
    if (!error)
        error = load_low(vm, &low, &info, sizeof(info), &place);
    if (error)
        return error;
    error = load_enter_protected(vcpu, image.entry);
    if (error)
        return load_error(vm, error, "no room for the boot segments");
    vcpu->state->registers.gpr[X86_RAX] = BOOTLOADER_MAGIC;
    vcpu->state->registers.gpr[X86_RBX] = place;
    return 0;
}
