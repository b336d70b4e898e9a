// SPDX-License-Identifier: Apache-2.0
// Which loader an image needs, and the state in which kernels are entered.
#include "arch/x86/load/load.h"
#include "arch/x86/engine/engine.h"
#include "arch/x86/guest/lapic.h"
#include "arch/x86/load/load_internal.h"
#include "arch/x86/registers.h"
#include "lib/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PML4        LOAD_TABLES
#define PDPT        (LOAD_TABLES + 0x1000)
#define PD          (LOAD_TABLES + 0x2000) /* four of them */
#define GDT         (LOAD_TABLES + 0x6000)

#define FOUR_GIB    0x100000000ull
#define ENTRY_TABLE 0x03ull /* present, writable */
#define ENTRY_LARGE 0x83ull

int load_error(struct vm *vm, int error, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(vm->end_text, sizeof(vm->end_text), format, arguments);
    va_end(arguments);
    return error;
}

static int write_segments(struct x86_vcpu *vcpu, bool long_mode) {
    struct x86_system *system = &vcpu->state->system;
    /* Null, null, flat code, flat data, TSS: as the boot protocols lay them out. */
    const uint64_t gdt[] = {0, 0, long_mode ? 0x00af9b000000ffffull : 0x00cf9b000000ffffull,
                            0x00cf93000000ffffull, 0x00008b0000000067ull};

    int error = guest_load(vcpu->core.vm, GDT, gdt, sizeof(gdt));
    if (error)
        return error;
    system->gdtr.base = GDT;
    system->gdtr.limit = sizeof(gdt) - 1;
    system->idtr.base = 0;
    system->idtr.limit = 0;
    for (unsigned i = 0; i <= X86_GS; i++)
        system->segment[i] =
            (struct x86_segment){.selector = 0x18,
                                 .attributes = X86_SEG_G | X86_SEG_DB | X86_SEG_P | X86_SEG_S | 3,
                                 .limit = UINT32_MAX};
    system->segment[X86_CS].selector = 0x10;
    system->segment[X86_CS].attributes =
        X86_SEG_G | X86_SEG_P | X86_SEG_S | 0xb | (long_mode ? X86_SEG_L : X86_SEG_DB);
    system->segment[X86_TR] =
        (struct x86_segment){.selector = 0x20, .attributes = X86_SEG_P | 0xb, .limit = 0x67};
    system->segment[X86_LDTR] = (struct x86_segment){.attributes = X86_SEG_P | 2};
    return 0;
}

int load_enter_protected(struct x86_vcpu *vcpu, uint64_t entry) {
    struct x86_system *system = &vcpu->state->system;
    int error = write_segments(vcpu, false);

    if (error)
        return error;
    system->cr0 = CR0_PE | CR0_ET;
    system->cr4 = 0;
    system->efer = 0;
    vcpu->state->registers.rip = entry;
    vcpu->state->registers.gpr[X86_RDX] = 0;
    lapic_virtual_wire(vcpu->lapic);
    x86_changed(vcpu, X86_STATE_ALL);
    return 0;
}

/* Fills a page table: `count` entries from `first` on in steps of `step`, then empty ones. In pieces: stacks
 * are small. */
static int write_table(struct vm *vm, uint64_t at, unsigned count, uint64_t first, uint64_t step) {
    uint64_t piece[64];
    int error = 0;

    for (unsigned done = 0; done < 512 && !error; done += array_count(piece)) {
        for (unsigned i = 0; i < array_count(piece); i++)
            piece[i] = done + i < count ? first + (done + i) * step : 0;
        error = guest_load(vm, at + done * sizeof(piece[0]), piece, sizeof(piece));
    }
    return error;
}

int load_enter_long(struct x86_vcpu *vcpu, uint64_t entry) {
    struct vm *vm = vcpu->core.vm;
    struct x86_system *system = &vcpu->state->system;
    uint64_t gib[] = {0, 1, 2, 3}; /* that are mapped */
    int error = write_table(vm, PML4, 1, PDPT | ENTRY_TABLE, 0);

    if (entry >= FOUR_GIB) {
        gib[1] = entry >> HUGE_PAGE_SHIFT;
        gib[2] = gib[1] + 1;
    }
    if (!error)
        error = write_table(vm, PDPT, 0, 0, 0);
    for (unsigned i = 0; i < array_count(gib) && !error; i++) {
        const uint64_t table = PD + i * PAGE_SIZE, pointer = table | ENTRY_TABLE;
        error = write_table(vm, table, 512, gib[i] << HUGE_PAGE_SHIFT | ENTRY_LARGE, LARGE_PAGE_SIZE);
        if (!error)
            error = guest_load(vm, PDPT + gib[i] * sizeof(pointer), &pointer, sizeof(pointer));
    }
    if (!error)
        error = write_segments(vcpu, true);
    if (error)
        return error;
    system->cr0 = CR0_PE | CR0_ET | CR0_PG;
    system->cr3 = PML4;
    system->cr4 = CR4_PAE;
    system->efer = EFER_LME | EFER_LMA;
    vcpu->state->registers.rip = entry;
    vcpu->state->registers.gpr[X86_RDX] = 0;
    lapic_virtual_wire(vcpu->lapic);
    x86_changed(vcpu, X86_STATE_ALL);
    return 0;
}

/* --- what multiboot and PVH kernels have in common --- */

static int read_piece(void *context, uint64_t offset, void *buffer, size_t size) {
    return boot_file_read(context, offset, buffer, size);
}

struct image_source load_source(const struct boot_file *file) {
    return (struct image_source){.read = read_piece, .context = (void *)file, .size = file->size};
}

const struct boot_file *load_find(struct vm *vm, const char *name) {
    const struct boot_file *file = boot_file_find(name);

    if (!file)
        load_error(vm, -ENOENT, "the loader did not bring \"%s\"", name);
    return file;
}

int load_segments(struct vm *vm, const struct boot_file *file, const struct image_loadable *image) {
    for (unsigned i = 0; i < image->count; i++) {
        const struct image_segment *segment = &image->segment[i];
        uint64_t end = segment->address + segment->memory_size;
        if (segment->address < LOAD_LOW_END && end > LOAD_LOW)
            return load_error(vm, -EINVAL,
                              "\"%s\" loads at 0x%llx; 0x%llx to 0x%llx holds the boot information",
                              file->name, (unsigned long long)segment->address, LOAD_LOW, LOAD_LOW_END - 1);
        if (!pc_ram_bound(vm, segment->address, end))
            return load_error(vm, -ENOMEM,
                              "\"%s\" needs memory from 0x%llx to 0x%llx; not all of that is RAM with %u MiB",
                              file->name, (unsigned long long)segment->address, (unsigned long long)end - 1,
                              (unsigned)(vm->config->memory >> 20));
    }
    /* RAM is zero already where the file gives nothing. */
    for (unsigned i = 0; i < image->count; i++) {
        const struct image_segment *segment = &image->segment[i];
        int error = vm_load_later(vm, file, segment->offset, segment->address, segment->file_size);
        if (error)
            return load_error(vm, error, "\"%s\" cannot be placed at 0x%llx", file->name,
                              (unsigned long long)segment->address);
    }
    return 0;
}

int load_low(struct vm *vm, uint64_t *at, const void *data, size_t size, uint64_t *place) {
    uint64_t aligned = (*at + 7) & ~7ull;

    if (aligned > LOAD_TABLES || size > LOAD_TABLES - aligned)
        return load_error(vm, -ENOMEM, "the boot information does not fit its %u KiB",
                          (unsigned)((LOAD_TABLES - LOAD_LOW) >> 10));
    *place = aligned;
    *at = aligned + size;
    int error = guest_load(vm, aligned, data, size);
    return error ? load_error(vm, error, "the boot information cannot be placed at 0x%llx",
                              (unsigned long long)aligned)
                 : 0;
}

uint64_t load_image_end(const struct vm *vm) {
    const struct config_guest *config = vm->config;
    const struct boot_file *file =
        config->image_kind == CONFIG_IMAGE_MULTIBOOT ? boot_file_find(config->image) : NULL;
    struct image_loadable image;
    char why[96];

    if (!file)
        return 0;
    struct image_source source = load_source(file);
    return image_multiboot_parse(&source, &image, why, sizeof(why)) ? 0 : image.highest;
}

int load_image(struct vm *vm) {
    switch (vm->config->image_kind) {
    case CONFIG_IMAGE_KERNEL:
        return load_linux(vm);
    case CONFIG_IMAGE_MULTIBOOT:
        return load_multiboot(vm);
    case CONFIG_IMAGE_PVH:
        return load_pvh(vm);
    case CONFIG_IMAGE_FIRMWARE:
        return load_firmware(vm);
    default:
        return load_error(vm, -EINVAL, "unknown kind of image");
    }
}
