// SPDX-License-Identifier: Apache-2.0
// What a guest finds when it starts: state of the CPU as multiboot 1 and PVH promise it, command line,
// modules, memory map.
#include "tests/guests/runtime/guest.h"

struct multiboot_info {
    uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4], mmap_length,
        mmap_addr;
    uint32_t drives_length, drives_addr, config_table, boot_loader_name;
};
struct multiboot_module {
    uint32_t start, end, string, reserved;
};
struct pvh_info {
    uint32_t magic, version, flags, modules;
    uint64_t modlist, cmdline, rsdp, memmap;
    uint32_t memmap_entries, reserved;
};
struct pvh_module {
    uint64_t address, size, cmdline, reserved;
};

extern char end_of_guest[];

static bool same(const char *a, const char *b) {
    for (; *a && *a == *b; a++, b++)
        ;
    return *a == *b;
}

/* The test's modules are 5000 bytes of a counter each, from `first` on. */
static bool counter(uint32_t at, uint32_t size, uint8_t first) {
    if (size != 5000)
        return false;
    for (uint32_t i = 0; i < size; i++)
        if (((const uint8_t *)(word)at)[i] != (uint8_t)(first + i))
            return false;
    return true;
}

static void check_map_entry(uint64_t base, uint64_t size, uint32_t type, uint64_t *ram, uint64_t *last,
                            bool *sorted) {
    *sorted = *sorted && base >= *last && size > 0;
    *last = base + size;
    if (type == 1)
        *ram += size;
}

static void check_multiboot(void) {
    const struct multiboot_info *info = (const void *)(word)boot_info;
    const struct multiboot_module *module = (const void *)(word)info->mods_addr;
    uint64_t ram = 0, last = 0;
    bool sorted = true;

    check_equal(boot_magic, 0x2badb002, "magic in EAX");
    check_equal(info->flags & 0x24d, 0x24d, "flags: memory, command line, modules, map, loader name");
    /* With identity-memory RAM goes on somewhere else: see docs/passthrough.md. */
    bool moved = guest_option("identity");
    check_equal(info->mem_lower, moved ? 128 : 639, "mem_lower");
    check_equal(info->mem_upper, moved ? 0 : 15 * 1024, "mem_upper of 16 MiB");
    check(same((const char *)(word)info->boot_loader_name, "Saguaro"), "loader name");
    if (check_equal(info->mods_count, 2, "two modules")) {
        check(counter(module[0].start, module[0].end - module[0].start, 1), "contents of module 0");
        check(counter(module[1].start, module[1].end - module[1].start, 7), "contents of module 1");
        check_equal((module[0].start | module[1].start) & 0xfff, 0, "modules are page-aligned");
        check(module[0].start >= (word)end_of_guest && module[1].start >= module[0].end,
              "modules lie above the kernel");
        check(same((const char *)(word)module[0].string, "one.bin first module"), "string of module 0");
        check(same((const char *)(word)module[1].string, "two.bin"), "string of module 1");
    }
    for (uint32_t at = info->mmap_addr; at < info->mmap_addr + info->mmap_length;) {
        const uint8_t *entry = (const uint8_t *)(word)at;
        const uint64_t *pair = (const uint64_t *)(entry + 4);
        check_map_entry(pair[0], pair[1], *(const uint32_t *)(entry + 20), &ram, &last, &sorted);
        at += *(const uint32_t *)entry + 4;
    }
    check(sorted, "memory map is sorted without overlaps");
    check_equal(ram, moved ? (128 + 14 * 1024) * 1024 : (639 + 15 * 1024) * 1024, "RAM in the memory map");
}

static void check_pvh(void) {
    const struct pvh_info *info = (const void *)(word)boot_info;
    const struct pvh_module *module = (const void *)(word)info->modlist;
    uint64_t ram = 0, last = 0;
    bool sorted = true;

    check_equal(info->magic, 0x336ec578, "magic");
    check_equal(info->version, 1, "version");
    check_equal(info->flags, 0, "flags");
    check_equal(*(const uint64_t *)(word)info->rsdp, 0x2052545020445352, "RSDP's signature");
    if (check_equal(info->modules, 1, "initrd is a module"))
        check(counter((uint32_t)module->address, (uint32_t)module->size, 1), "contents of the initrd");
    for (uint32_t i = 0; i < info->memmap_entries; i++) {
        const uint8_t *entry = (const uint8_t *)(word)info->memmap + 24 * i;
        const uint64_t *pair = (const uint64_t *)entry;
        check_map_entry(pair[0], pair[1], *(const uint32_t *)(entry + 16), &ram, &last, &sorted);
    }
    check(sorted, "memory map is sorted without overlaps");
    check_equal(ram, (639 + 15 * 1024) * 1024, "RAM in the memory map");
}

void guest_main(void) {
    check(same(guest_cmdline(), guest_option("identity") ? "boot word=1  two identity" : "boot word=1  two"),
          "command line");
    if (boot_pvh)
        check_pvh();
    else
        check_multiboot();
    check_equal(cpuid(1, 0).ebx >> 24, 0, "APIC ID of the bootstrap processor");
    check_equal(rdmsr(MSR_APIC_BASE), 0xfee00900, "APIC base");
}
