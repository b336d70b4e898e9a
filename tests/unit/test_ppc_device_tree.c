// SPDX-License-Identifier: Apache-2.0
// The device tree that a PowerPC guest is started with: what a kernel looks for is there, and agrees with the
// board.
// unit-sources: arch/ppc/guest/device_tree.c
#include <errno.h>
#include <libfdt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/ppc/guest/board.h"
#include "arch/ppc/guest/device_tree.h"
#include "arch/ppc/guest/mpic.h"
#include "arch/ppc/guest/pci.h"
#include "devices/service_mmio.h"
#include "lib/config.h"

static uint8_t tree[DEVICE_TREE_SIZE] __attribute__((aligned(8)));
static struct config_guest config;
static struct vm machine;
static struct device_tree_facts facts;

static uint32_t places; /* of devices that are on no bus */

uint32_t service_mmio_places(const struct vm *vm) {
    assert_ptr_equal(vm, &machine);
    return places;
}

static int setup(void **state) {
    (void)state;
    places = 0;
    memset(&machine, 0, sizeof(machine));
    config = (struct config_guest){.memory = 96u << 20, .cmdline = "console=ttyS0,115200"};
    machine.config = &config;
    machine.vcpu_count = 2;
    facts = (struct device_tree_facts){.timebase_frequency = 400000000};
    return 0;
}

static void build(void) {
    int size = device_tree_build(&machine, &facts, tree, sizeof(tree));
    assert_true(size > 0);
    assert_int_equal(fdt_check_full(tree, (size_t)size), 0);
}

static const void *property(const char *path, const char *name, int *size) {
    int node = fdt_path_offset(tree, path);
    if (node < 0)
        fail_msg("no node %s", path);
    return fdt_getprop(tree, node, name, size);
}

static uint32_t cell(const char *path, const char *name, unsigned index) {
    int size;
    const uint8_t *value = property(path, name, &size);
    if (!value || (unsigned)size < 4 * index + 4)
        fail_msg("%s has no %s[%u]", path, name, index);
    return fdt32_ld((const fdt32_t *)(const void *)(value + 4 * index));
}

static uint64_t quad(const char *path, const char *name, unsigned index) {
    return (uint64_t)cell(path, name, index) << 32 | cell(path, name, index + 1);
}

static void is_text(const char *path, const char *name, const char *value, int size) {
    int found;
    const void *at = property(path, name, &found);
    assert_non_null(at);
    assert_int_equal(found, size);
    assert_memory_equal(at, value, (size_t)size);
}
#define IS_TEXT(path, name, value) is_text(path, name, value, sizeof(value))

static void has_not(const char *path, const char *name) {
    assert_null(property(path, name, NULL));
}

static void test_root(void **state) {
    (void)state;
    build();
    IS_TEXT("/", "compatible", "fsl,qemu-e500");
    assert_int_equal(cell("/", "#address-cells", 0), 2);
    assert_int_equal(cell("/", "#size-cells", 0), 2);
    IS_TEXT("/memory@0", "device_type", "memory");
    assert_int_equal(quad("/memory@0", "reg", 0), 0);
    assert_int_equal(quad("/memory@0", "reg", 2), 96u << 20);
    config.memory = 5ull << 30;
    build();
    assert_int_equal(quad("/memory@0", "reg", 2), 5ull << 30);
    assert_int_equal(fdt_num_mem_rsv(tree), 0);
}

static void test_chosen(void **state) {
    (void)state;
    build();
    IS_TEXT("/chosen", "bootargs", "console=ttyS0,115200");
    has_not("/chosen", "linux,initrd-start");
    const char *path = property("/chosen", "stdout-path", NULL);
    assert_string_equal(path, property("/aliases", "serial0", NULL));
    assert_true(fdt_path_offset(tree, path) > 0);
    assert_true(fdt_path_offset(tree, "pci0") > 0);
    facts.initrd = 0x3000000;
    facts.initrd_size = 0x1234;
    config.cmdline = "";
    build();
    assert_int_equal(quad("/chosen", "linux,initrd-start", 0), 0x3000000);
    assert_int_equal(quad("/chosen", "linux,initrd-end", 0), 0x3001234);
    IS_TEXT("/chosen", "bootargs", "");
}

static void test_cpus(void **state) {
    (void)state;
    build();
    assert_int_equal(cell("/cpus", "#address-cells", 0), 1);
    assert_int_equal(cell("/cpus", "#size-cells", 0), 0);
    IS_TEXT("/cpus/PowerPC,8544@0", "device_type", "cpu");
    IS_TEXT("/cpus/PowerPC,8544@0", "status", "okay");
    has_not("/cpus/PowerPC,8544@0", "enable-method");
    assert_int_equal(cell("/cpus/PowerPC,8544@0", "timebase-frequency", 0), 400000000);
    assert_int_equal(cell("/cpus/PowerPC,8544@0", "d-cache-line-size", 0), 32);
    IS_TEXT("/cpus/PowerPC,8544@1", "status", "disabled");
    IS_TEXT("/cpus/PowerPC,8544@1", "enable-method", "spin-table");
    assert_int_equal(cell("/cpus/PowerPC,8544@1", "reg", 0), 1);
    assert_int_equal(quad("/cpus/PowerPC,8544@1", "cpu-release-addr", 0), BOARD_SPIN + 32);
    assert_true(fdt_path_offset(tree, "/cpus/PowerPC,8544@2") < 0);
    facts.timebase_frequency = 5000000000;
    build();
    assert_int_equal(quad("/cpus/PowerPC,8544@1", "timebase-frequency", 0), 5000000000);
}

static void test_soc(void **state) {
    (void)state;
    build();
    const char *soc = "/soc@fe0000000";
    IS_TEXT(soc, "compatible", "fsl,mpc8544-immr\0simple-bus");
    IS_TEXT(soc, "device_type", "soc");
    assert_int_equal(cell(soc, "ranges", 0), 0);
    assert_int_equal(quad(soc, "ranges", 1), BOARD_CCSR);
    assert_int_equal(cell(soc, "ranges", 3), BOARD_CCSR_SIZE);
    const char *pic = "/soc@fe0000000/pic@40000";
    IS_TEXT(pic, "compatible", "fsl,mpic");
    IS_TEXT(pic, "device_type", "open-pic");
    assert_int_equal(cell(pic, "reg", 0), BOARD_MPIC);
    assert_int_equal(cell(pic, "reg", 1), MPIC_SIZE);
    assert_int_equal(cell(pic, "#interrupt-cells", 0), 2);
    assert_non_null(property(pic, "interrupt-controller", NULL));
    uint32_t phandle = cell(pic, "phandle", 0);
    static const struct {
        const char *path;
        uint32_t reg, interrupt, sense;
    } devices[] = {
        {"/soc@fe0000000/serial@4500", BOARD_UART, BOARD_UART_IRQ, 2},
        {"/soc@fe0000000/gpio@ff000", BOARD_GPIO, BOARD_GPIO_IRQ, 2},
        {"/soc@fe0000000/msi@41600", BOARD_MSI, MPIC_MSI, 0},
    };
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(cell(devices[i].path, "reg", 0), devices[i].reg);
        assert_int_equal(cell(devices[i].path, "interrupts", 0), devices[i].interrupt);
        assert_int_equal(cell(devices[i].path, "interrupts", 1), devices[i].sense);
        assert_int_equal(cell(devices[i].path, "interrupt-parent", 0), phandle);
    }
    assert_int_equal(cell("/soc@fe0000000/msi@41600", "interrupts", 14), MPIC_MSI + 7);
    IS_TEXT("/soc@fe0000000/global-utilities@e0000", "compatible", "fsl,mpc8544-guts");
    assert_non_null(property("/soc@fe0000000/global-utilities@e0000", "fsl,has-rstcr", NULL));
    assert_int_equal(cell("/soc@fe0000000/power-off", "gpios", 0),
                     cell("/soc@fe0000000/gpio@ff000", "phandle", 0));
    assert_int_equal(cell("/soc@fe0000000/power-off", "gpios", 1), BOARD_PIN_OFF);
}

static void test_mmio_devices(void **state) {
    (void)state;
    build();
    assert_true(fdt_path_offset(tree, "/virtio@fe2000000") < 0);
    places = 1u << SERVICE_MMIO_NET | 1u << SERVICE_MMIO_CONSOLE;
    build();
    const char *bus = "/virtio@fe2000000";
    IS_TEXT(bus, "compatible", "simple-bus");
    assert_int_equal(cell(bus, "#address-cells", 0), 1);
    assert_int_equal(cell(bus, "#size-cells", 0), 1);
    assert_int_equal(cell(bus, "ranges", 0), 0);
    assert_int_equal(quad(bus, "ranges", 1), BOARD_MMIO);
    assert_true(cell(bus, "ranges", 3) >= SERVICE_MMIO_PLACES * 0x1000);
    static const struct {
        const char *path;
        uint32_t place;
    } devices[] = {{"/virtio@fe2000000/virtio@0", 0}, {"/virtio@fe2000000/virtio@11000", 17}};
    for (unsigned i = 0; i < 2; i++) {
        IS_TEXT(devices[i].path, "compatible", "virtio,mmio");
        assert_int_equal(cell(devices[i].path, "reg", 0), devices[i].place * 0x1000);
        assert_int_equal(cell(devices[i].path, "reg", 1), 0x1000);
        assert_int_equal(cell(devices[i].path, "interrupts", 0), BOARD_MMIO_IRQ + devices[i].place);
        assert_int_equal(cell(devices[i].path, "interrupts", 1), 2);
        assert_int_equal(cell(devices[i].path, "interrupt-parent", 0),
                         cell("/soc@fe0000000/pic@40000", "phandle", 0));
    }
    assert_true(fdt_path_offset(tree, "/virtio@fe2000000/virtio@1000") < 0);
}

static void test_pci(void **state) {
    (void)state;
    build();
    const char *pci = "/pci@fe0008000";
    IS_TEXT(pci, "compatible", "fsl,mpc8540-pci");
    assert_int_equal(quad(pci, "reg", 0), BOARD_CCSR + BOARD_PCI);
    assert_int_equal(cell(pci, "ranges", 0), 0x02000000);
    assert_int_equal(quad(pci, "ranges", 1), BOARD_PCI_MEMORY_BUS);
    assert_int_equal(quad(pci, "ranges", 3), BOARD_PCI_MEMORY);
    assert_int_equal(quad(pci, "ranges", 5), BOARD_PCI_MEMORY_SIZE);
    assert_int_equal(cell(pci, "ranges", 7), 0x01000000);
    assert_int_equal(quad(pci, "ranges", 10), BOARD_PCI_IO);
    assert_int_equal(quad(pci, "ranges", 12), BOARD_PCI_IO_SIZE);
    assert_int_equal(cell(pci, "fsl,msi", 0), cell("/soc@fe0000000/msi@41600", "phandle", 0));
}

/* What a kernel finds for a slot's pin (Devicetree Specification 0.4, 2.4.3). */
static void test_pci_pins(void **state) {
    (void)state;
    build();
    const char *pci = "/pci@fe0008000";
    int size;
    property(pci, "interrupt-map", &size);
    assert_int_equal(size, 16 * 7 * 4);
    assert_int_equal(cell(pci, "#interrupt-cells", 0), 1);
    assert_int_equal(cell("/soc@fe0000000/pic@40000", "#address-cells", 0), 0);
    for (unsigned slot = 0; slot < 32; slot++) {
        for (unsigned pin = 1; pin <= 4; pin++) {
            const uint32_t unit[4] = {slot << 11, 0, 0, pin};
            unsigned found = 0;
            for (unsigned entry = 0; entry < 16; entry++) {
                bool match = true;
                for (unsigned i = 0; i < 4; i++)
                    match &= (unit[i] & cell(pci, "interrupt-map-mask", i)) ==
                             cell(pci, "interrupt-map", 7 * entry + i);
                if (!match)
                    continue;
                found++;
                assert_int_equal(cell(pci, "interrupt-map", 7 * entry + 4),
                                 cell("/soc@fe0000000/pic@40000", "phandle", 0));
                assert_int_equal(cell(pci, "interrupt-map", 7 * entry + 5), pci_pin_source(slot, pin - 1));
                assert_int_equal(cell(pci, "interrupt-map", 7 * entry + 6), 1); /* low */
            }
            assert_int_equal(found, 1);
        }
    }
}

static void test_hypervisor(void **state) {
    (void)state;
    build();
    IS_TEXT("/hypervisor", "compatible", "linux,kvm\0epapr,hypervisor");
    assert_int_equal(cell("/hypervisor", "hcall-instructions", 0), 0x3c004b56); /* lis r0, 0x4b56 */
    assert_int_equal(cell("/hypervisor", "hcall-instructions", 1), 0x60004d21); /* ori r0, r0, 0x4d21 */
    assert_int_equal(cell("/hypervisor", "hcall-instructions", 2), 0x44000002); /* sc */
    assert_int_equal(cell("/hypervisor", "hcall-instructions", 3), 0x60000000); /* nop */
    assert_non_null(property("/hypervisor", "has-idle", NULL));
}

static void test_no_console(void **state) {
    (void)state;
    config.console = CONFIG_CONSOLE_NONE;
    build();
    has_not("/chosen", "stdout-path");
    has_not("/aliases", "serial0");
    assert_true(fdt_path_offset(tree, "/soc@fe0000000/serial@4500") < 0);
}

/* The largest tree there is fits; no size of buffer is written beyond. */
static void test_size(void **state) {
    (void)state;
    static char cmdline[CONFIG_MAX_CMDLINE + 1];
    memset(cmdline, 'x', CONFIG_MAX_CMDLINE);
    config.cmdline = cmdline;
    machine.vcpu_count = VM_MAX_VCPUS;
    places = (1u << SERVICE_MMIO_PLACES) - 1;
    facts = (struct device_tree_facts){5000000000, 0x1000000, 0x1000000};
    build();
    int size = (int)fdt_totalsize(tree);
    for (int room = 0; room < size; room += 7) {
        uint8_t *small = aligned_alloc(8, ((size_t)room + 15) & ~7ull);
        assert_int_equal(device_tree_build(&machine, &facts, small, (size_t)room), -ENOSPC);
        free(small);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_root, setup),       cmocka_unit_test_setup(test_chosen, setup),
        cmocka_unit_test_setup(test_cpus, setup),       cmocka_unit_test_setup(test_soc, setup),
        cmocka_unit_test_setup(test_pci, setup),        cmocka_unit_test_setup(test_pci_pins, setup),
        cmocka_unit_test_setup(test_hypervisor, setup), cmocka_unit_test_setup(test_no_console, setup),
        cmocka_unit_test_setup(test_size, setup),       cmocka_unit_test_setup(test_mmio_devices, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
