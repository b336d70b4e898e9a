// SPDX-License-Identifier: Apache-2.0
// Loadable segments and notes of ELF32 and ELF64 executables for x86 (System V ABI, ch. 4 and 5), every field
// checked; and the checks of segments and entry that all images share.
#include "lib/image_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ELF_CLASS_32  1
#define ELF_CLASS_64  2
#define MACHINE_386   3u
#define MACHINE_AMD64 62u
#define PT_LOAD       1u
#define PT_NOTE       4u
#define PH_MAX        128u
#define NOTES_MAX                                                                                            \
    1024u /* that are looked at: segments of notes may lie over each other, or be the whole file */

/* The fields that both classes have, in one width. */
struct header {
    bool wide;
    uint64_t entry;
    uint64_t table; /* program headers' offset */
    uint16_t entry_size;
    uint16_t count;
};

struct program_header {
    uint32_t type;
    uint64_t offset, physical, file_size, memory_size;
};

static uint16_t get16(const uint8_t *bytes) {
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}
static uint32_t get32(const uint8_t *bytes) {
    return get16(bytes) | (uint32_t)get16(bytes + 2) << 16;
}
static uint64_t get64(const uint8_t *bytes) {
    return get32(bytes) | (uint64_t)get32(bytes + 4) << 32;
}

static int read_header(const struct image_source *source, struct header *out, char *why, size_t why_size) {
    uint8_t bytes[64];

    memset(bytes, 0, sizeof(bytes));
    if (source->read(source->context, 0, bytes,
                     source->size < sizeof(bytes) ? source->size : sizeof(bytes)) ||
        memcmp(bytes,
               "\x7f"
               "ELF",
               4)) {
        snprintf(why, why_size, "is no ELF file");
        return -EINVAL;
    }
    out->wide = bytes[4] == ELF_CLASS_64;
    uint16_t machine = get16(bytes + 18);
    if ((bytes[4] != ELF_CLASS_32 && !out->wide) || bytes[5] != 1 ||
        (machine != MACHINE_386 && machine != MACHINE_AMD64)) {
        snprintf(why, why_size, "is an ELF file for another machine (class %u, machine %u)", bytes[4],
                 machine);
        return -EINVAL;
    }
    if (get16(bytes + 16) != 2) {
        snprintf(why, why_size, "is an ELF file of type %u; an executable (2) is needed", get16(bytes + 16));
        return -EINVAL;
    }
    out->entry = out->wide ? get64(bytes + 24) : get32(bytes + 24);
    out->table = out->wide ? get64(bytes + 32) : get32(bytes + 28);
    out->entry_size = get16(bytes + (out->wide ? 54 : 42));
    out->count = get16(bytes + (out->wide ? 56 : 44));
    if (out->entry_size < (out->wide ? 56 : 32) || !out->count || out->count > PH_MAX ||
        out->table > source->size || (uint64_t)out->entry_size * out->count > source->size - out->table) {
        snprintf(why, why_size, "has a damaged table of program headers");
        return -EINVAL;
    }
    return 0;
}

static int read_program_header(const struct image_source *source, const struct header *header, unsigned index,
                               struct program_header *out) {
    uint8_t bytes[56];
    unsigned size = header->wide ? 56 : 32;

    if (source->read(source->context, header->table + (uint64_t)index * header->entry_size, bytes, size))
        return -EINVAL;
    out->type = get32(bytes);
    if (header->wide) {
        out->offset = get64(bytes + 8);
        out->physical = get64(bytes + 24);
        out->file_size = get64(bytes + 32);
        out->memory_size = get64(bytes + 40);
    } else {
        out->offset = get32(bytes + 4);
        out->physical = get32(bytes + 12);
        out->file_size = get32(bytes + 16);
        out->memory_size = get32(bytes + 20);
    }
    return 0;
}

int image_segment_add(struct image_loadable *out, const struct image_source *source,
                      const struct image_segment *segment, char *why, size_t why_size) {
    if (out->count == IMAGE_SEGMENTS) {
        snprintf(why, why_size, "has more than %u segments to load", IMAGE_SEGMENTS);
        return -EINVAL;
    }
    if (segment->offset > source->size || segment->file_size > source->size - segment->offset) {
        snprintf(why, why_size, "is cut short: a segment's bytes %llu to %llu lie beyond its end (%llu)",
                 (unsigned long long)segment->offset,
                 (unsigned long long)(segment->offset + segment->file_size),
                 (unsigned long long)source->size);
        return -EINVAL;
    }
    if (segment->file_size > segment->memory_size || segment->memory_size >= 1ull << 40 ||
        segment->address >= 1ull << 40) {
        snprintf(why, why_size, "has a segment of 0x%llx bytes at 0x%llx",
                 (unsigned long long)segment->memory_size, (unsigned long long)segment->address);
        return -EINVAL;
    }
    uint64_t end = segment->address + segment->memory_size;
    for (unsigned i = 0; i < out->count; i++) {
        const struct image_segment *other = &out->segment[i];
        if (segment->address < other->address + other->memory_size && other->address < end) {
            snprintf(why, why_size, "has overlapping segments at 0x%llx",
                     (unsigned long long)segment->address);
            return -EINVAL;
        }
    }
    out->segment[out->count++] = *segment;
    if (out->count == 1 || segment->address < out->lowest)
        out->lowest = segment->address;
    if (end > out->highest)
        out->highest = end;
    return 0;
}

int image_entry_check(const struct image_loadable *image, char *why, size_t why_size) {
    for (unsigned i = 0; i < image->count; i++)
        if (image->entry >= image->segment[i].address &&
            image->entry - image->segment[i].address < image->segment[i].file_size)
            return 0;
    snprintf(why, why_size, "is entered at 0x%x, where nothing is loaded", (unsigned)image->entry);
    return -EINVAL;
}

int image_elf_parse(const struct image_source *source, struct image_loadable *out, char *why,
                    size_t why_size) {
    struct header header;
    struct program_header ph;

    memset(out, 0, sizeof(*out));
    if (read_header(source, &header, why, why_size))
        return -EINVAL;
    for (unsigned i = 0; i < header.count; i++) {
        if (read_program_header(source, &header, i, &ph)) {
            snprintf(why, why_size, "cannot be read");
            return -EINVAL;
        }
        const struct image_segment segment = {ph.offset, ph.file_size, ph.physical, ph.memory_size};
        if (ph.type == PT_LOAD && ph.memory_size && image_segment_add(out, source, &segment, why, why_size))
            return -EINVAL;
    }
    if (!out->count) {
        snprintf(why, why_size, "has nothing to load");
        return -EINVAL;
    }
    out->entry = (uint32_t)header.entry;
    return 0;
}

int64_t image_elf_note(const struct image_source *source, const char *name, uint32_t type, void *out,
                       size_t size) {
    struct header header;
    struct program_header ph;
    char why[80];
    size_t name_size = strlen(name) + 1;
    unsigned notes = 0;

    if (read_header(source, &header, why, sizeof(why)))
        return -EINVAL;
    for (unsigned i = 0; i < header.count; i++) {
        if (read_program_header(source, &header, i, &ph) || ph.type != PT_NOTE || ph.offset > source->size ||
            ph.file_size > source->size - ph.offset)
            continue;
        /* A note is at least 12 bytes, so that the walk ends with the segment. */
        for (uint64_t at = 0; ph.file_size - at >= 12 && notes < NOTES_MAX; notes++) {
            uint8_t head[12];
            char found[16];
            if (source->read(source->context, ph.offset + at, head, sizeof(head)))
                break;
            uint64_t names = ((uint64_t)get32(head) + 3) & ~3ull;
            uint64_t bytes = ((uint64_t)get32(head + 4) + 3) & ~3ull;
            if (names > ph.file_size - at - 12 || bytes > ph.file_size - at - 12 - names)
                break;
            if (get32(head + 8) == type && get32(head) == name_size && name_size <= sizeof(found) &&
                !source->read(source->context, ph.offset + at + 12, found, name_size) &&
                !memcmp(found, name, name_size)) {
                uint32_t given = get32(head + 4);
                if (source->read(source->context, ph.offset + at + 12 + names, out,
                                 given < size ? given : size))
                    return -EINVAL;
                return given;
            }
            at += 12 + names + bytes;
            if (at > ph.file_size)
                break;
        }
    }
    return -ENOENT;
}
