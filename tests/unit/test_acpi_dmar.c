// SPDX-License-Identifier: Apache-2.0
// The DMAR table as firmware makes it: units, device scopes through bridges, reserved memory, root ports, and
// what is answered from them.
// unit-sources: lib/acpi.c lib/acpi_dmar.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "lib/acpi_dmar.h"
#include "tests/unit/dmar_build.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct acpi_dmar dmar;

static const struct acpi_dmar_unit *unit_at(uint16_t segment, uint8_t bus, uint8_t devfn) {
    return acpi_dmar_find_unit(&dmar, segment, bus, devfn);
}

/* QEMU 7.2, q35 with intel-iommu,intremap=on and two PCI Express ports: it has no INCLUDE_PCI_ALL, and the
 * I/O APIC at ff:00.0. */
static void reads_that_of_qemu(void **state) {
    static const struct {
        uint8_t type, devfn;
    } functions[] = {{1, 0},    {1, DMAR_DEVFN(1, 0)},    {2, DMAR_DEVFN(0x1c, 0)}, {2, DMAR_DEVFN(3, 0)},
                     {1, 0xf8}, {1, DMAR_DEVFN(0x1f, 2)}, {1, DMAR_DEVFN(0x1f, 3)}};
    uint16_t requester = 0;
    (void)state;
    dmar_begin(38, 1);
    dmar_add_unit(0xfed90000, 0, 0);
    dmar_add_scope(ACPI_DMAR_IOAPIC, 0, 0xff, 0);
    for (unsigned i = 0; i < COUNT(functions); i++)
        dmar_add_scope(functions[i].type, 0, 0, functions[i].devfn);
    assert_int_equal(acpi_build_length, 128);
    assert_int_equal(dmar_read_now(&dmar), 0);
    assert_int_equal(dmar.width, 39);
    assert_true(dmar.interrupt_remapping);
    assert_false(dmar.x2apic_opt_out);
    assert_false(dmar.dma_opt_in);
    assert_int_equal(dmar.unit_count, 1);
    assert_int_equal(dmar.unit[0].base, 0xfed90000);
    assert_int_equal(dmar.unit[0].size, 4096);
    assert_false(dmar.unit[0].all);
    assert_int_equal(dmar.scope_count, 8);
    assert_int_equal(dmar.absent_count, 1); /* 3.0 has nothing behind it */
    assert_ptr_equal(acpi_dmar_find_ioapic(&dmar, 0, &requester), &dmar.unit[0]);
    assert_int_equal(requester, 0xff00);
    assert_null(acpi_dmar_find_ioapic(&dmar, 1, &requester));
    assert_null(acpi_dmar_find_hpet(&dmar, 0, 0, &requester));
    for (unsigned i = 0; i < COUNT(functions); i++)
        assert_ptr_equal(unit_at(0, 0, functions[i].devfn), &dmar.unit[0]);
    for (unsigned bus = 1; bus < 256; bus++)
        assert_int_equal(unit_at(0, (uint8_t)bus, 0) != NULL, bus >= 5 && bus <= 9);
    assert_null(unit_at(0, 0, DMAR_DEVFN(2, 0)));
    assert_null(unit_at(1, 0, 0));
    assert_null(acpi_dmar_next_reserved(&dmar, 0, 0, 0, NULL));
    assert_false(acpi_dmar_allows_ats(&dmar, 0, 0, 0));
}

static void reads_that_of_a_workstation(void **state) {
    uint16_t requester = 0;
    (void)state;
    dmar_build_workstation();
    assert_int_equal(dmar_read_now(&dmar), 0);
    assert_int_equal(dmar.fault, ACPI_DMAR_NO_FAULT);
    assert_false(dmar.x2apic_opt_out);
    assert_true(dmar.dma_opt_in);
    assert_int_equal(dmar.unit_count, 2);
    assert_true(dmar.unit[1].all);
    assert_int_equal(dmar.absent_count, 0);
    assert_ptr_equal(unit_at(0, 0, DMAR_DEVFN(2, 0)), &dmar.unit[0]);
    assert_ptr_equal(unit_at(0, 0, DMAR_DEVFN(2, 1)), &dmar.unit[1]);
    assert_ptr_equal(unit_at(0, 0, DMAR_DEVFN(0x15, 0)), &dmar.unit[1]);
    assert_ptr_equal(unit_at(0, 200, 0), &dmar.unit[1]);
    assert_null(unit_at(1, 0, DMAR_DEVFN(2, 0)));
    assert_ptr_equal(acpi_dmar_find_ioapic(&dmar, 2, &requester), &dmar.unit[1]);
    assert_int_equal(requester, 0xf0f8);
    assert_ptr_equal(acpi_dmar_find_hpet(&dmar, 0, 0, &requester), &dmar.unit[1]);
    assert_int_equal(requester, 0xf07e);
    assert_ptr_equal(acpi_dmar_find_hpet(&dmar, 0, 1, &requester), &dmar.unit[1]);
    assert_int_equal(requester, 0xf07f);
    assert_null(acpi_dmar_find_hpet(&dmar, 0, 2, &requester));
    assert_int_equal(dmar.reserved_count, 2);
    const struct acpi_dmar_reserved *r = acpi_dmar_next_reserved(&dmar, 0, 0, DMAR_DEVFN(2, 0), NULL);
    assert_ptr_equal(r, &dmar.reserved[0]);
    assert_int_equal(r->base, 0x8b800000);
    assert_int_equal(r->limit, 0x8fffffff);
    r = acpi_dmar_next_reserved(&dmar, 0, 0, DMAR_DEVFN(2, 0), r);
    assert_ptr_equal(r, &dmar.reserved[1]);
    assert_null(acpi_dmar_next_reserved(&dmar, 0, 0, DMAR_DEVFN(2, 0), r));
    assert_ptr_equal(acpi_dmar_next_reserved(&dmar, 0, 0, DMAR_DEVFN(0x14, 0), NULL), r);
    assert_null(acpi_dmar_next_reserved(&dmar, 1, 0, DMAR_DEVFN(2, 0), NULL));
    assert_true(acpi_dmar_allows_ats(&dmar, 0, 0, DMAR_DEVFN(0x1c, 0)));
    assert_true(acpi_dmar_allows_ats(&dmar, 0, 9, 0));
    assert_false(acpi_dmar_allows_ats(&dmar, 0, 10, 0));
    assert_true(acpi_dmar_allows_ats(&dmar, 3, 10, 0));
    assert_false(acpi_dmar_allows_ats(&dmar, 2, 10, 0));
    /* Scopes of I/O APICs and HPETs name no functions. */
    assert_int_equal(dmar.root_count, 2);
    dmar.unit[1].all = false;
    assert_null(unit_at(0, 0xf0, DMAR_DEVFN(0x1f, 0)));
    assert_null(unit_at(0, 0xf0, DMAR_DEVFN(0xf, 6)));
}

static void segments_and_sizes(void **state) {
    (void)state;
    dmar_begin(45, 3);
    dmar_add_unit(0x3ffffffff000ull, 1, 1);
    dmar_add_unit(0xe0000000, 0, 1);
    acpi_build_set(dmar_structure + 5, 1, 0xf3); /* 32 KiB; the upper bits are reserved */
    dmar_add_unit(0xe0008000, 0x8000, 0);
    dmar_add_scope(ACPI_DMAR_ENDPOINT, 0, 0, DMAR_DEVFN(1, 0));
    assert_int_equal(dmar_read_now(&dmar), 0);
    assert_true(dmar.x2apic_opt_out);
    assert_int_equal(dmar.unit[1].size, 0x8000);
    assert_ptr_equal(unit_at(1, 255, 255), &dmar.unit[0]);
    assert_ptr_equal(unit_at(0, 255, 255), &dmar.unit[1]);
    assert_ptr_equal(unit_at(0, 0, DMAR_DEVFN(1, 0)), &dmar.unit[1]);
    assert_ptr_equal(unit_at(0x8000, 0, DMAR_DEVFN(1, 0)), &dmar.unit[2]);
    assert_null(unit_at(0x8000, 0, DMAR_DEVFN(1, 1)));
    dmar_begin(63, 0); /* all of 64 bits */
    dmar_add_unit(0xfffffffffffff000ull, 0, 0);
    assert_int_equal(dmar_read_now(&dmar), 0);
    dmar_begin(0, 0); /* no unit at all */
    assert_int_equal(dmar_read_now(&dmar), 0);
    assert_int_equal(dmar.width, 1);
    assert_null(unit_at(0, 0, 0));
}

/* ---- paths */

static void follows_paths(void **state) {
    static const uint8_t deep[] = {DMAR_DEVFN(0x1c, 0), DMAR_DEVFN(0, 0), DMAR_DEVFN(2, 0),
                                   DMAR_DEVFN(0x1f, 7)};
    static const uint8_t other[] = {DMAR_DEVFN(1, 0), DMAR_DEVFN(3, 1)};
    (void)state;
    dmar_begin(38, 0);
    dmar_add_unit(0xfed90000, 0, 0);
    dmar_add_path(ACPI_DMAR_ENDPOINT, 0, 0, 4, deep);
    dmar_add_path(ACPI_DMAR_IOAPIC, 9, 0, 2, deep);
    dmar_add_unit(0xfed91000, 0, 0);
    dmar_add_scope(ACPI_DMAR_BRIDGE, 0, 0, DMAR_DEVFN(0x1d, 0));
    dmar_add_unit(0xfed92000, 1, 0);
    dmar_add_path(ACPI_DMAR_ENDPOINT, 0, 0, 2, other);
    dmar_add_reserved(0x1000, 0x1fff, 0);
    dmar_add_path(ACPI_DMAR_BRIDGE, 0, 0, 3, deep);
    assert_int_equal(dmar_read_now(&dmar), 0);
    assert_int_equal(dmar.absent_count, 0);
    assert_ptr_equal(unit_at(0, 7, DMAR_DEVFN(0x1f, 7)), &dmar.unit[0]);
    assert_null(unit_at(0, 7, DMAR_DEVFN(0x1f, 6)));
    assert_null(unit_at(0, 0, DMAR_DEVFN(0x1c, 0)));
    uint16_t requester;
    assert_ptr_equal(acpi_dmar_find_ioapic(&dmar, 9, &requester), &dmar.unit[0]);
    assert_int_equal(requester, 0x500);
    assert_ptr_equal(unit_at(0, 0, DMAR_DEVFN(0x1d, 0)), &dmar.unit[1]);
    assert_ptr_equal(unit_at(0, 0x20, 0), &dmar.unit[1]);
    assert_ptr_equal(unit_at(0, 0x2f, 0xff), &dmar.unit[1]);
    assert_null(unit_at(0, 0x30, 0));
    assert_ptr_equal(unit_at(1, 1, DMAR_DEVFN(3, 1)), &dmar.unit[2]);
    assert_non_null(acpi_dmar_next_reserved(&dmar, 0, 6, DMAR_DEVFN(2, 0), NULL));
    assert_non_null(acpi_dmar_next_reserved(&dmar, 0, 7, 5, NULL));
    assert_null(acpi_dmar_next_reserved(&dmar, 0, 6, DMAR_DEVFN(2, 1), NULL));
    assert_null(acpi_dmar_next_reserved(&dmar, 0, 8, 0, NULL));
}

static void absent_bridges(void **state) {
    static const uint8_t gone[] = {DMAR_DEVFN(0x1c, 0), DMAR_DEVFN(7, 0), DMAR_DEVFN(2, 0)};
    (void)state;
    dmar_begin(38, 0);
    dmar_add_unit(0xfed90000, 0, 0);
    dmar_add_path(ACPI_DMAR_ENDPOINT, 0, 0, 3, gone); /* leads through 5:7.0 */
    dmar_add_path(ACPI_DMAR_BRIDGE, 0, 0, 2, gone);   /* is 5:7.0 */
    dmar_add_path(ACPI_DMAR_ENDPOINT, 0, 0, 2, gone);
    dmar_add_unit(0xfed91000, 0, 1);
    assert_int_equal(dmar_read_now(&dmar), 0);
    assert_int_equal(dmar.absent_count, 2);
    assert_int_equal(dmar.unit[0].scopes.count, 2);
    assert_ptr_equal(unit_at(0, 5, DMAR_DEVFN(7, 0)), &dmar.unit[0]);
    assert_ptr_equal(unit_at(0, 0, DMAR_DEVFN(2, 0)), &dmar.unit[1]);
    assert_ptr_equal(unit_at(0, 5, DMAR_DEVFN(2, 0)), &dmar.unit[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_that_of_qemu), cmocka_unit_test(reads_that_of_a_workstation),
        cmocka_unit_test(segments_and_sizes), cmocka_unit_test(follows_paths),
        cmocka_unit_test(absent_bridges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
