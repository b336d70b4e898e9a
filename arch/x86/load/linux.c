// SPDX-License-Identifier: Apache-2.0
// Loads a Linux kernel by the 64-bit boot protocol, or the 32-bit one where the kernel has no 64-bit entry
// (Documentation/arch/x86/boot.rst, "64-bit Boot Protocol", "32-bit Boot Protocol").
#include "arch/x86/load/load_internal.h"
#include "arch/x86/registers.h"
#include "lib/config.h"
#include "lib/image.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What the loader leaves in low memory. */
#define BOOT_PARAMS            LOAD_LOW
#define CMDLINE                (LOAD_LOW + BP_SIZE)

/* Fields of struct boot_params, the "zero page" (Documentation/arch/x86/zero-page.rst). */
#define BP_SIZE                4096u
#define BP_ACPI_RSDP           0x070
#define BP_EXT_RAMDISK         0x0c0
#define BP_EXT_RAMDISK_SIZE    0x0c4
#define BP_ALT_MEM_K           0x1e0
#define BP_E820_ENTRIES        0x1e8
#define BP_HEADER              0x1f1
#define BP_VIDEO_MODE          0x1fa
#define BP_LOADER_TYPE         0x210
#define BP_LOADFLAGS           0x211
#define BP_CODE32_START        0x214
#define BP_RAMDISK             0x218
#define BP_RAMDISK_SIZE        0x21c
#define BP_CMDLINE             0x228
#define BP_E820_TABLE          0x2d0

#define LOADFLAG_KEEP_SEGMENTS 0x40u
#define LOADER_UNDEFINED       0xffu
#define VIDEO_NORMAL           0xffffu

static void put16(uint8_t *at, uint16_t value) {
    memcpy(at, &value, sizeof(value));
}
static void put32(uint8_t *at, uint32_t value) {
    memcpy(at, &value, sizeof(value));
}
static void put64(uint8_t *at, uint64_t value) {
    memcpy(at, &value, sizeof(value));
}

/* The kernel's place: where it prefers. A relocatable kernel moves up by itself, never below that address (it
 * unpacks itself at CONFIG_PHYSICAL_START at the least), so that nothing is won by loading it lower. 0: does
 * not fit. */
static uint64_t place_kernel(const struct vm *vm, const struct image_linux *image) {
    uint64_t end = pc_ram_low(vm);
    uint64_t need = image->init_size > image->kernel_size ? image->init_size : image->kernel_size;

    return need <= end && image->preferred <= end - need ? image->preferred : 0;
}

/* What is too large for a stack. */
struct work_area {
    uint8_t head[1024]; /* of the file */
    uint8_t params[BP_SIZE];
};

static int load(struct vm *vm, struct work_area *area) {
    const struct config_guest *config = vm->config;
    const struct boot_file *kernel = load_find(vm, config->image);
    const struct boot_file *initrd = config->initrd ? load_find(vm, config->initrd) : NULL;
    struct x86_vcpu *vcpu = x86_vcpu(vm->vcpu[0]);
    struct image_linux image;
    uint8_t *head = area->head, *params = area->params;
    char why[96];

    if (!kernel || (config->initrd && !initrd))
        return -ENOENT;
    uint64_t head_size = kernel->size < sizeof(area->head) ? kernel->size : sizeof(area->head);
    boot_file_read(kernel, 0, head, head_size);
    if (image_linux_parse(head, head_size, kernel->size, &image, why, sizeof(why)))
        return load_error(vm, -EINVAL, "\"%s\" %s", config->image, why);
    uint64_t at = place_kernel(vm, &image);
    if (!at)
        return load_error(vm, -ENOMEM, "\"%s\" needs at least %u MiB of memory; the guest has %u MiB",
                          config->image, (unsigned)((image.preferred + image.init_size + 0xfffff) >> 20),
                          (unsigned)(config->memory >> 20));
    if (strlen(config->cmdline) > image.cmdline_max)
        return load_error(vm, -EINVAL, "cmdline has %u bytes; \"%s\" takes %u",
                          (unsigned)strlen(config->cmdline), config->image, image.cmdline_max);

    memset(params, 0, BP_SIZE);
    memcpy(params + BP_HEADER, head + BP_HEADER, image.header_end - BP_HEADER);
    params[BP_LOADER_TYPE] = LOADER_UNDEFINED;
    params[BP_LOADFLAGS] &= (uint8_t)~LOADFLAG_KEEP_SEGMENTS;
    put16(params + BP_VIDEO_MODE, VIDEO_NORMAL);
    put32(params + BP_CODE32_START, (uint32_t)at);
    put32(params + BP_CMDLINE, CMDLINE);
    put64(params + BP_ACPI_RSDP, PC_RSDP);
    put32(params + BP_ALT_MEM_K, (uint32_t)((pc_ram_low(vm) >> 10) - 1024));

    if (initrd) {
        /* As high as the kernel lets it be, so that it is out of the kernel's way. */
        uint64_t top = pc_ram_low(vm);
        if (top > (uint64_t)image.initrd_max + 1)
            top = (uint64_t)image.initrd_max + 1;
        uint64_t kernel_end =
            at + (image.init_size > image.kernel_size ? image.init_size : image.kernel_size);
        if (initrd->size > top || ((top - initrd->size) & ~(PAGE_SIZE - 1)) < kernel_end)
            return load_error(vm, -ENOMEM, "\"%s\" (%llu bytes) does not fit beside the kernel in %u MiB",
                              config->initrd, (unsigned long long)initrd->size,
                              (unsigned)(config->memory >> 20));
        uint64_t place = (top - initrd->size) & ~(PAGE_SIZE - 1);
        int error = boot_file_load(initrd, 0, vm, place, initrd->size);
        if (error)
            return load_error(vm, error, "\"%s\" cannot be placed at 0x%llx", config->initrd,
                              (unsigned long long)place);
        put32(params + BP_RAMDISK, (uint32_t)place);
        put32(params + BP_RAMDISK_SIZE, (uint32_t)initrd->size);
    }

    struct pc_e820_entry map[PC_E820_MAX];
    unsigned entries = pc_e820(vm, map);
    params[BP_E820_ENTRIES] = (uint8_t)entries;
    memcpy(params + BP_E820_TABLE, map, entries * sizeof(map[0]));

    int error = boot_file_load(kernel, image.kernel_offset, vm, at, image.kernel_size);
    if (!error)
        error = guest_load(vm, CMDLINE, config->cmdline, strlen(config->cmdline) + 1);
    if (!error)
        error = guest_load(vm, BOOT_PARAMS, params, BP_SIZE);
    if (error)
        return load_error(vm, error, "\"%s\" cannot be placed at 0x%llx", config->image,
                          (unsigned long long)at);

    if (image.has_64bit) {
        error = load_enter_long(vcpu, at + 0x200);
        if (error)
            return load_error(vm, error, "no room for the boot page tables");
    } else {
        error = load_enter_protected(vcpu, at);
        if (error)
            return load_error(vm, error, "no room for the boot segments");
    }
    vcpu->state->registers.gpr[X86_RSI] = BOOT_PARAMS;
    return 0;
}

int load_linux(struct vm *vm) {
    struct work_area *area = heap_allocate(sizeof(*area), &vm->memory.account);

    if (!area)
        return load_error(vm, -ENOMEM, "not enough memory to load a kernel");
    int error = load(vm, area);
    heap_free(area, sizeof(*area), &vm->memory.account);
    return error;
}
