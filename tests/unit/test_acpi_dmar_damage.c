// SPDX-License-Identifier: Apache-2.0
// The DMAR table as firmware should not make it: what is refused, why, and where.
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

static void expect_fault(enum acpi_dmar_fault fault, uint32_t offset) {
    assert_int_equal(dmar_read_now(&dmar), fault >= ACPI_DMAR_MANY_UNITS ? -ENOSPC : -EINVAL);
    assert_int_equal(dmar.fault, fault);
    assert_int_equal(dmar.fault_offset, offset);
}

static int setup(void **state) {
    (void)state;
    dmar_bridges_state = (struct dmar_bridges_state){0};
    return 0;
}

static const struct acpi_dmar_unit *unit_at(uint16_t segment, uint8_t bus, uint8_t devfn) {
    return acpi_dmar_find_unit(&dmar, segment, bus, devfn);
}

static void refuses_bad_bridges(void **state) {
    static const uint8_t path[] = {DMAR_DEVFN(0x1c, 0), 0};
    static struct pci_bridge bad[] = {{0, 0, 0}, {0, 5, 4}, {0, 0, 9}};
    (void)state;
    dmar_begin(38, 0);
    dmar_add_unit(0xfed90000, 0, 0);
    dmar_add_path(ACPI_DMAR_ENDPOINT, 0, 0, 2, path);
    for (unsigned i = 0; i < COUNT(bad); i++) {
        dmar_bridges_state.forced = &bad[i];
        expect_fault(ACPI_DMAR_BAD_BRIDGE, 48);
    }
    dmar_bridges_state.forced = NULL;
    dmar_bridges_state.error = -EIO;
    expect_fault(ACPI_DMAR_BAD_BRIDGE, 48);
    dmar_bridges_state.error = 0;
    assert_int_equal(dmar_read_now(&dmar), 0);
    dmar_begin(38, 0);
    dmar_add_root(0, 0);
    dmar_add_scope(ACPI_DMAR_BRIDGE, 0, 0, DMAR_DEVFN(0x1c, 0));
    dmar_bridges_state.error = -EIO;
    expect_fault(ACPI_DMAR_BAD_BRIDGE, 48);
    dmar_bridges_state.error = 0;
    assert_int_equal(dmar_read_now(&dmar), 0);
    /* A loop of buses ends at the first step that leads not further down. */
    static struct pci_bridge loop = {0, 1, 255};
    uint8_t longest[124] = {0};
    dmar_bridges_state.forced = &loop;
    dmar_begin(38, 0);
    dmar_add_unit(0xfed90000, 0, 0);
    dmar_add_path(ACPI_DMAR_ENDPOINT, 0, 0, COUNT(longest), longest);
    expect_fault(ACPI_DMAR_BAD_BRIDGE, 48);
}

static void refuses_bad_scopes(void **state) {
    static const uint8_t bad_lengths[] = {0, 1, 5, 6, 7, 9, 10, 255};
    (void)state;
    for (unsigned i = 0; i < COUNT(bad_lengths); i++) {
        dmar_begin(38, 0);
        dmar_add_unit(0xfed90000, 0, 0);
        dmar_add_scope(ACPI_DMAR_ENDPOINT, 0, 0, 0);
        acpi_build_set(65, 1, bad_lengths[i]);
        expect_fault(ACPI_DMAR_BAD_SCOPE, 48);
    }
    for (unsigned i = 0; i < 2; i++) {
        dmar_begin(38, 0);
        dmar_add_root(0, 0);
        dmar_add_scope(ACPI_DMAR_BRIDGE, 0, 0, 0);
        acpi_build_set(56 + 6 + i, 1, i ? 8 : 32); /* device 32, function 8 */
        expect_fault(ACPI_DMAR_BAD_SCOPE, 48);
    }
    /* Less than a scope is left. */
    dmar_begin(38, 0);
    dmar_add_unit(0xfed90000, 0, 0);
    acpi_build_length += 5;
    dmar_end_structure();
    expect_fault(ACPI_DMAR_BAD_SCOPE, 48);
    /* Types that are not known, of any length, are passed over. */
    dmar_begin(38, 0);
    dmar_add_unit(0xfed90000, 0, 0);
    static const uint8_t types[] = {0, 6, 0xff};
    for (unsigned i = 0; i < COUNT(types); i++) {
        dmar_add_scope(types[i], 0, 0, 0xff);
        acpi_build_set(acpi_build_length - 7, 1, 9);
        acpi_build_put(1, 0xff);
        dmar_end_structure();
    }
    dmar_add_scope(ACPI_DMAR_ENDPOINT, 0, 0, 9);
    assert_int_equal(dmar_read_now(&dmar), 0);
    assert_int_equal(dmar.scope_count, 1);
    assert_non_null(unit_at(0, 0, 9));
}

/* ---- structures */

static void refuses_bad_lengths(void **state) {
    static const uint16_t smallest[] = {16, 24, 8, 4, 4};
    struct acpi_root root;
    (void)state;
    for (uint16_t type = 0; type < COUNT(smallest); type++)
        for (uint16_t length = 0; length < 40; length++) {
            dmar_begin(38, 0);
            dmar_add_head(type);
            acpi_build_set(48 + 8, 8, 0x1000);
            acpi_build_set(48 + 16, 8, 0x1fff);
            acpi_build_length = 48 + 24;
            acpi_build_set(50, 2, length);
            if (length < smallest[type] || length > 24)
                expect_fault(ACPI_DMAR_BAD_LENGTH, 48);
        }
    dmar_begin(38, 0);
    dmar_add_unit(0xfed90000, 0, 0);
    for (unsigned i = 1; i < 4; i++) { /* less than a structure's head is left */
        acpi_build_length++;
        expect_fault(ACPI_DMAR_BAD_LENGTH, 64);
    }
    dmar_begin(64, 0);
    expect_fault(ACPI_DMAR_BAD_WIDTH, 36);
    dmar_begin(38, 0);
    acpi_build_length = 47;
    expect_fault(ACPI_DMAR_SHORT, 36);
    acpi_build_begin("DMAX");
    acpi_build_open(48, &root);
    assert_int_equal(acpi_read_dmar(&root, &dmar_machine, &dmar), -ENOENT);
}

static void refuses_bad_bases(void **state) {
    static const uint64_t bad[] = {
        0, 0x800, 0xfed90001, 0x8000000000, 0x7fffffffff, 0xffffffffff000, UINT64_MAX, 0xfffffffffffff000};
    (void)state;
    for (unsigned i = 0; i < COUNT(bad); i++) {
        dmar_begin(38, 0);
        dmar_add_unit(0xfed90000, 0, 0);
        dmar_add_unit(bad[i], 0, 0);
        expect_fault(ACPI_DMAR_BAD_BASE, 64);
    }
    dmar_begin(63, 0);
    dmar_add_unit(0xfffffffffffff000, 0, 0);
    acpi_build_set(48 + 5, 1, 1); /* 8 KiB wrap */
    expect_fault(ACPI_DMAR_BAD_BASE, 48);
    dmar_begin(38, 0);
    dmar_add_unit(0x7ffffff000, 0, 0);
    acpi_build_set(48 + 5, 1, 1); /* 8 KiB leave the width */
    expect_fault(ACPI_DMAR_BAD_BASE, 48);
}

static void refuses_overlaps(void **state) {
    (void)state;
    dmar_begin(38, 0);
    dmar_add_unit(0xfed90000, 0, 0);
    dmar_add_unit(0xfed90000, 1, 0);
    expect_fault(ACPI_DMAR_UNITS_OVERLAP, 64);
    dmar_begin(38, 0);
    dmar_add_unit(0xfed91000, 0, 0);
    dmar_add_unit(0xfed90000, 1, 0);
    assert_int_equal(dmar_read_now(&dmar), 0);
    acpi_build_set(64 + 5, 1, 1);
    expect_fault(ACPI_DMAR_UNITS_OVERLAP, 64);
    dmar_begin(38, 0);
    dmar_add_unit(0xfed90000, 7, 1);
    dmar_add_unit(0xfed91000, 7, 1);
    expect_fault(ACPI_DMAR_ALL_TWICE, 64);
    /* Reserved memory over registers, in either order. */
    dmar_begin(38, 0);
    dmar_add_unit(0xfed90000, 0, 1);
    dmar_add_reserved(0xfed8f000, 0xfed90fff, 0);
    expect_fault(ACPI_DMAR_RESERVED_UNIT, 64);
    dmar_begin(38, 0);
    dmar_add_reserved(0xfed90000, 0xfee00fff, 0);
    dmar_add_unit(0xfed91000, 0, 1);
    expect_fault(ACPI_DMAR_RESERVED_UNIT, 72);
    dmar_begin(38, 0);
    dmar_add_reserved(0xfed8f000, 0xfed8ffff, 0);
    dmar_add_reserved(0xfed8f000, 0xfed8ffff, 0);
    dmar_add_reserved(0xfed91000, 0xfed91fff, 0);
    dmar_add_unit(0xfed90000, 0, 1);
    assert_int_equal(dmar_read_now(&dmar), 0);
}

/* Two units, each with a scope; what comes of it. */
static int two_scopes(uint16_t segment, uint8_t type_a, uint8_t bus_a, uint8_t devfn_a, uint8_t type_b,
                      uint8_t bus_b, uint8_t devfn_b) {
    dmar_begin(38, 0);
    dmar_add_unit(0xfed90000, 0, 0);
    dmar_add_scope(type_a, 1, bus_a, devfn_a);
    dmar_add_unit(0xfed91000, segment, 0);
    dmar_add_scope(type_b, 1, bus_b, devfn_b);
    int error = dmar_read_now(&dmar);
    assert_int_equal(dmar.fault, error ? ACPI_DMAR_SHARED : ACPI_DMAR_NO_FAULT);
    return error;
}

static void refuses_shared_functions(void **state) {
    const uint8_t port = DMAR_DEVFN(0x1c, 0);
    (void)state;
    assert_int_equal(two_scopes(0, 1, 0, 8, 1, 0, 8), -EINVAL);
    assert_int_equal(two_scopes(1, 1, 0, 8, 1, 0, 8), 0);
    assert_int_equal(two_scopes(0, 1, 0, 8, 1, 0, 9), 0);
    assert_int_equal(two_scopes(0, 1, 0, 8, 5, 0, 8), -EINVAL);
    assert_int_equal(two_scopes(0, 2, 0, port, 1, 7, 0), -EINVAL);
    assert_int_equal(two_scopes(0, 1, 7, 0, 2, 0, port), -EINVAL);
    assert_int_equal(two_scopes(0, 1, 10, 0, 2, 0, port), 0);
    assert_int_equal(two_scopes(0, 2, 0, port, 2, 5, 0), -EINVAL);
    assert_int_equal(two_scopes(0, 2, 0, port, 2, 0, DMAR_DEVFN(0x1d, 0)), 0);
    /* I/O APICs and HPETs, by their IDs, whatever the segments. */
    assert_int_equal(two_scopes(0, 3, 0, 8, 3, 0, 8), -EINVAL);
    assert_int_equal(two_scopes(1, 3, 0, 8, 3, 0, 8), -EINVAL);
    assert_int_equal(two_scopes(1, 4, 0, 8, 4, 0, 9), -EINVAL);
    assert_int_equal(two_scopes(0, 3, 0, 8, 4, 0, 8), 0);
    assert_int_equal(two_scopes(0, 3, 0, 8, 1, 0, 8), 0);
    /* In one unit: an I/O APIC has one requester ID. */
    dmar_begin(38, 0);
    dmar_add_unit(0xfed90000, 0, 0);
    dmar_add_scope(ACPI_DMAR_IOAPIC, 1, 0, 8);
    dmar_add_scope(ACPI_DMAR_IOAPIC, 1, 0, 9);
    expect_fault(ACPI_DMAR_SHARED, 48);
}

static void refuses_bad_reserved(void **state) {
    static const struct {
        uint64_t base, limit;
    } bad[] = {{0, 0},
               {0x1000, 0xfff},
               {0x2000, 0x1fff},
               {0x2000, 0xfff},
               {0x1001, 0x1fff},
               {0x1000, 0x1ffe},
               {0x1000, 0x2000},
               {0x1000, UINT64_MAX},
               {0, UINT64_MAX},
               {0x7ffffff000, 0x8000000fff},
               {0x8000000000, 0x8000000fff}};
    (void)state;
    for (unsigned i = 0; i < COUNT(bad); i++) {
        dmar_begin(38, 0);
        dmar_add_reserved(bad[i].base, bad[i].limit, 0);
        expect_fault(ACPI_DMAR_BAD_RESERVED, 48);
    }
    dmar_begin(38, 0);
    dmar_add_reserved(0, 0xfff, 0);
    dmar_add_reserved(0x7ffffff000, 0x7fffffffff, 0);
    assert_int_equal(dmar_read_now(&dmar), 0);
}

static void refuses_too_many(void **state) {
    (void)state;
    for (unsigned extra = 0; extra < 2; extra++) {
        dmar_begin(38, 0);
        for (unsigned i = 0; i < ACPI_DMAR_MAX_UNITS + extra; i++)
            dmar_add_unit(0xfed00000 + i * 4096ull, 0, 0);
        if (extra)
            expect_fault(ACPI_DMAR_MANY_UNITS, dmar_structure);
        else
            assert_int_equal(dmar_read_now(&dmar), 0);
        dmar_begin(38, 0);
        for (unsigned i = 0; i < ACPI_DMAR_MAX_RESERVED + extra; i++)
            dmar_add_reserved(0x1000, 0x1fff, 0);
        if (extra)
            expect_fault(ACPI_DMAR_MANY_RESERVED, dmar_structure);
        else
            assert_int_equal(dmar_read_now(&dmar), 0);
        dmar_begin(38, 0);
        for (unsigned i = 0; i < ACPI_DMAR_MAX_ROOTS + extra; i++)
            dmar_add_root(0, 1);
        if (extra)
            expect_fault(ACPI_DMAR_MANY_ROOTS, dmar_structure);
        else
            assert_int_equal(dmar_read_now(&dmar), 0);
        dmar_begin(38, 0);
        dmar_add_unit(0xfed00000, 0, 0);
        for (unsigned i = 0; i < ACPI_DMAR_MAX_SCOPES + extra; i++)
            dmar_add_scope(ACPI_DMAR_ENDPOINT, 0, (uint8_t)(i >> 8), (uint8_t)i);
        if (extra)
            expect_fault(ACPI_DMAR_MANY_SCOPES, dmar_structure);
        else
            assert_int_equal(dmar_read_now(&dmar), 0);
    }
}

/* ---- damage */

static void cut_anywhere(void **state) {
    struct acpi_root root;
    unsigned whole = 0;
    (void)state;
    dmar_build_workstation();
    uint32_t length = acpi_build_length;
    for (uint32_t cut = ACPI_HEADER_SIZE; cut < length; cut++) {
        acpi_build_open(cut, &root);
        int error = acpi_read_dmar(&root, &dmar_machine, &dmar);
        assert_true(error == 0 || error == -EINVAL);
        assert_int_equal(error != 0, dmar.fault != ACPI_DMAR_NO_FAULT);
        whole += error == 0;
    }
    assert_int_equal(whole, 10); /* between its ten structures; without the last */
}

static void each_byte_damaged(void **state) {
    static const uint8_t values[] = {0, 1, 5, 0x7f, 0x80, 0xff};
    (void)state;
    dmar_build_workstation();
    for (uint32_t at = ACPI_HEADER_SIZE; at < acpi_build_length; at++) {
        uint8_t good = *acpi_build_at(at);
        for (unsigned i = 0; i < COUNT(values); i++) {
            *acpi_build_at(at) = values[i];
            int error = dmar_read_now(&dmar);
            assert_int_equal(error != 0, dmar.fault != ACPI_DMAR_NO_FAULT);
            for (unsigned devfn = 0; !error && devfn < 256; devfn++) {
                const struct acpi_dmar_unit *unit = unit_at(0, 0, (uint8_t)devfn);
                assert_true(!unit || unit->segment == 0);
            }
        }
        *acpi_build_at(at) = good;
    }
    assert_int_equal(dmar_read_now(&dmar), 0);
}

static void memory_that_stops_answering(void **state) {
    struct acpi_root root;
    unsigned unreadable = 0;
    int error = -1;
    (void)state;
    dmar_build_workstation();
    for (unsigned reads = 0; error; reads++) {
        acpi_build_open(acpi_build_length, &root);
        acpi_build_reads_left = reads;
        error = acpi_read_dmar(&root, &dmar_machine, &dmar);
        assert_true(error == 0 || error == -ENOENT || error == -EFAULT);
        assert_int_equal(dmar.fault, error == -EFAULT ? ACPI_DMAR_UNREADABLE : ACPI_DMAR_NO_FAULT);
        unreadable += error == -EFAULT;
        assert_true(reads < 1000);
    }
    assert_true(unreadable > 30); /* at its head, ten structures and ten scopes */
}

static void faults_in_words(void **state) {
    (void)state;
    for (unsigned i = 0; i <= ACPI_DMAR_MANY_SCOPES; i++) {
        assert_non_null(acpi_dmar_fault_text(i));
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(acpi_dmar_fault_text(i), acpi_dmar_fault_text(j));
    }
    assert_string_equal(acpi_dmar_fault_text(ACPI_DMAR_MANY_SCOPES + 1), "unknown fault");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(refuses_bad_bridges, setup),
        cmocka_unit_test_setup(refuses_bad_scopes, setup),
        cmocka_unit_test_setup(refuses_bad_lengths, setup),
        cmocka_unit_test_setup(refuses_bad_bases, setup),
        cmocka_unit_test_setup(refuses_overlaps, setup),
        cmocka_unit_test_setup(refuses_shared_functions, setup),
        cmocka_unit_test_setup(refuses_bad_reserved, setup),
        cmocka_unit_test_setup(refuses_too_many, setup),
        cmocka_unit_test_setup(cut_anywhere, setup),
        cmocka_unit_test_setup(each_byte_damaged, setup),
        cmocka_unit_test_setup(memory_that_stops_answering, setup),
        cmocka_unit_test_setup(faults_in_words, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
