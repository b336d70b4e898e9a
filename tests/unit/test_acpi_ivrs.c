// SPDX-License-Identifier: Apache-2.0
// The IVRS table as firmware makes it: units in three kinds of blocks, device entries, special and named
// devices, memory, and what is answered from them.
// unit-sources: lib/acpi.c lib/acpi_ivrs.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "lib/acpi_ivrs.h"
#include "tests/unit/ivrs_build.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct acpi_ivrs ivrs;

/* What is answered for an ID of segment 0; .unit NULL: nothing. */
static struct acpi_ivrs_answer ask(uint16_t requester) {
    struct acpi_ivrs_answer answer = {0};
    int error = acpi_ivrs_find(&ivrs, 0, requester, &answer);
    assert_int_equal(error, answer.unit ? 0 : -ENOENT);
    return answer;
}

/* QEMU 7.2, q35 with amd-iommu, a PCI Express port and a bridge to PCI: one unit, as function 00:01.0, and an
 * I/O APIC with the ID of a function that is not there. */
static void reads_that_of_qemu(void **state) {
    static const uint16_t before[] = {0, 8, 0x10, 0x18}, after[] = {0xf8, 0xfa, 0xfb};
    (void)state;
    ivrs_begin(0x2800);
    ivrs_add_unit(ACPI_IVRS_IVHD_10, 0, 8, 0xfed80000);
    acpi_build_set(49, 1, 0xd1);
    acpi_build_set(48 + 18, 2, 0);
    acpi_build_set(48 + 20, 4, 0x44);
    for (unsigned i = 0; i < COUNT(before); i++)
        ivrs_add_entry(IVRS_SELECT, before[i], 0, 0);
    ivrs_add_range(0x100, 0x1ff);
    ivrs_add_entry(IVRS_SELECT, 0x20, 0, 0);
    ivrs_add_alias(IVRS_ALIAS_START, 0x200, 0x200);
    ivrs_add_entry(IVRS_END, 0x2ff, 0, 0);
    for (unsigned i = 0; i < COUNT(after); i++)
        ivrs_add_entry(IVRS_SELECT, after[i], 0, 0);
    ivrs_add_special(ACPI_IVRS_IOAPIC, 0, 0xa0, 0);
    assert_int_equal(acpi_build_length, 132);
    assert_int_equal(ivrs_read_now(&ivrs), 0);
    assert_int_equal(ivrs.physical_bits, 40);
    assert_int_equal(ivrs.virtual_bits, 0);
    assert_false(ivrs.features_valid);
    assert_false(ivrs.preboot_remapping);
    assert_int_equal(ivrs.unit_count, 1);
    assert_int_equal(ivrs.unit[0].base, 0xfed80000);
    assert_int_equal(ivrs.unit[0].id, 8);
    assert_int_equal(ivrs.unit[0].capability, 0x40);
    assert_int_equal(ivrs.unit[0].flags,
                     ACPI_IVRS_HT_TUNNEL | ACPI_IVRS_IOTLB | ACPI_IVRS_PREFETCH | ACPI_IVRS_PPR);
    assert_int_equal(ivrs.unit[0].attributes, 0x44);
    assert_int_equal(ivrs.unit[0].features, 0);
    assert_int_equal(ivrs.memory_count, 0);
    assert_ptr_equal(ask(0xfa).unit, &ivrs.unit[0]);
    assert_int_equal(ask(0xfa).alias, 0xfa);
    assert_null(ask(0xf9).unit);
    assert_int_equal(ask(0x180).alias, 0x180);
    assert_int_equal(ask(0x208).alias, 0x200);
    assert_null(ask(0x300).unit);
    assert_ptr_equal(ask(0xa0).unit, &ivrs.unit[0]);
    const struct acpi_ivrs_special *ioapic = acpi_ivrs_find_special(&ivrs, ACPI_IVRS_IOAPIC, 0);
    assert_non_null(ioapic);
    assert_int_equal(ioapic->requester, 0xa0);
    assert_null(acpi_ivrs_find_special(&ivrs, ACPI_IVRS_IOAPIC, 1));
    assert_null(acpi_ivrs_find_special(&ivrs, ACPI_IVRS_HPET, 0));
}

static void reads_that_of_a_laptop(void **state) {
    (void)state;
    ivrs_build_laptop();
    assert_int_equal(ivrs_read_now(&ivrs), 0);
    assert_int_equal(ivrs.physical_bits, 48);
    assert_int_equal(ivrs.virtual_bits, 64);
    assert_true(ivrs.features_valid);
    assert_true(ivrs.preboot_remapping);
    assert_false(ivrs.ats_reserved);
    assert_int_equal(ivrs.unit_count, 1);
    assert_int_equal(ivrs.unit[0].type, ACPI_IVRS_IVHD_40);
    assert_int_equal(ivrs.unit[0].info, 0x1203);
    assert_int_equal(ivrs.unit[0].features, 0x246577efa2254afa);
    assert_int_equal(ivrs.unit[0].features2, 0x10);
    assert_int_equal(ask(3).alias, 3);
    assert_int_equal(ask(3).settings, 0);
    assert_null(ask(2).unit);
    assert_null(ask(0xffff).unit);
    assert_int_equal(ask(0x300).alias, 0x14);
    assert_int_equal(ask(0x14).alias, 0x14);
    assert_int_equal(ask(0x400).settings, 0x33);
    assert_true(ask(0x400).ats_disabled);
    assert_int_equal(ask(0x5ff).settings, 2);
    assert_false(ask(0x5ff).ats_disabled);
    assert_int_equal(ask(0x600).settings, 0);
    assert_int_equal(ask(0xa0).settings, 0); /* the last one counts */
    assert_int_equal(ivrs.special_count, 3);
    const struct acpi_ivrs_special *ioapic = acpi_ivrs_find_special(&ivrs, ACPI_IVRS_IOAPIC, 0x21);
    assert_int_equal(ioapic->settings, 0xd7);
    assert_int_equal(acpi_ivrs_find_special(&ivrs, ACPI_IVRS_IOAPIC, 0x22)->requester, 1);
    assert_ptr_equal(ask(1).unit, &ivrs.unit[0]);
    assert_int_equal(acpi_ivrs_find_special(&ivrs, ACPI_IVRS_HPET, 0)->requester, 0xa0);
    assert_int_equal(ivrs.named_count, 3);
    assert_int_equal(ivrs.named[0].requester, 0xa5);
    assert_string_equal(ivrs.named[0].hid, "AMDI0020");
    assert_string_equal(ivrs.named[0].uid, "\\_SB.FUR0");
    assert_false(ivrs.named[0].numbered);
    assert_string_equal(ivrs.named[1].hid, "X?");
    assert_string_equal(ivrs.named[1].uid, "");
    assert_true(ivrs.named[1].numbered);
    assert_int_equal(ivrs.named[1].number, ivrs_uart_number);
    assert_string_equal(ivrs.named[2].hid, "");
    assert_string_equal(ivrs.named[2].uid, "");
    assert_false(ivrs.named[2].numbered);
    assert_int_equal(ask(0xa6).settings, 0x40);
    struct acpi_ivrs_answer answer;
    assert_int_equal(acpi_ivrs_find(&ivrs, 1, 3, &answer), -ENOENT);
}

static void memory_by_requester(void **state) {
    (void)state;
    ivrs_build_laptop();
    assert_int_equal(ivrs_read_now(&ivrs), 0);
    assert_int_equal(ivrs.memory_count, 4);
    const struct acpi_ivrs_memory *m = acpi_ivrs_next_memory(&ivrs, 0, 0x60, NULL);
    assert_ptr_equal(m, &ivrs.memory[0]);
    assert_int_equal(m->base, 0x7d900000);
    assert_int_equal(m->limit, 0x7d9fffff);
    assert_true(m->read && m->write && m->exclusion);
    m = acpi_ivrs_next_memory(&ivrs, 0, 0x60, m);
    assert_ptr_equal(m, &ivrs.memory[1]);
    assert_int_equal(m->limit, 0x9a432fff); /* of one byte: rounded up */
    m = acpi_ivrs_next_memory(&ivrs, 0, 0x60, m);
    assert_ptr_equal(m, &ivrs.memory[2]);
    assert_true(m->read && !m->write && !m->exclusion);
    assert_null(acpi_ivrs_next_memory(&ivrs, 0, 0x60, m));
    assert_ptr_equal(acpi_ivrs_next_memory(&ivrs, 0, 0xffff, NULL), m);
    m = acpi_ivrs_next_memory(&ivrs, 0, 0xc507, m);
    assert_ptr_equal(m, &ivrs.memory[3]);
    assert_true(!m->read && m->write);
    assert_null(acpi_ivrs_next_memory(&ivrs, 1, 0x60, NULL));
    ivrs_begin(0);
    ivrs_add_memory(0x20, IVRS_UNITY | IVRS_READ | IVRS_WRITE, 0, 0, 0x1000, 0x1000);
    acpi_build_set(48 + 8, 2, 7);
    assert_int_equal(ivrs_read_now(&ivrs), 0);
    assert_null(acpi_ivrs_next_memory(&ivrs, 0, 0, NULL));
    assert_non_null(acpi_ivrs_next_memory(&ivrs, 7, 0, NULL));
}

/* Units of several segments, in blocks of several kinds in any order. */
static void highest_type_counts(void **state) {
    (void)state;
    ivrs_begin(0);
    ivrs_add_unit(ACPI_IVRS_IVHD_40, 0, 2, 0xfd200000);
    ivrs_add_entry(IVRS_SELECT, 0x40, 0, 0);
    ivrs_add_unit(ACPI_IVRS_IVHD_11, 0, 2, 0xfd210000);
    ivrs_add_entry(IVRS_SELECT, 0x11, 0, 0);
    ivrs_add_unit(ACPI_IVRS_IVHD_10, 1, 2, 0xfd220000);
    ivrs_add_entry(IVRS_SELECT, 0x10, 0, 0);
    ivrs_add_unit(ACPI_IVRS_IVHD_10, 0, 3, 0); /* not looked at: a better one follows */
    ivrs_add_entry(IVRS_NAMED + 1, 0, 0, 0);
    ivrs_add_unit(ACPI_IVRS_IVHD_11, 0, 3, 0xfd230000);
    ivrs_add_entry(IVRS_SELECT, 0x12, 0, 0);
    assert_int_equal(ivrs_read_now(&ivrs), 0);
    assert_int_equal(ivrs.unit_count, 3);
    assert_int_equal(ivrs.unit[0].base, 0xfd200000);
    assert_int_equal(ivrs.unit[1].segment, 1);
    assert_int_equal(ivrs.unit[1].features, 0);
    assert_int_equal(ivrs.unit[2].base, 0xfd230000);
    assert_ptr_equal(ask(0x40).unit, &ivrs.unit[0]);
    assert_null(ask(0x11).unit);
    assert_null(ask(0x10).unit);
    assert_ptr_equal(ask(0x12).unit, &ivrs.unit[2]);
    struct acpi_ivrs_answer answer;
    assert_int_equal(acpi_ivrs_find(&ivrs, 1, 0x10, &answer), 0);
    assert_ptr_equal(answer.unit, &ivrs.unit[1]);
}

static void entries_in_order(void **state) {
    (void)state;
    ivrs_begin(0);
    ivrs_add_unit(ACPI_IVRS_IVHD_10, 0, 2, 0xfd200000);
    ivrs_add_range(0x100, 0x1ff);
    ivrs_add_entry(IVRS_SELECT, 0x110, ACPI_IVRS_NMI_PASS, 0);
    ivrs_add_alias(IVRS_ALIAS, 0x120, 0x300);
    ivrs_add_entry(IVRS_ALL, 0, ACPI_IVRS_INIT_PASS,
                   0); /* holds where nothing else does, also if it comes last */
    ivrs_add_unit(ACPI_IVRS_IVHD_10, 0, 3, 0xfd210000);
    ivrs_add_range(0x200, 0x2ff);
    assert_int_equal(ivrs_read_now(&ivrs), 0);
    assert_int_equal(ask(0x100).settings, 0);
    assert_int_equal(ask(0x110).settings, ACPI_IVRS_NMI_PASS);
    assert_int_equal(ask(0x120).alias, 0x300);
    assert_int_equal(ask(0x300).settings, 0); /* as the alias of 0x120 */
    assert_int_equal(ask(0x300).alias, 0x300);
    assert_int_equal(ask(0x400).settings, ACPI_IVRS_INIT_PASS);
    assert_ptr_equal(ask(0xffff).unit, &ivrs.unit[0]);
    assert_ptr_equal(ask(0x200).unit, &ivrs.unit[1]);
    assert_int_equal(ask(0x200).settings, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_that_of_qemu),  cmocka_unit_test(reads_that_of_a_laptop),
        cmocka_unit_test(memory_by_requester), cmocka_unit_test(highest_type_counts),
        cmocka_unit_test(entries_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
