// SPDX-License-Identifier: Apache-2.0
// The guest's firmware configuration device: items, directory, DMA with all that a guest can ask of it, and
// the ACPI tables placed as firmware does by the loader's script.
// unit-sources: arch/x86/guest/fw_cfg.c arch/x86/guest/acpi.c arch/x86/guest/aml.c core/bus.c lib/state.c lib/config_iommu.c
#include "pc_fixture.h"
#include "arch/x86/guest/acpi.h"
#include "arch/x86/guest/fw_cfg.h"

static uint8_t ram[0x40000];
static unsigned writes;

int guest_read(struct vm *which, uint64_t gpa, void *buffer, size_t size) {
    assert_ptr_equal(which, vm());
    if (gpa > sizeof(ram) || size > sizeof(ram) - gpa)
        return -EFAULT;
    memcpy(buffer, ram + gpa, size);
    return 0;
}

int guest_write(struct vm *which, uint64_t gpa, const void *buffer, size_t size) {
    assert_ptr_equal(which, vm());
    writes++;
    if (gpa > sizeof(ram) || size > sizeof(ram) - gpa)
        return -EFAULT;
    memcpy(ram + gpa, buffer, size);
    return 0;
}

unsigned pc_ram(const struct vm *which, struct memory_range piece[PC_RAM_PIECES]) {
    uint64_t memory = which->config->memory, low = memory < PC_RAM_LOW_MAX ? memory : PC_RAM_LOW_MAX;
    piece[0] = (struct memory_range){0, low};
    piece[1] = (struct memory_range){1ull << 32, memory - low};
    return memory > low ? 2 : 1;
}

static int start(void **state) {
    (void)state;
    memset(ram, 0xee, sizeof(ram));
    part_start(&fw_cfg_part);
    return 0;
}

static int stop(void **state) {
    (void)state;
    part_stop(&fw_cfg_part);
    return 0;
}

static void select_item(uint16_t item) {
    out(0x510, 2, item);
}

static uint64_t read_bytes(unsigned size) {
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)inb(0x511) << 8 * i;
    return value;
}

static uint32_t read_big(unsigned size) {
    uint32_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value = value << 8 | inb(0x511);
    return value;
}

/* A file's selector and size by name. */
static uint16_t find(const char *name, uint32_t *size) {
    select_item(0x19);
    for (uint32_t count = read_big(4); count > 0; count--) {
        char text[56];
        uint32_t bytes = read_big(4);
        uint16_t item = (uint16_t)read_big(2);
        read_big(2);
        for (unsigned i = 0; i < sizeof(text); i++)
            text[i] = (char)inb(0x511);
        assert_int_equal(text[55], 0);
        if (strcmp(text, name) == 0) {
            *size = bytes;
            return item;
        }
    }
    fail_msg("no file %s", name);
    return 0;
}

static void test_items(void **state) {
    (void)state;
    select_item(0);
    assert_int_equal(read_bytes(4), 0x554d4551); /* "QEMU" */
    assert_int_equal(read_bytes(8), 0);          /* zeroes from there on */
    select_item(1);
    assert_int_equal(read_bytes(4), 3);
    select_item(3);
    assert_int_equal(read_bytes(8), 64 << 20);
    select_item(5);
    assert_int_equal(read_bytes(2), 2);
    select_item(0x0f);
    assert_int_equal(read_bytes(2), 2);
    static const uint16_t none[] = {2, 4, 0x18, 0x1a, 0x24, 0x3fff, 0x8000, 0x8003, 0xffff};
    for (unsigned i = 0; i < array_count(none); i++) {
        select_item(none[i]);
        assert_int_equal(read_bytes(8), 0);
    }
    select_item(0x4000); /* the write bit is no part of the number */
    assert_int_equal(read_bytes(4), 0x554d4551);
    outb(0x511, 0x55);
    select_item(0);
    assert_int_equal(read_bytes(4), 0x554d4551);
    assert_int_equal(in(0x510, 2), 0xffff);
}

static void test_e820(void **state) {
    (void)state;
    uint32_t size;
    select_item(find("etc/e820", &size));
    assert_int_equal(size, 20);
    assert_int_equal(read_bytes(8), 0);
    assert_int_equal(read_bytes(8), 64 << 20);
    assert_int_equal(read_bytes(4), 1);
    fw_cfg_part.destroy(vm(), 0);
    fixture.config.memory = 5ull << 30;
    assert_int_equal(fw_cfg_part.create(vm(), 0), 0);
    fw_cfg_part.reset(vm(), 0);
    select_item(find("etc/e820", &size));
    assert_int_equal(size, 40);
    read_bytes(8);
    assert_int_equal(read_bytes(8), PC_RAM_LOW_MAX);
    read_bytes(4);
    assert_int_equal(read_bytes(8), 0x100000000ull);
    assert_int_equal(read_bytes(8), (5ull << 30) - PC_RAM_LOW_MAX);
    assert_int_equal(read_bytes(4), 1);
}

#define REQUEST 0x100u

static uint32_t big(uint32_t value) {
    return __builtin_bswap32(value);
}

/* Puts a request into guest memory and starts it; returns the control word that came back. */
static uint32_t dma(uint32_t control, uint32_t length, uint64_t address) {
    uint32_t words[4] = {big(control), big(length), big((uint32_t)(address >> 32)), big((uint32_t)address)};
    memcpy(ram + REQUEST, words, sizeof(words));
    out(0x514, 4, 0);
    out(0x518, 4, big(REQUEST));
    memcpy(words, ram + REQUEST, sizeof(words));
    return big(words[0]);
}

static void test_dma_signature(void **state) {
    (void)state;
    assert_int_equal(big((uint32_t)in(0x514, 4)), 0x51454d55);
    assert_int_equal(big((uint32_t)in(0x518, 4)), 0x20434647);
    assert_int_equal(inb(0x514), 'Q');
    assert_int_equal(inb(0x51b), 'G');
}

static void test_dma(void **state) {
    (void)state;
    assert_int_equal(dma(0 << 16 | 0x0a, 4, 0x1000), 0);
    assert_memory_equal(ram + 0x1000, "QEMU\xee", 5);
    /* Without a selection it goes on where it was; after the end come zeroes. */
    assert_int_equal(dma(0x02, 4, 0x1004), 0);
    assert_memory_equal(ram + 0x1004, "\0\0\0\0\xee", 5);
    assert_int_equal(dma(0x08, 0, 0), 0);
    assert_int_equal(dma(0x04, 2, 0), 0); /* skip */
    assert_int_equal(dma(0x02, 5, 0x1010), 0);
    assert_memory_equal(ram + 0x1010, "MU\0\0\0\xee", 6);
    assert_int_equal(read_bytes(1), 0); /* the data port sees the same position */
    assert_int_equal(dma(0x19u << 16 | 0x0a, 4, 0x1020), 0);
    assert_memory_equal(ram + 0x1020, "\0\0\0\4", 4);
    assert_int_equal(dma(0x7777u << 16 | 0x0a, 4, 0x1020), 0); /* no such item: zeroes */
    assert_memory_equal(ram + 0x1020, "\0\0\0\0", 4);
    assert_int_equal(dma(0x10, 4, 0x1000), 1); /* nothing can be written */
    assert_int_equal(dma(0x08 | 0x04, 0xffffffff, 0), 0);
    assert_int_equal(dma(0x04, 0xffffffff, 0), 0);
}

static void test_dma_limits(void **state) {
    (void)state;
    assert_int_equal(dma(0x0a, 4, sizeof(ram)), 1); /* not guest memory */
    assert_int_equal(dma(0x0a, 4, sizeof(ram) - 2), 1);
    assert_int_equal(ram[sizeof(ram) - 1], 0xee);
    assert_int_equal(dma(0x0a, 4, UINT64_MAX - 1), 1); /* wraps */
    assert_int_equal(dma(0x0a, 4 + 4096, 0x1000), 0);
    assert_int_equal(ram[0x1000 + 4 + 4095], 0);
    assert_int_equal(ram[0x1000 + 4 + 4096], 0xee);
    writes = 0;
    assert_int_equal(dma(0x0a, 4 + 4097, 0x4000), 1); /* more than anybody asks for */
    assert_int_equal(dma(0x0a, 0xffffffff, 0x4000), 1);
    assert_int_equal(writes, 2); /* the answers */
    assert_int_equal(ram[0x4000], 0xee);
    /* A failed read leaves the position where it was. */
    assert_int_equal(dma(0x08, 0, 0), 0);
    assert_int_equal(dma(0x02, 4, sizeof(ram)), 1);
    assert_int_equal(read_bytes(4), 0x554d4551);
    /* A request that is not in guest memory is dropped, also above 4 GiB. */
    writes = 0;
    out(0x514, 4, big(1));
    out(0x518, 4, big(REQUEST));
    out(0x514, 4, 0);
    out(0x518, 4, big(sizeof(ram) - 8));
    assert_int_equal(writes, 0);
    /* The upper half counts once. */
    memset(ram + REQUEST, 0, 16);
    ram[REQUEST + 3] = 0x08;
    out(0x514, 4, big(1));
    out(0x518, 4, big(REQUEST));
    out(0x518, 4, big(REQUEST));
    assert_int_equal(writes, 1);
}

/* ---- what firmware does with the loader's script */

static struct {
    char name[56];
    uint32_t base, size;
} blob[2];
static unsigned blobs;

static unsigned blob_index(const char *name) {
    for (unsigned i = 0; i < blobs; i++)
        if (strcmp(blob[i].name, name) == 0)
            return i;
    fail_msg("file %s was not allocated", name);
    return 0;
}

static void run_script(void) {
    uint32_t size;
    uint16_t item = find("etc/table-loader", &size);
    assert_int_equal(size % 128, 0);
    assert_int_equal(dma((uint32_t)item << 16 | 0x0a, size, 0x8000), 0);
    blobs = 0;
    uint32_t place = 0x10000;
    for (uint32_t at = 0; at < size; at += 128) {
        const uint8_t *e = ram + 0x8000 + at;
        uint32_t word[3];
        switch (e[0]) {
        case 1: {
            assert_true(blobs < 2);
            memcpy(blob[blobs].name, e + 4, 56);
            memcpy(word, e + 60, 4);
            assert_true(word[0] > 0 && (word[0] & (word[0] - 1)) == 0);
            assert_in_range(e[64], 1, 2);
            place = (place + word[0] - 1) & ~(word[0] - 1);
            blob[blobs].base = place;
            uint16_t file = find(blob[blobs].name, &blob[blobs].size);
            assert_int_equal(dma((uint32_t)file << 16 | 0x0a, blob[blobs].size, place), 0);
            place += blob[blobs].size + 4; /* so that the next one needs its alignment */
            blobs++;
            break;
        }
        case 2: {
            unsigned in_file = blob_index((const char *)e + 4), target = blob_index((const char *)e + 60);
            memcpy(word, e + 116, 4);
            uint64_t value = 0;
            assert_true(e[120] == 4 || e[120] == 8);
            assert_true(word[0] + e[120] <= blob[in_file].size);
            memcpy(&value, ram + blob[in_file].base + word[0], e[120]);
            assert_true(value < blob[target].size);
            value += blob[target].base;
            memcpy(ram + blob[in_file].base + word[0], &value, e[120]);
            break;
        }
        case 3: {
            unsigned in_file = blob_index((const char *)e + 4);
            memcpy(word, e + 60, 12);
            assert_true(word[0] < blob[in_file].size && word[1] + word[2] <= blob[in_file].size);
            uint8_t sum = 0;
            for (uint32_t i = 0; i < word[2]; i++)
                sum += ram[blob[in_file].base + word[1] + i];
            ram[blob[in_file].base + word[0]] = (uint8_t)-sum;
            break;
        }
        default:
            fail_msg("command %u", e[0]);
        }
    }
}

static void test_table_loader(void **state) {
    (void)state;
    run_script();
    assert_int_equal(blobs, 2);
    unsigned tables = blob_index("etc/acpi/tables"), rsdp = blob_index("etc/acpi/rsdp");
    /* The outcome is what acpi_relocate() makes of the same tables. */
    struct acpi_tables *t = calloc(1, sizeof(*t));
    assert_int_equal(acpi_build(vm(), t), 0);
    acpi_relocate(t, blob[tables].base);
    assert_int_equal(blob[tables].size, t->used);
    assert_memory_equal(ram + blob[tables].base, t->data, t->used);
    assert_int_equal(blob[rsdp].size, sizeof(t->rsdp));
    assert_memory_equal(ram + blob[rsdp].base, t->rsdp, sizeof(t->rsdp));
    free(t);
}

static void test_state(void **state) {
    (void)state;
    select_item(3);
    read_bytes(3);
    out(0x514, 4, big(7));
    part_round_trip(&fw_cfg_part);
    assert_int_equal(read_bytes(5), (64 << 20) >> 24);
    out(0x514, 4, big(7));
    part_truncation(&fw_cfg_part);
    select_item(3);
    read_bytes(3);
    assert_int_equal(part_load_changed(&fw_cfg_part, 2, 9), -EINVAL); /* beyond the item's end */
    select_item(3);
    read_bytes(3);
    assert_int_equal(part_load_changed(&fw_cfg_part, 5, 0x80), -EINVAL);
    assert_int_equal(read_bytes(4), 0x554d4551); /* reset state: item 0 */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_items, start, stop),
        cmocka_unit_test_setup_teardown(test_e820, start, stop),
        cmocka_unit_test_setup_teardown(test_dma_signature, start, stop),
        cmocka_unit_test_setup_teardown(test_dma, start, stop),
        cmocka_unit_test_setup_teardown(test_dma_limits, start, stop),
        cmocka_unit_test_setup_teardown(test_table_loader, start, stop),
        cmocka_unit_test_setup_teardown(test_state, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
