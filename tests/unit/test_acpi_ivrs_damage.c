// SPDX-License-Identifier: Apache-2.0
// The IVRS table as firmware should not make it: what is refused, why, and where.
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

static void expect_fault(enum acpi_ivrs_fault fault, uint32_t offset) {
    assert_int_equal(ivrs_read_now(&ivrs), fault >= ACPI_IVRS_LONG_UID ? -ENOSPC : -EINVAL);
    assert_int_equal(ivrs.fault, fault);
    assert_int_equal(ivrs.fault_offset, offset);
}

static void refuses_bad_blocks(void **state) {
    static const struct {
        uint8_t type;
        uint16_t smallest;
    } kinds[] = {{0x10, 24}, {0x11, 40}, {0x40, 40}, {0x20, 32}, {0x21, 32}, {0x22, 32}, {0x50, 4}};
    struct acpi_root root;
    (void)state;
    for (unsigned i = 0; i < COUNT(kinds); i++)
        for (uint16_t length = 0; length < 60; length++) {
            ivrs_begin(0);
            ivrs_add_unit(kinds[i].type == 0x10 ? 0x10 : 0x11, 0, 2, 0xfd200000);
            acpi_build_set(48, 1, kinds[i].type);
            acpi_build_length = 48 + 40;
            acpi_build_set(50, 2, length);
            if (length < kinds[i].smallest || length > 40)
                expect_fault(ACPI_IVRS_BAD_LENGTH, 48);
        }
    ivrs_begin(0);
    ivrs_add_unit(0x10, 0, 2, 0xfd200000);
    for (unsigned i = 1; i < 4; i++) { /* less than a block's head is left */
        acpi_build_length++;
        expect_fault(ACPI_IVRS_BAD_LENGTH, 72);
    }
    ivrs_begin(0);
    acpi_build_length = 47;
    expect_fault(ACPI_IVRS_SHORT, 36);
    acpi_build_begin("IVRX");
    acpi_build_open(48, &root);
    assert_int_equal(acpi_read_ivrs(&root, &ivrs), -ENOENT);
}

static void refuses_bad_units(void **state) {
    static const uint64_t bases[] = {0,          0xfd201000,         0xfd200004,        0x10000000000000,
                                     UINT64_MAX, 0xffffffffffffc000, 0xfd20000000000000};
    static const uint16_t capabilities[] = {0, 0x3c, 0x41, 0x42, 0xfd, 0x100, 0x8040};
    (void)state;
    for (unsigned i = 0; i < COUNT(bases); i++) {
        ivrs_begin(0);
        ivrs_add_unit(0x11, 0, 2, bases[i]);
        expect_fault(ACPI_IVRS_BAD_BASE, 48);
    }
    for (unsigned i = 0; i < COUNT(capabilities); i++) {
        ivrs_begin(0);
        ivrs_add_unit(0x10, 0, 2, 0xfd200000);
        acpi_build_set(48 + 6, 2, capabilities[i]);
        expect_fault(ACPI_IVRS_BAD_CAPABILITY, 48);
    }
    ivrs_begin(0);
    ivrs_add_unit(0x10, 0, 2, 0xfd200000);
    ivrs_add_unit(0x10, 1, 2, 0xfd200000);
    expect_fault(ACPI_IVRS_UNITS_OVERLAP, 72);
    ivrs_begin(0);
    ivrs_add_unit(0x10, 0, 2, 0xfd200000);
    ivrs_add_unit(0x10, 0, 2, 0xfd210000);
    expect_fault(ACPI_IVRS_UNIT_TWICE, 72);
}

static void refuses_bad_entries(void **state) {
    static const struct {
        uint8_t type;
        unsigned length;
    } kinds[] = {{IVRS_SELECT, 4}, {0x3f, 4},  {IVRS_ALIAS, 8}, {0x7f, 8},
                 {0x80, 16},       {0xef, 32}, {IVRS_NAMED, 22}};
    (void)state;
    for (unsigned i = 0; i < COUNT(kinds); i++)
        for (unsigned length = 1; length <= kinds[i].length; length++) {
            ivrs_begin(0);
            ivrs_add_unit(0x40, 0, 2, 0xfd200000);
            acpi_build_set(acpi_build_length, 1, kinds[i].type);
            acpi_build_length += length;
            ivrs_end_block();
            acpi_build_length += 40; /* another block, not this one's */
            acpi_build_set(ivrs_block + 40 + length + 2, 2, 40);
            if (length < kinds[i].length)
                expect_fault(ACPI_IVRS_BAD_ENTRY, 88);
            else
                assert_int_equal(ivrs_read_now(&ivrs), 0);
        }
    for (unsigned type = IVRS_NAMED + 1; type < 256; type++) {
        ivrs_begin(0);
        ivrs_add_unit(0x40, 0, 2, 0xfd200000);
        ivrs_add_entry((uint8_t)type, 0, 0, 0);
        expect_fault(ACPI_IVRS_BAD_ENTRY, 88);
    }
    /* A unique ID past the block's end, a number of another size, too long a text. */
    uint8_t text[255];
    memset(text, 'a', sizeof(text));
    ivrs_begin(0);
    ivrs_add_unit(0x40, 0, 2, 0xfd200000);
    ivrs_add_named(8, "A", 2, 5, text);
    acpi_build_set(88 + 21, 1, 6);
    expect_fault(ACPI_IVRS_BAD_ENTRY, 88);
    for (unsigned size = 0; size < 256; size++) {
        ivrs_begin(0);
        ivrs_add_unit(0x40, 0, 2, 0xfd200000);
        ivrs_add_named(8, "A", 1, (uint8_t)(size < 255 ? size : 254), text);
        if (size != 8)
            expect_fault(ACPI_IVRS_BAD_ENTRY, 88);
        ivrs_begin(0);
        ivrs_add_unit(0x40, 0, 2, 0xfd200000);
        ivrs_add_named(8, "A", 2, (uint8_t)size, text);
        if (size > ACPI_IVRS_MAX_UID) {
            expect_fault(ACPI_IVRS_LONG_UID, 88);
        } else {
            assert_int_equal(ivrs_read_now(&ivrs), 0);
            assert_int_equal(strlen(ivrs.named[0].uid), size);
        }
    }
}

static void refuses_bad_ranges(void **state) {
    static const uint8_t starts[] = {IVRS_START, IVRS_ALIAS_START, IVRS_EXTENDED_START};
    static const uint8_t between[] = {IVRS_ALL,      IVRS_SELECT,         IVRS_START,
                                      IVRS_ALIAS,    IVRS_NAMED,          IVRS_ALIAS_START,
                                      IVRS_EXTENDED, IVRS_EXTENDED_START, IVRS_SPECIAL};
    (void)state;
    for (unsigned i = 0; i < COUNT(starts); i++) {
        ivrs_begin(0);
        ivrs_add_unit(0x10, 0, 2, 0xfd200000);
        ivrs_add_entry(starts[i], 0x100, 0, 0);
        expect_fault(ACPI_IVRS_BAD_RANGE, 48); /* no end */
        uint32_t end = acpi_build_length;
        ivrs_add_entry(IVRS_END, 0xff, 0, 0);
        expect_fault(ACPI_IVRS_BAD_RANGE, end);
        acpi_build_set(end + 1, 2, 0x100);
        assert_int_equal(ivrs_read_now(&ivrs), 0);
        assert_int_equal(ivrs.device[0].first, ivrs.device[0].last);
        uint32_t second = acpi_build_length;
        ivrs_add_entry(IVRS_END, 0x200, 0, 0);
        expect_fault(ACPI_IVRS_BAD_RANGE, second);
        for (unsigned j = 0; j < COUNT(between); j++) {
            acpi_build_length = end;
            if (between[j] == IVRS_NAMED)
                ivrs_add_named(1, "A", 0, 0, NULL);
            else
                ivrs_add_entry(between[j], 1, 0, 0);
            ivrs_add_entry(IVRS_END, 0x200, 0, 0);
            expect_fault(ACPI_IVRS_BAD_RANGE, end);
        }
    }
    /* An end in the next block does not count. */
    ivrs_begin(0);
    ivrs_add_unit(0x10, 0, 2, 0xfd200000);
    ivrs_add_entry(IVRS_START, 1, 0, 0);
    ivrs_add_unit(0x10, 0, 3, 0xfd210000);
    ivrs_add_entry(IVRS_END, 2, 0, 0);
    expect_fault(ACPI_IVRS_BAD_RANGE, 48);
}

/* Two units whose entries the caller added: `second` is where the second one's begin. */
static void between_units(uint16_t segment) {
    ivrs_add_unit(0x10, segment, 3, 0xfd210000);
}

static void begin_units(void) {
    ivrs_begin(0);
    ivrs_add_unit(0x10, 0, 2, 0xfd200000);
}

static void refuses_shared_devices(void **state) {
    (void)state;
    for (uint16_t segment = 0; segment < 2; segment++) {
        begin_units();
        ivrs_add_range(0x100, 0x1ff);
        between_units(segment);
        ivrs_add_entry(IVRS_SELECT, 0x1ff, 0, 0);
        assert_int_equal(ivrs_read_now(&ivrs), segment ? 0 : -EINVAL);
        assert_int_equal(ivrs.fault, segment ? ACPI_IVRS_NO_FAULT : ACPI_IVRS_SHARED);
    }
    begin_units();
    ivrs_add_range(0x100, 0x1ff);
    between_units(0);
    ivrs_add_range(0x200, 0x2ff);
    assert_int_equal(ivrs_read_now(&ivrs), 0);
    begin_units();
    ivrs_add_entry(IVRS_ALL, 0, 0, 0);
    between_units(0);
    ivrs_add_entry(IVRS_ALL, 0, 0, 0);
    expect_fault(ACPI_IVRS_SHARED, acpi_build_length - 4);
    begin_units();
    ivrs_add_alias(IVRS_ALIAS, 0x100, 0x200);
    between_units(0);
    ivrs_add_range(0x180, 0x200); /* has the other's alias */
    expect_fault(ACPI_IVRS_SHARED, acpi_build_length - 4);
    begin_units();
    ivrs_add_range(0x180, 0x200);
    between_units(0);
    ivrs_add_alias(IVRS_ALIAS, 0x100, 0x200);
    expect_fault(ACPI_IVRS_SHARED, acpi_build_length - 8);
    begin_units();
    ivrs_add_alias(IVRS_ALIAS, 0x100, 0x200);
    between_units(0);
    ivrs_add_alias(IVRS_ALIAS, 0x101, 0x200);
    expect_fault(ACPI_IVRS_SHARED, acpi_build_length - 8);
    /* Special devices, each differing in one thing. */
    begin_units();
    ivrs_add_special(ACPI_IVRS_IOAPIC, 1, 0xa0, 0);
    ivrs_add_special(ACPI_IVRS_HPET, 1, 0xa0, 0);
    ivrs_add_special(ACPI_IVRS_IOAPIC, 2, 0xa0, 0);
    assert_int_equal(ivrs_read_now(&ivrs), 0);
    ivrs_add_special(ACPI_IVRS_IOAPIC, 1, 0xa1, 0);
    expect_fault(ACPI_IVRS_SHARED, acpi_build_length - 8);
    acpi_build_length -= 8;
    ivrs_add_special(ACPI_IVRS_HPET, 1, 0xa0, 1);
    expect_fault(ACPI_IVRS_SHARED, acpi_build_length - 8);
    acpi_build_length -= 8;
    ivrs_end_block();
    between_units(1);
    ivrs_add_special(ACPI_IVRS_IOAPIC, 1, 0xa0, 0);
    expect_fault(ACPI_IVRS_SHARED, acpi_build_length - 8);
}

static void refuses_bad_memory(void **state) {
    static const struct {
        uint64_t base, size;
    } bad[] = {{0x1800, 0x1000},
               {1, 0x1000},
               {0x1000, 0},
               {0x1000, UINT64_MAX},
               {0xfffffffffffff000, 0x1000},
               {0xffffffffff000, 0x1001},
               {0x10000000000000, 0x1000},
               {0, 0x10000000000001}};
    (void)state;
    for (unsigned i = 0; i < COUNT(bad); i++) {
        ivrs_begin(0);
        ivrs_add_memory(0x20, IVRS_UNITY | IVRS_READ, 0, 0, bad[i].base, bad[i].size);
        expect_fault(ACPI_IVRS_BAD_MEMORY, 48);
    }
    ivrs_begin(0);
    ivrs_add_memory(0x20, IVRS_UNITY | IVRS_READ, 0, 0, 0xffffffffff000, 0x1000);
    ivrs_add_memory(0x20, IVRS_UNITY | IVRS_READ, 0, 0, 0, 0x10000000000000);
    assert_int_equal(ivrs_read_now(&ivrs), 0);
    ivrs_begin(0);
    ivrs_add_memory(0x22, IVRS_UNITY | IVRS_READ, 9, 8, 0x1000, 0x1000);
    expect_fault(ACPI_IVRS_BAD_RANGE, 48);
    /* Over registers, of a unit that may come later. */
    ivrs_begin(0);
    ivrs_add_memory(0x20, IVRS_UNITY | IVRS_READ, 0, 0, 0xfd203000, 0x1000);
    ivrs_add_unit(0x10, 0, 2, 0xfd200000);
    expect_fault(ACPI_IVRS_MEMORY_UNIT, 48);
    acpi_build_set(48 + 16, 8, 0xfd204000);
    assert_int_equal(ivrs_read_now(&ivrs), 0);
    acpi_build_set(48 + 16, 8, 0xfd1ff000);
    assert_int_equal(ivrs_read_now(&ivrs), 0);
    acpi_build_set(48 + 24, 8, 0x1001);
    expect_fault(ACPI_IVRS_MEMORY_UNIT, 48);
}

static void refuses_too_many(void **state) {
    (void)state;
    for (unsigned extra = 0; extra < 2; extra++) {
        ivrs_begin(0);
        for (unsigned i = 0; i < ACPI_IVRS_MAX_UNITS + extra; i++)
            ivrs_add_unit(0x10, 0, (uint16_t)i, 0xfd000000 + i * 0x4000ull);
        if (extra)
            expect_fault(ACPI_IVRS_MANY_UNITS, ivrs_block);
        else
            assert_int_equal(ivrs_read_now(&ivrs), 0);
        ivrs_begin(0);
        for (unsigned i = 0; i < ACPI_IVRS_MAX_MEMORY + extra; i++)
            ivrs_add_memory(0x20, IVRS_UNITY | IVRS_READ, 0, 0, 0x1000, 0x1000);
        if (extra)
            expect_fault(ACPI_IVRS_MANY_MEMORY, ivrs_block);
        else
            assert_int_equal(ivrs_read_now(&ivrs), 0);
        begin_units();
        for (unsigned i = 0; i < ACPI_IVRS_MAX_DEVICES + extra; i++)
            ivrs_add_entry(IVRS_SELECT, (uint16_t)i, 0, 0);
        if (extra)
            expect_fault(ACPI_IVRS_MANY_DEVICES, acpi_build_length - 4);
        else
            assert_int_equal(ivrs_read_now(&ivrs), 0);
        begin_units();
        for (unsigned i = 0; i < ACPI_IVRS_MAX_SPECIALS + extra; i++)
            ivrs_add_special(ACPI_IVRS_IOAPIC, (uint8_t)i, (uint16_t)i, 0);
        if (extra)
            expect_fault(ACPI_IVRS_MANY_SPECIALS, acpi_build_length - 8);
        else
            assert_int_equal(ivrs_read_now(&ivrs), 0);
        begin_units();
        for (unsigned i = 0; i < ACPI_IVRS_MAX_NAMED + extra; i++)
            ivrs_add_named((uint16_t)i, "AMDI0020", 0, 0, NULL);
        if (extra)
            expect_fault(ACPI_IVRS_MANY_NAMED, acpi_build_length - 22);
        else
            assert_int_equal(ivrs_read_now(&ivrs), 0);
    }
}

/* ---- damage */

static void cut_anywhere(void **state) {
    struct acpi_root root;
    unsigned whole = 0;
    (void)state;
    ivrs_build_laptop();
    uint32_t length = acpi_build_length;
    for (uint32_t cut = ACPI_HEADER_SIZE; cut < length; cut++) {
        acpi_build_open(cut, &root);
        int error = acpi_read_ivrs(&root, &ivrs);
        assert_true(error == 0 || error == -EINVAL);
        assert_int_equal(error != 0, ivrs.fault != ACPI_IVRS_NO_FAULT);
        whole += error == 0;
    }
    assert_int_equal(whole, 10); /* between its ten blocks; without the last */
}

static void each_byte_damaged(void **state) {
    static const uint8_t values[] = {0, 1, 4, 0x7f, 0x80, 0xff};
    (void)state;
    ivrs_build_laptop();
    for (uint32_t at = ACPI_HEADER_SIZE; at < acpi_build_length; at++) {
        uint8_t good = *acpi_build_at(at);
        for (unsigned i = 0; i < COUNT(values); i++) {
            *acpi_build_at(at) = values[i];
            int error = ivrs_read_now(&ivrs);
            assert_int_equal(error != 0, ivrs.fault != ACPI_IVRS_NO_FAULT);
            for (unsigned j = 0; !error && j < ivrs.device_count; j++)
                assert_true(ivrs.device[j].first <= ivrs.device[j].last &&
                            ivrs.device[j].unit < ivrs.unit_count);
        }
        *acpi_build_at(at) = good;
    }
    assert_int_equal(ivrs_read_now(&ivrs), 0);
}

static void memory_that_stops_answering(void **state) {
    struct acpi_root root;
    unsigned unreadable = 0;
    int error = -1;
    (void)state;
    ivrs_build_laptop();
    for (unsigned reads = 0; error; reads++) {
        acpi_build_open(acpi_build_length, &root);
        acpi_build_reads_left = reads;
        error = acpi_read_ivrs(&root, &ivrs);
        assert_true(error == 0 || error == -ENOENT || error == -EFAULT);
        assert_int_equal(ivrs.fault, error == -EFAULT ? ACPI_IVRS_UNREADABLE : ACPI_IVRS_NO_FAULT);
        unreadable += error == -EFAULT;
        assert_true(reads < 1000);
    }
    assert_true(unreadable > 40); /* at its head, ten blocks twice, 20 entries */
}

static void faults_in_words(void **state) {
    (void)state;
    for (unsigned i = 0; i <= ACPI_IVRS_MANY_MEMORY; i++) {
        assert_non_null(acpi_ivrs_fault_text(i));
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(acpi_ivrs_fault_text(i), acpi_ivrs_fault_text(j));
    }
    assert_string_equal(acpi_ivrs_fault_text(ACPI_IVRS_MANY_MEMORY + 1), "unknown fault");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_bad_blocks),     cmocka_unit_test(refuses_bad_units),
        cmocka_unit_test(refuses_bad_entries),    cmocka_unit_test(refuses_bad_ranges),
        cmocka_unit_test(refuses_shared_devices), cmocka_unit_test(refuses_bad_memory),
        cmocka_unit_test(refuses_too_many),       cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(each_byte_damaged),      cmocka_unit_test(memory_that_stops_answering),
        cmocka_unit_test(faults_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
