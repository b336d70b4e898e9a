// SPDX-License-Identifier: Apache-2.0
// Builds one ACPI table, with the RSDP and XSDT before it, in a piece of memory that parsers read through a
// callback: append its fields, then finish it.
#ifndef SAGUARO_TESTS_ACPI_BUILD_H
#define SAGUARO_TESTS_ACPI_BUILD_H

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include "lib/acpi.h"

#define ACPI_BUILD_BASE  0x7f000000ull
#define ACPI_BUILD_SIZE  0x20000u
#define ACPI_BUILD_XSDT  0x100u /* offsets */
#define ACPI_BUILD_TABLE 0x200u

static uint8_t acpi_build_bytes[ACPI_BUILD_SIZE];
static uint32_t acpi_build_length;     /* of the table up to now */
static unsigned acpi_build_reads_left; /* reads that succeed before all fail */

static int acpi_build_read(void *context, uint64_t physical, void *buffer, size_t size) {
    (void)context;
    if (physical < ACPI_BUILD_BASE || physical - ACPI_BUILD_BASE > ACPI_BUILD_SIZE ||
        size > ACPI_BUILD_SIZE - (physical - ACPI_BUILD_BASE) || !acpi_build_reads_left)
        return -EFAULT;
    acpi_build_reads_left--;
    memcpy(buffer, acpi_build_bytes + (physical - ACPI_BUILD_BASE), size);
    return 0;
}

/* A byte of the table. */
static inline uint8_t *acpi_build_at(uint32_t offset) {
    return acpi_build_bytes + ACPI_BUILD_TABLE + offset;
}

/* Little-endian, over what is there. */
static inline void acpi_build_set(uint32_t offset, unsigned bytes, uint64_t value) {
    assert(ACPI_BUILD_TABLE + offset + bytes <= ACPI_BUILD_SIZE);
    for (unsigned i = 0; i < bytes; i++)
        *acpi_build_at(offset + i) = (uint8_t)(value >> 8 * i);
}

/* Appends a field of `bytes` bytes. */
static inline void acpi_build_put(unsigned bytes, uint64_t value) {
    acpi_build_set(acpi_build_length, bytes, value);
    acpi_build_length += bytes;
}

static inline void acpi_build_fix(uint32_t offset, uint32_t length, uint32_t sum_at) {
    uint8_t sum = 0, *bytes = acpi_build_bytes + offset;
    bytes[sum_at] = 0;
    for (uint32_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + bytes[i]);
    bytes[sum_at] = (uint8_t)-sum;
}

/* Starts a table with its header, all else is forgotten. */
static inline void acpi_build_begin(const char *signature) {
    memset(acpi_build_bytes, 0, sizeof(acpi_build_bytes));
    memcpy(acpi_build_at(0), signature, 4);
    *acpi_build_at(8) = 1;
    acpi_build_length = ACPI_HEADER_SIZE;
}

/* Gives the table this length and its checksum, and opens the tables. */
static inline void acpi_build_open(uint32_t length, struct acpi_root *root) {
    static const struct acpi_memory memory = {.read = acpi_build_read};
    uint8_t *rsdp = acpi_build_bytes, *xsdt = acpi_build_bytes + ACPI_BUILD_XSDT;
    uint64_t xsdt_address = ACPI_BUILD_BASE + ACPI_BUILD_XSDT, address = ACPI_BUILD_BASE + ACPI_BUILD_TABLE;

    acpi_build_set(4, 4, length);
    acpi_build_fix(ACPI_BUILD_TABLE, length, 9);
    memcpy(xsdt, "XSDT", 4);
    xsdt[4] = ACPI_HEADER_SIZE + 8;
    memcpy(xsdt + ACPI_HEADER_SIZE, &address, 8);
    acpi_build_fix(ACPI_BUILD_XSDT, ACPI_HEADER_SIZE + 8, 9);
    memcpy(rsdp, "RSD PTR ", 8);
    rsdp[15] = 2;
    rsdp[20] = 36;
    memcpy(rsdp + 24, &xsdt_address, 8);
    acpi_build_fix(0, 20, 8);
    acpi_build_fix(0, 36, 32);
    acpi_build_reads_left = UINT32_MAX;
    int error = acpi_open(root, &memory, ACPI_BUILD_BASE);
    assert(!error);
    (void)error;
}

#endif
