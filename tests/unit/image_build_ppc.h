// SPDX-License-Identifier: Apache-2.0
// PowerPC kernels made in memory, for the tests of lib/image_ppc.c and of what loads them: a sound ELF file
// and a sound uImage, whose fields a test then changes.
#ifndef SAGUARO_TESTS_UNIT_IMAGE_BUILD_PPC_H
#define SAGUARO_TESTS_UNIT_IMAGE_BUILD_PPC_H

#include "tests/unit/image_build.h"

static inline void put16be(struct file *file, uint64_t at, uint16_t value) {
    file->bytes[at] = (uint8_t)(value >> 8);
    file->bytes[at + 1] = (uint8_t)value;
}
static inline void put32be(struct file *file, uint64_t at, uint32_t value) {
    put16be(file, at, (uint16_t)(value >> 16));
    put16be(file, at + 2, (uint16_t)value);
}

#define PPC_ENTRY    24u /* offsets in the ELF header */
#define PPC_TABLE    28u
#define PPC_STEP     42u
#define PPC_COUNT    44u
#define PPC_PH(n)    (52u + 32 * (n))
#define PPC_TEXT     0x1000u /* in the file; 0x200 bytes for 0 */
#define PPC_DATA     0x1800u /* 0x100 bytes for 0x10000, 0x1000 in memory */
#define PPC_VIRTUAL  0xc0000000u
#define UIMAGE_HEADS 64u

static inline void put_ph_ppc(struct file *file, unsigned index, uint32_t type, uint32_t offset,
                              uint32_t virtual_address, uint32_t physical, uint32_t file_size,
                              uint32_t memory_size) {
    const uint32_t words[] = {type, offset, virtual_address, physical, file_size, memory_size, 7, 0x1000};
    for (unsigned i = 0; i < 8; i++)
        put32be(file, PPC_PH(index) + 4 * i, words[i]);
}

/* A vmlinux of two segments and a note, linked at 3 GiB and entered at its first byte. */
static inline void build_vmlinux(struct file *file) {
    memset(file, 0, sizeof(*file));
    file->size = 0x2000;
    memcpy(file->bytes,
           "\x7f"
           "ELF\1\2\1",
           7);
    put16be(file, 16, 2);
    put16be(file, 18, 20);
    put32be(file, 20, 1);
    put32be(file, PPC_ENTRY, PPC_VIRTUAL);
    put32be(file, PPC_TABLE, 52);
    put16be(file, PPC_STEP, 32);
    put16be(file, PPC_COUNT, 3);
    put_ph_ppc(file, 0, 1, PPC_TEXT, PPC_VIRTUAL, 0, 0x200, 0x200);
    put_ph_ppc(file, 1, 1, PPC_DATA, PPC_VIRTUAL + 0x10000, 0x10000, 0x100, 0x1000);
    put_ph_ppc(file, 2, 4, 0x1c00, 0, 0, 16, 16);
    memset(file->bytes + PPC_TEXT, 0x11, 0x200);
    memset(file->bytes + PPC_DATA, 0x22, 0x100);
}

/* The header's checksum over what is in it now. */
static inline void seal_uimage(struct file *file) {
    uint32_t crc = UINT32_MAX;
    put32be(file, 4, 0);
    for (unsigned i = 0; i < UIMAGE_HEADS; i++) {
        crc ^= file->bytes[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
    }
    put32be(file, 4, ~crc);
}

/* A uImage of 4 KiB for 0x400000, entered 16 bytes behind. */
static inline void build_uimage(struct file *file) {
    memset(file, 0, sizeof(*file));
    file->size = UIMAGE_HEADS + 4096;
    put32be(file, 0, 0x27051956);
    put32be(file, 12, 4096);
    put32be(file, 16, 0x400000);
    put32be(file, 20, 0x400010);
    file->bytes[28] = 5; /* Linux, PowerPC, kernel, not compressed */
    file->bytes[29] = 7;
    file->bytes[30] = 2;
    memset(file->bytes + UIMAGE_HEADS, 0x33, 4096);
    seal_uimage(file);
}

#endif
