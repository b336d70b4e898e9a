// SPDX-License-Identifier: Apache-2.0
// The service VM's machine on PowerPC: memory where the host has it, and a vCPU that finds it mapped.
#include "arch/ppc/service.h"

#include "arch/ppc/clock.h"
#include "arch/ppc/guest/vcpu.h"
#include "arch/ppc/guest/vcpu_state.h"
#include "core/service.h"
#include "lib/config.h"
#include "lib/image.h"

#define BELOW (1ull << 32)

static const struct part *const parts[] = {&ppc_cpu_part};

static const struct platform service_platform = {
    .name = "service",
    .part = parts,
    .part_count = array_count(parts),
};

int service_board_create(struct vm *vm) {
    unsigned shift = LARGE_PAGE_SHIFT;
    uint64_t physical;

    while (1ull << shift < vm->config->memory)
        shift++;
    vm->platform = &service_platform;
    int error = guest_memory_create_below(vm, shift, BELOW, &physical);
    if (error)
        return error;
    return guest_memory_place(vm, physical, 1ull << shift, 0, GUEST_RAM);
}

int service_enter(struct vm *vm) {
    struct ppc_vcpu *vcpu = ppc_vcpu(vm->vcpu[0]);
    uint32_t *gpr = vcpu->state->registers.gpr;
    uint64_t entry, board;
    uint32_t base = (uint32_t)vm->memory.region[0].base;
    int error = service_load(vm, &entry, &board);

    if (error)
        return error;
    vcpu_map_start(vcpu, SERVICE_PPC_BASE, base, (uint32_t)vm->memory.size);
    vcpu->state->registers.pc = SERVICE_PPC_BASE + ((uint32_t)entry - base);
    gpr[3] = SERVICE_MAGIC;
    gpr[4] = (uint32_t)(board >> 32);
    gpr[5] = (uint32_t)board;
    gpr[6] = base;
    gpr[7] = (uint32_t)vm->memory.size;
    vcpu_replaced(vcpu);
    return 0;
}

int arch_service_parse(const struct image_source *source, struct image_loadable *out, char *why,
                       size_t why_size) {
    return image_ppc_parse(source, out, why, why_size);
}

void arch_service_clock(uint64_t *base, uint64_t *multiplier) {
    *base = clock_base;
    *multiplier = clock_multiplier;
}
