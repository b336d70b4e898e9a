// SPDX-License-Identifier: Apache-2.0
// The ACPI tables of a guest's PC, built so that they can be placed anywhere: by us, or by the guest's
// firmware.
#ifndef SAGUARO_ARCH_X86_GUEST_ACPI_H
#define SAGUARO_ARCH_X86_GUEST_ACPI_H

#include <stdint.h>

struct vm;

#define ACPI_TABLES_SIZE   0x2000u /* enough for the tables of any guest */
#define ACPI_TABLES_ALIGN  64u
#define ACPI_RSDP_SIZE     36u
#define ACPI_MAX_POINTERS  16u
#define ACPI_MAX_CHECKSUMS 9u

/* A little-endian field that holds an offset into the tables, and is to hold an address. */
struct acpi_pointer {
    uint32_t offset; /* of the field, in the tables or in the RSDP */
    uint8_t size;    /* 4 or 8 */
    uint8_t in_rsdp;
};

/* A byte, 0 so far, that is to make `length` bytes from `start` on sum up to 0. */
struct acpi_checksum {
    uint32_t offset;
    uint32_t start;
    uint32_t length;
    uint8_t in_rsdp;
};

struct acpi_tables {
    uint8_t data[ACPI_TABLES_SIZE];
    uint32_t used;
    uint8_t rsdp[ACPI_RSDP_SIZE];
    struct acpi_pointer pointer[ACPI_MAX_POINTERS];
    uint32_t pointer_count;
    struct acpi_checksum checksum[ACPI_MAX_CHECKSUMS];
    uint32_t checksum_count;
};

/* Builds the tables with offsets for pointers and no checksums. `tables` is zeroed. 0; -ENOSPC: a size above
 * is too small. */
int acpi_build(const struct vm *vm, struct acpi_tables *tables);
/* Makes pointers and checksums right for tables at guest-physical `base`; pointers first, as firmware does.
 */
void acpi_relocate(struct acpi_tables *tables, uint32_t base);

#endif
