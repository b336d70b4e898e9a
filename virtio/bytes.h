// SPDX-License-Identifier: Apache-2.0
// Little-endian numbers in bytes: of any alignment, for any byte order of the CPU.
#ifndef SAGUARO_VIRTIO_BYTES_H
#define SAGUARO_VIRTIO_BYTES_H

#include <stdint.h>
#include <string.h>

static inline uint16_t bytes_get16(const uint8_t *bytes) {
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static inline uint32_t bytes_get32(const uint8_t *bytes) {
    return bytes_get16(bytes) | (uint32_t)bytes_get16(bytes + 2) << 16;
}

static inline uint64_t bytes_get64(const uint8_t *bytes) {
    return bytes_get32(bytes) | (uint64_t)bytes_get32(bytes + 4) << 32;
}

static inline void bytes_put16(uint8_t *bytes, uint16_t value) {
    bytes[0] = (uint8_t)value;
    bytes[1] = (uint8_t)(value >> 8);
}

static inline void bytes_put32(uint8_t *bytes, uint32_t value) {
    bytes_put16(bytes, (uint16_t)value);
    bytes_put16(bytes + 2, (uint16_t)(value >> 16));
}

static inline void bytes_put64(uint8_t *bytes, uint64_t value) {
    bytes_put32(bytes, (uint32_t)value);
    bytes_put32(bytes + 4, (uint32_t)(value >> 32));
}

/* At once, for a program that may end at any moment: all of it is there or nothing. `bytes` is aligned to 4.
 * What our program stores before is there by then. */
static inline void bytes_store32(uint8_t *bytes, uint32_t value) {
    uint32_t word;
    uint8_t little[sizeof(word)];
    bytes_put32(little, value);
    memcpy(&word, little, sizeof(word));
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n((uint32_t *)(void *)bytes, word, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* `size` bytes (1 to 4) as a register's value, and back. */
static inline uint32_t bytes_get(const uint8_t *bytes, unsigned size) {
    uint32_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)bytes[i] << i * 8;
    return value;
}

static inline void bytes_put(uint8_t *bytes, unsigned size, uint32_t value) {
    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> i * 8);
}

#endif
