// SPDX-License-Identifier: Apache-2.0
// The service VM's machine on x86: memory where the host has it, and a vCPU in 32-bit protected mode.
#include "arch/x86/service.h"

#include <errno.h>

#include "arch/x86/engine/engine.h"
#include "arch/x86/guest/lapic.h"
#include "arch/x86/guest/pic.h"
#include "arch/x86/guest/pv.h"
#include "arch/x86/registers.h"
#include "arch/x86/vcpu_state.h"
#include "arch/x86/vm.h"
#include "core/service.h"
#include "lib/config.h"
#include "lib/image.h"

#define BELOW (1ull << 32)

/* It takes no interrupts, but the run loop asks a local APIC and a PIC. */
static const struct part *const parts[] = {&lapic_part, &pv_part, &vcpu_part, &pic_part};

const struct platform service_platform = {
    .name = "service",
    .part = parts,
    .part_count = array_count(parts),
};

int service_memory_create(struct vm *vm) {
    unsigned shift = LARGE_PAGE_SHIFT;
    uint64_t physical;

    while (1ull << shift < vm->config->memory)
        shift++;
    int error = guest_memory_create_below(vm, shift, BELOW, &physical);
    if (error)
        return error;
    return guest_memory_place(vm, physical, 1ull << shift, 0, GUEST_RAM);
}

int service_enter(struct vm *vm) {
    struct x86_vcpu *vcpu = x86_vcpu(vm->vcpu[0]);
    struct x86_system *system = &vcpu->state->system;
    uint64_t *gpr = vcpu->state->registers.gpr;
    uint64_t entry, board;
    int error = service_load(vm, &entry, &board);

    if (error)
        return error;
    for (unsigned i = 0; i <= X86_GS; i++)
        system->segment[i] =
            (struct x86_segment){.selector = 0x18,
                                 .attributes = X86_SEG_G | X86_SEG_DB | X86_SEG_P | X86_SEG_S | 3,
                                 .limit = UINT32_MAX};
    system->segment[X86_CS].selector = 0x10;
    system->segment[X86_CS].attributes = X86_SEG_G | X86_SEG_DB | X86_SEG_P | X86_SEG_S | 0xb;
    system->cr0 = CR0_PE | CR0_ET;
    vcpu->state->registers.rip = entry;
    gpr[X86_RAX] = SERVICE_MAGIC;
    gpr[X86_RBX] = board;
    gpr[X86_RCX] = vm->memory.region[0].base;
    gpr[X86_RDX] = vm->memory.size;
    /* Its TSC is the machine's: the board's clock counts in it. */
    vcpu->tsc_offset = 0;
    engine->tsc_offset(vcpu);
    x86_changed(vcpu, X86_STATE_ALL);
    return 0;
}

int arch_service_parse(const struct image_source *source, struct image_loadable *out, char *why,
                       size_t why_size) {
    return image_elf_parse(source, out, why, why_size);
}

void arch_service_clock(uint64_t *base, uint64_t *multiplier) {
    *base = clock_tsc_base;
    *multiplier = clock_multiplier;
}
