// SPDX-License-Identifier: Apache-2.0
// A small writer of ACPI machine language and resource descriptors.
#include "arch/x86/guest/aml.h"

#include <string.h>

#define NAME_OP        0x08
#define SCOPE_OP       0x10
#define BUFFER_OP      0x11
#define PACKAGE_OP     0x12
#define EXTENSION      0x5b
#define DEVICE_OP      0x82
#define ZERO_OP        0x00
#define ONE_OP         0x01
#define BYTE_PREFIX    0x0a
#define WORD_PREFIX    0x0b
#define DWORD_PREFIX   0x0c
#define STRING_PREFIX  0x0d
#define PACKAGE_LENGTH 4 /* bytes of the longest PkgLength */

void aml_byte(struct aml *aml, uint8_t value) {
    if (aml->used == aml->size)
        aml->overflow = true;
    else
        aml->data[aml->used++] = value;
}

void aml_word(struct aml *aml, uint16_t value) {
    aml_byte(aml, (uint8_t)value);
    aml_byte(aml, (uint8_t)(value >> 8));
}

void aml_dword(struct aml *aml, uint32_t value) {
    aml_word(aml, (uint16_t)value);
    aml_word(aml, (uint16_t)(value >> 16));
}

/* Moves what was written from `start` on, so that `bytes` fit before it. */
static void insert(struct aml *aml, uint32_t start, const uint8_t *bytes, uint32_t count) {
    if (count > aml->size - aml->used) {
        aml->overflow = true;
        return;
    }
    memmove(&aml->data[start + count], &aml->data[start], aml->used - start);
    memcpy(&aml->data[start], bytes, count);
    aml->used += count;
}

/* PkgLength (20.2.4): counts itself; one byte up to 63, else 4 bits and up to 3 more bytes. */
void aml_close(struct aml *aml, uint32_t start) {
    uint32_t length = aml->used - start;
    uint8_t bytes[PACKAGE_LENGTH];
    uint32_t count = 1;
    if (length + 1 <= 63) {
        bytes[0] = (uint8_t)(length + 1);
    } else {
        do
            count++;
        while (count < PACKAGE_LENGTH && length + count >= 1u << (4 + 8 * (count - 1)));
        length += count;
        bytes[0] = (uint8_t)((count - 1) << 6 | (length & 15));
        for (uint32_t i = 1; i < count; i++)
            bytes[i] = (uint8_t)(length >> (4 + 8 * (i - 1)));
    }
    insert(aml, start, bytes, count);
}

static void name_string(struct aml *aml, const char *name) {
    if (*name == '\\')
        aml_byte(aml, (uint8_t)*name++);
    for (unsigned i = 0; i < 4; i++)
        aml_byte(aml, *name ? (uint8_t)*name++ : '_');
}

uint32_t aml_scope(struct aml *aml, const char *name) {
    aml_byte(aml, SCOPE_OP);
    uint32_t start = aml->used;
    name_string(aml, name);
    return start;
}

uint32_t aml_device(struct aml *aml, const char *name) {
    aml_byte(aml, EXTENSION);
    aml_byte(aml, DEVICE_OP);
    uint32_t start = aml->used;
    name_string(aml, name);
    return start;
}

uint32_t aml_package(struct aml *aml, uint8_t count) {
    aml_byte(aml, PACKAGE_OP);
    uint32_t start = aml->used;
    aml_byte(aml, count);
    return start;
}

void aml_name(struct aml *aml, const char *name) {
    aml_byte(aml, NAME_OP);
    name_string(aml, name);
}

void aml_integer(struct aml *aml, uint32_t value) {
    if (value <= 1) {
        aml_byte(aml, value ? ONE_OP : ZERO_OP);
    } else if (value <= 0xff) {
        aml_byte(aml, BYTE_PREFIX);
        aml_byte(aml, (uint8_t)value);
    } else if (value <= 0xffff) {
        aml_byte(aml, WORD_PREFIX);
        aml_word(aml, (uint16_t)value);
    } else {
        aml_byte(aml, DWORD_PREFIX);
        aml_dword(aml, value);
    }
}

void aml_string(struct aml *aml, const char *text) {
    aml_byte(aml, STRING_PREFIX);
    do
        aml_byte(aml, (uint8_t)*text);
    while (*text++);
}

static uint32_t hex_digit(char c) {
    return (uint32_t)(c <= '9' ? c - '0' : c - 'A' + 10) & 15;
}

/* Three letters of 5 bits and four hexadecimal digits, most significant first, stored big-endian. */
void aml_eisa_id(struct aml *aml, const char *id) {
    uint32_t value = 0;
    for (unsigned i = 0; i < 3; i++)
        value = value << 5 | ((uint32_t)(id[i] - 'A' + 1) & 31);
    for (unsigned i = 3; i < 7; i++)
        value = value << 4 | hex_digit(id[i]);
    aml_byte(aml, DWORD_PREFIX);
    aml_dword(aml, __builtin_bswap32(value));
}

uint32_t aml_resources(struct aml *aml) {
    aml_byte(aml, BUFFER_OP);
    return aml->used;
}

void aml_resources_close(struct aml *aml, uint32_t start) {
    aml_byte(aml, 0x79); /* end tag, no checksum */
    aml_byte(aml, 0);
    uint32_t length = aml->used - start;
    uint8_t size[3] = {WORD_PREFIX, (uint8_t)length, (uint8_t)(length >> 8)};
    if (length <= 0xff) {
        size[0] = BYTE_PREFIX;
        insert(aml, start, size, 2);
    } else {
        insert(aml, start, size, 3);
    }
    aml_close(aml, start);
}

void aml_io(struct aml *aml, uint16_t base, uint8_t length) {
    aml_byte(aml, 0x47);
    aml_byte(aml, 1); /* decodes 16 bits */
    aml_word(aml, base);
    aml_word(aml, base);
    aml_byte(aml, 1);
    aml_byte(aml, length);
}

void aml_irq(struct aml *aml, unsigned line) {
    aml_byte(aml, 0x22);
    aml_word(aml, (uint16_t)(1u << line));
}

void aml_interrupt(struct aml *aml, uint32_t gsi) {
    aml_byte(aml, 0x89);
    aml_word(aml, 6);
    aml_byte(aml, 0x09); /* consumed, level, active high, shared */
    aml_byte(aml, 1);    /* one of them */
    aml_dword(aml, gsi);
}

void aml_memory32_fixed(struct aml *aml, uint32_t base, uint32_t length) {
    aml_byte(aml, 0x86);
    aml_word(aml, 9);
    aml_byte(aml, 1); /* read and write */
    aml_dword(aml, base);
    aml_dword(aml, length);
}

#define ADDRESS_FIXED 0x0c /* both ends are fixed, decoded positively, produced */

static void word_address(struct aml *aml, uint8_t type, uint8_t flags, uint16_t first, uint16_t last,
                         uint16_t length) {
    aml_byte(aml, 0x88);
    aml_word(aml, 0x0d);
    aml_byte(aml, type);
    aml_byte(aml, ADDRESS_FIXED);
    aml_byte(aml, flags);
    aml_word(aml, 0); /* granularity */
    aml_word(aml, first);
    aml_word(aml, last);
    aml_word(aml, 0); /* translation */
    aml_word(aml, length);
}

void aml_word_bus(struct aml *aml, uint16_t first, uint16_t last) {
    word_address(aml, 2, 0, first, last, (uint16_t)(last - first + 1));
}

void aml_word_io(struct aml *aml, uint16_t first, uint16_t last) {
    word_address(aml, 1, 3, first, last, (uint16_t)(last - first + 1));
}

void aml_dword_memory(struct aml *aml, uint32_t first, uint32_t last) {
    aml_byte(aml, 0x87);
    aml_word(aml, 0x17);
    aml_byte(aml, 0);
    aml_byte(aml, ADDRESS_FIXED);
    aml_byte(aml, 1); /* read and write, not cacheable */
    aml_dword(aml, 0);
    aml_dword(aml, first);
    aml_dword(aml, last);
    aml_dword(aml, 0);
    aml_dword(aml, last - first + 1);
}
