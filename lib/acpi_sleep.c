// SPDX-License-Identifier: Apache-2.0
// The sleep package \_S5, found without interpreting AML: its name, a package operator and constants
// (ACPI specification 6.4, 7.4.2 and 20.2).
#include "lib/acpi.h"

#include <errno.h>
#include <string.h>

#define CHUNK       512u
#define LOOK_AHEAD  32u /* bytes from the name on within which the package's first two elements lie */
#define MAX_SSDTS   128u

#define AML_ZERO    0x00u
#define AML_ONE     0x01u
#define AML_NAME    0x08u
#define AML_BYTE    0x0au
#define AML_WORD    0x0bu
#define AML_DWORD   0x0cu
#define AML_QWORD   0x0eu
#define AML_PACKAGE 0x12u
#define AML_ROOT    0x5cu
#define AML_ONES    0xffu

/* Reads an integer constant at *at; false: it is none, or does not fit in. */
static bool constant(const uint8_t *p, size_t size, size_t *at, uint8_t *value) {
    static const uint8_t width[] = {[AML_BYTE] = 1, [AML_WORD] = 2, [AML_DWORD] = 4, [AML_QWORD] = 8};

    if (*at >= size)
        return false;
    uint8_t code = p[(*at)++];
    if (code == AML_ZERO || code == AML_ONE) {
        *value = code;
        return true;
    }
    if (code == AML_ONES) {
        *value = 0xff;
        return true;
    }
    if (code >= sizeof(width) || !width[code] || width[code] > size - *at)
        return false;
    *value = p[*at];
    *at += width[code];
    return true;
}

/* `p` begins with the name: is what follows a package of at least two constants? */
static bool parse(const uint8_t *p, size_t size, uint8_t *type_a, uint8_t *type_b) {
    size_t at = 4;
    uint8_t a, b;

    if (at + 2 > size || p[at++] != AML_PACKAGE)
        return false;
    /* PkgLength: bits 6-7 of its first byte say how many more follow. */
    at += 1 + (p[at] >> 6);
    if (at >= size || p[at++] < 2)
        return false;
    if (!constant(p, size, &at, &a) || !constant(p, size, &at, &b))
        return false;
    /* SLP_TYP has three bits. */
    *type_a = a & 7;
    *type_b = b & 7;
    return true;
}

static int scan(const struct acpi_root *root, const struct acpi_table *table, uint8_t *type_a,
                uint8_t *type_b) {
    uint8_t chunk[CHUNK];

    /* Chunks overlap by what may have to be looked at before and behind a name. */
    for (uint32_t at = ACPI_HEADER_SIZE; at < table->length; at += CHUNK - LOOK_AHEAD - 2) {
        uint32_t size = table->length - at < CHUNK ? table->length - at : CHUNK;
        int error = acpi_table_read(root, table, at, chunk, size);
        if (error)
            return error;
        for (uint32_t i = 1; i + 4 <= size; i++) {
            if (memcmp(chunk + i, "_S5_", 4))
                continue;
            bool named =
                chunk[i - 1] == AML_NAME || (i >= 2 && chunk[i - 1] == AML_ROOT && chunk[i - 2] == AML_NAME);
            if (named && parse(chunk + i, size - i, type_a, type_b))
                return 0;
        }
    }
    return -ENOENT;
}

int acpi_find_s5(const struct acpi_root *root, const struct acpi_fadt *fadt, uint8_t *type_a,
                 uint8_t *type_b) {
    struct acpi_table table;

    if (!acpi_table_at(root, fadt->dsdt, "DSDT", &table) && !scan(root, &table, type_a, type_b))
        return 0;
    for (unsigned i = 0; i < MAX_SSDTS && !acpi_find(root, "SSDT", i, &table); i++)
        if (!scan(root, &table, type_a, type_b))
            return 0;
    return -ENOENT;
}
