// SPDX-License-Identifier: Apache-2.0
// The guest's PC as a whole: memory map with ROM, PAM and SMRAM over the real guest memory, E820, the table
// of parts created, reset, saved and loaded together, ports that nobody claims, the exit port.
// unit-sources: arch/x86/guest/pc.c arch/x86/guest/acpi.c arch/x86/guest/aml.c arch/x86/guest/fw_cfg.c lib/config_iommu.c
// unit-sources: arch/x86/guest/keyboard.c arch/x86/guest/pci.c devices/pci_function.c arch/x86/guest/pci_bridges.c arch/x86/guest/pit.c
// unit-sources: arch/x86/guest/pm.c arch/x86/guest/ports.c arch/x86/guest/rtc.c arch/x86/guest/rtc_calendar.c
// unit-sources: arch/x86/guest/uart.c devices/uart16550.c core/bus.c core/guest_memory.c core/guest_regions.c core/platform.c lib/state.c
#include <sys/mman.h>
#include "pc_fixture.h"
#include "arch/x86/guest/acpi.h"
#include "arch/x86/guest/fw_cfg.h"
#include "arch/x86/guest/ioapic.h"
#include "arch/x86/guest/lapic.h"
#include "arch/x86/guest/pic.h"
#include "arch/x86/guest/pm.h"
#include "arch/x86/guest/pv.h"
#include "devices/guest_passthrough.h"

/* Whether the service VM was told that the map has changed. */
static unsigned told_service;
void service_guest_memory(struct vm *vm) {
    (void)vm;
    told_service++;
}

/* The interrupt controllers and the paravirtual interface have tests of their own. */
const struct part lapic_part = {.name = "x86.lapic", .per_vcpu = 1};
const struct part pv_part = {.name = "x86.pv", .per_vcpu = 1};
const struct part vcpu_part = {.name = "x86.vcpu", .per_vcpu = 1};
const struct part pic_part = {.name = "x86.pic"};
const struct part ioapic_part = {.name = "x86.ioapic"};
const struct part passthrough_part = {.name = "passthrough"};

/* ---- frames: addresses of the test's own */

static size_t frames;

uint64_t frame_allocate_stale(unsigned shift, struct memory_account *account) {
    (void)account;
    size_t size = (size_t)1 << shift;
    uint8_t *area =
        mmap(NULL, size * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED)
        return 0;
    uint8_t *frame = (uint8_t *)(((uintptr_t)area + size - 1) & ~(uintptr_t)(size - 1));
    if (frame > area)
        munmap(area, (size_t)(frame - area));
    munmap(frame + size, (size_t)(area + size * 2 - (frame + size)));
    frames += size;
    return (uint64_t)(uintptr_t)frame;
}

/* That is the service VM's. */
uint64_t frame_allocate_below(unsigned shift, uint64_t limit, struct memory_account *account) {
    (void)shift;
    (void)limit;
    (void)account;
    return 0;
}

/* For identity-memory: test_identity.c. */
uint64_t frame_allocate_row(uint64_t count, uint64_t from, uint64_t limit, struct memory_account *account) {
    (void)count, (void)from, (void)limit, (void)account;
    return 0;
}

void frame_free(uint64_t physical, unsigned shift, struct memory_account *account) {
    (void)account;
    munmap((void *)(uintptr_t)physical, (size_t)1 << shift);
    frames -= (size_t)1 << shift;
}

void *arch_window_map(uint64_t physical) {
    return (void *)(uintptr_t)physical;
}

void *arch_window_map_large(uint64_t physical) {
    return (void *)(uintptr_t)physical;
}

void panic(const char *format, ...) {
    (void)format;
    abort();
}

/* ---- a guest */

static void start_with(uint64_t memory, uint64_t firmware) {
    fixture_init();
    fixture.config.memory = memory;
    assert_int_equal(guest_memory_create(vm(), pc_backing_size(&fixture.config, firmware)), 0);
    assert_int_equal(pc_memory_setup(vm(), firmware), 0);
    vm()->platform = &pc_platform;
    assert_int_equal(platform_create(vm()), 0);
    platform_reset(vm());
}

static void stop_all(void) {
    platform_destroy(vm());
    guest_memory_destroy(vm());
    fixture_done();
    assert_int_equal(frames, 0);
}

static int start(void **state) {
    (void)state;
    start_with(64u << 20, 0);
    return 0;
}

#define ROM_SIZE 0x4f000u /* an odd number of pages */

static int start_firmware(void **state) {
    (void)state;
    start_with(16u << 20, ROM_SIZE);
    static uint8_t image[ROM_SIZE];
    for (unsigned i = 0; i < ROM_SIZE; i++)
        image[i] = (uint8_t)(i >> 12 ^ i);
    assert_int_equal(guest_load(vm(), PC_FIRMWARE_END - ROM_SIZE, image, ROM_SIZE), 0);
    return 0;
}

static int stop(void **state) {
    (void)state;
    stop_all();
    return 0;
}

enum seen { NOTHING, RAM, ROM };

static enum seen look(uint64_t gpa) {
    uint64_t physical, contiguous;
    enum guest_region_kind kind;
    if (guest_memory_translate(vm(), gpa, &physical, &contiguous, &kind))
        return NOTHING;
    return kind == GUEST_RAM ? RAM : ROM;
}

static uint8_t peek(uint64_t gpa) {
    uint8_t byte = 0;
    assert_int_equal(guest_read(vm(), gpa, &byte, 1), 0);
    return byte;
}

static void poke(uint64_t gpa, uint8_t byte) {
    assert_int_equal(guest_write(vm(), gpa, &byte, 1), 0);
}

static void test_map(void **state) {
    (void)state;
    assert_int_equal(look(0), RAM);
    assert_int_equal(look(0x9ffff), RAM);
    assert_int_equal(look(0xa0000), NOTHING);
    assert_int_equal(look(0xbffff), NOTHING);
    assert_int_equal(look(0xc0000), RAM);
    assert_int_equal(look(0xfffff), RAM);
    assert_int_equal(look((64 << 20) - 1), RAM);
    assert_int_equal(look(64 << 20), NOTHING);
    assert_int_equal(look(PC_FIRMWARE_END - 1), NOTHING);
    /* RAM is its own place: what is written at one address shows at no other. */
    poke(0x1000, 1);
    poke(0xc1000, 2);
    poke(0x101000, 3);
    assert_int_equal(peek(0x1000), 1);
    assert_int_equal(peek(0xc1000), 2);
    assert_int_equal(peek(0x101000), 3);
}

static void test_large(void **state) {
    (void)state;
    start_with((4ull << 30) + 4096, 0);
    assert_int_equal(pc_ram_low(vm()), PC_RAM_LOW_MAX);
    assert_int_equal(pc_ram_high(vm()), (4ull << 30) + 4096 - PC_RAM_LOW_MAX);
    assert_int_equal(look(PC_RAM_LOW_MAX - 1), RAM);
    assert_int_equal(look(PC_RAM_LOW_MAX), NOTHING);
    assert_int_equal(look(0xffffffff), NOTHING);
    assert_int_equal(look(0x100000000), RAM);
    uint64_t end = 0x100000000 + pc_ram_high(vm());
    assert_int_equal(look(end - 1), RAM);
    assert_int_equal(look(end), NOTHING);
    poke(PC_RAM_LOW_MAX - 1, 1);
    poke(0x100000000, 2);
    assert_int_equal(peek(PC_RAM_LOW_MAX - 1), 1);
    stop_all();
    start_with(1 << 20, 0); /* the least there can be */
    assert_int_equal(look(0xfffff), RAM);
    assert_int_equal(look(0x100000), NOTHING);
    stop_all();
    fixture_init();
    assert_int_equal(pc_memory_setup(vm(), CONFIG_MAX_FIRMWARE + 1), -EINVAL);
    fixture_done();
}

static void test_firmware_map(void **state) {
    (void)state;
    assert_int_equal(look(PC_FIRMWARE_END - ROM_SIZE - 1), NOTHING);
    for (uint64_t i = 0; i < ROM_SIZE; i += 0x7ff) {
        assert_int_equal(look(PC_FIRMWARE_END - ROM_SIZE + i), ROM);
        assert_int_equal(peek(PC_FIRMWARE_END - ROM_SIZE + i), (uint8_t)(i >> 12 ^ i));
    }
    /* Its last 128 KiB show below 1 MiB too; above, RAM begins. */
    assert_int_equal(look(0xdffff), NOTHING);
    for (uint64_t i = 0xe0000; i < 0x100000; i += 0x3ff)
        assert_int_equal(peek(i), peek(PC_FIRMWARE_END - 0x100000 + i));
    assert_int_equal(look(0xfffff), ROM);
    assert_int_equal(look(0x100000), RAM);
    uint8_t byte = 0x55;
    assert_int_equal(guest_write(vm(), 0xfffff, &byte, 1), -EFAULT);
    /* The tables wait in fw_cfg, not in RAM. */
    assert_int_equal(pc_acpi_write(vm()), 0);
    assert_int_equal(look(PC_RSDP), ROM);
}

static void pci_set(unsigned offset, uint8_t value) {
    out(0xcf8, 4, 0x80000000u | (offset & 0xfc));
    outb((uint16_t)(0xcfc + (offset & 3)), value);
}

static void test_pam(void **state) {
    (void)state;
    uint8_t rom = peek(0xf1234);
    told_service = 0;
    pci_set(0x90, 0x30); /* RAM */
    assert_true(told_service > 0);
    assert_int_equal(look(0xf1234), RAM);
    assert_int_equal(peek(0xf1234), 0);
    poke(0xf1234, (uint8_t)~rom);
    pci_set(0x90, 0x10); /* write-protected */
    assert_int_equal(look(0xf1234), ROM);
    assert_int_equal(peek(0xf1234), (uint8_t)~rom);
    pci_set(0x90, 0x00); /* the ROM again */
    assert_int_equal(peek(0xf1234), rom);
    /* Writes to RAM while the ROM is read: a copy in place, which every old BIOS makes. */
    pci_set(0x90, 0x20);
    for (uint64_t at = 0xf0000; at < 0x100000; at += 0x101) {
        uint8_t byte = peek(at);
        assert_int_equal(byte, peek(PC_FIRMWARE_END - 0x100000 + at));
        poke(at, byte);
    }
    pci_set(0x90, 0x10);
    assert_int_equal(peek(0xf1234), rom);
    /* Segments below the ROM's alias are RAM or nothing. */
    assert_int_equal(look(0xc0000), NOTHING);
    pci_set(0x91, 0x32);
    assert_int_equal(look(0xc0000), RAM);
    assert_int_equal(look(0xc4000), RAM);
    assert_int_equal(look(0xc8000), NOTHING);
    pci_set(0x91, 0x01);
    assert_int_equal(look(0xc0000), ROM);
    assert_int_equal(look(0xc4000), NOTHING);
    /* All of them in every combination, and the reset undoes it. */
    for (unsigned i = 0; i < 64; i++)
        for (unsigned reg = 0x90; reg <= 0x96; reg++) {
            pci_set(reg, (uint8_t)(i * 7 + reg * 13));
            assert_int_equal(look(0x9ffff), RAM);
            assert_int_equal(look(0x100000), RAM);
        }
    assert_int_equal(fixture.logged, 0); /* nothing was refused */
    platform_reset(vm());
    assert_int_equal(look(0xc0000), NOTHING);
    assert_int_equal(look(0xe0000), ROM);
    assert_int_equal(peek(0xf1234), rom);
}

static void test_small_rom(void **state) {
    (void)state;
    start_with(16u << 20, 0x8001); /* 36 KiB in pages: the alias is no longer than that */
    assert_int_equal(look(PC_FIRMWARE_END - 0x9000), ROM);
    assert_int_equal(look(PC_FIRMWARE_END - 0x9001), NOTHING);
    assert_int_equal(look(0x100000 - 0x9000), ROM);
    assert_int_equal(look(0x100000 - 0x9001), NOTHING);
    pci_set(0x90, 0x20);
    assert_int_equal(look(0xf0000), RAM);
    stop_all();
}

static void test_smram(void **state) {
    (void)state;
    pci_set(0x9d, 0x48);
    assert_int_equal(look(0xa0000), RAM);
    assert_int_equal(look(0xbffff), RAM);
    poke(0xa0000, 0x77);
    pci_set(0x9d, 0x08);
    assert_int_equal(look(0xa0000), NOTHING);
    pci_set(0x9d, 0x48);
    assert_int_equal(peek(0xa0000), 0x77);
    platform_reset(vm());
    assert_int_equal(look(0xa0000), NOTHING);
}

static void check_e820(uint64_t memory) {
    struct pc_e820_entry e[PC_E820_MAX];
    fixture.config.memory = memory;
    unsigned count = pc_e820(vm(), e);
    assert_in_range(count, 1, PC_E820_MAX);
    uint64_t ram = 0, end = 0;
    for (unsigned i = 0; i < count; i++) {
        assert_true(e[i].base >= end); /* sorted, apart */
        assert_true(e[i].size > 0);
        end = e[i].base + e[i].size;
        if (e[i].type == 1) {
            ram += e[i].size;
            assert_true(end <= pc_ram_low(vm()) || e[i].base >= 0x100000000);
            /* Neither the tables nor ECAM are in it. */
            assert_true(end <= PC_ACPI_BASE || e[i].base >= 0x100000);
        }
    }
    assert_int_equal(ram, memory - 0x100000 + 0x9fc00);
}

static void test_e820(void **state) {
    (void)state;
    check_e820(64 << 20);
    check_e820(1 << 20);
    check_e820(PC_RAM_LOW_MAX);
    check_e820(PC_RAM_LOW_MAX + 4096);
    check_e820(64ull << 30);
    fixture.config.memory = 64 << 20;
}

static void test_acpi_in_memory(void **state) {
    (void)state;
    assert_int_equal(pc_acpi_write(vm()), 0);
    char text[8];
    assert_int_equal(guest_read(vm(), PC_RSDP, text, 8), 0);
    assert_memory_equal(text, "RSD PTR ", 8);
}

/* The ports that answer. */
static const struct {
    uint16_t first, last;
} claimed[] = {{0x40, 0x43}, {0x60, 0x61}, {0x64, 0x64},   {0x70, 0x73},   {0x80, 0x80},   {0x92, 0x92},
               {0xed, 0xed}, {0xf4, 0xf7}, {0x3f8, 0x3ff}, {0x510, 0x51b}, {0x600, 0x67f}, {0xcf8, 0xcff}};

static void test_ports(void **state) {
    (void)state;
    unsigned next = 0;
    for (unsigned port = 0; port < 0x10000; port++) {
        while (next < array_count(claimed) && port > claimed[next].last)
            next++;
        bool expected = next < array_count(claimed) && port >= claimed[next].first;
        assert_int_equal(bus_find(&vm()->bus[BUS_PORT], port) != NULL, expected);
    }
    assert_int_equal(inb(0x80), 0xff);
    outb(0x80, 0x12);
    outb(0xed, 0x12);
    assert_int_equal(inb(0x2fd), 0xff); /* no COM2 */
}

static void test_exit_port(void **state) {
    (void)state;
    assert_int_equal(inb(0xf4), 0xff);
    outb(0xf5, 1);
    assert_int_equal(fixture.end, VM_END_NONE);
    outb(0xf4, 0);
    assert_int_equal(fixture.end, VM_END_EXIT);
    assert_int_equal(fixture.end_code, 0);
    fixture.end = VM_END_NONE;
    bus_write(&vm()->bus[BUS_PORT], NULL, 0xf4, 2, 0xabcd1234); /* the upper half is not the guest's */
    assert_int_equal(fixture.end_code, 0x1234);
    fixture.end = VM_END_NONE;
    out(0xf4, 4, 0x89abcdef);
    assert_int_equal(fixture.end_code, 0x89abcdef);
    stop_all();
    fixture_init();
    fixture.config.exit_port = 0;
    assert_int_equal(guest_memory_create(vm(), pc_backing_size(&fixture.config, 0)), 0);
    assert_int_equal(pc_memory_setup(vm(), 0), 0);
    vm()->platform = &pc_platform;
    assert_int_equal(platform_create(vm()), 0);
    platform_reset(vm());
    outb(0xf4, 1);
    assert_int_equal(fixture.end, VM_END_NONE);
}

static void test_platform_state(void **state) {
    (void)state;
    static uint8_t first[16384] __attribute__((aligned(8))), second[16384] __attribute__((aligned(8)));
    char why[96];
    outb(0x43, 0x34);
    outb(0x40, 0x9c);
    outb(0x40, 0x2e);
    outb(0x3f9, 2);
    outb(0x3fc, 8);
    pci_set(0x90, 0x30);
    run_for(123456);
    int64_t size = platform_save(vm(), first, sizeof(first));
    assert_true(size > 0);
    platform_reset(vm());
    assert_int_equal(platform_load(vm(), first, (uint64_t)size, why), 0);
    assert_int_equal(platform_save(vm(), second, sizeof(second)), size);
    assert_memory_equal(first, second, (size_t)size);
    assert_true(fixture.level[4]);
    assert_int_equal(look(0xf0000), RAM);
    assert_int_equal(platform_save(vm(), second, 100), -ENOSPC);
}

/* Whatever a guest writes wherever, the machine behind it stays whole (the sanitizers look on). */
static void test_noise(void **state) {
    (void)state;
    uint32_t random = 12345;
    for (unsigned i = 0; i < 200000; i++) {
        random = random * 1664525 + 1013904223;
        unsigned range = (random >> 8) % array_count(claimed);
        uint16_t first = claimed[range].first, last = claimed[range].last;
        uint16_t port = (uint16_t)(first + (random >> 24) % (last - first + 1u));
        unsigned size = 1u << (random >> 5 & 3) % 3;
        random = random * 1664525 + 1013904223;
        if (random & 0x10000000)
            out(port, size, random >> 4);
        else
            in(port, size);
        if (i % 16 == 0)
            run_for(random >> 12);
    }
    platform_reset(vm());
    assert_int_equal(in(PC_PMBASE + PM_CONTROL, 2), fixture.vm.pc.firmware_size ? 0xffff : 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_map, start, stop),
        cmocka_unit_test(test_large),
        cmocka_unit_test_setup_teardown(test_firmware_map, start_firmware, stop),
        cmocka_unit_test_setup_teardown(test_pam, start_firmware, stop),
        cmocka_unit_test(test_small_rom),
        cmocka_unit_test_setup_teardown(test_smram, start, stop),
        cmocka_unit_test_setup_teardown(test_e820, start, stop),
        cmocka_unit_test_setup_teardown(test_acpi_in_memory, start, stop),
        cmocka_unit_test_setup_teardown(test_ports, start, stop),
        cmocka_unit_test_setup_teardown(test_exit_port, start, stop),
        cmocka_unit_test_setup_teardown(test_platform_state, start_firmware, stop),
        cmocka_unit_test_setup_teardown(test_noise, start, stop),
        cmocka_unit_test_setup_teardown(test_noise, start_firmware, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
