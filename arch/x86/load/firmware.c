// SPDX-License-Identifier: Apache-2.0
// Loads a firmware image: a ROM that ends at 4 GiB and is entered at the reset vector, 16 bytes before its
// end, in the state of power-on (Intel SDM vol. 3, 9.1.4).
#include "arch/x86/load/load_internal.h"
#include "lib/config.h"

#include <errno.h>

int load_firmware(struct vm *vm) {
    const struct boot_file *file = load_find(vm, vm->config->image);
    char why[96];

    if (!file)
        return -ENOENT;
    struct image_source source = load_source(file);
    if (image_check(IMAGE_FIRMWARE, &source, why, sizeof(why)))
        return load_error(vm, -EINVAL, "\"%.40s\" %s", file->name, why);
    /* pc_memory_setup() placed the ROM; the vCPU is as vcpu_power_on() left it. */
    int error = vm_load_later(vm, file, 0, PC_FIRMWARE_END - file->size, file->size);
    return error ? load_error(vm, error, "\"%.40s\" cannot be placed below 4 GiB", file->name) : 0;
}
