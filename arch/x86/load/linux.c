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

int load_linux(struct vm *vm) {
    struct work_area *area = heap_allocate(sizeof(*area), &vm->memory.account);

    if (!area)
        return load_error(vm, -ENOMEM, "not enough memory to load a kernel");
    int error = load(vm, area);
    heap_free(area, sizeof(*area), &vm->memory.account);
    return error;
}
