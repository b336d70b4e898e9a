// SPDX-License-Identifier: Apache-2.0
// Files on their way into a VM's memory while it starts, a step at a time: kernels are large, and an initrd
// or a module may be as large as the guest.
#include <errno.h>

#include "core/main.h"
#include "core/vm.h"

#define STEP LARGE_PAGE_SIZE /* as much as one that clears memory */

int vm_load_later(struct vm *vm, const struct boot_file *file, uint64_t offset, uint64_t gpa, uint64_t size) {
    if (offset > file->size || size > file->size - offset)
        return -EINVAL;
    if (size <= STEP || vm->load_count == VM_LOADS)
        return boot_file_load(file, offset, vm, gpa, size);
    vm->load[vm->load_count++] = (struct vm_load){.file = file, .offset = offset, .gpa = gpa, .size = size};
    return 0;
}

int vm_load_step(struct vm *vm) {
    if (vm->load_next == vm->load_count)
        return 0;
    struct vm_load *load = &vm->load[vm->load_next];
    uint64_t size = load->size < STEP ? load->size : STEP;
    int error = boot_file_load(load->file, load->offset, vm, load->gpa, size);
    if (error)
        return error;
    load->offset += size;
    load->gpa += size;
    load->size -= size;
    vm->load_next += load->size == 0;
    return vm->load_next != vm->load_count;
}
