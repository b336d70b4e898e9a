// SPDX-License-Identifier: Apache-2.0
// The hypervisor's ELF64 image: its program headers, checked, and its bytes laid out in memory.
#include "boot/elf_image.h"

#include <errno.h>
#include <string.h>

#define PAGE_SIZE 4096ull

struct elf64_header {
    uint8_t ident[16];
    uint16_t type;
    uint16_t machine;
    uint32_t version;
    uint64_t entry;
    uint64_t program_offset;
    uint64_t section_offset;
    uint32_t flags;
    uint16_t header_size;
    uint16_t program_entry_size;
    uint16_t program_count;
    uint16_t section_entry_size;
    uint16_t section_count;
    uint16_t section_names;
};

struct elf64_program_header {
    uint32_t type;
    uint32_t flags;
    uint64_t offset;
    uint64_t virtual_address;
    uint64_t physical_address;
    uint64_t file_size;
    uint64_t memory_size;
    uint64_t alignment;
};

enum {
    ELF_EXECUTABLE = 2, /* ET_EXEC */
    ELF_X86_64 = 62,    /* EM_X86_64 */
    ELF_LOAD = 1,       /* PT_LOAD */
    ELF_DYNAMIC = 2,    /* PT_DYNAMIC */
    ELF_INTERPRETER = 3,
    ELF_X = 1,
    ELF_W = 2,
};

static uint64_t round_up(uint64_t value) {
    return (value + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
}

static const char *header_fault(const struct elf64_header *header, size_t size) {
    static const uint8_t magic[7] = {0x7f, 'E', 'L', 'F', 2, 1, 1}; /* 64-bit, little-endian, version 1 */

    if (memcmp(header->ident, magic, sizeof(magic)) != 0) {
        return "not a little-endian ELF64 file";
    }
    if (header->machine != ELF_X86_64 || header->type != ELF_EXECUTABLE) {
        return "not an x86-64 executable";
    }
    if (header->program_entry_size != sizeof(struct elf64_program_header) || header->program_count == 0) {
        return "no program headers of the size that ELF64 has";
    }
    if (header->program_offset > size ||
        header->program_count > (size - header->program_offset) / sizeof(struct elf64_program_header)) {
        return "program headers lie outside the file";
    }
    return NULL;
}

static const char *segment_fault(const struct elf64_program_header *p, size_t size) {
    if (p->file_size > p->memory_size) {
        return "a segment has more bytes in the file than in memory";
    }
    if (p->offset > size || p->file_size > size - p->offset) {
        return "a segment lies outside the file";
    }
    if (p->virtual_address % PAGE_SIZE != 0) {
        return "a segment does not begin on a page";
    }
    if (p->virtual_address < ELF_IMAGE_LOWEST || p->virtual_address > ELF_IMAGE_HIGHEST ||
        p->memory_size > ELF_IMAGE_HIGHEST - p->virtual_address) {
        return "a segment lies outside the hypervisor's address range";
    }
    if ((p->flags & ELF_W) && (p->flags & ELF_X)) {
        return "a segment is both writable and executable";
    }
    return NULL;
}

/* Insert by address; the table is kept sorted. */
static void insert(struct elf_image *image, const struct elf64_program_header *p) {
    uint32_t at = image->segment_count;

    while (at > 0 && image->segments[at - 1].address > p->virtual_address) {
        image->segments[at] = image->segments[at - 1];
        at--;
    }
    image->segments[at] = (struct elf_segment){
        .address = p->virtual_address,
        .memory_size = p->memory_size,
        .file_offset = p->offset,
        .file_size = p->file_size,
        .writable = (p->flags & ELF_W) != 0,
        .executable = (p->flags & ELF_X) != 0,
    };
    image->segment_count++;
}

static const char *layout_fault(struct elf_image *image) {
    const struct elf_segment *last;
    bool entry_found = false;

    if (image->segment_count == 0) {
        return "nothing to load";
    }
    for (uint32_t i = 0; i < image->segment_count; i++) {
        const struct elf_segment *s = &image->segments[i];

        if (i != 0 && s->address < round_up(s[-1].address + s[-1].memory_size)) {
            return "two segments share a page";
        }
        if (s->executable && image->entry >= s->address && image->entry - s->address < s->file_size) {
            entry_found = true;
        }
    }
    if (!entry_found) {
        return "the entry point is not in an executable segment";
    }
    last = &image->segments[image->segment_count - 1];
    image->base = image->segments[0].address;
    image->size = round_up(last->address + last->memory_size) - image->base;
    return image->size > ELF_IMAGE_MAX_SIZE ? "the image is too large" : NULL;
}

int elf_image_read(const void *file, size_t size, struct elf_image *image, const char **why) {
    const uint8_t *bytes = file;
    struct elf64_header header;

    *image = (struct elf_image){0};
    if (size < sizeof(header)) {
        *why = "shorter than an ELF header";
        return -EINVAL;
    }
    memcpy(&header, bytes, sizeof(header));
    *why = header_fault(&header, size);
    if (*why != NULL) {
        return -EINVAL;
    }
    image->entry = header.entry;
    for (uint32_t i = 0; i < header.program_count; i++) {
        struct elf64_program_header p;

        memcpy(&p, bytes + header.program_offset + i * sizeof(p), sizeof(p));
        if (p.type == ELF_DYNAMIC || p.type == ELF_INTERPRETER) {
            *why = "linked dynamically";
            return -EINVAL;
        }
        if (p.type != ELF_LOAD || p.memory_size == 0) {
            continue;
        }
        *why = image->segment_count == ELF_IMAGE_MAX_SEGMENTS ? "too many segments" : segment_fault(&p, size);
        if (*why != NULL) {
            return -EINVAL;
        }
        insert(image, &p);
    }
    *why = layout_fault(image);
    return *why == NULL ? 0 : -EINVAL;
}

void elf_image_place(const struct elf_image *image, const void *file, void *memory) {
    memset(memory, 0, image->size);
    for (uint32_t i = 0; i < image->segment_count; i++) {
        const struct elf_segment *s = &image->segments[i];

        memcpy((uint8_t *)memory + (s->address - image->base), (const uint8_t *)file + s->file_offset,
               s->file_size);
    }
}
