// SPDX-License-Identifier: Apache-2.0
// Loads a PowerPC kernel as ePAPR 1.1 says (5.4): its segments where it wants them, device tree and initial
// RAM disk at the end of what is mapped for it when it is entered.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "arch/ppc/guest/board.h"
#include "arch/ppc/guest/device_tree.h"
#include "arch/ppc/vm.h"
#include "core/main.h"
#include "lib/config.h"
#include "lib/image.h"

/* Says what is wrong, in the VM's end_text; returns `error`. */
static int __attribute__((format(printf, 3, 4)))
load_error(struct vm *vm, int error, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(vm->end_text, sizeof(vm->end_text), format, arguments);
    va_end(arguments);
    return error;
}

static int read_piece(void *context, uint64_t offset, void *buffer, size_t size) {
    return boot_file_read(context, offset, buffer, size);
}

static const struct boot_file *find(struct vm *vm, const char *name) {
    const struct boot_file *file = boot_file_find(name);

    if (!file)
        load_error(vm, -ENOENT, "the loader did not bring \"%.60s\"", name);
    return file;
}

static unsigned megabytes(uint64_t bytes) {
    return (unsigned)(bytes >> 20);
}

/* RAM is zero already where the file gives nothing. */
static int load_segments(struct vm *vm, const struct boot_file *file, const struct image_loadable *image) {
    for (unsigned i = 0; i < image->count; i++) {
        const struct image_segment *segment = &image->segment[i];
        int error = vm_load_later(vm, file, segment->offset, segment->address, segment->file_size);
        if (error)
            return load_error(vm, error, "\"%.60s\" cannot be placed at 0x%llx", file->name,
                              (unsigned long long)segment->address);
    }
    return 0;
}

/* The kernel, and the end of the memory that what belongs to it may take. */
static int load_kernel(struct vm *vm, struct image_loadable *image, uint64_t top) {
    const struct boot_file *file = find(vm, vm->config->image);
    char why[96];

    if (!file)
        return -ENOENT;
    const struct image_source source = {.read = read_piece, .context = (void *)file, .size = file->size};
    if (image_ppc_parse(&source, image, why, sizeof(why)))
        return load_error(vm, -EINVAL, "\"%.40s\" %s", file->name, why);
    if (image->highest > top)
        return load_error(vm, -ENOMEM, "\"%.40s\" takes memory up to 0x%llx; it has to end below %u MiB%s",
                          file->name, (unsigned long long)image->highest, megabytes(top),
                          top < BOARD_MAPPED_SIZE ? ", the guest's memory"
                                                  : ", which is mapped at its start");
    return load_segments(vm, file, image);
}

/* Takes `size` bytes below *top, in whole pages. False: they do not fit above the kernel. */
static bool take(uint64_t *top, uint64_t size, uint64_t bottom) {
    if (size > *top || ((*top - size) & ~(PAGE_SIZE - 1)) < bottom)
        return false;
    *top = (*top - size) & ~(PAGE_SIZE - 1);
    return true;
}

static int load_initrd(struct vm *vm, uint64_t *top, uint64_t bottom, struct device_tree_facts *facts) {
    const struct boot_file *file = find(vm, vm->config->initrd);

    if (!file)
        return -ENOENT;
    uint64_t end = *top;
    if (!take(top, file->size, bottom))
        return load_error(vm, -ENOMEM,
                          "\"%.40s\" (%llu bytes) does not fit between the kernel, which ends at 0x%llx, and "
                          "0x%llx",
                          file->name, (unsigned long long)file->size, (unsigned long long)bottom,
                          (unsigned long long)end);
    facts->initrd = *top;
    facts->initrd_size = file->size;
    int error = vm_load_later(vm, file, 0, *top, file->size);
    return error ? load_error(vm, error, "\"%.40s\" cannot be placed at 0x%llx", file->name,
                              (unsigned long long)*top)
                 : 0;
}

static int load_device_tree(struct vm *vm, uint64_t at, const struct device_tree_facts *facts) {
    void *tree = heap_allocate(DEVICE_TREE_SIZE, &vm->memory.account);

    if (!tree)
        return load_error(vm, -ENOMEM, "not enough memory to load a kernel");
    int size = device_tree_build(vm, facts, tree, DEVICE_TREE_SIZE);
    int error = size < 0 ? size : guest_load(vm, at, tree, (size_t)size);
    heap_free(tree, DEVICE_TREE_SIZE, &vm->memory.account);
    return error ? load_error(vm, error, "the device tree cannot be placed at 0x%llx", (unsigned long long)at)
                 : 0;
}

int load_image(struct vm *vm) {
    const struct config_guest *config = vm->config;
    struct ppc_vcpu *vcpu = ppc_vcpu(vm->vcpu[0]);
    struct device_tree_facts facts = {.timebase_frequency = vcpu->state->timebase_frequency};
    uint64_t top = config->memory < BOARD_MAPPED_SIZE ? config->memory : BOARD_MAPPED_SIZE;
    struct image_loadable image;

    if (config->image_kind != CONFIG_IMAGE_KERNEL)
        return load_error(vm, -ENOTSUP, "this machine starts guests from a kernel alone");
    int error = load_kernel(vm, &image, top);
    if (error)
        return error;
    if (!take(&top, DEVICE_TREE_SIZE, image.highest))
        return load_error(vm, -ENOMEM,
                          "there is no room for a device tree above the kernel, which ends at 0x%llx",
                          (unsigned long long)image.highest);
    uint64_t tree = top;
    if (config->initrd)
        error = load_initrd(vm, &top, image.highest, &facts);
    if (!error)
        error = load_device_tree(vm, tree, &facts);
    if (error)
        return error;
    vcpu_boot(vcpu, image.entry, (uint32_t)tree, BOARD_MAPPED_SIZE);
    return 0;
}
