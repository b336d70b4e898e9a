// SPDX-License-Identifier: Apache-2.0
// Builds partition tables in memory, for the tests and the fuzzer of virtio/partition.c.
#ifndef SAGUARO_TESTS_PARTITION_BUILD_H
#define SAGUARO_TESTS_PARTITION_BUILD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "virtio/bytes.h"

static inline uint32_t build_crc(const uint8_t *bytes, size_t size) {
    uint32_t crc = UINT32_MAX;
    while (size--) {
        crc ^= *bytes++;
        for (unsigned i = 0; i < 8; i++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

/* An entry of the table in the block at `block`, which becomes one. */
static inline void build_mbr(uint8_t *block, unsigned index, uint8_t type, uint32_t first, uint32_t count) {
    uint8_t *entry = block + 446 + index * 16;
    block[510] = 0x55;
    block[511] = 0xaa;
    entry[4] = type;
    bytes_put32(entry + 8, first);
    bytes_put32(entry + 12, count);
}

/* An entry of a GPT's table. */
static inline void build_gpt_entry(uint8_t *entry, uint64_t first, uint64_t last) {
    memset(entry, 0, 128);
    memset(entry, 0x77, 32); /* type and name */
    bytes_put64(entry + 32, first);
    bytes_put64(entry + 40, last);
}

/* The checksum of a header of `size` bytes. */
static inline void build_gpt_sum(uint8_t *head, uint32_t size) {
    bytes_put32(head + 16, 0);
    bytes_put32(head + 16, build_crc(head, size));
}

/* A header at block `at` of a disk of `blocks` blocks, for the table at block `table`, whose bytes are
 * `entries`. */
static inline void build_gpt(uint8_t *head, uint64_t at, uint64_t alternate, uint64_t blocks, uint64_t table,
                             const uint8_t *entries, uint32_t count, uint32_t entry_size) {
    memset(head, 0, 92);
    memcpy(head, "EFI PART", 8);
    bytes_put32(head + 8, 0x10000);
    bytes_put32(head + 12, 92);
    bytes_put64(head + 24, at);
    bytes_put64(head + 32, alternate);
    bytes_put64(head + 40, 34);
    bytes_put64(head + 48, blocks - 34);
    bytes_put64(head + 72, table);
    bytes_put32(head + 80, count);
    bytes_put32(head + 84, entry_size);
    bytes_put32(head + 88, build_crc(entries, (size_t)count * entry_size));
    build_gpt_sum(head, 92);
}

#endif
