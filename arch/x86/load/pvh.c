// SPDX-License-Identifier: Apache-2.0
// Loads an ELF kernel by the PVH boot protocol (Xen, docs/misc/pvh.pandoc "x86/HVM direct boot ABI").
#include "arch/x86/load/load_internal.h"
#include "arch/x86/registers.h"
#include "lib/config.h"

#include <errno.h>
#include <string.h>

#define START_MAGIC 0x336ec578u

struct start_info {
    uint32_t magic;
    uint32_t version; /* 1: with a memory map */
    uint32_t flags;
    uint32_t nr_modules;
    uint64_t modlist_paddr;
    uint64_t cmdline_paddr;
    uint64_t rsdp_paddr;
    uint64_t memmap_paddr;
    uint32_t memmap_entries;
    uint32_t reserved;
};

struct start_module {
    uint64_t paddr;
    uint64_t size;
    uint64_t cmdline_paddr;
    uint64_t reserved;
};

struct start_memory {
    uint64_t addr;
    uint64_t size;
    uint32_t type; /* as E820's */
    uint32_t reserved;
};

/* The initrd is the one module. It lies at the end of RAM below 4 GiB, away from the kernel. */
static int load_initrd(struct vm *vm, const struct image_loadable *image, uint64_t *low,
                       struct start_info *info) {
    const struct boot_file *initrd = load_find(vm, vm->config->initrd);
    uint64_t ram = pc_ram_low(vm), kernel_end = 0x100000;

    if (!initrd)
        return -ENOENT;
    for (unsigned i = 0; i < image->count; i++) {
        uint64_t end = image->segment[i].address + image->segment[i].memory_size;
        if (end <= ram && end > kernel_end)
            kernel_end = end;
    }
    uint64_t place = initrd->size <= ram ? (ram - initrd->size) & ~(PAGE_SIZE - 1) : 0;
    if (place < kernel_end)
        return load_error(vm, -ENOMEM, "\"%.40s\" (%llu bytes) does not fit beside the kernel in %u MiB",
                          initrd->name, (unsigned long long)initrd->size,
                          (unsigned)(vm->config->memory >> 20));
    int error = vm_load_later(vm, initrd, 0, place, initrd->size);
    if (error)
        return load_error(vm, error, "\"%.40s\" cannot be placed at 0x%llx", initrd->name,
                          (unsigned long long)place);
    const struct start_module module = {.paddr = place, .size = initrd->size};
    info->nr_modules = 1;
    return load_low(vm, low, &module, sizeof(module), &info->modlist_paddr);
}

static int load_memory_map(struct vm *vm, uint64_t *low, struct start_info *info) {
    struct pc_e820_entry entries[PC_E820_MAX];
    struct start_memory map[PC_E820_MAX];

    info->memmap_entries = pc_e820(vm, entries);
    for (unsigned i = 0; i < info->memmap_entries; i++)
        map[i] =
            (struct start_memory){.addr = entries[i].base, .size = entries[i].size, .type = entries[i].type};
    return load_low(vm, low, map, info->memmap_entries * sizeof(map[0]), &info->memmap_paddr);
}

int load_pvh(struct vm *vm) {
    const struct config_guest *config = vm->config;
    const struct boot_file *kernel = load_find(vm, config->image);
    struct x86_vcpu *vcpu = x86_vcpu(vm->vcpu[0]);
    struct start_info info = {.magic = START_MAGIC, .version = 1, .rsdp_paddr = PC_RSDP};
    struct image_loadable image;
    uint64_t low = LOAD_LOW, place;
    char why[96];

    if (!kernel)
        return -ENOENT;
    struct image_source source = load_source(kernel);
    if (image_pvh_parse(&source, &image, why, sizeof(why)))
        return load_error(vm, -EINVAL, "\"%.40s\" %s", kernel->name, why);

    int error = load_segments(vm, kernel, &image);
    if (!error && config->initrd)
        error = load_initrd(vm, &image, &low, &info);
    if (!error)
        error = load_memory_map(vm, &low, &info);
    if (!error)
        error = load_low(vm, &low, config->cmdline, strlen(config->cmdline) + 1, &info.cmdline_paddr);
    if (!error)
        error = load_low(vm, &low, &info, sizeof(info), &place);
    if (error)
        return error;
    error = load_enter_protected(vcpu, image.entry);
    if (error)
        return load_error(vm, error, "no room for the boot segments");
    vcpu->state->registers.gpr[X86_RBX] = place;
    return 0;
}
