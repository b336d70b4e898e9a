// SPDX-License-Identifier: Apache-2.0
// The Book E side of a VM: its board and bus, the guest-physical map's changes, power-on with the image
// loaded.
#include "arch/ppc/service.h"
#include "arch/ppc/vm.h"

#include <errno.h>
#include <stdio.h>
#include "abi/control.h"

#include "core/log.h"

struct vm *arch_vm_allocate(void) {
    struct ppc_vm *vm = heap_allocate(sizeof(*vm), NULL);
    return vm ? &vm->core : NULL;
}

void arch_vm_free(struct vm *vm) {
    heap_free(ppc_vm(vm), sizeof(struct ppc_vm), NULL);
}

/* A region of RAM or ROM appeared in guest-physical space, or went: no vCPU may go on with shadow entries
 * from before. Those that are in the guest leave it for that. */
static int memory_changed(struct vm *vm, const struct guest_region *region, bool present) {
    (void)region;
    (void)present;
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        if (vm->vcpu[i])
            vcpu_request(vm->vcpu[i], PPC_REQUEST_FLUSH);
    return 0;
}

int arch_vm_create(struct vm *vm) {
    vm->memory.changed = memory_changed;
    int error = bus_init(&vm->bus[BUS_MEMORY]);
    if (error)
        return error;
    error = vm->service ? service_board_create(vm) : board_create(vm);
    if (error)
        bus_destroy(&vm->bus[BUS_MEMORY]);
    return error;
}

void arch_vm_destroy(struct vm *vm) {
    if (vm->service)
        guest_memory_destroy(vm);
    else
        board_destroy(vm);
    bus_destroy(&vm->bus[BUS_MEMORY]);
}

int arch_vm_reset(struct vm *vm) {
    /* What was asked of a vCPU in the run before must not start it in this one. */
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        __atomic_and_fetch(&vm->vcpu[i]->requests, ~(PPC_REQUEST_START | PPC_REQUEST_RESET),
                           __ATOMIC_RELEASE);
    platform_reset(vm); /* the vCPUs are among the parts */
    return vm->service ? service_enter(vm) : load_image(vm);
}

_Static_assert(PPC_EXIT_CAUSE_COUNT <= CONTROL_MAX_EXITS, "all causes can be shown");

void arch_vm_exits(const struct vm *vm, struct control_exits *out) {
    static const char *const names[PPC_EXIT_CAUSE_COUNT] = {
        [PPC_EXIT_INTERRUPT] = "interrupt",
        [PPC_EXIT_TIMER] = "timer",
        [PPC_EXIT_PRIVILEGED] = "privileged",
        [PPC_EXIT_FAST] = "privileged, fast",
        [PPC_EXIT_SYSTEM_CALL] = "system call",
        [PPC_EXIT_HYPERCALL] = "hypercall",
        [PPC_EXIT_TLB_FILL] = "TLB fill",
        [PPC_EXIT_TLB_MISS] = "TLB miss",
        [PPC_EXIT_STORAGE] = "storage",
        [PPC_EXIT_MMIO] = "MMIO",
        [PPC_EXIT_PROGRAM] = "program",
        [PPC_EXIT_UNAVAILABLE] = "unavailable",
        [PPC_EXIT_ALIGNMENT] = "alignment",
        [PPC_EXIT_WAIT] = "wait",
        [PPC_EXIT_OTHER] = "other",
    };

    for (unsigned cause = 0; cause < PPC_EXIT_CAUSE_COUNT; cause++) {
        uint64_t count = 0;
        for (unsigned i = 0; i < vm->vcpu_count; i++)
            count += ppc_vcpu(vm->vcpu[i])->exits[cause];
        if (!count)
            continue;
        struct control_exit *exit = &out->exit[out->count++];
        snprintf(exit->name, sizeof(exit->name), "%s", names[cause]);
        exit->count = count;
    }
}

/* The board's device tree has a line that switches the power off, and no button. */
int arch_vm_power_button(struct vm *vm) {
    (void)vm;
    return -ENOTSUP;
}
