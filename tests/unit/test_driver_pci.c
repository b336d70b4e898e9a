// SPDX-License-Identifier: Apache-2.0
// PCI functions as drivers see them: lists of capabilities that loop, BARs and what may be mapped of them,
// registers of either byte order, the host's errors.
// unit-sources: drivers/pci/pci.c lib/pci.c drivers/pci/pci_io.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "drivers/pci/pci.h"

static struct service_pci info;
static struct pci_device device;
static int host_result;
static unsigned maps, unmasks, masters;
static uint8_t registers[0x10000] __attribute__((aligned(8)));

static int claim(unsigned number) {
    assert_int_equal(number, 3);
    return host_result;
}
static int master(unsigned number, bool on) {
    assert_int_equal(number, 3);
    masters += on;
    return host_result;
}
static int vectors(unsigned number, unsigned wanted) {
    assert_int_equal(number, 3);
    return host_result < 0 ? host_result : wanted < 4 ? (int)wanted : 4;
}
static bool mine;
static int unmask(unsigned number, bool had_reason) {
    assert_int_equal(number, 3);
    unmasks++;
    mine = had_reason;
    return host_result;
}
static void *map(uint64_t physical, uint64_t size) {
    maps++;
    assert_int_equal(physical, 0xfe000000);
    assert_int_equal(size, sizeof(registers));
    return registers;
}
static const struct pci_host host = {
    .claim = claim, .master = master, .vectors = vectors, .unmask = unmask, .map = map};

static int setup(void **state) {
    (void)state;
    memset(&info, 0, sizeof(info));
    memset(registers, 0, sizeof(registers));
    host_result = 0;
    maps = unmasks = masters = 0;
    info.config[0] = 0xf4, info.config[1] = 0x1a, info.config[2] = 0x41, info.config[3] = 0x10;
    info.config[6] = 0x10; /* a list of capabilities */
    info.config[8] = 1, info.config[9] = 0x02, info.config[0xa] = 0x80, info.config[0xb] = 0x01;
    info.bar[4].address = 0xfe000000;
    info.bar[4].size = sizeof(registers);
    assert_int_equal(pci_claim(&device, &host, &info, 3), 0);
    return 0;
}

static void capability(unsigned at, uint8_t id, uint8_t next) {
    info.config[at] = id;
    info.config[at + 1] = next;
}

static void test_identity(void **state) {
    (void)state;
    assert_int_equal(pci_vendor(&device), 0x1af4);
    assert_int_equal(pci_id(&device), 0x1041);
    assert_int_equal(pci_class(&device), 0x018002);
    info.config[255] = 0x77;
    assert_int_equal(pci_config(&device, 255, 1), 0x77);
    assert_int_equal(pci_config(&device, 254, 4), 0);
    assert_int_equal(pci_config(&device, 256, 1), 0);
    assert_int_equal(pci_config(&device, UINT32_MAX, 4), 0);
    assert_int_equal(pci_config(&device, 0, 5), 0);
}

static void test_capabilities(void **state) {
    (void)state;
    info.config[0x34] = 0x43; /* the lowest two bits are not part of it */
    capability(0x40, 9, 0x50);
    capability(0x50, 5, 0x60);
    capability(0x60, 9, 0);
    assert_int_equal(pci_capability(&device, 9, 0), 0x40);
    assert_int_equal(pci_capability(&device, 9, 0x40), 0x60);
    assert_int_equal(pci_capability(&device, 9, 0x60), 0);
    assert_int_equal(pci_capability(&device, 5, 0), 0x50);
    assert_int_equal(pci_capability(&device, 7, 0), 0);
    assert_int_equal(pci_capability(&device, 9, 0x80), 0);
    /* A loop: the walk ends, and so does the walk of who asks for one after the other. */
    capability(0x60, 9, 0x40);
    assert_int_equal(pci_capability(&device, 9, 0x60), 0);
    assert_int_equal(pci_capability(&device, 7, 0), 0);
    capability(0x40, 9, 0x40);
    assert_int_equal(pci_capability(&device, 9, 0x40), 0);
    /* Into the header, and to the very end. */
    capability(0x40, 9, 0x10);
    assert_int_equal(pci_capability(&device, 9, 0x40), 0);
    capability(0x40, 1, 0xfc);
    capability(0xfc, 9, 0xff);
    assert_int_equal(pci_capability(&device, 9, 0), 0xfc);
    assert_int_equal(pci_capability(&device, 9, 0xfc), 0);
    info.config[6] = 0;
    assert_int_equal(pci_capability(&device, 9, 0), 0);
}

static void test_all_ones(void **state) {
    (void)state;
    memset(info.config, 0xff, sizeof(info.config));
    assert_int_equal(pci_capability(&device, 0xff, 0), 0xfc);
    assert_int_equal(pci_capability(&device, 0xff, 0xfc), 0);
    assert_int_equal(pci_capability(&device, 9, 0), 0);
}

static void test_map(void **state) {
    (void)state;
    assert_ptr_equal(pci_map(&device, 4, 0, sizeof(registers)), registers);
    assert_ptr_equal(pci_map(&device, 4, 0x1000, 0x38), registers + 0x1000);
    assert_int_equal(maps, 1); /* once for all */
    assert_ptr_equal(pci_map(&device, 4, sizeof(registers) - 1, 1), registers + sizeof(registers) - 1);
    assert_null(pci_map(&device, 4, sizeof(registers), 1));
    assert_null(pci_map(&device, 4, 1, sizeof(registers)));
    assert_null(pci_map(&device, 4, 16, UINT64_MAX - 8));
    assert_null(pci_map(&device, 4, UINT64_MAX, 2));
    assert_null(pci_map(&device, 4, 0, 0));
    assert_null(pci_map(&device, 3, 0, 1));
    assert_null(pci_map(&device, 6, 0, 1));
    assert_null(pci_map(&device, 255, 0, 1));
    info.bar[0].address = UINT64_MAX - 4095;
    info.bar[0].size = 8192;
    assert_null(pci_map(&device, 0, 0, 1));
    assert_int_equal(maps, 1);
}

static void test_msix_table(void **state) {
    (void)state;
    info.config[0x34] = 0x40;
    capability(0x40, 0x11, 0);
    info.config[0x42] = 255;                            /* 256 entries, a page */
    info.config[0x44] = 0x04, info.config[0x45] = 0x18; /* at 0x1800: two pages are touched */
    info.config[0x48] = 0x04;                           /* the pending bits are somewhere in the same BAR */
    assert_non_null(pci_map(&device, 4, 0, 0x1000));
    assert_null(pci_map(&device, 4, 0, 0x1001));
    assert_null(pci_map(&device, 4, 0x1000, 1));
    assert_null(pci_map(&device, 4, 0x2fff, 1));
    assert_non_null(pci_map(&device, 4, 0x3000, 1));
}

static void test_host(void **state) {
    (void)state;
    assert_int_equal(pci_set_vectors(&device, 9), 0);
    assert_int_equal(device.vectors, 4);
    pci_unmask(&device);
    assert_int_equal(unmasks, 1);
    assert_false(mine);
    pci_mine(&device);
    pci_unmask(&device);
    assert_true(mine);
    device.vectors = 1;
    host_result = -ENOENT;
    pci_unmask(&device);
    assert_false(mine);
    assert_int_equal(device.vectors, 1);
    host_result = -ENXIO; /* it has none any more */
    pci_unmask(&device);
    assert_int_equal(device.vectors, 0);
    host_result = 0;
    assert_int_equal(pci_set_master(&device, true), 0);
    assert_int_equal(masters, 1);
    host_result = -ENOENT;
    assert_int_equal(pci_set_vectors(&device, 1), -ENOENT);
    assert_int_equal(device.vectors, 0);
    assert_int_equal(pci_set_master(&device, true), -ENOENT);
    host_result = -EBUSY;
    assert_int_equal(pci_claim(&device, &host, &info, 3), -EBUSY);
}

static void test_registers(void **state) {
    static const uint8_t bytes[8] = {0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11};
    (void)state;
    pci_write64(registers, 0x1122334455667788ull);
    assert_memory_equal(registers, bytes, 8);
    assert_true(pci_read64(registers) == 0x1122334455667788ull);
    assert_int_equal(pci_read32(registers + 4), 0x11223344);
    assert_int_equal(pci_read16(registers + 2), 0x5566);
    assert_int_equal(pci_read8(registers + 7), 0x11);
    pci_write32(registers + 8, 0x01020304);
    pci_write16(registers + 12, 0x0506);
    pci_write8(registers + 14, 7);
    static const uint8_t more[7] = {4, 3, 2, 1, 6, 5, 7};
    assert_memory_equal(registers + 8, more, 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_identity, setup),   cmocka_unit_test_setup(test_capabilities, setup),
        cmocka_unit_test_setup(test_all_ones, setup),   cmocka_unit_test_setup(test_map, setup),
        cmocka_unit_test_setup(test_msix_table, setup), cmocka_unit_test_setup(test_host, setup),
        cmocka_unit_test_setup(test_registers, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
