// SPDX-License-Identifier: Apache-2.0
// Which pages a guest writes: the dirty bits of its nested tables, or the CPU's log of the pages that had
// none (Intel SDM vol. 3, 28.2.6: page-modification logging), which spares the walk through all tables.
#include <errno.h>
#include "arch/x86/engine/engine.h"
#include "core/log.h"

#define PIECE (128ull << 20) /* of guest-physical space, between two looks at the host's interrupts */
#define ABOVE (4ull << 30)   /* RAM lies below, and, most often, from here on */

/* All vCPUs forget their translations before they enter the guest again, and those that are there leave it.
 */
static void flush(struct vm *vm) {
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        vcpu_request(vm->vcpu[i], X86_REQUEST_TLB);
}

/* A vCPU that is out of its guest has put all that the CPU noted into the log, and writes nothing before it
 * has flushed. */
int arch_dirty_settle(struct vm *vm) {
    return vm_settle(vm, X86_REQUEST_TLB);
}

static void found(void *context, uint64_t address, uint64_t size) {
    guest_mark_dirty(context, address, size);
}

/* Behind all that can be RAM: with identity-memory that is anywhere. */
static uint64_t top(struct vm *vm) {
    struct guest_memory *memory = &vm->memory;
    uint64_t end = ABOVE + memory->size;

    spin_lock(&memory->lock);
    for (unsigned i = 0; i < memory->region_count; i++) {
        const struct guest_region *region = &memory->region[i];
        if ((region->kind == GUEST_RAM || region->kind == GUEST_ROM) && region->base + region->size > end)
            end = region->base + region->size;
    }
    spin_unlock(&memory->lock);
    return end;
}

/* Clears the dirty bits of all RAM, and notes them if `note` is set. */
static void harvest(struct vm *vm, bool note) {
    uint64_t end = top(vm);
    for (uint64_t at = 0; at < end; at += PIECE) {
        paging_harvest(&x86_vm(vm)->nested, at, PIECE, note ? found : NULL, vm);
        arch_interrupts_poll();
    }
}

static int split(struct vm *vm) {
    uint64_t end = top(vm);
    int error = 0;
    for (uint64_t at = 0; at < end && !error; at += PIECE) {
        error = paging_split(&x86_vm(vm)->nested, at, PIECE);
        arch_interrupts_poll();
    }
    return error;
}

int arch_dirty_start(struct vm *core) {
    struct x86_vm *vm = x86_vm(core);

    if (!vm->nested.format->dirty)
        return -ENOTSUP;
    vm->nested.largest = PAGE_SHIFT;
    int error = split(core);
    if (error) {
        arch_dirty_stop(core);
        return error;
    }
    vm->page_log = engine->page_log && engine->page_log();
    harvest(core, false);
    flush(core); /* which switches the CPU's log on, too */
    return 0;
}

void arch_dirty_stop(struct vm *core) {
    struct x86_vm *vm = x86_vm(core);

    vm->page_log = false;
    vm->nested.largest = engine->nested_largest();
    uint64_t end = top(core);
    for (uint64_t at = 0; at < end; at += PIECE) {
        paging_merge(&vm->nested, at, PIECE);
        arch_interrupts_poll();
    }
    flush(core);
}

int arch_dirty_gather(struct vm *core) {
    struct x86_vm *vm = x86_vm(core);

    flush(core);
    if (vm->page_log)
        return arch_dirty_settle(core);
    harvest(core, true);
    return arch_dirty_settle(core);
}

void arch_dirty_clean(struct vm *core, const struct memory_range *ranges, unsigned count) {
    struct x86_vm *vm = x86_vm(core);

    /* Without the CPU's log gathering has cleared the bits. */
    if (vm->page_log)
        bug_if(paging_clean(&vm->nested, ranges, count));
}
