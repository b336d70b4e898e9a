// SPDX-License-Identifier: Apache-2.0
// identity-memory: where the piece at the machine's own addresses comes to lie, over the real allocator, what
// there is beside it, and what the guest is told of both.
// unit-sources: arch/x86/guest/identity.c arch/x86/guest/pc.c core/guest_memory.c core/guest_regions.c
// unit-sources: core/memory.c core/heap.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "arch/x86/guest/pc.h"
#include "arch/x86/vm.h"
#include "lib/config.h"
#include "tests/unit/host/arena.h"

#define MIB 0x100000ull
#define GIB 0x40000000ull

/* The parts of a PC are not looked at. */
const struct part lapic_part, pv_part, vcpu_part, pic_part, ioapic_part, pit_part, rtc_part, pm_part;
const struct part uart_part, keyboard_part, ports_part, pci_part, fw_cfg_part, passthrough_part;

static struct x86_vm machine;
static struct config_guest config;
static struct memory_statistics before;

void service_guest_memory(struct vm *vm) {
    assert_ptr_equal(vm, &machine.core);
}

void log_line(enum log_level level, const char *format, ...) {
    (void)level;
    (void)format;
}

static struct vm *vm(void) {
    return &machine.core;
}

static uint64_t available(void) {
    struct memory_statistics now;
    memory_statistics(&now);
    return now.free + now.heap;
}

/* A machine with memory below 64 MiB, from 1 GiB on, across where a PC has none, and 4 GiB above; and a
 * guest. */
static void start(uint64_t memory) {
    static const struct memory_range ranges[] = {
        {2 * MIB, 62 * MIB}, {GIB, 2 * GIB - 128 * MIB}, {4 * GIB, 4 * GIB}};
    arena_open(64 * MIB, 0xa5);
    assert_int_equal(memory_init(ranges, array_count(ranges)), 0);
    memset(&machine, 0, sizeof(machine));
    config = (struct config_guest){.name = "own", .memory = memory, .identity_memory = 1};
    strcpy(machine.core.name, "own");
    machine.core.config = &config;
    memory_statistics(&before);
}

static void finish(void) {
    guest_memory_destroy(vm());
    assert_int_equal(vm()->memory.account.frames, 0);
    assert_int_equal(available(), before.free + before.heap);
    arena_close();
}

static bool is_identical(uint64_t gpa) {
    uint64_t physical, contiguous;
    enum guest_region_kind kind;
    return !guest_memory_translate(vm(), gpa, &physical, &contiguous, &kind) && kind == GUEST_RAM &&
           physical == gpa;
}

static bool is_there(uint64_t gpa) {
    return !guest_memory_translate(vm(), gpa, NULL, NULL, NULL);
}

/* The guest's memory, with `apart` bytes from 0 on and all else at `base`. */
static void check(uint64_t apart, uint64_t base) {
    uint64_t size = config.memory - apart;
    assert_int_equal(machine.pc.apart, apart);
    assert_true(machine.pc.identity.base == base && machine.pc.identity.size == size);
    assert_int_equal(pc_memory_setup(vm(), 0), 0);
    for (uint64_t gpa = base; gpa < base + size; gpa += MIB / 4)
        assert_true(is_identical(gpa));
    assert_true(is_identical(base + size - 4096));
    assert_false(is_there(base + size));
    assert_true(apart == base || (!is_there(base - 1) && !is_there(apart)));
    assert_true(is_there(0) && is_there(0x9ffff) && !is_there(0xa0000) && !is_there(0xbffff));
    assert_true(is_there(0xc0000) && is_there(apart - 1));
    /* What is apart and what is not are different memory. */
    uint64_t word = 1, other = 2, read = 0;
    assert_int_equal(guest_write(vm(), 0x1000, &word, 8), 0);
    assert_int_equal(guest_read(vm(), 0x1000, &read, 8), 0);
    assert_true(read == word);
    if (base < arena.size) {
        assert_int_equal(guest_write(vm(), base, &other, 8), 0);
        assert_memory_equal(arena.memory + base, &other, 8);
    }
    /* The map: sorted, without overlaps, and of RAM there is the piece and what Linux must have. */
    struct pc_e820_entry map[PC_E820_MAX];
    unsigned count = pc_e820(vm(), map), ram = 0;
    for (unsigned i = 0; i < count; i++) {
        assert_true(map[i].size && (!i || map[i].base >= map[i - 1].base + map[i - 1].size));
        if (map[i].type != PC_E820_RAM)
            continue;
        assert_true(ram ? map[i].base == base && map[i].size == size
                        : map[i].base == 0 && map[i].size == 0x20000);
        ram++;
    }
    assert_int_equal(ram, 2);
    /* Nothing that is apart is left out: a guest that takes what is in no entry for free must not find it. */
    for (uint64_t at = 0; at < apart; at += 4096) {
        bool listed = at >= 0xa0000 && at < 0xe0000;
        for (unsigned i = 0; i < count; i++)
            listed = listed || (at >= map[i].base && at - map[i].base < map[i].size);
        assert_true(listed);
    }
    struct memory_range piece[PC_RAM_PIECES];
    assert_int_equal(pc_ram(vm(), piece), 2);
    assert_true(piece[0].base == 0 && piece[0].size == 0x20000);
    assert_true(piece[1].base == base && piece[1].size == size);
    struct memory_range free = pc_ram_free(vm());
    assert_true(free.base == base && free.size == size);
    assert_int_equal(pc_ram_low(vm()), MIB);
    assert_int_equal(pc_ram_high(vm()), 0);
    assert_true(pc_ram_bound(vm(), 0, 0x9fc00) && !pc_ram_bound(vm(), 0, 0x9fc01));
    assert_true(pc_ram_bound(vm(), MIB, apart) && !pc_ram_bound(vm(), MIB, apart + 1));
    assert_false(pc_ram_bound(vm(), base, base + 4096) || pc_ram_bound(vm(), 0xa0000, MIB) ||
                 pc_ram_bound(vm(), MIB + 4096, MIB));
}

static void test_low(void **state) {
    (void)state;
    start(16 * MIB);
    assert_int_equal(pc_identity_create(vm(), 0), 0);
    check(2 * MIB, 4 * MIB); /* behind the allocator's records */
    finish();
    /* Too much for what is below 1 GiB; memory that is no multiple of 2 MiB. */
    start(100 * MIB + 4096);
    assert_int_equal(pc_identity_create(vm(), MIB), 0);
    check(2 * MIB, GIB);
    assert_int_equal(vm()->memory.size, 102 * MIB);
    finish();
}

/* An image that is bound to its addresses lies apart, and the piece behind it. */
static void test_image(void **state) {
    (void)state;
    start(40 * MIB);
    assert_int_equal(pc_identity_create(vm(), 17 * MIB + 1), 0);
    check(18 * MIB, 18 * MIB);
    finish();
    start(40 * MIB);
    assert_int_equal(pc_identity_create(vm(), 37 * MIB + 1), 0);
    check(38 * MIB, 38 * MIB);
    finish();
    static const uint64_t ends[] = {38 * MIB + 1, 40 * MIB, 41 * MIB, 1ull << 41, UINT64_MAX};
    for (unsigned i = 0; i < array_count(ends); i++) {
        start(40 * MIB);
        assert_int_equal(pc_identity_create(vm(), ends[i]), -ENOMEM);
        assert_int_equal(machine.pc.identity.size, 0);
        finish();
    }
    start(2 * MIB);
    assert_int_equal(pc_identity_create(vm(), 0), -ENOMEM);
    finish();
    start(2 * MIB + 4096);
    assert_int_equal(pc_identity_create(vm(), 0), 0);
    check(2 * MIB, 4 * MIB);
    finish();
}

/* Where the PC has something else no RAM is: then all of it is above 4 GiB. */
static void test_high(void **state) {
    (void)state;
    start(1794 * MIB); /* 1 GiB to 0xb0000000, and what is apart */
    assert_int_equal(pc_identity_create(vm(), 0), 0);
    check(2 * MIB, GIB);
    finish();
    start(1796 * MIB);
    assert_int_equal(pc_identity_create(vm(), 0), 0);
    check(2 * MIB, 4 * GIB);
    finish();
    start(4 * GIB + 2 * MIB);
    assert_int_equal(pc_identity_create(vm(), 0), 0);
    check(2 * MIB, 4 * GIB);
    finish();
    start(4 * GIB + 4 * MIB);
    assert_int_equal(pc_identity_create(vm(), 0), -ENOMEM);
    finish();
    /* What others have is in the way. */
    start(1 * GIB);
    uint64_t taken = frame_allocate_below(29, 2 * GIB, NULL);
    uint64_t others = frame_allocate_below(29, 3 * GIB, NULL);
    assert_int_equal(pc_identity_create(vm(), 0), 0);
    assert_true(machine.pc.identity.base + machine.pc.identity.size <= taken ||
                machine.pc.identity.base >= taken + GIB / 2);
    check(2 * MIB, machine.pc.identity.base);
    frame_free(taken, 29, NULL);
    frame_free(others, 29, NULL);
    finish();
}

/* Without it: as ever. */
static void test_plain(void **state) {
    (void)state;
    struct memory_range piece[PC_RAM_PIECES];
    start(16 * MIB);
    assert_int_equal(pc_ram(vm(), piece), 1);
    assert_true(piece[0].base == 0 && piece[0].size == 16 * MIB);
    assert_true(pc_ram_free(vm()).base == MIB && pc_ram_free(vm()).size == 15 * MIB);
    assert_true(pc_ram_bound(vm(), MIB, 16 * MIB) && !pc_ram_bound(vm(), MIB, 16 * MIB + 1));
    assert_false(pc_ram_bound(vm(), 4 * GIB, 4 * GIB + 1));
    config.memory = 4 * GIB;
    assert_int_equal(pc_ram(vm(), piece), 2);
    assert_true(piece[0].size == PC_RAM_LOW_MAX && piece[1].base == 4 * GIB &&
                piece[1].size == 4 * GIB - PC_RAM_LOW_MAX);
    assert_true(pc_ram_bound(vm(), 4 * GIB, 8 * GIB - PC_RAM_LOW_MAX));
    assert_false(pc_ram_bound(vm(), 4 * GIB, 8 * GIB - PC_RAM_LOW_MAX + 1));
    assert_false(pc_ram_bound(vm(), PC_RAM_LOW_MAX - 1, PC_RAM_LOW_MAX + 1));
    config.memory = MIB;
    assert_int_equal(pc_ram_free(vm()).size, 0);
    assert_false(pc_ram_bound(vm(), MIB, MIB + 1));
    finish();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_low),
        cmocka_unit_test(test_image),
        cmocka_unit_test(test_high),
        cmocka_unit_test(test_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
