// SPDX-License-Identifier: Apache-2.0
// Builds IVRS tables field by field, after AMD's specification (I/O Virtualization Technology 3.08, ch. 5).
#ifndef SAGUARO_TESTS_IVRS_BUILD_H
#define SAGUARO_TESTS_IVRS_BUILD_H

#include <stdint.h>
#include <string.h>
#include "lib/acpi_ivrs.h"
#include "tests/unit/acpi_build.h"

/* Device entries. */
#define IVRS_ALL            0x01
#define IVRS_SELECT         0x02
#define IVRS_START          0x03
#define IVRS_END            0x04
#define IVRS_ALIAS          0x42
#define IVRS_ALIAS_START    0x43
#define IVRS_EXTENDED       0x46
#define IVRS_EXTENDED_START 0x47
#define IVRS_SPECIAL        0x48
#define IVRS_NAMED          0xf0

/* Flags of memory. */
#define IVRS_UNITY          1
#define IVRS_READ           2
#define IVRS_WRITE          4
#define IVRS_EXCLUSION      8

static inline void ivrs_begin(uint32_t info) {
    acpi_build_begin("IVRS");
    acpi_build_put(4, info);
    acpi_build_put(8, 0);
}

static uint32_t ivrs_block; /* offset of the one that is built */

static inline void ivrs_end_block(void) {
    acpi_build_set(ivrs_block + 2, 2, acpi_build_length - ivrs_block);
}

static inline void ivrs_add_block(uint8_t type, uint8_t flags) {
    ivrs_block = acpi_build_length;
    acpi_build_put(1, type);
    acpi_build_put(1, flags);
    acpi_build_put(2, 0);
}

static inline void ivrs_add_unit(uint8_t type, uint16_t segment, uint16_t id, uint64_t base) {
    ivrs_add_block(type, 0x30);
    acpi_build_put(2, id);
    acpi_build_put(2, 0x40);
    acpi_build_put(8, base);
    acpi_build_put(2, segment);
    acpi_build_put(2, 0x1203);
    acpi_build_put(4, 0x80048f6f);
    if (type != ACPI_IVRS_IVHD_10) {
        acpi_build_put(8, 0x246577efa2254afa);
        acpi_build_put(8, 0x10);
    }
    ivrs_end_block();
}

/* An entry of four bytes, or with `more` of eight or longer. */
static inline void ivrs_add_entry(uint8_t type, uint16_t id, uint8_t settings, uint32_t more) {
    acpi_build_put(1, type);
    acpi_build_put(2, id);
    acpi_build_put(1, settings);
    if (type >= 0x40)
        acpi_build_put(4, more);
    if (type >= 0x80)
        acpi_build_length += type < 0xc0 ? 8 : 24;
    ivrs_end_block();
}

static inline void ivrs_add_range(uint16_t first, uint16_t last) {
    ivrs_add_entry(IVRS_START, first, 0, 0);
    ivrs_add_entry(IVRS_END, last, 0, 0);
}

static inline void ivrs_add_alias(uint8_t type, uint16_t id, uint16_t alias) {
    ivrs_add_entry(type, id, 0, (uint32_t)alias << 8);
}

static inline void ivrs_add_special(uint8_t variety, uint8_t handle, uint16_t requester, uint8_t settings) {
    ivrs_add_entry(IVRS_SPECIAL, 0, settings, (uint32_t)variety << 24 | (uint32_t)requester << 8 | handle);
}

static inline void ivrs_add_named(uint16_t id, const char *hid, uint8_t format, uint8_t uid_size,
                                  const void *uid) {
    const uint8_t *bytes = uid;
    acpi_build_put(1, IVRS_NAMED);
    acpi_build_put(2, id);
    acpi_build_put(1, 0x40);
    for (unsigned i = 0; i < 8; i++)
        acpi_build_put(1, i < strlen(hid) ? (uint8_t)hid[i] : 0);
    acpi_build_put(8, 0);
    acpi_build_put(1, format);
    acpi_build_put(1, uid_size);
    for (unsigned i = 0; i < uid_size; i++)
        acpi_build_put(1, bytes[i]);
    ivrs_end_block();
}

static inline void ivrs_add_memory(uint8_t type, uint8_t flags, uint16_t id, uint16_t more, uint64_t base,
                                   uint64_t size) {
    ivrs_add_block(type, flags);
    acpi_build_put(2, id);
    acpi_build_put(2, more);
    acpi_build_put(8, 0);
    acpi_build_put(8, base);
    acpi_build_put(8, size);
    ivrs_end_block();
}

static const uint64_t ivrs_uart_number = 0x1122334455667788;

/* As laptops have it: one unit, told of in each kind of block. */
static inline void ivrs_build_laptop(void) {
    ivrs_begin(0x203043);
    ivrs_add_unit(ACPI_IVRS_IVHD_10, 0, 2, 0xfd200000);
    ivrs_add_range(3, 0xfffe);
    ivrs_add_unit(ACPI_IVRS_IVHD_11, 0, 2, 0xfd200000);
    ivrs_add_range(3, 0xfffe);
    ivrs_add_memory(0x21, IVRS_EXCLUSION, 0x60, 0, 0x7d900000, 0x100000);
    ivrs_add_memory(0x22, IVRS_EXCLUSION, 0, 0xfff, 0x9a432000, 1);
    ivrs_add_memory(0x20, IVRS_UNITY | IVRS_READ, 5, 0, 0x76000000, 0x20000);
    ivrs_add_memory(0x21, IVRS_UNITY | IVRS_WRITE, 0xc507, 9, 0x77000000, 0x1000);
    ivrs_add_memory(0x21, IVRS_READ | IVRS_WRITE, 0xc507, 0, 0x78000000, 0x1000); /* asks for nothing */
    ivrs_add_memory(0x21, IVRS_UNITY, 0xc507, 0, 0x78000000, 0x1000);             /* neither */
    ivrs_add_unit(ACPI_IVRS_IVHD_40, 0, 2, 0xfd200000);
    ivrs_add_range(3, 0xfffe);
    ivrs_add_alias(IVRS_ALIAS, 0x300, 0x14);
    ivrs_add_entry(IVRS_EXTENDED, 0x400, 0x33, 0x80000000);
    ivrs_add_entry(IVRS_EXTENDED_START, 0x500, 2, 0x7fffffff);
    ivrs_add_entry(0, 0x1234, 0xff, 0); /* padding, of either size */
    ivrs_add_entry(0x40, 0x1234, 0xff, 0x1234);
    ivrs_add_entry(IVRS_END, 0x5ff, 0xff, 0);
    ivrs_add_entry(0x85, 1, 1, 1); /* types to come */
    ivrs_add_entry(0xc5, 1, 1, 1);
    ivrs_add_special(ACPI_IVRS_IOAPIC, 0x21, 0xa0, 0xd7);
    ivrs_add_special(ACPI_IVRS_IOAPIC, 0x22, 1, 0);
    ivrs_add_special(ACPI_IVRS_HPET, 0, 0xa0, 0);
    ivrs_add_special(ACPI_IVRS_HPET, 0, 0xa0, 0); /* once more, the same */
    ivrs_add_special(3, 0, 0xb0, 0);
    ivrs_add_named(0xa5, "AMDI0020", 2, 9, "\\_SB.FUR0");
    ivrs_add_named(0xa6, "X\1", 1, 8, &ivrs_uart_number);
    ivrs_add_named(0xa7, "", 0, 3, "abc");
    ivrs_add_block(0x77, 0); /* and blocks */
    ivrs_end_block();
}

static inline int ivrs_read_now(struct acpi_ivrs *ivrs) {
    struct acpi_root root;
    acpi_build_open(acpi_build_length, &root);
    return acpi_read_ivrs(&root, ivrs);
}

#endif
