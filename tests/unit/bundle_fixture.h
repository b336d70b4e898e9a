// SPDX-License-Identifier: Apache-2.0
// Makes bundles for the test and the fuzzer of lib/bundle.c: byte by byte, with a CRC of its own.
#ifndef SAGUARO_TESTS_UNIT_BUNDLE_FIXTURE_H
#define SAGUARO_TESTS_UNIT_BUNDLE_FIXTURE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "abi/bundle.h"

static inline void put_number(uint8_t *to, uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++) {
        to[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
    }
}

/* One bit at a time, by the polynomial. */
static inline uint32_t bitwise_crc32(const uint8_t *bytes, size_t size) {
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (unsigned bit = 0; bit < 8; bit++) {
            crc = (crc & 1) != 0 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
        }
    }
    return ~crc;
}

static inline uint8_t *bundle_entry_at(uint8_t *bundle, unsigned index) {
    return bundle + sizeof(struct bundle_header) + index * sizeof(struct bundle_file);
}

static inline void bundle_seal(uint8_t *bundle, size_t size) {
    put_number(bundle + offsetof(struct bundle_header, crc32), 0, 4);
    put_number(bundle + offsetof(struct bundle_header, crc32), bitwise_crc32(bundle, size), 4);
}

static inline void bundle_head(uint8_t *bundle, uint32_t files, uint64_t size) {
    memset(bundle, 0, sizeof(struct bundle_header));
    memcpy(bundle, "SAGUARO", 8);
    put_number(bundle + offsetof(struct bundle_header, version), 1, 4);
    put_number(bundle + offsetof(struct bundle_header, file_count), files, 4);
    put_number(bundle + offsetof(struct bundle_header, size), size, 8);
}

static inline void bundle_place(uint8_t *bundle, unsigned index, const char *name, uint64_t offset,
                                uint64_t size) {
    uint8_t *entry = bundle_entry_at(bundle, index);

    memset(entry, 0, sizeof(struct bundle_file));
    put_number(entry + offsetof(struct bundle_file, offset), offset, 8);
    put_number(entry + offsetof(struct bundle_file, size), size, 8);
    memcpy(entry + offsetof(struct bundle_file, name), name, strlen(name));
}

#endif
