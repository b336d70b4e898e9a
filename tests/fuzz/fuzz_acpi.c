// SPDX-License-Identifier: Apache-2.0
// ACPI tables out of arbitrary bytes: nothing may be read outside them, nothing may loop. The input is
// physical memory from BASE on, with an RSDP first; checksums are mended, so that the parsers behind them are
// reached.
// fuzz-sources: lib/acpi.c lib/acpi_madt.c lib/acpi_sleep.c
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "lib/acpi.h"

#define BASE      0x1000ull
#define MAX_INPUT 8192u

static uint8_t *bytes;
static size_t bytes_size;

static int read_bytes(void *context, uint64_t physical, void *buffer, size_t size) {
    (void)context;
    if (physical < BASE || physical - BASE > bytes_size || size > bytes_size - (physical - BASE))
        return -EFAULT;
    memcpy(buffer, bytes + (physical - BASE), size);
    return 0;
}

static void put32(size_t at, uint32_t value) {
    if (at + 4 <= bytes_size)
        memcpy(bytes + at, &value, 4);
}

static void mend(size_t at, size_t length, size_t sum_at) {
    uint8_t sum = 0;
    if (at > bytes_size || length > bytes_size - at || sum_at >= length)
        return;
    bytes[at + sum_at] = 0;
    for (size_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + bytes[at + i]);
    bytes[at + sum_at] = (uint8_t)-sum;
}

/* A table's length stays what the input says, if it fits. */
static void mend_table(size_t at, const char *signature) {
    uint32_t length;
    if (at + ACPI_HEADER_SIZE > bytes_size)
        return;
    memcpy(bytes + at, signature, 4);
    memcpy(&length, bytes + at + 4, 4);
    if (length > bytes_size - at || length < ACPI_HEADER_SIZE) {
        length = (uint32_t)(bytes_size - at);
        put32(at + 4, length);
    }
    mend(at, length, 9);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct acpi_memory memory = {.read = read_bytes};
    static struct acpi_madt madt;
    struct acpi_root root;
    struct acpi_fadt fadt;
    struct acpi_facs facs;
    uint8_t a, b;

    if (size < 64 || size > MAX_INPUT)
        return 0;
    bytes = malloc(size);
    if (!bytes)
        return 0;
    memcpy(bytes, data, size);
    bytes_size = size;
    /* Two bytes of the input say how much is mended and where the tables are. */
    unsigned how = bytes[9];
    size_t list = 36, madt_at = 64 + bytes[10] * 4u, fadt_at = 64 + bytes[11] * 4u,
           dsdt_at = 64 + bytes[12] * 4u;
    if (how & 1) {
        memcpy(bytes, "RSD PTR ", 8);
        put32(16, (uint32_t)(BASE + list));
        bytes[15] = (uint8_t)(how & 2);
        put32(20, 36);
        put32(24, (uint32_t)(BASE + list));
        put32(28, 0);
        unsigned step = how & 2 ? 8 : 4;
        put32(list + 36, (uint32_t)(BASE + madt_at));
        put32(list + 36 + step, (uint32_t)(BASE + fadt_at));
        if (how & 2) {
            put32(list + 40, 0);
            put32(list + 48, 0);
        }
        if (how & 4)
            put32(fadt_at + 40, (uint32_t)(BASE + dsdt_at));
        if (how & 8)
            mend_table(dsdt_at, how & 16 ? "SSDT" : "DSDT");
        mend_table(madt_at, "APIC");
        mend_table(fadt_at, "FACP");
        put32(list + 4, 36 + 2 * step);
        mend_table(list, how & 2 ? "XSDT" : "RSDT");
        mend(0, 20, 8);
        mend(0, 36, 32);
    }
    if (!acpi_open(&root, &memory, BASE)) {
        acpi_read_madt(&root, &madt);
        if (!acpi_read_fadt(&root, &fadt)) {
            acpi_read_facs(&root, &fadt, &facs);
            acpi_find_s5(&root, &fadt, &a, &b);
        }
    }
    free(bytes);
    return 0;
}
