// SPDX-License-Identifier: Apache-2.0
// A VM's nested tables (NPT or EPT). A change asks the vCPUs that are in their guest to leave it, and does
// not wait for them: until they have, their CPUs may walk a table that is no longer linked, from what they
// remember of the way to it (AMD APM vol. 2, 7.3.1; Intel SDM vol. 3, 28.3.1), and set accessed and dirty
// bits there. So such a table is freed later, by a change that finds them all out.
#include "arch/x86/nested.h"

#include "arch/x86/engine/engine.h"

/* Whether each vCPU has left its guest since it was last asked to forget translations. One that is out of it
 * does so before it goes back. */
static bool all_have_left(const struct vm *vm) {
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        const struct vcpu *vcpu = vm->vcpu[i];
        if (vcpu && (__atomic_load_n(&vcpu->requests, __ATOMIC_SEQ_CST) & X86_REQUEST_TLB) &&
            __atomic_load_n(&vcpu->in_guest, __ATOMIC_SEQ_CST))
            return false;
    }
    return true;
}

/* A walk that began before may have set bits beside the address. */
static void free_retired(struct x86_vm *vm) {
    while (vm->nested_retired) {
        uint64_t *table = vm->nested_retired;
        vm->nested_retired = (void *)(*table & ~(PAGE_SIZE - 1));
        heap_pages_free(table, 0, vm->nested.account);
    }
}

/* With the tables' lock. The address of a page is no present entry, in either format: where one was, the CPU
 * finds none, and exit_nested_fault() has it look again. */
static void retire(struct paging *paging, void *table) {
    struct x86_vm *vm = container_of(paging, struct x86_vm, nested);

    __atomic_store_n((uint64_t *)table, (uintptr_t)vm->nested_retired, __ATOMIC_RELEASE);
    vm->nested_retired = table;
}

/* No translation that has lost rights may stay in any CPU's TLB. Those vCPUs that are in the guest leave it
 * for that. With the tables' lock, before tables are retired. */
static void flush(struct paging *paging, uint64_t address, uint64_t size) {
    struct x86_vm *vm = container_of(paging, struct x86_vm, nested);

    (void)address;
    (void)size;
    /* What is here was unlinked before the last request, which is a fact before this one is made. */
    if (vm->nested_retired && all_have_left(&vm->core))
        free_retired(vm);
    for (unsigned i = 0; i < vm->core.vcpu_count; i++)
        if (vm->core.vcpu[i])
            vcpu_request(vm->core.vcpu[i], X86_REQUEST_TLB);
}

int nested_create(struct x86_vm *vm) {
    int error =
        paging_init(&vm->nested, engine->nested_format(), &vm->core.memory.account, engine->nested_largest());

    vm->nested.flush = flush;
    vm->nested.retire = retire;
    return error;
}

void nested_destroy(struct x86_vm *vm) {
    free_retired(vm);
    paging_destroy(&vm->nested);
}
