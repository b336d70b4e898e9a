// SPDX-License-Identifier: Apache-2.0
// Makes an ACPI table of a fuzzer's input: a good one with some bytes changed, or one whose whole body is the
// input. Its length and checksum are right, so that the parser behind them is reached.
#ifndef SAGUARO_TESTS_ACPI_TABLE_TARGET_H
#define SAGUARO_TESTS_ACPI_TABLE_TARGET_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include "tests/unit/acpi_build.h"

static inline void check(bool good) {
    if (!good)
        abort();
}

/* Opens the table. The first byte of `data` chooses; then come the body, or for the good table (which `build`
 * builds) triples of offset (low byte, high byte) and value. False: the input is of no use. */
static inline bool acpi_table_target(const uint8_t *data, size_t size, const char *signature,
                                     void (*build)(void), struct acpi_root *root) {
    if (size < 2 || size > ACPI_BUILD_SIZE / 2)
        return false;
    if (data[0] & 1) {
        build();
        for (size_t at = 1; at + 3 <= size; at += 3) {
            uint32_t offset = (uint32_t)(data[at] | data[at + 1] << 8);
            offset = ACPI_HEADER_SIZE + offset % (acpi_build_length - ACPI_HEADER_SIZE);
            acpi_build_set(offset, 1, data[at + 2]);
        }
    } else {
        acpi_build_begin(signature);
        for (size_t at = 1; at < size; at++)
            acpi_build_put(1, data[at]);
    }
    acpi_build_open(acpi_build_length, root);
    return true;
}

#endif
