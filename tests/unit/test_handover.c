// SPDX-License-Identifier: Apache-2.0
// The hand-over block: what the hypervisor accepts of it, and the copies that it keeps. Addresses of the
// block are this program's own.
// unit-sources: arch/x86/platform.c
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "arch/x86/platform.h"

struct cpu *test_cpu;
uint64_t test_time;

#define K4        4096u
#define ROMS      3u
#define FILE_SIZE (4 * HANDOVER_ROM_MAX)

/* What the loader leaves, in pages of its own. */
struct left {
    struct handover block;
    struct handover_memory map[2];
    struct handover_file files[1];
    struct handover_rom roms[HANDOVER_MAX_ROMS];
    char config_name[16], command_line[16], file_name[16];
    uint64_t config[8];
};
static struct left *left;
static uint8_t *file; /* FILE memory; the ROMs and, behind them, a file */
static void *kept[32];
static unsigned kept_count, heap_left;

void *heap_allocate(size_t size, struct memory_account *account) {
    assert_null(account);
    if (!heap_left)
        return NULL;
    heap_left--;
    assert_true(kept_count < sizeof(kept) / sizeof(kept[0]));
    return kept[kept_count++] = calloc(1, size);
}

static uint64_t address(const void *pointer) {
    return (uint64_t)(uintptr_t)pointer;
}

static void place(unsigned i, uint64_t at, uint64_t size, uint8_t devfn) {
    left->roms[i] = (struct handover_rom){
        .address = address(file) + at, .size = size, .segment = 1, .bus = 2, .devfn = devfn};
    file[at] = 0x55;
    file[at + 1] = 0xaa;
}

static void add_range(unsigned i, uint64_t base, uint64_t size, uint32_t type) {
    left->map[i] = (struct handover_memory){.base = base, .size = size, .type = type};
}

static void make(void) {
    uint64_t own = (sizeof(*left) + K4 - 1) & ~(uint64_t)(K4 - 1);

    memset(left, 0, sizeof(*left));
    bool first = address(left) < address(file);
    add_range(!first, address(left), own, HANDOVER_MEMORY_LOADER);
    add_range(first, address(file), FILE_SIZE, HANDOVER_MEMORY_FILE);
    strcpy(left->config_name, "saguaro.dts");
    strcpy(left->file_name, "initrd");
    left->files[0] = (struct handover_file){address(left->file_name), address(file) + 0x10000, 5};
    left->block = (struct handover){
        .magic = HANDOVER_MAGIC,
        .version = HANDOVER_VERSION,
        .size = sizeof(left->block),
        .config = address(left->config),
        .config_size = sizeof(left->config),
        .config_name = address(left->config_name),
        .command_line = address(left->command_line),
        .memory_map = address(left->map),
        .memory_map_count = 2,
        .files = address(left->files),
        .file_count = 1,
        .roms = address(left->roms),
        .rom_count = ROMS,
    };
    place(0, 0, 4096, 0x88);
    place(1, 4096, 8192, 0x89);
    place(2, HANDOVER_ROM_MAX, HANDOVER_ROM_MAX, 0x90);
    heap_left = sizeof(kept) / sizeof(kept[0]);
}

static int setup(void **state) {
    (void)state;
    left = aligned_alloc(K4, (sizeof(*left) + K4 - 1) & ~(size_t)(K4 - 1));
    file = aligned_alloc(K4, FILE_SIZE);
    assert_non_null(left);
    assert_non_null(file);
    make();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    while (kept_count)
        free(kept[--kept_count]);
    free(left);
    free(file);
    return 0;
}

static const char *opened(void) {
    return platform_open(address(&left->block));
}

static void test_block(void **state) {
    (void)state;
    assert_null(opened());
    assert_string_equal(platform_open(0), "no hand-over block");
    assert_string_equal(platform_open(address(&left->block) + 4), "no hand-over block");
    left->block.magic++;
    assert_string_equal(opened(), "no hand-over block");
    make();
    left->block.version = HANDOVER_VERSION - 1;
    assert_string_equal(opened(), "a hand-over block of another version");
    make();
    left->block.size--;
    assert_string_equal(opened(), "a hand-over block of another version");
    make();
    left->files[0].address++;
    assert_string_equal(opened(), "a file outside the files' memory");
    make();
    left->files[0].size = FILE_SIZE;
    assert_string_equal(opened(), "a file outside the files' memory");
}

static void test_list(void **state) {
    static const char bad[] = "a bad list of expansion ROMs";
    (void)state;
    left->block.rom_count = HANDOVER_MAX_ROMS + 1;
    assert_string_equal(opened(), bad);
    left->block.rom_count = UINT32_MAX;
    assert_string_equal(opened(), bad);
    make();
    left->block.roms += 4;
    assert_string_equal(opened(), bad);
    left->block.roms = 0;
    assert_string_equal(opened(), bad);
    left->block.roms = address(file); /* not the loader's own memory */
    assert_string_equal(opened(), bad);
    /* Its end is outside. */
    make();
    left->block.roms = ((address(left) + sizeof(*left) + K4 - 1) & ~(uint64_t)(K4 - 1)) - 8;
    assert_string_equal(opened(), bad);
    /* Without an entry the address does not matter; as many as there can be are all looked at. */
    left->block.rom_count = 0;
    assert_null(opened());
    make();
    left->block.rom_count = HANDOVER_MAX_ROMS;
    for (unsigned i = 0; i < HANDOVER_MAX_ROMS; i++)
        place(i, (uint64_t)i * K4, K4, (uint8_t)i);
    assert_null(opened());
    left->roms[HANDOVER_MAX_ROMS - 1].size = 0;
    assert_string_equal(opened(), "an expansion ROM of an impossible size");
}

static void test_entry(void **state) {
    static const uint64_t sizes[] = {0,          1,         2048, 4095, 4097, 12288, 2ull * HANDOVER_ROM_MAX,
                                     1ull << 63, UINT64_MAX};
    static const char outside[] = "an expansion ROM outside the files' memory";
    (void)state;
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        make();
        left->roms[1].size = sizes[i];
        assert_string_equal(opened(), "an expansion ROM of an impossible size");
    }
    const uint64_t places[] = {0,
                               address(left),
                               address(file) + 8,
                               address(file) - K4,
                               address(file) + FILE_SIZE - K4, /* its second page is beyond */
                               address(file) + FILE_SIZE,
                               0ull - K4};
    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        make();
        left->roms[1].address = places[i];
        assert_string_equal(opened(), outside);
    }
    make();
    file[4097] = 0xab;
    assert_string_equal(opened(), "an expansion ROM without its signature");
    make();
    file[4096] = 0;
    assert_string_equal(opened(), "an expansion ROM without its signature");
    make();
    left->roms[2].devfn = left->roms[0].devfn;
    assert_string_equal(opened(), "two expansion ROMs of one function");
    left->roms[2].bus++;
    assert_null(opened());
    left->roms[2].bus--;
    left->roms[2].segment++;
    assert_null(opened());
}

static void test_copy(void **state) {
    (void)state;
    assert_null(opened());
    assert_int_equal(platform_copy(), 0);
    struct handover_rom was[ROMS];
    memcpy(was, left->roms, sizeof(was));
    memset(left->roms, 0xee, sizeof(left->roms)); /* what is kept does not lie there */
    const struct boot_info *boot = &platform_info()->boot;
    assert_int_equal(boot->rom_count, ROMS);
    for (unsigned i = 0; i < ROMS; i++) {
        assert_int_equal(boot->rom[i].segment, 1);
        assert_int_equal(boot->rom[i].bus, 2);
        assert_int_equal(boot->rom[i].devfn, was[i].devfn);
        assert_true(boot->rom[i].address == was[i].address && boot->rom[i].size == was[i].size);
    }
    assert_int_equal(boot->file_count, 1);
    assert_string_equal(boot->file[0].name, "initrd");
    /* No memory for any one of the copies. */
    unsigned used = kept_count;
    for (unsigned i = 0; i < used; i++) {
        teardown(NULL);
        setup(NULL);
        heap_left = i;
        assert_null(opened());
        assert_true(platform_copy() < 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_block, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_entry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_copy, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
