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

int load_enter_long(struct x86_vcpu *vcpu, uint64_t entry) {
    struct vm *vm = vcpu->core.vm;
    struct x86_system *system = &vcpu->state->system;
    uint64_t table[512];
    int error;

    memset(table, 0, sizeof(table));
    table[0] = PDPT | ENTRY_TABLE;
    error = guest_load(vm, PML4, table, sizeof(table));
    for (unsigned i = 0; i < 4; i++)
        table[i] = (PD + i * PAGE_SIZE) | ENTRY_TABLE;
    if (!error)
        error = guest_load(vm, PDPT, table, sizeof(table));
    for (unsigned gib = 0; gib < 4 && !error; gib++) {
        for (uint64_t i = 0; i < 512; i++)
            table[i] = (gib * 512 + i) << LARGE_PAGE_SHIFT | ENTRY_LARGE;
        error = guest_load(vm, PD + gib * PAGE_SIZE, table, sizeof(table));
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

int load_image(struct vm *vm) {
    switch (vm->config->image_kind) {
    case CONFIG_IMAGE_KERNEL:
        return load_linux(vm);
    default:
        return load_error(vm, -ENOTSUP, "this kind of image is not in this version");
    }
}
