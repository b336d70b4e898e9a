// SPDX-License-Identifier: Apache-2.0
// Kernel images made in memory, for the tests of lib/image: a sound one of each kind, whose fields a test
// then changes.
#ifndef SAGUARO_TESTS_UNIT_IMAGE_BUILD_H
#define SAGUARO_TESTS_UNIT_IMAGE_BUILD_H

#include "lib/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A file in memory; a read beyond its end is refused. */
struct file {
    uint8_t bytes[16384];
    uint64_t size;
};

static inline int file_read(void *context, uint64_t offset, void *buffer, size_t size) {
    const struct file *file = context;
    if (offset > file->size || size > file->size - offset)
        return -EINVAL;
    memcpy(buffer, file->bytes + offset, size);
    return 0;
}

static inline struct image_source file_source(struct file *file) {
    return (struct image_source){.read = file_read, .context = file, .size = file->size};
}

static inline void put16(struct file *file, uint64_t at, uint16_t value) {
    memcpy(file->bytes + at, &value, sizeof(value));
}
static inline void put32(struct file *file, uint64_t at, uint32_t value) {
    memcpy(file->bytes + at, &value, sizeof(value));
}
static inline void put64(struct file *file, uint64_t at, uint64_t value) {
    memcpy(file->bytes + at, &value, sizeof(value));
}

/* A bzImage of boot protocol 2.15 with one set-up sector and 4 KiB of kernel. */
static inline void build_linux(struct file *file) {
    memset(file, 0, sizeof(*file));
    file->size = 1024 + 4096;
    file->bytes[0x1f1] = 1;
    put32(file, 0x1f4, 4096 / 16);
    put16(file, 0x1fe, 0xaa55);
    file->bytes[0x200] = 0xeb;
    file->bytes[0x201] = 0x6a;
    memcpy(file->bytes + 0x202, "HdrS", 4);
    put16(file, 0x206, 0x20f);
    file->bytes[0x211] = 1;
    put32(file, 0x22c, 0x7fffffff);
    put32(file, 0x230, 0x200000);
    file->bytes[0x234] = 1;
    put16(file, 0x236, 0x3);
    put32(file, 0x238, 2047);
    put64(file, 0x258, 0x1000000);
    put32(file, 0x260, 0x2000000);
}

/* Offsets of an ELF's fields by class. */
struct elf_layout {
    bool wide;
    unsigned header, entry, table, entry_size, count, ph_size;
    unsigned ph_offset, ph_physical, ph_file, ph_memory;
};
static const struct elf_layout elf32 = {false, 52, 24, 28, 42, 44, 32, 4, 12, 16, 20};
static const struct elf_layout elf64 = {true, 64, 24, 32, 54, 56, 56, 8, 24, 32, 40};

static inline void put_word(struct file *file, const struct elf_layout *elf, uint64_t at, uint64_t value) {
    if (elf->wide)
        put64(file, at, value);
    else
        put32(file, at, (uint32_t)value);
}

static inline uint64_t elf_ph(const struct elf_layout *elf, unsigned index) {
    return elf->header + (uint64_t)index * elf->ph_size;
}

static inline void put_ph(struct file *file, const struct elf_layout *elf, unsigned index, uint32_t type,
                          uint64_t offset, uint64_t physical, uint64_t file_size, uint64_t memory_size) {
    uint64_t at = elf_ph(elf, index);
    put32(file, at, type);
    put_word(file, elf, at + elf->ph_offset, offset);
    put_word(file, elf, at + elf->ph_physical, physical);
    put_word(file, elf, at + elf->ph_file, file_size);
    put_word(file, elf, at + elf->ph_memory, memory_size);
}

#define ELF_TEXT      0x1000u /* in the file; 0x200 bytes for 0x100000 */
#define ELF_DATA      0x1800u /* 0x100 bytes for 0x200000, 0x1000 in memory */
#define ELF_NOTE      0x1c00u
#define ELF_MULTIBOOT 0x1000u

/* An executable of two segments and a note segment of `notes` bytes at ELF_NOTE. */
static inline void build_elf(struct file *file, const struct elf_layout *elf, uint64_t notes) {
    memset(file, 0, sizeof(*file));
    file->size = 0x2000;
    memcpy(file->bytes,
           "\x7f"
           "ELF",
           4);
    file->bytes[4] = elf->wide ? 2 : 1;
    file->bytes[5] = 1;
    file->bytes[6] = 1;
    put16(file, 16, 2);
    put16(file, 18, elf->wide ? 62 : 3);
    put32(file, 20, 1);
    put_word(file, elf, elf->entry, 0x100010);
    put_word(file, elf, elf->table, elf->header);
    put16(file, elf->entry_size, (uint16_t)elf->ph_size);
    put16(file, elf->count, 3);
    put_ph(file, elf, 0, 1, ELF_TEXT, 0x100000, 0x200, 0x200);
    put_ph(file, elf, 1, 1, ELF_DATA, 0x200000, 0x100, 0x1000);
    put_ph(file, elf, 2, 4, ELF_NOTE, 0, notes, notes);
}

static inline void put_multiboot(struct file *file, uint64_t at, uint32_t flags) {
    put32(file, at, 0x1badb002);
    put32(file, at + 4, flags);
    put32(file, at + 8, 0u - 0x1badb002 - flags);
}

/* Writes a note; returns where the next one goes. */
static inline uint64_t put_note(struct file *file, uint64_t at, const char *name, uint32_t type,
                                const void *data, uint32_t size) {
    uint32_t name_size = (uint32_t)strlen(name) + 1;
    put32(file, at, name_size);
    put32(file, at + 4, size);
    put32(file, at + 8, type);
    memcpy(file->bytes + at + 12, name, name_size);
    at += 12 + ((name_size + 3) & ~3u);
    memcpy(file->bytes + at, data, size);
    return at + ((size + 3) & ~3u);
}

/* A PVH kernel, entered at 0x100020; another note stands before the one that counts. */
static inline void build_pvh(struct file *file, const struct elf_layout *elf) {
    const uint64_t entry = 0x100020;
    build_elf(file, elf, 0);
    uint64_t end = put_note(file, ELF_NOTE, "Linux", 0x100, "x", 1);
    end = put_note(file, end, "Xen", 18, &entry, elf->wide ? 8 : 4);
    put_ph(file, elf, 2, 4, ELF_NOTE, 0, end - ELF_NOTE, end - ELF_NOTE);
}

#endif
