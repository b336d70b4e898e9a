// SPDX-License-Identifier: Apache-2.0
// The guest loaders: where kernel, modules and boot information come to lie, what the first vCPU is entered
// with, and what does not fit.
// unit-sources: arch/x86/load/*.c lib/image_elf.c lib/image_kinds.c lib/image_linux.c lib/image_ppc.c lib/config_files.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#include "arch/x86/guest/lapic.h"
#include "arch/x86/load/load.h"
#include "arch/x86/registers.h"
#include "core/main.h"
#include "lib/config.h"
#include "tests/unit/image_build.h"

#define MEMORY   (16u << 20)
#define EBDA     0x9fc00u
#define MEGABYTE 0x100000u

static uint8_t ram[MEMORY], rom[65536];
static struct file kernel;
static struct boot_file files[4];
static uint8_t contents[2][9000];
static unsigned file_count, wires;
static struct config_guest config;
static struct x86_vm machine;
static struct x86_vcpu vcpu;
static struct x86_vcpu_state state;

/* With identity-memory: RAM at the machine's own addresses, which `ram` shows behind the first. */
static struct memory_range identity;

/* --- what the loaders stand on --- */

const struct boot_file *boot_file_find(const char *name) {
    for (unsigned i = 0; i < file_count; i++)
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

int guest_load(struct vm *vm, uint64_t gpa, const void *buffer, size_t size) {
    assert_ptr_equal(vm, &machine.core);
    if (gpa >= PC_FIRMWARE_END - sizeof(rom) && gpa + size <= PC_FIRMWARE_END) {
        memcpy(rom + (gpa - (PC_FIRMWARE_END - sizeof(rom))), buffer, size);
        return 0;
    }
    uint64_t at = gpa, apart = vm->config->memory - identity.size;
    if (identity.size && gpa >= identity.base)
        at = gpa - identity.base + apart;
    else if (identity.size && (gpa > apart || size > apart - gpa))
        return -EFAULT;
    if (at > vm->config->memory || size > vm->config->memory - at)
        return -EFAULT;
    memcpy(ram + at, buffer, size);
    return 0;
}

int vm_load_later(struct vm *vm, const struct boot_file *file, uint64_t offset, uint64_t gpa, uint64_t size) {
    if (offset > file->size || size > file->size - offset)
        return -EINVAL;
    return guest_load(vm, gpa, (const uint8_t *)(uintptr_t)file->address + offset, size);
}

uint64_t pc_ram_low(const struct vm *vm) {
    return identity.size ? MEGABYTE : vm->config->memory;
}

struct memory_range pc_ram_free(const struct vm *vm) {
    return identity.size ? identity : (struct memory_range){MEGABYTE, vm->config->memory - MEGABYTE};
}

bool pc_ram_bound(const struct vm *vm, uint64_t base, uint64_t end) {
    uint64_t top = vm->config->memory - identity.size;
    return (base <= end && end <= EBDA) || (base >= MEGABYTE && base <= end && end <= top);
}

unsigned pc_e820(const struct vm *vm, struct pc_e820_entry entries[PC_E820_MAX]) {
    entries[0] = (struct pc_e820_entry){0, EBDA, PC_E820_RAM};
    entries[1] = (struct pc_e820_entry){EBDA, MEGABYTE - EBDA, PC_E820_RESERVED};
    entries[2] = (struct pc_e820_entry){MEGABYTE, vm->config->memory - MEGABYTE, PC_E820_RAM};
    return vm->config->memory > MEGABYTE ? 3 : 2;
}

void lapic_virtual_wire(struct lapic *lapic) {
    (void)lapic;
    wires++;
}

void *heap_allocate(size_t size, struct memory_account *account) {
    assert_ptr_equal(account, &machine.core.memory.account);
    return calloc(1, size);
}

void heap_free(void *object, size_t size, struct memory_account *account) {
    (void)size;
    (void)account;
    free(object);
}

/* --- helpers --- */

static int setup(void **unused) {
    (void)unused;
    memset(ram, 0, sizeof(ram));
    memset(rom, 0, sizeof(rom));
    memset(&state, 0, sizeof(state));
    memset(&config, 0, sizeof(config));
    memset(&machine, 0, sizeof(machine));
    identity = (struct memory_range){0};
    config = (struct config_guest){.name = "test", .image = "image", .cmdline = "one two", .memory = MEMORY};
    machine.core.config = &config;
    machine.core.vcpu_count = 1;
    machine.core.vcpu[0] = &vcpu.core;
    vcpu = (struct x86_vcpu){.core = {.vm = &machine.core}, .state = &state};
    state.registers.rip = 0xfff0;
    for (unsigned i = 0; i < 2; i++)
        for (unsigned j = 0; j < sizeof(contents[i]); j++)
            contents[i][j] = (uint8_t)(j * 7 + i);
    file_count = 3;
    files[0] = (struct boot_file){"image", (uintptr_t)kernel.bytes, 0};
    files[1] = (struct boot_file){"one", (uintptr_t)contents[0], 5000};
    files[2] = (struct boot_file){"two", (uintptr_t)contents[1], 9000};
    wires = 0;
    return 0;
}

static int load(uint32_t kind) {
    config.image_kind = kind;
    files[0].size = kernel.size;
    return load_image(&machine.core);
}

static void refused(uint32_t kind, int error, const char *sentence) {
    assert_int_equal(load(kind), error);
    assert_string_equal(machine.core.end_text, sentence);
    assert_int_equal(state.registers.rip, 0xfff0); /* nothing is entered */
}

static uint32_t word(uint64_t at) {
    uint32_t value;
    memcpy(&value, ram + at, sizeof(value));
    return value;
}
static uint64_t quad(uint64_t at) {
    return word(at) | (uint64_t)word(at + 4) << 32;
}

static void is_entered(uint64_t rip, bool long_mode) {
    const struct x86_system *system = &state.system;
    assert_int_equal(state.registers.rip, rip);
    assert_int_equal(vcpu.changed, X86_STATE_ALL);
    assert_int_equal(wires, 1);
    assert_int_equal(system->cr0 & (CR0_PE | CR0_PG), long_mode ? CR0_PE | CR0_PG : CR0_PE);
    assert_int_equal(system->efer, long_mode ? EFER_LME | EFER_LMA : 0);
    assert_int_equal(system->segment[X86_CS].selector, 0x10);
    assert_int_equal(system->segment[X86_CS].attributes, long_mode ? 0xa9b : 0xc9b);
    assert_int_equal(system->segment[X86_DS].selector, 0x18);
    assert_int_equal(system->segment[X86_SS].attributes, 0xc93);
    assert_int_equal(system->segment[X86_DS].limit, UINT32_MAX);
    /* The selectors mean the same when they are loaded again. */
    assert_true(quad(system->gdtr.base + 0x10) == (long_mode ? 0x00af9b000000ffff : 0x00cf9b000000ffff));
    assert_true(quad(system->gdtr.base + 0x18) == 0x00cf93000000ffff);
    if (!long_mode)
        return;
    /* The tables map the first 4 GiB to themselves. */
    const uint64_t present = 1, large = 0x80;
    static const uint64_t addresses[] = {0, 0x12345678, 0x7fffffff, 0xfee00030, 0xffffffff};
    for (unsigned i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        uint64_t pml4e = quad(system->cr3 + 8 * (addresses[i] >> 39));
        uint64_t pdpte = quad((pml4e & ~0xfffull) + 8 * (addresses[i] >> 30 & 511));
        uint64_t pde = quad((pdpte & ~0xfffull) + 8 * (addresses[i] >> 21 & 511));
        assert_true(pml4e & pdpte & pde & present && pde & large);
        assert_true((pde & ~0x1fffffull) == (addresses[i] & ~0x1fffffull));
    }
    assert_true(quad(system->cr3 + 8) == 0);
}

/* --- Linux --- */

static void build_small_linux(void) {
    build_linux(&kernel);
    put64(&kernel, 0x258, 0x200000);
    put32(&kernel, 0x260, 0x100000);
    memset(kernel.bytes + 1024, 0x5a, 4096);
}

static void linux_64bit(void **unused) {
    (void)unused;
    build_small_linux();
    config.initrd = "one";
    assert_int_equal(load(CONFIG_IMAGE_KERNEL), 0);
    is_entered(0x200200, true);
    uint64_t params = state.registers.gpr[X86_RSI];
    assert_memory_equal(ram + 0x200000, kernel.bytes + 1024, 4096);
    assert_memory_equal(ram + params + 0x202, "HdrS", 4);
    assert_string_equal((char *)ram + word(params + 0x228), "one two");
    assert_int_equal(word(params + 0x214), 0x200000);
    assert_int_equal(word(params + 0x218), (MEMORY - 5000) & ~0xfffu);
    assert_int_equal(word(params + 0x21c), 5000);
    assert_memory_equal(ram + word(params + 0x218), contents[0], 5000);
    assert_int_equal(ram[params + 0x210], 0xff);
    assert_int_equal(ram[params + 0x1e8], 3);
    assert_true(quad(params + 0x2d0 + 2 * 20) == MEGABYTE &&
                quad(params + 0x2d0 + 2 * 20 + 8) == MEMORY - MEGABYTE);
    assert_true(quad(params + 0x70) == PC_RSDP);
    assert_int_equal(word(params + 0x1e0), 15 * 1024);
}

static void linux_32bit(void **unused) {
    (void)unused;
    build_small_linux();
    put16(&kernel, 0x236, 0);
    put32(&kernel, 0x22c, 0x7fffff); /* the initrd ends below 8 MiB */
    config.initrd = "two";
    assert_int_equal(load(CONFIG_IMAGE_KERNEL), 0);
    is_entered(0x200000, false);
    assert_int_equal(word(state.registers.gpr[X86_RSI] + 0x218), (0x800000 - 9000) & ~0xfffu);
}

static void linux_refused(void **unused) {
    (void)unused;
    build_small_linux();
    put32(&kernel, 0x260, MEMORY - 0x200000 + 1);
    refused(CONFIG_IMAGE_KERNEL, -ENOMEM, "\"image\" needs at least 17 MiB of memory; the guest has 16 MiB");
    put32(&kernel, 0x260, MEMORY - 0x200000);
    assert_int_equal(load(CONFIG_IMAGE_KERNEL), 0);
    setup(NULL);
    config.initrd = "one";
    refused(CONFIG_IMAGE_KERNEL, -ENOMEM, "\"one\" (5000 bytes) does not fit beside the kernel in 16 MiB");
    config.initrd = "three";
    refused(CONFIG_IMAGE_KERNEL, -ENOENT, "the loader did not bring \"three\"");
    config.initrd = NULL;
    config.image = "four";
    refused(CONFIG_IMAGE_KERNEL, -ENOENT, "the loader did not bring \"four\"");
    config.image = "image";
    put32(&kernel, 0x238, 6);
    refused(CONFIG_IMAGE_KERNEL, -EINVAL, "cmdline has 7 bytes; \"image\" takes 6");
    kernel.size = 600;
    refused(CONFIG_IMAGE_KERNEL, -EINVAL, "\"image\" is too short for a Linux kernel (600 bytes)");
}

/* The tables map an address to itself. */
static bool maps(uint64_t address) {
    uint64_t pml4e = quad(state.system.cr3 + 8 * (address >> 39));
    uint64_t pdpte = pml4e & 1 ? quad((pml4e & ~0xfffull) + 8 * (address >> 30 & 511)) : 0;
    uint64_t pde = pdpte & 1 ? quad((pdpte & ~0xfffull) + 8 * (address >> 21 & 511)) : 0;
    return (pde & 0x81) == 0x81 && (pde & ~0x1fffffull) == (address & ~0x1fffffull);
}

static void linux_moved(void **unused) {
    (void)unused;
    build_small_linux();
    config.initrd = "one";
    identity = (struct memory_range){0x9aa00000, 14u << 20};
    put32(&kernel, 0x230, 0x400000);
    assert_int_equal(load(CONFIG_IMAGE_KERNEL), 0);
    is_entered(0x9ac00200, true); /* the next multiple of what it is aligned to */
    uint64_t params = state.registers.gpr[X86_RSI];
    uint64_t shift = identity.base - (2u << 20); /* from the test's RAM to the guest's addresses */
    assert_memory_equal(ram + 0x9ac00000 - shift, kernel.bytes + 1024, 4096);
    assert_int_equal(word(params + 0x1e0), 0);
    /* The initrd is where it would be without, above 2 GiB: the kernel does not take it there. */
    setup(NULL);
    config.initrd = "one";
    identity = (struct memory_range){0x9aa00000, 14u << 20};
    put32(&kernel, 0x22c, 0x7fffffff);
    put16(&kernel, 0x236, 1);
    refused(CONFIG_IMAGE_KERNEL, -ENOMEM, "\"one\" (5000 bytes) does not fit beside the kernel in 16 MiB");
    put16(&kernel, 0x236, 3);
    assert_int_equal(load(CONFIG_IMAGE_KERNEL), 0);
    params = state.registers.gpr[X86_RSI];
    assert_int_equal(word(params + 0x218), (0x9aa00000 + (14u << 20) - 5000) & ~0xfffu);
    assert_memory_equal(ram + word(params + 0x218) - shift, contents[0], 5000);
    /* Behind what it prefers it stays where that is. */
    setup(NULL);
    identity = (struct memory_range){0x200000, 14u << 20};
    put64(&kernel, 0x258, 0x600000);
    assert_int_equal(load(CONFIG_IMAGE_KERNEL), 0);
    is_entered(0x600200, true);
}

static void linux_high(void **unused) {
    (void)unused;
    const uint64_t base = 0x37fe00000; /* the kernel crosses from one GiB to the next */
    build_small_linux();
    put16(&kernel, 0x236, 3);
    config.initrd = "one";
    identity = (struct memory_range){base, 14u << 20};
    put32(&kernel, 0x230, 0x200000);
    assert_int_equal(load(CONFIG_IMAGE_KERNEL), 0);
    assert_true(state.registers.rip == base + 0x200 && state.system.efer == (EFER_LME | EFER_LMA));
    assert_true(maps(0) && maps(0x37fff) && maps(0xfee00000) && maps(base) && maps(base + 0x300000));
    assert_true(maps(0x3bfffffff) && !maps(0x3c0000000) && !maps(0x100000000) && !maps(0x40000000));
    uint64_t params = state.registers.gpr[X86_RSI], place = (base + (14u << 20) - 5000) & ~0xfffull;
    assert_int_equal(word(params + 0x218), (uint32_t)place);
    assert_int_equal(word(params + 0xc0), place >> 32);
    assert_int_equal(word(params + 0xc4), 0);
    assert_memory_equal(ram + (2u << 20) + (place - base), contents[0], 5000);
    setup(NULL);
    identity = (struct memory_range){base, 14u << 20};
    put16(&kernel, 0x236, 1);
    refused(CONFIG_IMAGE_KERNEL, -EINVAL,
            "\"image\" cannot be moved to 0x37fe00000, where the guest's identity-memory is");
    put16(&kernel, 0x236, 3);
    put32(&kernel, 0x260, (1u << 30) + 1);
    assert_int_equal(load(CONFIG_IMAGE_KERNEL), -EINVAL);
}

static void linux_not_moved(void **unused) {
    (void)unused;
    static const char *const why =
        "\"image\" cannot be moved to 0x40000000, where the guest's identity-memory is";
    build_small_linux();
    identity = (struct memory_range){0x40000000, 14u << 20};
    kernel.bytes[0x234] = 0;
    refused(CONFIG_IMAGE_KERNEL, -EINVAL, why);
    kernel.bytes[0x234] = 1;
    put16(&kernel, 0x236, 0);
    refused(CONFIG_IMAGE_KERNEL, -EINVAL, why);
    put16(&kernel, 0x236, 1);
    put32(&kernel, 0x260, (14u << 20) + 1);
    refused(CONFIG_IMAGE_KERNEL, -ENOMEM, "\"image\" needs at least 17 MiB of memory; the guest has 16 MiB");
    put32(&kernel, 0x260, 14u << 20);
    assert_int_equal(load(CONFIG_IMAGE_KERNEL), 0);
}

/* --- multiboot --- */

static void build_multiboot(void) {
    build_elf(&kernel, &elf32, 0);
    put_multiboot(&kernel, ELF_MULTIBOOT, 3);
    memset(kernel.bytes + ELF_DATA, 0x77, 0x100);
}

static void multiboot(void **unused) {
    (void)unused;
    build_multiboot();
    config.module_count = 2;
    config.modules[0] = "two with words";
    config.modules[1] = "one";
    assert_int_equal(load(CONFIG_IMAGE_MULTIBOOT), 0);
    is_entered(0x100010, false);
    assert_int_equal(state.registers.gpr[X86_RAX], 0x2badb002);
    uint64_t info = state.registers.gpr[X86_RBX];
    assert_int_equal(word(info), 0x24d);
    assert_int_equal(word(info + 4), 639);
    assert_int_equal(word(info + 8), 15 * 1024);
    assert_string_equal((char *)ram + word(info + 16), "one two");
    assert_string_equal((char *)ram + word(info + 64), "Saguaro");
    assert_int_equal(word(0x200000), 0x77777777);
    assert_int_equal(word(0x200100), 0);
    /* Behind the kernel's highest byte, 0x201000. */
    assert_int_equal(word(info + 20), 2);
    uint32_t list = word(info + 24);
    assert_int_equal(word(list), 0x201000);
    assert_int_equal(word(list + 4), 0x201000 + 9000);
    assert_string_equal((char *)ram + word(list + 8), "two with words");
    assert_memory_equal(ram + 0x201000, contents[1], 9000);
    assert_int_equal(word(list + 16), 0x204000);
    assert_int_equal(word(list + 20), 0x204000 + 5000);
    assert_string_equal((char *)ram + word(list + 24), "one");
    assert_memory_equal(ram + 0x204000, contents[0], 5000);
    /* The map's entries have their size before them. */
    assert_int_equal(word(info + 44), 3 * 24);
    uint32_t map = word(info + 48);
    assert_int_equal(word(map), 20);
    assert_true(quad(map + 4) == 0 && quad(map + 12) == EBDA && word(map + 20) == 1);
    assert_true(quad(map + 2 * 24 + 4) == MEGABYTE && word(map + 24 + 20) == 2);
    /* All of it lies where kernels do not. */
    assert_true(info >= 0x10000 && info < 0x30000 && map >= 0x10000 && list < 0x30000);
}

static void multiboot_limits(void **unused) {
    (void)unused;
    /* As much boot information as a config can ask for. */
    static char text[CONFIG_MAX_CMDLINE + 1];
    memset(text, 'x', CONFIG_MAX_CMDLINE);
    memcpy(text, "one ", 4);
    build_multiboot();
    config.cmdline = text;
    config.module_count = CONFIG_MAX_MODULES;
    for (unsigned i = 0; i < CONFIG_MAX_MODULES; i++)
        config.modules[i] = text;
    assert_int_equal(load(CONFIG_IMAGE_MULTIBOOT), 0);
    assert_int_equal(strlen((char *)ram + word(word(state.registers.gpr[X86_RBX] + 24) + 15 * 16 + 8)),
                     CONFIG_MAX_CMDLINE);
    /* No modules: the list is empty and said to be there. */
    setup(NULL);
    config.memory = MEMORY;
    assert_int_equal(load(CONFIG_IMAGE_MULTIBOOT), 0);
    assert_int_equal(word(state.registers.gpr[X86_RBX] + 20), 0);
}

static void multiboot_refused(void **unused) {
    (void)unused;
    static const struct {
        uint32_t address, size;
        const char *sentence;
    } cases[] = {
        {0x10000, 0x100, "\"image\" loads at 0x10000; 0x10000 to 0x37fff holds the boot information"},
        {0xff01, 0x100, "\"image\" loads at 0xff01; 0x10000 to 0x37fff holds the boot information"},
        {0x37fff, 0x100, "\"image\" loads at 0x37fff; 0x10000 to 0x37fff holds the boot information"},
        {0xff00, 0x100, NULL},
        {0x38000, 0x100, NULL},
        {EBDA - 0x100, 0x100, NULL},
        {EBDA - 0xff, 0x100,
         "\"image\" needs memory from 0x9fb01 to 0x9fc00; not all of that is RAM with 16 MiB"},
        {0xfff01, 0xff, "\"image\" needs memory from 0xfff01 to 0xfffff; not all of that is RAM with 16 MiB"},
        {MEMORY - 0x100, 0x100, NULL},
        {MEMORY - 0xff, 0x100,
         "\"image\" needs memory from 0xffff01 to 0x1000000; not all of that is RAM with 16 MiB"},
        {0xffffff00, 0x100,
         "\"image\" needs memory from 0xffffff00 to 0xffffffff; not all of that is RAM with 16 MiB"},
        {0x300000, 0xfffff000,
         "\"image\" needs memory from 0x300000 to 0x1002fefff; not all of that is RAM with 16 MiB"},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        setup(NULL);
        build_multiboot();
        put_ph(&kernel, &elf32, 1, 1, ELF_DATA, cases[i].address,
               cases[i].size < 0x100 ? cases[i].size : 0x100, cases[i].size);
        if (cases[i].sentence)
            refused(CONFIG_IMAGE_MULTIBOOT, cases[i].address < 0x38000 ? -EINVAL : -ENOMEM,
                    cases[i].sentence);
        else
            assert_int_equal(load(CONFIG_IMAGE_MULTIBOOT), 0);
    }
    build_multiboot();
    setup(NULL);
    config.module_count = 1;
    config.modules[0] = "none at all";
    refused(CONFIG_IMAGE_MULTIBOOT, -ENOENT, "the loader did not bring \"none\"");
    config.modules[0] = "two";
    files[2].size = MEMORY - 0x201000 + 1;
    refused(CONFIG_IMAGE_MULTIBOOT, -ENOMEM,
            "module \"two\" needs 14675969 bytes from 0x201000 on; the RAM of 16 MiB ends before");
    files[2].size = UINT64_MAX;
    assert_int_equal(load(CONFIG_IMAGE_MULTIBOOT), -ENOMEM);
    kernel.bytes[0] = 0;
    refused(CONFIG_IMAGE_MULTIBOOT, -EINVAL, "\"image\" is no ELF file");
    /* A guest of 1 MiB has no memory there. */
    setup(NULL);
    build_multiboot();
    config.memory = MEGABYTE;
    refused(CONFIG_IMAGE_MULTIBOOT, -ENOMEM,
            "\"image\" needs memory from 0x100000 to 0x1001ff; not all of that is RAM with 1 MiB");
}

/* The image where it has to be, the modules at the machine's own addresses. */
static void multiboot_identity(void **unused) {
    (void)unused;
    build_multiboot();
    config.image_kind = CONFIG_IMAGE_MULTIBOOT;
    files[0].size = kernel.size;
    assert_int_equal(load_image_end(&machine.core), 0x201000);
    identity = (struct memory_range){0x50000000, 12u << 20};
    config.module_count = 2;
    config.modules[0] = "two with words";
    config.modules[1] = "one";
    assert_int_equal(load(CONFIG_IMAGE_MULTIBOOT), 0);
    is_entered(0x100010, false);
    assert_int_equal(word(0x200000), 0x77777777);
    uint32_t list = word(state.registers.gpr[X86_RBX] + 24);
    assert_int_equal(word(list), 0x50000000);
    assert_int_equal(word(list + 16), 0x50003000);
    assert_memory_equal(ram + (4u << 20), contents[1], 9000);
    assert_memory_equal(ram + (4u << 20) + 0x3000, contents[0], 5000);
    setup(NULL);
    identity = (struct memory_range){0x140000000, 12u << 20};
    assert_int_equal(load(CONFIG_IMAGE_MULTIBOOT), 0);
    setup(NULL);
    identity = (struct memory_range){0x140000000, 12u << 20};
    config.module_count = 1;
    config.modules[0] = "one";
    refused(CONFIG_IMAGE_MULTIBOOT, -ENOMEM,
            "modules lie below 4 GiB, where there was no room for the guest's identity-memory");
    /* Of others it does not matter where they end, or they say it when they are loaded. */
    config.image_kind = CONFIG_IMAGE_KERNEL;
    assert_int_equal(load_image_end(&machine.core), 0);
    config.image_kind = CONFIG_IMAGE_MULTIBOOT;
    kernel.bytes[0] = 0;
    assert_int_equal(load_image_end(&machine.core), 0);
    config.image = "three";
    assert_int_equal(load_image_end(&machine.core), 0);
}

/* --- PVH and firmware --- */

static void pvh(void **unused) {
    (void)unused;
    for (unsigned i = 0; i < 2; i++) {
        setup(NULL);
        build_pvh(&kernel, i ? &elf64 : &elf32);
        config.initrd = i ? "one" : NULL;
        assert_int_equal(load(CONFIG_IMAGE_PVH), 0);
        is_entered(0x100020, false);
        uint64_t info = state.registers.gpr[X86_RBX];
        assert_int_equal(word(info), 0x336ec578);
        assert_int_equal(word(info + 4), 1);
        assert_int_equal(word(info + 12), i);
        assert_string_equal((char *)ram + quad(info + 24), "one two");
        assert_true(quad(info + 32) == PC_RSDP);
        assert_int_equal(word(info + 48), 3);
        assert_true(quad(quad(info + 40) + 2 * 24) == MEGABYTE && word(quad(info + 40) + 24 + 16) == 2);
        if (i) {
            uint64_t module = quad(info + 16);
            assert_true(quad(module) == ((MEMORY - 5000) & ~0xfffull) && quad(module + 8) == 5000);
            assert_memory_equal(ram + quad(module), contents[0], 5000);
        }
    }
    config.initrd = "one";
    files[1].size = MEMORY - 0x201000 + 1;
    setup(NULL);
    config.initrd = "one";
    files[1].size = MEMORY - 0x201000 + 1;
    refused(CONFIG_IMAGE_PVH, -ENOMEM, "\"one\" (14675969 bytes) does not fit beside the kernel in 16 MiB");
    files[1].size = UINT64_MAX;
    assert_int_equal(load(CONFIG_IMAGE_PVH), -ENOMEM);
    config.initrd = "none";
    refused(CONFIG_IMAGE_PVH, -ENOENT, "the loader did not bring \"none\"");
    build_elf(&kernel, &elf64, 0);
    assert_int_equal(load(CONFIG_IMAGE_PVH), -EINVAL);
}

static void firmware(void **unused) {
    (void)unused;
    memset(&kernel, 0x99, sizeof(kernel));
    kernel.size = 5000;
    assert_int_equal(load(CONFIG_IMAGE_FIRMWARE), 0);
    /* It ends at 4 GiB; the vCPU is left as power-on made it. */
    assert_int_equal(rom[sizeof(rom) - 1], 0x99);
    assert_int_equal(rom[sizeof(rom) - 5000], 0x99);
    assert_int_equal(rom[sizeof(rom) - 5001], 0);
    assert_int_equal(state.registers.rip, 0xfff0);
    assert_int_equal(vcpu.changed, 0);
    assert_int_equal(wires, 0);
    kernel.size = 15;
    refused(CONFIG_IMAGE_FIRMWARE, -EINVAL,
            "\"image\" has 15 bytes; a firmware image has 16 bytes to 16 MiB");
    file_count = 0;
    refused(CONFIG_IMAGE_FIRMWARE, -ENOENT, "the loader did not bring \"image\"");
}

static void kinds(void **unused) {
    (void)unused;
    refused(CONFIG_IMAGES, -EINVAL, "unknown kind of image");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(linux_64bit, setup),
        cmocka_unit_test_setup(linux_32bit, setup),
        cmocka_unit_test_setup(linux_refused, setup),
        cmocka_unit_test_setup(linux_moved, setup),
        cmocka_unit_test_setup(linux_high, setup),
        cmocka_unit_test_setup(linux_not_moved, setup),
        cmocka_unit_test_setup(multiboot, setup),
        cmocka_unit_test_setup(multiboot_limits, setup),
        cmocka_unit_test_setup(multiboot_refused, setup),
        cmocka_unit_test_setup(multiboot_identity, setup),
        cmocka_unit_test_setup(pvh, setup),
        cmocka_unit_test_setup(firmware, setup),
        cmocka_unit_test_setup(kinds, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
