// SPDX-License-Identifier: Apache-2.0
// The PowerPC guest loader: where kernel, initrd and device tree come to lie, what vCPU 0 is started with,
// and what does not fit.
// unit-sources: arch/ppc/load/load.c arch/ppc/guest/device_tree.c lib/image_elf.c lib/image_kinds.c
// unit-sources: lib/image_linux.c lib/image_ppc.c
#include <libfdt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "arch/ppc/guest/board.h"
#include "arch/ppc/guest/device_tree.h"
#include "arch/ppc/vm.h"
#include "core/main.h"
#include "lib/config.h"
#include "tests/unit/image_build_ppc.h"

#define MEMORY (1u << 20)

static uint8_t ram[MEMORY];
static struct file kernel;
static struct boot_file files[2];
static uint8_t initrd[9000];
static struct config_guest config;
static struct ppc_vm machine;
static struct ppc_vcpu vcpu;
static struct ppc_vcpu_state state;
static bool no_heap;
static int load_fails; /* calls of guest_load() until it fails; negative: never */
static struct {
    unsigned times;
    uint32_t pc, tree, mapped;
} boot;

/* --- what the loader stands on --- */

const struct boot_file *boot_file_find(const char *name) {
    for (unsigned i = 0; i < 2; i++)
        if (!strcmp(files[i].name, name))
            return &files[i];
    return NULL;
}

int boot_file_read(const struct boot_file *file, uint64_t offset, void *buffer, uint64_t size) {
    if (offset > file->size || size > file->size - offset)
        return -EINVAL;
    memcpy(buffer, (const uint8_t *)(uintptr_t)file->address + offset, size);
    return 0;
}

uint32_t service_mmio_places(const struct vm *vm) {
    assert_ptr_equal(vm, &machine.core);
    return 0;
}

int guest_load(struct vm *vm, uint64_t gpa, const void *buffer, size_t size) {
    assert_ptr_equal(vm, &machine.core);
    if (load_fails-- == 0 || gpa > sizeof(ram) || size > sizeof(ram) - gpa)
        return -EFAULT;
    memcpy(ram + gpa, buffer, size);
    return 0;
}

int boot_file_load(const struct boot_file *file, uint64_t offset, struct vm *vm, uint64_t gpa,
                   uint64_t size) {
    if (offset > file->size || size > file->size - offset)
        return -EINVAL;
    return guest_load(vm, gpa, (const uint8_t *)(uintptr_t)file->address + offset, size);
}

static unsigned later;
int vm_load_later(struct vm *vm, const struct boot_file *file, uint64_t offset, uint64_t gpa, uint64_t size) {
    later++;
    return boot_file_load(file, offset, vm, gpa, size);
}

void *heap_allocate(size_t size, struct memory_account *account) {
    assert_ptr_equal(account, &machine.core.memory.account);
    return no_heap ? NULL : calloc(1, size);
}

void heap_free(void *object, size_t size, struct memory_account *account) {
    (void)size;
    (void)account;
    free(object);
}

void vcpu_boot(struct ppc_vcpu *which, uint32_t pc, uint32_t device_tree, uint32_t mapped_size) {
    assert_ptr_equal(which, &vcpu);
    boot.times++;
    boot.pc = pc;
    boot.tree = device_tree;
    boot.mapped = mapped_size;
}

/* --- helpers --- */

static int setup(void **unused) {
    (void)unused;
    memset(ram, 0, sizeof(ram));
    memset(&machine, 0, sizeof(machine));
    memset(&boot, 0, sizeof(boot));
    no_heap = false;
    load_fails = -1;
    later = 0;
    config = (struct config_guest){.name = "test", .image = "vmlinux", .cmdline = "quiet", .memory = MEMORY};
    machine.core.config = &config;
    machine.core.vcpu_count = 1;
    machine.core.vcpu[0] = &vcpu.core;
    vcpu = (struct ppc_vcpu){.core = {.vm = &machine.core}, .state = &state};
    state.timebase_frequency = 123456789;
    for (unsigned i = 0; i < sizeof(initrd); i++)
        initrd[i] = (uint8_t)(i * 7);
    build_vmlinux(&kernel);
    files[0] = (struct boot_file){"vmlinux", (uintptr_t)kernel.bytes, 0};
    files[1] = (struct boot_file){"initrd", (uintptr_t)initrd, sizeof(initrd)};
    return 0;
}

static int load(void) {
    files[0].size = kernel.size;
    return load_image(&machine.core);
}

static void refused(int error, const char *sentence) {
    assert_int_equal(load(), error);
    assert_string_equal(machine.core.end_text, sentence);
    assert_int_equal(boot.times, 0);
}

static uint64_t chosen(const char *name) {
    int size;
    const void *tree = ram + boot.tree;
    const fdt64_t *value = fdt_getprop(tree, fdt_path_offset(tree, "/chosen"), name, &size);
    assert_non_null(value);
    assert_int_equal(size, 8);
    return fdt64_ld(value);
}

/* --- tests --- */

static void test_vmlinux(void **unused) {
    (void)unused;
    assert_int_equal(load(), 0);
    assert_int_equal(boot.times, 1);
    assert_int_equal(boot.pc, 0);
    assert_int_equal(boot.mapped, 64u << 20);
    assert_int_equal(later, 2); /* both segments: a step at a time, if they are large */
    assert_int_equal(ram[0], 0x11);
    assert_int_equal(ram[0x1ff], 0x11);
    assert_int_equal(ram[0x200], 0);
    assert_int_equal(ram[0x100ff], 0x22);
    assert_int_equal(ram[0x10100], 0);
    /* The tree is at the end of memory, on a page of its own. */
    assert_int_equal(boot.tree, MEMORY - DEVICE_TREE_SIZE);
    const void *tree = ram + boot.tree;
    assert_int_equal(fdt_check_full(tree, DEVICE_TREE_SIZE), 0);
    int cpu = fdt_path_offset(tree, "/cpus/PowerPC,8544@0");
    assert_int_equal(fdt32_ld(fdt_getprop(tree, cpu, "timebase-frequency", NULL)), 123456789);
    int node = fdt_path_offset(tree, "/chosen");
    assert_string_equal(fdt_getprop(tree, node, "bootargs", NULL), "quiet");
    assert_null(fdt_getprop(tree, node, "linux,initrd-start", NULL));
}

static void test_initrd(void **unused) {
    (void)unused;
    config.initrd = "initrd";
    assert_int_equal(load(), 0);
    assert_int_equal(boot.tree, MEMORY - DEVICE_TREE_SIZE);
    uint64_t start = chosen("linux,initrd-start");
    assert_int_equal(start, boot.tree - 0x3000);
    assert_int_equal(chosen("linux,initrd-end"), start + sizeof(initrd));
    assert_memory_equal(ram + start, initrd, sizeof(initrd));
}

static void test_uimage(void **unused) {
    (void)unused;
    build_uimage(&kernel);
    put32be(&kernel, 16, 0x40000);
    put32be(&kernel, 20, 0x40010);
    seal_uimage(&kernel);
    assert_int_equal(load(), 0);
    assert_int_equal(boot.pc, 0x40010);
    assert_int_equal(ram[0x3ffff], 0);
    assert_int_equal(ram[0x40000], 0x33);
    assert_int_equal(ram[0x40fff], 0x33);
}

/* In a large guest everything stays inside what is mapped. */
static void test_large(void **unused) {
    (void)unused;
    config.memory = 1u << 30;
    refused(-EFAULT, "the device tree cannot be placed at 0x3ffc000");
    config.initrd = "initrd";
    refused(-EFAULT, "\"initrd\" cannot be placed at 0x3ff9000");
    put32be(&kernel, PPC_PH(1) + 20, (64u << 20) - 0x10000 + 1);
    refused(
        -ENOMEM,
        "\"vmlinux\" takes memory up to 0x4000001; it has to end below 64 MiB, which is mapped at its start");
}

static void test_tight(void **unused) {
    (void)unused;
    /* Up to the tree there is room. */
    put32be(&kernel, PPC_PH(1) + 20, MEMORY - 0x10000 - DEVICE_TREE_SIZE);
    assert_int_equal(load(), 0);
    config.initrd = "initrd";
    setup(NULL);
    config.initrd = "initrd";
    put32be(&kernel, PPC_PH(1) + 20, MEMORY - 0x10000 - DEVICE_TREE_SIZE - 0x3000);
    assert_int_equal(load(), 0);
    setup(NULL);
    config.initrd = "initrd";
    put32be(&kernel, PPC_PH(1) + 20, MEMORY - 0x10000 - DEVICE_TREE_SIZE - 0x2fff);
    refused(-ENOMEM,
            "\"initrd\" (9000 bytes) does not fit between the kernel, which ends at 0xf9001, and 0xfc000");
    files[1].size = UINT64_MAX;
    refused(-ENOMEM,
            "\"initrd\" (18446744073709551615 bytes) does not fit between the kernel, which ends at 0xf9001, "
            "and 0xfc000");
    put32be(&kernel, PPC_PH(1) + 20, MEMORY - 0x10000 - DEVICE_TREE_SIZE + 1);
    refused(-ENOMEM, "there is no room for a device tree above the kernel, which ends at 0xfc001");
    put32be(&kernel, PPC_PH(1) + 20, MEMORY - 0x10000 + 1);
    refused(-ENOMEM,
            "\"vmlinux\" takes memory up to 0x100001; it has to end below 1 MiB, the guest's memory");
}

static void test_refused(void **unused) {
    (void)unused;
    config.image = "none";
    refused(-ENOENT, "the loader did not bring \"none\"");
    config.image = "vmlinux";
    config.initrd = "nothing";
    refused(-ENOENT, "the loader did not bring \"nothing\"");
    config.initrd = NULL;
    config.image_kind = CONFIG_IMAGE_FIRMWARE;
    refused(-ENOTSUP, "this machine starts guests from a kernel alone");
    config.image_kind = CONFIG_IMAGE_KERNEL;
    kernel.bytes[0] = 0;
    refused(-EINVAL, "\"vmlinux\" is neither an ELF file nor a uImage");
    build_vmlinux(&kernel);
    no_heap = true;
    refused(-ENOMEM, "not enough memory to load a kernel");
    no_heap = false;
    load_fails = 1;
    refused(-EFAULT, "\"vmlinux\" cannot be placed at 0x10000");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_vmlinux, setup), cmocka_unit_test_setup(test_initrd, setup),
        cmocka_unit_test_setup(test_uimage, setup),  cmocka_unit_test_setup(test_large, setup),
        cmocka_unit_test_setup(test_tight, setup),   cmocka_unit_test_setup(test_refused, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
