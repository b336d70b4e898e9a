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

#define FOUR_GIB               0x100000000ull
#define LOWEST                 0x100000ull /* RAM begins there, without identity-memory */

static void put16(uint8_t *at, uint16_t value) {
    memcpy(at, &value, sizeof(value));
}
static void put32(uint8_t *at, uint32_t value) {
    memcpy(at, &value, sizeof(value));
}
static void put64(uint8_t *at, uint64_t value) {
    memcpy(at, &value, sizeof(value));
}

static uint64_t needs(const struct image_linux *image) {
    return image->init_size > image->kernel_size ? image->init_size : image->kernel_size;
}

/* The kernel's place: where it prefers, or, where RAM begins behind that, with it. A relocatable kernel moves
 * up by itself, never below the address that it prefers (it unpacks itself at CONFIG_PHYSICAL_START at the
 * least), so that nothing is won by loading it lower. 0, or a negative errno after load_error(). */
static int place_kernel(struct vm *vm, const struct image_linux *image, uint64_t *place) {
    const struct memory_range ram = pc_ram_free(vm);
    uint64_t end = ram.base + ram.size, at = image->preferred;
    bool high = end > FOUR_GIB;

    if (at < ram.base && image->relocatable)
        at = (ram.base + image->alignment - 1) & ~((uint64_t)image->alignment - 1);
    if (at < ram.base || (ram.base > LOWEST && !image->has_64bit) ||
        (high && (!image->above_4g || needs(image) > HUGE_PAGE_SIZE)))
        return load_error(vm, -EINVAL,
                          "\"%s\" cannot be moved to 0x%llx, where the guest's identity-memory is",
                          vm->config->image, (unsigned long long)ram.base);
    if (at + needs(image) > end)
        return load_error(vm, -ENOMEM, "\"%s\" needs at least %u MiB of memory; the guest has %u MiB",
                          vm->config->image,
                          (unsigned)((vm->config->memory + (at + needs(image) - end) + 0xfffff) >> 20),
                          (unsigned)(vm->config->memory >> 20));
    *place = at;
    return 0;
}

/* Puts the initrd as high as the kernel lets it be, so that it is out of the kernel's way. */
static int load_initrd(struct vm *vm, const struct boot_file *initrd, const struct image_linux *image,
                       uint64_t kernel_end, uint8_t *params) {
    const struct memory_range ram = pc_ram_free(vm);
    uint64_t top = ram.base + ram.size, limit = (uint64_t)image->initrd_max + 1;

    /* With identity-memory it may have to be higher, which those kernels take that can be there themselves.
     */
    if (top > limit && !(image->above_4g && ram.base > LOWEST))
        top = limit;
    if (initrd->size > top || ((top - initrd->size) & ~(PAGE_SIZE - 1)) < kernel_end)
        return load_error(vm, -ENOMEM, "\"%s\" (%llu bytes) does not fit beside the kernel in %u MiB",
                          initrd->name, (unsigned long long)initrd->size,
                          (unsigned)(vm->config->memory >> 20));
    uint64_t place = (top - initrd->size) & ~(PAGE_SIZE - 1);
    int error = vm_load_later(vm, initrd, 0, place, initrd->size);
    if (error)
        return load_error(vm, error, "\"%s\" cannot be placed at 0x%llx", initrd->name,
                          (unsigned long long)place);
    put32(params + BP_RAMDISK, (uint32_t)place);
    put32(params + BP_RAMDISK_SIZE, (uint32_t)initrd->size);
    put32(params + BP_EXT_RAMDISK, (uint32_t)(place >> 32));
    put32(params + BP_EXT_RAMDISK_SIZE, (uint32_t)(initrd->size >> 32));
    return 0;
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
    uint64_t at = 0;
    int error = place_kernel(vm, &image, &at);
    if (error)
        return error;
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

    if (initrd)
        error = load_initrd(vm, initrd, &image, at + needs(&image), params);
    if (error)
        return error;
    struct pc_e820_entry map[PC_E820_MAX];
    unsigned entries = pc_e820(vm, map);
    params[BP_E820_ENTRIES] = (uint8_t)entries;
    memcpy(params + BP_E820_TABLE, map, entries * sizeof(map[0]));

    error = vm_load_later(vm, kernel, image.kernel_offset, at, image.kernel_size);
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
