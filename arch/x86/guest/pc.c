// SPDX-License-Identifier: Apache-2.0
// The PC that a guest sees, as a whole: the table of its parts, and the map of its memory.
#include "arch/x86/guest/pc.h"

#include <errno.h>

#include "arch/x86/guest/fw_cfg.h"
#include "arch/x86/guest/ioapic.h"
#include "arch/x86/guest/keyboard.h"
#include "arch/x86/guest/lapic.h"
#include "arch/x86/guest/pci.h"
#include "arch/x86/guest/pic.h"
#include "arch/x86/guest/pit.h"
#include "arch/x86/guest/pm.h"
#include "arch/x86/guest/ports.h"
#include "arch/x86/guest/pv.h"
#include "arch/x86/guest/rtc.h"
#include "arch/x86/guest/uart.h"
#include "arch/x86/vcpu_state.h"
#include "arch/x86/vm.h"
#include "core/service.h"
#include "devices/guest_passthrough.h"
#include "lib/config.h"

/* Interrupt controllers come first: the others drive their lines from create() on. pm stands before pci,
 * whose bridges place it on the bus. */
static const struct part *const parts[] = {
    &lapic_part, &pv_part,   &vcpu_part,     &pic_part,   &ioapic_part, &pit_part,    &rtc_part,
    &pm_part,    &uart_part, &keyboard_part, &ports_part, &pci_part,    &fw_cfg_part, &passthrough_part,
};

const struct platform pc_platform = {
    .name = "pc",
    .part = parts,
    .part_count = array_count(parts),
};

#define LEGACY_HOLE     0xa0000ull /* where a video adapter would be */
#define LEGACY_HOLE_END 0xc0000ull
#define LEGACY_END      0x100000ull
#define ROM_ALIAS_SIZE  0x20000ull /* of the ROM's end is shown below 1 MiB too */
#define EBDA            0x9fc00ull
#define FOUR_GIB        0x100000000ull
#define IDENTITY_LOW    0x20000ull /* what Linux needs below 1 MiB, for the start of other CPUs */

static uint64_t round_up(uint64_t value, uint64_t unit) {
    return (value + unit - 1) & ~(unit - 1);
}

static const struct pc *pc_of(const struct vm *vm) {
    return &container_of(vm, const struct x86_vm, core)->pc;
}

uint64_t pc_ram_low(const struct vm *vm) {
    if (pc_of(vm)->identity.size)
        return LEGACY_END;
    return vm->config->memory < PC_RAM_LOW_MAX ? vm->config->memory : PC_RAM_LOW_MAX;
}

uint64_t pc_ram_high(const struct vm *vm) {
    return pc_of(vm)->identity.size ? 0 : vm->config->memory - pc_ram_low(vm);
}

unsigned pc_ram(const struct vm *vm, struct memory_range piece[PC_RAM_PIECES]) {
    const struct pc *pc = pc_of(vm);
    uint64_t high = pc_ram_high(vm);

    piece[0] = (struct memory_range){0, pc->identity.size ? IDENTITY_LOW : pc_ram_low(vm)};
    piece[1] = pc->identity.size ? pc->identity : (struct memory_range){FOUR_GIB, high};
    return piece[1].size ? 2 : 1;
}

struct memory_range pc_ram_free(const struct vm *vm) {
    const struct pc *pc = pc_of(vm);
    uint64_t low = pc_ram_low(vm);

    return pc->identity.size ? pc->identity : (struct memory_range){LEGACY_END, low - LEGACY_END};
}

bool pc_ram_bound(const struct vm *vm, uint64_t base, uint64_t end) {
    uint64_t apart = pc_of(vm)->apart, high = pc_ram_high(vm);
    const struct memory_range piece[] = {
        {0, EBDA}, {LEGACY_END, (apart ? apart : pc_ram_low(vm)) - LEGACY_END}, {FOUR_GIB, high}};

    for (unsigned i = 0; i < array_count(piece); i++)
        if (base >= piece[i].base && base <= end && end - piece[i].base <= piece[i].size)
            return true;
    return false;
}

uint64_t pc_backing_size(const struct config_guest *config, uint64_t firmware_size) {
    return round_up(config->memory, LARGE_PAGE_SIZE) + round_up(firmware_size, LARGE_PAGE_SIZE);
}

/* Where the ROM's byte `distance` before its end is in the backing. */
static uint64_t rom_offset(struct vm *vm, uint64_t distance) {
    return pc_backing_size(vm->config, x86_vm(vm)->pc.firmware_size) - distance;
}

int pc_memory_setup(struct vm *vm, uint64_t firmware_size) {
    const struct pc *pc = pc_of(vm);
    uint64_t low = pc->apart ? pc->apart : pc_ram_low(vm), high = pc_ram_high(vm);
    if (firmware_size > CONFIG_MAX_FIRMWARE)
        return -EINVAL;
    uint64_t rom = round_up(firmware_size, PAGE_SIZE);
    uint64_t above = rom ? LEGACY_END : LEGACY_HOLE_END;
    x86_vm(vm)->pc.firmware_size = rom;
    int error = guest_memory_place(vm, 0, LEGACY_HOLE, 0, GUEST_RAM);
    if (!error && low > above)
        error = guest_memory_place(vm, above, low - above, above, GUEST_RAM);
    if (!error && high)
        error = guest_memory_place(vm, FOUR_GIB, high, low, GUEST_RAM);
    if (!error && pc->identity.size)
        error = guest_memory_place(vm, pc->identity.base, pc->identity.size, pc->apart, GUEST_RAM);
    if (!error && rom)
        error = guest_memory_place(vm, PC_FIRMWARE_END - rom, rom, rom_offset(vm, rom), GUEST_ROM);
    return error;
}

/* Copies what the ROM's alias shows at `base` into the RAM there, which is in place already. */
static int copy_rom(struct vm *vm, uint64_t base, uint64_t size) {
    uint8_t buffer[256];
    uint64_t distance = FOUR_GIB - LEGACY_END;
    for (uint64_t at = base; at < base + size; at += sizeof(buffer)) {
        int error = guest_read(vm, at + distance, buffer, sizeof(buffer));
        if (!error)
            error = guest_write(vm, at, buffer, sizeof(buffer));
        if (error)
            return error;
    }
    return 0;
}

static int shadow(struct vm *vm, uint64_t base, uint64_t size, bool reads_ram, bool writes_ram,
                  bool was_rom) {
    uint64_t rom = x86_vm(vm)->pc.firmware_size;
    uint64_t alias = LEGACY_END - (rom < ROM_ALIAS_SIZE ? rom : ROM_ALIAS_SIZE);
    uint64_t end = base + size;
    uint64_t middle = alias < base ? base : alias > end ? end : alias; /* from here on the ROM could show */
    int error = 0;
    if (writes_ram) {
        error = guest_memory_place(vm, base, size, base, GUEST_RAM);
        if (!error && !reads_ram && was_rom && middle < end)
            error = copy_rom(vm, middle, end - middle);
        return error;
    }
    if (reads_ram)
        return guest_memory_place(vm, base, size, base, GUEST_ROM);
    if (middle > base)
        error = guest_memory_remove(vm, base, middle - base);
    if (!error && middle < end)
        error = guest_memory_place(vm, middle, end - middle, rom_offset(vm, LEGACY_END - middle), GUEST_ROM);
    return error;
}

int pc_memory_shadow(struct vm *vm, uint64_t base, uint64_t size, bool reads_ram, bool writes_ram,
                     bool was_rom) {
    int error = shadow(vm, base, size, reads_ram, writes_ram, was_rom);
    service_guest_memory(vm);
    return error;
}

int pc_memory_smram(struct vm *vm, bool open) {
    uint64_t size = LEGACY_HOLE_END - LEGACY_HOLE;
    int error = open ? guest_memory_place(vm, LEGACY_HOLE, size, LEGACY_HOLE, GUEST_RAM)
                     : guest_memory_remove(vm, LEGACY_HOLE, size);
    service_guest_memory(vm);
    return error;
}

/* Of what is not at the machine's own addresses the guest gets no more than it must have as RAM. */
static unsigned identity_e820(const struct pc *pc, struct pc_e820_entry entries[PC_E820_MAX]) {
    const struct pc_e820_entry block = {pc->identity.base, pc->identity.size, PC_E820_RAM};
    const struct pc_e820_entry ecam = {PC_ECAM_BASE, PC_ECAM_SIZE, PC_E820_RESERVED};
    bool below = block.base < ecam.base;

    entries[0] = (struct pc_e820_entry){0, IDENTITY_LOW, PC_E820_RAM};
    entries[1] = (struct pc_e820_entry){IDENTITY_LOW, LEGACY_HOLE - IDENTITY_LOW, PC_E820_RESERVED};
    entries[2] = (struct pc_e820_entry){PC_ACPI_BASE, pc->apart - PC_ACPI_BASE, PC_E820_RESERVED};
    entries[3] = below ? block : ecam;
    entries[4] = below ? ecam : block;
    return 5;
}

unsigned pc_e820(const struct vm *vm, struct pc_e820_entry entries[PC_E820_MAX]) {
    if (pc_of(vm)->identity.size)
        return identity_e820(pc_of(vm), entries);
    uint64_t low = pc_ram_low(vm), high = pc_ram_high(vm);
    unsigned count = 0;
    entries[count++] = (struct pc_e820_entry){0, EBDA, PC_E820_RAM};
    entries[count++] = (struct pc_e820_entry){EBDA, LEGACY_HOLE - EBDA, PC_E820_RESERVED};
    entries[count++] = (struct pc_e820_entry){PC_ACPI_BASE, LEGACY_END - PC_ACPI_BASE, PC_E820_RESERVED};
    if (low > LEGACY_END)
        entries[count++] = (struct pc_e820_entry){LEGACY_END, low - LEGACY_END, PC_E820_RAM};
    entries[count++] = (struct pc_e820_entry){PC_ECAM_BASE, PC_ECAM_SIZE, PC_E820_RESERVED};
    if (high)
        entries[count++] = (struct pc_e820_entry){FOUR_GIB, high, PC_E820_RAM};
    return count;
}
