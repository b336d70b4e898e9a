// SPDX-License-Identifier: Apache-2.0
// What is read out of a Book E machine's device tree, and which memory is free then.
// unit-sources: arch/ppc/machine.c arch/ppc/machine_pci.c arch/ppc/memory_map.c
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <libfdt.h>
#include <string.h>
#include "arch/ppc/memory_map.h"

#define MIB 0x100000ull
#define PIC 0x8003

static uint8_t blob[8192];
static struct machine machine;

static int add(int parent, const char *name) {
    int node = fdt_add_subnode(blob, parent, name);
    assert_true(node >= 0);
    return node;
}

static int find(const char *path) {
    int node = fdt_path_offset(blob, path);
    assert_true(node >= 0);
    return node;
}

static void cells(const char *path, const char *name, const uint32_t *value, unsigned count) {
    fdt32_t out[40];
    for (unsigned i = 0; i < count; i++)
        out[i] = cpu_to_fdt32(value[i]);
    assert_int_equal(fdt_setprop(blob, find(path), name, out, (int)(count * 4)), 0);
}
#define CELLS(path, name, ...)                                                                               \
    cells(path, name, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / 4)

static void string(const char *path, const char *name, const char *value) {
    assert_int_equal(fdt_setprop_string(blob, find(path), name, value), 0);
}

/* The tree that QEMU's ppce500 makes, as far as it counts. */
static void tree_make(void) {
    memset(blob, 0, sizeof(blob));
    assert_int_equal(fdt_create_empty_tree(blob, sizeof(blob)), 0);
    CELLS("/", "#address-cells", 2);
    CELLS("/", "#size-cells", 2);
    add(0, "memory");
    string("/memory", "device_type", "memory");
    CELLS("/memory", "reg", 0, 0, 0, 0x10000000);
    add(0, "cpus");
    CELLS("/cpus", "#address-cells", 1);
    CELLS("/cpus", "#size-cells", 0);
    add(find("/cpus"), "cpu@0");
    string("/cpus/cpu@0", "device_type", "cpu");
    CELLS("/cpus/cpu@0", "reg", 0);
    CELLS("/cpus/cpu@0", "timebase-frequency", 400000000);
    add(find("/cpus"), "cpu@1");
    string("/cpus/cpu@1", "device_type", "cpu");
    CELLS("/cpus/cpu@1", "reg", 1);
    CELLS("/cpus/cpu@1", "cpu-release-addr", 0xf, 0xef000020);
    add(0, "soc");
    string("/soc", "device_type", "soc");
    CELLS("/soc", "#address-cells", 1);
    CELLS("/soc", "#size-cells", 1);
    CELLS("/soc", "ranges", 0, 0xf, 0xe0000000, 0x100000);
    add(find("/soc"), "pic");
    string("/soc/pic", "device_type", "open-pic");
    CELLS("/soc/pic", "reg", 0x40000, 0x40000);
    CELLS("/soc/pic", "phandle", PIC);
    CELLS("/soc/pic", "#address-cells", 0);
    CELLS("/soc/pic", "#interrupt-cells", 2);
    add(find("/soc"), "serial");
    string("/soc/serial", "compatible", "ns16550");
    CELLS("/soc/serial", "reg", 0x4500, 0x100);
    CELLS("/soc/serial", "interrupts", 42, 2);
    CELLS("/soc/serial", "clock-frequency", 400000000);
    add(find("/soc"), "guts");
    assert_int_equal(fdt_setprop_empty(blob, find("/soc/guts"), "fsl,has-rstcr"), 0);
    CELLS("/soc/guts", "reg", 0xe0000, 0x1000);
    add(find("/soc"), "gpio");
    string("/soc/gpio", "compatible", "fsl,qoriq-gpio");
    CELLS("/soc/gpio", "reg", 0xff000, 0x1000);
    CELLS("/soc/gpio", "phandle", 0x8005);
    add(find("/soc"), "power-off");
    string("/soc/power-off", "compatible", "gpio-poweroff");
    CELLS("/soc/power-off", "gpios", 0x8005, 3, 0);
    add(0, "pci");
    string("/pci", "compatible", "fsl,mpc8540-pci");
    CELLS("/pci", "#address-cells", 3);
    CELLS("/pci", "#size-cells", 2);
    CELLS("/pci", "#interrupt-cells", 1);
    CELLS("/pci", "reg", 0xf, 0xe0008000, 0, 0x1000);
    CELLS("/pci", "bus-range", 0, 0xff);
    CELLS("/pci", "ranges", 0x1000000, 0, 0, 0xf, 0xe1000000, 0, 0x10000, /* ports, */
          0x2000000, 0, 0xe0000000, 0xc, 0, 0, 0x20000000);               /* memory */
    CELLS("/pci", "interrupt-map-mask", 0xf800, 0, 0, 7);
    CELLS("/pci", "interrupt-map", 0x800, 0, 0, 1, PIC, 2, 1, 0x800, 0, 0, 2, PIC, 3, 2, /* */
          0x1000, 0, 0, 1, PIC, 42, 1, 0xf800, 0, 0, 4, PIC, 4, 1);
    add(0, "chosen");
    string("/chosen", "stdout-path", "/soc/serial");
    string("/chosen", "bootargs", "selftest=safe");
    CELLS("/chosen", "linux,initrd-start", 0x4000000);
    CELLS("/chosen", "linux,initrd-end", 0x40186a0);
}

static const char *read(void) {
    return machine_read(blob, sizeof(blob), &machine);
}

static void test_tree(void **state) {
    (void)state;
    tree_make();
    assert_null(read());
    assert_int_equal(machine.memory_count, 1);
    assert_int_equal(machine.memory[0].size, 256 * MIB);
    assert_int_equal(machine.cpu_count, 2);
    /* Whichever comes first in the tree. */
    unsigned boot = machine.cpu[0].id == 0 ? 0 : 1;
    assert_int_equal(machine.cpu[boot].release, 0);
    assert_int_equal(machine.cpu[1 - boot].id, 1);
    assert_int_equal(machine.cpu[1 - boot].release, 0xfef000020ull);
    assert_int_equal(machine.timebase, 400000000);
    assert_int_equal(machine.ccsr, 0xfe0000000ull);
    assert_int_equal(machine.mpic, 0x40000);
    assert_int_equal(machine.uart, 0x4500);
    assert_int_equal(machine.uart_source, 42);
    assert_int_equal(machine.uart_clock, 400000000);
    assert_int_equal(machine.guts, 0xe0000);
    assert_int_equal(machine.gpio, 0xff000);
    assert_int_equal(machine.gpio_pin, 3);
    assert_int_equal(machine.bundle, 0x4000000);
    assert_int_equal(machine.bundle_size, 0x186a0);
    assert_string_equal(machine.arguments, "selftest=safe");
}

/* Devices that may be missing, or that are not where they could be reached. */
static void test_optional(void **state) {
    (void)state;
    tree_make();
    assert_int_equal(fdt_del_node(blob, find("/soc/serial")), 0);
    assert_int_equal(fdt_del_node(blob, find("/soc/guts")), 0);
    assert_int_equal(fdt_del_node(blob, find("/chosen")), 0);
    CELLS("/soc/gpio", "reg", 0xff001, 0x1000);
    assert_null(read());
    assert_int_equal(machine.uart, 0);
    assert_int_equal(machine.guts, 0);
    assert_int_equal(machine.gpio, 0);
    assert_int_equal(machine.bundle_size, 0);
    assert_string_equal(machine.arguments, "");
    tree_make();
    CELLS("/soc/power-off", "gpios", 0x8005, 32, 0);
    CELLS("/soc/serial", "reg", 0xfffffffe, 0x100);
    assert_null(read());
    assert_int_equal(machine.gpio, 0);
    assert_int_equal(machine.uart, 0);
    /* Cut to fit, with its NUL. */
    tree_make();
    char text[100];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    string("/chosen", "bootargs", text);
    assert_null(read());
    assert_int_equal(strlen(machine.arguments), MACHINE_ARGUMENTS - 1);
}

/* One property of the good tree changed, and what is said then. */
static void refused(const char *path, const char *name, const uint32_t *value, unsigned count,
                    const char *why) {
    tree_make();
    cells(path, name, value, count);
    const char *error = read();
    assert_non_null(error);
    assert_non_null(strstr(error, why));
}
#define REFUSED(why, path, name, ...)                                                                        \
    refused(path, name, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / 4, why)

static void test_refused(void **state) {
    (void)state;
    REFUSED("1 or 2 cells", "/", "#address-cells", 3);
    REFUSED("no memory", "/memory", "reg", 0, 0, 0, 0);
    REFUSED("36 bits", "/memory", "reg", 0xf, 0xf0000000, 0, 0x10001000);
    REFUSED("36 bits", "/memory", "reg", 0xffffffff, 0xfffff000, 0, 0x2000);
    REFUSED("without a number", "/cpus/cpu@1", "reg", MACHINE_CPUS);
    REFUSED("cpu-release-addr", "/cpus/cpu@1", "cpu-release-addr", 0xf, 0xef000021);
    REFUSED("time base", "/cpus/cpu@0", "timebase-frequency", 0);
    REFUSED("SoC whose registers", "/soc", "ranges", 0, 0xf, 0xe0000000);
    REFUSED("cannot be", "/soc", "ranges", 0, 0xf, 0xe0001000, 0x100000);
    REFUSED("cannot be", "/soc", "ranges", 0, 0xf, 0xe0000000, 0x80000);
    REFUSED("cannot be", "/soc", "ranges", 0x1000, 0xf, 0xe0000000, 0x100000);
    REFUSED("no interrupt controller", "/soc/pic", "reg", 0xe0000, 0x40000);
    REFUSED("initial RAM disk", "/chosen", "linux,initrd-end", 0x3000000);
    tree_make();
    assert_int_equal(fdt_del_node(blob, find("/soc")), 0);
    assert_string_equal(read(), "has no SoC");
    tree_make();
    assert_int_equal(fdt_del_node(blob, find("/cpus")), 0);
    assert_string_equal(read(), "has no /cpus");
    blob[0] ^= 1;
    assert_string_equal(read(), "is damaged");
    tree_make();
    assert_string_equal(machine_read(blob, sizeof(struct fdt_header), &machine), "is damaged");
}

static void test_pci(void **state) {
    (void)state;
    const struct machine_pci *pci = &machine.pci;
    tree_make();
    assert_null(read());
    assert_null(pci->wrong);
    assert_int_equal(pci->offset, 0x8000);
    assert_int_equal(pci->bus, 0);
    assert_int_equal(pci->bus_address, 0xe0000000);
    assert_true(pci->address == 0xc00000000ull && pci->size == 512 * MIB);
    assert_true(pci->pin[1][0].known && pci->pin[1][0].source == 2 && pci->pin[1][0].low);
    assert_true(pci->pin[1][1].known && pci->pin[1][1].source == 3 && !pci->pin[1][1].low);
    assert_true(pci->pin[31][3].known && pci->pin[31][3].source == 4);
    assert_false(pci->pin[1][2].known);
    assert_false(pci->pin[2][0].known); /* it would be the serial port's */
    /* All slots alike; edges are not taken; what is of another controller ends the list. */
    CELLS("/pci", "interrupt-map-mask", 0, 0, 0, 7);
    CELLS("/pci", "interrupt-map", 0, 0, 0, 1, PIC, 7, 1, 0, 0, 0, 2, PIC, 8, 0, 0, 0, 0, 1, PIC, 9, 1, /* */
          0, 0, 0, 3, 1, 1, 1, 0, 0, 0, 4, PIC, 1, 1);
    assert_null(read());
    for (unsigned slot = 0; slot < MACHINE_PCI_SLOTS; slot++) {
        assert_true(pci->pin[slot][0].known && pci->pin[slot][0].source == 7);
        assert_false(pci->pin[slot][1].known || pci->pin[slot][2].known || pci->pin[slot][3].known);
    }
    CELLS("/pci", "interrupt-map", 0, 0, 0, 1, PIC, 1024, 1, 0, 0, 0, 2, PIC, 8);
    assert_null(read());
    assert_false(pci->pin[0][0].known || pci->pin[0][1].known);
    CELLS("/soc/pic", "#interrupt-cells", 1);
    assert_null(read());
    assert_true(pci->offset && !pci->pin[0][0].known);
    /* As much as a window can show. */
    CELLS("/pci", "ranges", 0x42000000, 0, 0xe0100000, 0xc, 0x100000, 0, 0x300000, /* */
          0x2000000, 0, 0xc0000000, 0xc, 0x00400000, 0, 0x30000000);
    CELLS("/pci", "bus-range", 3, 7);
    assert_null(read());
    assert_true(pci->size == 4 * MIB && pci->bus_address == 0xc0000000 && pci->bus == 3);
    assert_int_equal(fdt_del_node(blob, find("/pci")), 0);
    assert_null(read());
    assert_true(!pci->offset && !pci->wrong);
}

/* One property of the good tree's bridge changed, and what is said then; the machine goes on without. */
static void bridge_refused(const char *name, const uint32_t *value, unsigned count, const char *why) {
    tree_make();
    cells("/pci", name, value, count);
    assert_null(read());
    assert_int_equal(machine.pci.offset, 0);
    assert_non_null(machine.pci.wrong);
    assert_non_null(strstr(machine.pci.wrong, why));
}
#define BRIDGE_REFUSED(why, name, ...)                                                                       \
    bridge_refused(name, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / 4, why)

static void test_pci_refused(void **state) {
    (void)state;
    BRIDGE_REFUSED("of the form", "#address-cells", 2);
    BRIDGE_REFUSED("of the form", "#size-cells", 1);
    BRIDGE_REFUSED("of the form", "#interrupt-cells", 2);
    BRIDGE_REFUSED("registers", "reg", 0xf);
    BRIDGE_REFUSED("registers", "reg", 0xf, 0xe0100000, 0, 0x1000);
    BRIDGE_REFUSED("registers", "reg", 0xf, 0xe0008800, 0, 0x1000);
    BRIDGE_REFUSED("registers", "reg", 0xf, 0xdffff000, 0, 0x1000);
    BRIDGE_REFUSED("memory", "ranges", 0x2000000, 0, 0xe0000000, 0xc, 0, 0);
    BRIDGE_REFUSED("memory", "ranges", 0x2000000, 0, 0xe0000000, 0xc, 0, 0, 0x100000);
    BRIDGE_REFUSED("memory", "ranges", 0x2000000, 1, 0xe0000000, 0xc, 0, 0, 0x20000000);
    BRIDGE_REFUSED("memory", "ranges", 0x2000000, 0, 0xe0000000, 0x1c, 0, 0, 0x20000000);
    BRIDGE_REFUSED("memory", "ranges", 0x2000000, 0, 0xe0080000, 0xc, 0x80000, 0, 0x20000000);
    BRIDGE_REFUSED("memory", "ranges", 0x2000000, 0, 0, 0xc, 0, 0, 0x20000000);
    BRIDGE_REFUSED("memory", "ranges", 0x3000000, 0, 0xe0000000, 0xc, 0, 0, 0x20000000);
    /* Over RAM, over the SoC's registers. */
    BRIDGE_REFUSED("memory", "ranges", 0x2000000, 0, 0x8000000, 0, 0x8000000, 0, 0x8000000);
    BRIDGE_REFUSED("memory", "ranges", 0x2000000, 0, 0xe0000000, 0xf, 0xe0000000, 0, 0x10000000);
    BRIDGE_REFUSED("memory", "ranges", 0x2000000, 0, 0x80000000, 0xf, 0x80000000, 0xffffffff, 0xffffffff);
}

static struct memory_range ranges[8];

static void test_usable(void **state) {
    (void)state;
    memset(&machine, 0, sizeof(machine));
    machine.memory_count = 2;
    machine.memory[0] = (struct memory_range){.base = 512 * MIB, .size = 64 * MIB};
    machine.memory[1] = (struct memory_range){.base = 0, .size = 256 * MIB};
    machine.reserved_count = 2;
    machine.reserved[0] = (struct memory_range){.base = 100 * MIB + 1, .size = 1};
    machine.reserved[1] = (struct memory_range){.base = 570 * MIB, .size = 100 * MIB};
    machine.bundle = 64 * MIB;
    machine.bundle_size = MIB + 1;
    assert_int_equal(memory_map_usable(&machine, 4 * MIB, ranges, 8), 4);
    assert_int_equal(ranges[0].base, 4 * MIB);
    assert_int_equal(ranges[0].size, 60 * MIB);
    assert_int_equal(ranges[1].base, 65 * MIB + PAGE_SIZE);
    assert_int_equal(ranges[1].base + ranges[1].size, 100 * MIB);
    assert_int_equal(ranges[2].base, 100 * MIB + PAGE_SIZE);
    assert_int_equal(ranges[2].base + ranges[2].size, 256 * MIB);
    assert_int_equal(ranges[3].base, 512 * MIB);
    assert_int_equal(ranges[3].size, 58 * MIB);
    /* Too many for the caller: the first ones. */
    assert_int_equal(memory_map_usable(&machine, 4 * MIB, ranges, 2), 2);
    assert_int_equal(ranges[1].base, 65 * MIB + PAGE_SIZE);
    /* Told twice: it counts once. */
    machine.memory[0] = (struct memory_range){.base = 128 * MIB, .size = 128 * MIB};
    assert_int_equal(memory_map_usable(&machine, 4 * MIB, ranges, 8), 3);
    uint64_t total = 0;
    for (unsigned i = 0; i < 3; i++)
        total += ranges[i].size;
    assert_int_equal(total, 252 * MIB - MIB - 2 * PAGE_SIZE);
    machine.reserved[1] = (struct memory_range){.base = 0, .size = 256 * MIB};
    assert_int_equal(memory_map_usable(&machine, 4 * MIB, ranges, 8), 0);
}

static void test_heap(void **state) {
    (void)state;
    struct memory_range heap;
    struct memory_range plain = {.base = 4 * MIB, .size = 252 * MIB};
    assert_true(memory_map_heap(&plain, 1, &heap));
    assert_int_equal(heap.base, 240 * MIB);
    assert_int_equal(heap.size, 16 * MIB);
    struct memory_range large = {.base = 4 * MIB, .size = 1020 * MIB};
    assert_true(memory_map_heap(&large, 1, &heap));
    assert_int_equal(heap.base, 960 * MIB);
    assert_int_equal(heap.size, 64 * MIB);
    /* Not at the end, which is not aligned. */
    struct memory_range ragged = {.base = 4 * MIB, .size = 150 * MIB};
    assert_true(memory_map_heap(&ragged, 1, &heap));
    assert_int_equal(heap.base, 128 * MIB);
    /* No aligned place of the size that is wanted: a smaller one. */
    struct memory_range pieces[16];
    for (unsigned i = 0; i < 16; i++)
        pieces[i] = (struct memory_range){.base = (16 * i + 4) * MIB, .size = 9 * MIB};
    assert_true(memory_map_heap(pieces, 16, &heap));
    assert_int_equal(heap.size, 4 * MIB);
    assert_int_equal(heap.base, (16 * 15 + 8) * MIB);
    struct memory_range small = {.base = MIB, .size = 6 * MIB};
    assert_false(memory_map_heap(&small, 1, &heap));
    assert_false(memory_map_heap(NULL, 0, &heap));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree),        cmocka_unit_test(test_optional), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_usable),      cmocka_unit_test(test_heap),     cmocka_unit_test(test_pci),
        cmocka_unit_test(test_pci_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
