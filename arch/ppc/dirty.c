// SPDX-License-Identifier: Apache-2.0
// Which pages a guest writes: while the log runs a real TLB entry lets it write a page only once it has
// written there (guest/shadow.c), and then the page is noted.
#include "arch/ppc/vm.h"

/* The real entries of all vCPUs are void before they enter the guest again; those that are there leave it. */
static void forget(struct vm *vm) {
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        vcpu_request(vm->vcpu[i], PPC_REQUEST_FLUSH);
}

int arch_dirty_settle(struct vm *vm) {
    return vm_settle(vm, PPC_REQUEST_FLUSH);
}

int arch_dirty_start(struct vm *vm) {
    forget(vm);
    return 0;
}

void arch_dirty_stop(struct vm *vm) {
    forget(vm); /* large entries come back */
}

/* A page is noted when its entry is filled, which is before the first write. */
int arch_dirty_gather(struct vm *vm) {
    (void)vm;
    return 0;
}

void arch_dirty_clean(struct vm *vm, const struct memory_range *ranges, unsigned count) {
    (void)ranges;
    if (count)
        forget(vm);
}
