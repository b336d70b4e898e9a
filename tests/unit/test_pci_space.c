// SPDX-License-Identifier: Apache-2.0
// What configuration spaces say: BARs, capabilities, messages, bridges; and what is said that cannot be.
// unit-sources: lib/pci.c
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "lib/pci.h"

static uint8_t space[PCI_SPACE];
static struct pci_range range[PCI_BARS];

static void put32(unsigned offset, uint32_t value) {
    memcpy(space + offset, &value, 4);
}

static int setup(void **state) {
    (void)state;
    memset(space, 0, sizeof(space));
    memset(range, 0, sizeof(range));
    return 0;
}

static void test_identity(void **state) {
    (void)state;
    space[PCI_HEADER_TYPE] = 0x81;
    assert_int_equal(pci_space_layout(space), 1);
    assert_true(pci_space_multi(space));
    space[PCI_HEADER_TYPE] = 0;
    assert_false(pci_space_multi(space));
    assert_int_equal(pci_space_layout(space), 0);
    assert_string_equal(pci_class_name(0x010802), "NVMe disk");
    assert_string_equal(pci_class_name(0x010900), "mass storage");
    assert_string_equal(pci_class_name(0x020000), "Ethernet card");
    assert_string_equal(pci_class_name(0x060400), "PCI bridge");
    assert_string_equal(pci_class_name(0xffffff), "other");
}

/* Decodes register `index` of two; how many it takes. */
static unsigned decode(uint32_t value, uint32_t mask, uint32_t value2, uint32_t mask2,
                       struct pci_range *out) {
    const uint32_t values[] = {value, value2}, masks[] = {mask, mask2};
    memset(out, 0xff, sizeof(*out));
    return pci_range_decode(values, masks, 2, 0, out);
}

static void test_ranges(void **state) {
    struct pci_range r;
    (void)state;
    assert_int_equal(decode(0xfebf0000, 0xfffff000, 0, 0, &r), 1);
    assert_true(r.kind == PCI_RANGE_MEMORY && r.address == 0xfebf0000 && r.size == 0x1000 && !r.wide);
    assert_int_equal(decode(0xfebf0000, 0xfffffff0, 0, 0, &r), 1);
    assert_true(r.kind == PCI_RANGE_MEMORY && r.size == 16);
    assert_int_equal(decode(0x80000008, 0x80000008, 0, 0, &r), 1);
    assert_true(r.kind == PCI_RANGE_MEMORY && r.address == 0x80000000 && r.size == 0x80000000);
    assert_int_equal(decode(0xc0a1, 0xffffffe1, 0, 0, &r), 1);
    assert_true(r.kind == PCI_RANGE_IO && r.address == 0xc0a0 && r.size == 0x20);
    assert_int_equal(decode(0xc0a1, 0xffe1, 0, 0, &r), 1);
    assert_true(r.kind == PCI_RANGE_IO && r.size == 0x20);
    assert_int_equal(decode(0x0000400c, 0xffffc00c, 0x38, 0xffffffff, &r), 2);
    assert_true(r.kind == PCI_RANGE_MEMORY && r.wide && r.address == 0x3800004000ull && r.size == 0x4000);
    assert_int_equal(decode(0x0000000c, 0x0000000c, 0x38, 0xfffffff8, &r), 2);
    assert_true(r.kind == PCI_RANGE_MEMORY && r.address == 0x3800000000ull && r.size == 0x800000000ull);
    /* Nothing there, or no sense in it. */
    assert_int_equal(decode(0, 0, 0, 0, &r), 1);
    assert_int_equal(r.kind, PCI_RANGE_NONE);
    assert_int_equal(decode(0xfebf0000, 0xff00f000, 0, 0, &r), 1);
    assert_int_equal(r.kind, PCI_RANGE_NONE);
    assert_int_equal(decode(0xfebf1000, 0xffffe000, 0, 0, &r), 1);
    assert_int_equal(r.kind, PCI_RANGE_NONE);
    assert_int_equal(decode(4, 0xfffff004, 0, 0x00ffffff, &r), 2);
    assert_int_equal(r.kind, PCI_RANGE_NONE);
    assert_int_equal(decode(0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, &r), 1);
    assert_int_not_equal(r.kind, PCI_RANGE_MEMORY);
    const uint32_t last = 0xfebf0004, mask = 0xfffff004;
    assert_int_equal(pci_range_decode(&last, &mask, 1, 0, &r), 1); /* its other half is not there */
    assert_int_equal(r.kind, PCI_RANGE_NONE);
    assert_int_equal(pci_range_decode(&last, &mask, 1, 1, &r), 1);
    assert_int_equal(r.kind, PCI_RANGE_NONE);
}

static void test_capabilities(void **state) {
    (void)state;
    space[PCI_CAPABILITIES] = 0x43; /* two bits are reserved */
    space[0x40] = 0x09, space[0x41] = 0x60;
    space[0x60] = 0x05, space[0x61] = 0x50;
    space[0x50] = 0x09, space[0x51] = 0;
    assert_int_equal(pci_space_capability(space, 9, 0), 0); /* no list */
    space[PCI_STATUS] = 0x10;
    assert_int_equal(pci_space_capability(space, 9, 0), 0x40);
    assert_int_equal(pci_space_capability(space, 9, 0x40), 0x50);
    assert_int_equal(pci_space_capability(space, 9, 0x50), 0);
    assert_int_equal(pci_space_capability(space, 5, 0), 0x60);
    assert_int_equal(pci_space_capability(space, 5, 0x60), 0);
    assert_int_equal(pci_space_capability(space, 5, 0x44), 0); /* is not in it */
    space[0x51] = 0x40;
    assert_int_equal(pci_space_capability(space, 0x10, 0), 0); /* a loop */
    assert_int_equal(pci_space_capability(space, 0x10, 0x44), 0);
    space[0x51] = 0x3c;
    assert_int_equal(pci_space_capability(space, 0x10, 0), 0); /* leaves it */
    memset(space, 0xff, sizeof(space));
    assert_int_equal(pci_space_capability(space, 0x10, 0), 0);
}

static void test_messages(void **state) {
    struct pci_msi msi;
    struct pci_msix msix;
    bool reset;
    (void)state;
    space[PCI_STATUS] = 0x10;
    assert_false(pci_msi_read(space, &msi));
    assert_false(pci_msix_read(space, range, &msix));
    assert_int_equal(pci_express_read(space, &reset), 0);
    space[PCI_CAPABILITIES] = 0x40;
    put32(0x40, 0x018a5005); /* 64 bits, masking, 32 messages */
    assert_true(pci_msi_read(space, &msi));
    assert_true(msi.offset == 0x40 && msi.count == 32 && msi.data == 0x4c && msi.masking == 0x50 && msi.wide);
    put32(0x40, 0x00025005);
    assert_true(pci_msi_read(space, &msi));
    assert_true(msi.count == 2 && msi.data == 0x48 && !msi.masking && !msi.wide);
    put32(0x40, 0x000c5005);
    assert_false(pci_msi_read(space, &msi)); /* 64 messages */
    space[PCI_CAPABILITIES] = 0xf0;
    put32(0xf0, 0x01800005);
    assert_false(pci_msi_read(space, &msi)); /* does not fit */
    put32(0xf0, 0x00800005);
    assert_true(pci_msi_read(space, &msi));

    space[PCI_CAPABILITIES] = 0x50;
    range[4] = (struct pci_range){.address = 0xfe000000, .size = 0x4000, .kind = PCI_RANGE_MEMORY};
    put32(0x50, 0x00406011); /* 65 entries */
    put32(0x54, 0x2004);
    put32(0x58, 0x3004);
    assert_true(pci_msix_read(space, range, &msix));
    assert_true(msix.offset == 0x50 && msix.count == 65 && msix.bar == 4 && msix.table == 0x2000);
    put32(0x54, 0x3bf0 | 4);
    assert_true(pci_msix_read(space, range, &msix));
    put32(0x54, 0x3bf8 | 4);
    assert_false(pci_msix_read(space, range, &msix));
    put32(0x54, 0x2004);
    put32(0x58, 0x3ff8 | 4);
    assert_false(pci_msix_read(space, range, &msix)); /* two words of pending bits */
    put32(0x58, 0x3005);
    assert_false(pci_msix_read(space, range, &msix));
    put32(0x58, 0x3007);
    assert_false(pci_msix_read(space, range, &msix));
    put32(0x58, 0xfffffffc);
    assert_false(pci_msix_read(space, range, &msix));
    put32(0x58, 0x3004);
    range[4].kind = PCI_RANGE_IO;
    assert_false(pci_msix_read(space, range, &msix));
    space[PCI_CAPABILITIES] = 0xf8;
    put32(0xf8, 0x00000011);
    assert_false(pci_msix_read(space, range, &msix));

    space[PCI_CAPABILITIES] = 0x60;
    put32(0x60, 0x00020010);
    put32(0x64, 0x10000000);
    assert_int_equal(pci_express_read(space, &reset), 0x60);
    assert_true(reset);
    put32(0x64, 0xefffffff);
    assert_int_equal(pci_express_read(space, &reset), 0x60);
    assert_false(reset);
    space[PCI_CAPABILITIES] = 0xf8;
    put32(0xf8, 0x00020010);
    assert_int_equal(pci_express_read(space, &reset), 0);
}

static void test_bridges(void **state) {
    struct pci_bridge bridge;
    (void)state;
    put32(0x18, 0x00050302);
    assert_false(pci_bridge_read(space, 2, &bridge));
    space[PCI_HEADER_TYPE] = 0x81;
    assert_true(pci_bridge_read(space, 2, &bridge));
    assert_true(bridge.primary == 2 && bridge.secondary == 3 && bridge.subordinate == 5);
    assert_false(pci_bridge_read(space, 3, &bridge)); /* to its own bus, and back */
    assert_false(pci_bridge_read(space, 9, &bridge));
    put32(0x18, 0x00020300);
    assert_false(pci_bridge_read(space, 0, &bridge));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(test_identity), TEST(test_ranges),  TEST(test_capabilities),
        TEST(test_messages), TEST(test_bridges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
