// SPDX-License-Identifier: Apache-2.0
// CRC-32 of IEEE 802.3, which bundles, uImages and GPT headers carry.
#ifndef SAGUARO_LIB_CRC32_H
#define SAGUARO_LIB_CRC32_H

#include <stdint.h>

/* Goes on from `crc`, which begins as UINT32_MAX; the complement of the result is the sum. By a table of half
 * bytes: small, and fast enough for what is summed. */
static inline uint32_t crc32_update(uint32_t crc, const uint8_t *bytes, uint64_t size) {
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };

    while (size-- > 0) {
        crc ^= *bytes++;
        crc = table[crc & 15] ^ crc >> 4;
        crc = table[crc & 15] ^ crc >> 4;
    }
    return crc;
}

#endif
