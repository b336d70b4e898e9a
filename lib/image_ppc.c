// SPDX-License-Identifier: Apache-2.0
// Kernels for 32-bit PowerPC: ELF executables (System V ABI, PowerPC supplement, ch. 4) and U-Boot's legacy
// images ("uImage"), every field checked. Both are big-endian.
#include "lib/image_internal.h"
#include "lib/crc32.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ELF_HEADER         52u
#define ELF_CLASS_32       1
#define ELF_BIG_ENDIAN     2
#define ELF_EXECUTABLE     2u
#define MACHINE_PPC        20u
#define PT_LOAD            1u
#define PH_SIZE            32u
#define PH_MAX             128u

#define UIMAGE_MAGIC       0x27051956u
#define UIMAGE_HEADER      64u
#define UIMAGE_CRC         4u /* offsets in the header */
#define UIMAGE_SIZE        12u
#define UIMAGE_LOAD        16u
#define UIMAGE_ENTRY       20u
#define UIMAGE_MACHINE     29u
#define UIMAGE_TYPE        30u
#define UIMAGE_COMPRESSION 31u
#define UIMAGE_PPC         7u
#define UIMAGE_KERNEL      2u

static uint16_t get16(const uint8_t *bytes) {
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}
static uint32_t get32(const uint8_t *bytes) {
    return (uint32_t)get16(bytes) << 16 | get16(bytes + 2);
}

/* Everything has to be where 32 bits reach. */
static int add(struct image_loadable *out, const struct image_source *source,
               const struct image_segment *segment, char *why, size_t why_size) {
    if (segment->address + segment->memory_size > 1ull << 32) {
        snprintf(why, why_size, "has a segment of 0x%llx bytes at 0x%llx",
                 (unsigned long long)segment->memory_size, (unsigned long long)segment->address);
        return -EINVAL;
    }
    return image_segment_add(out, source, segment, why, why_size);
}

static int parse_uimage(const struct image_source *source, const uint8_t header[UIMAGE_HEADER],
                        struct image_loadable *out, char *why, size_t why_size) {
    uint8_t copy[UIMAGE_HEADER];

    memcpy(copy, header, sizeof(copy));
    memset(copy + UIMAGE_CRC, 0, 4);
    if (~crc32_update(UINT32_MAX, copy, sizeof(copy)) != get32(header + UIMAGE_CRC)) {
        snprintf(why, why_size, "is a uImage with a damaged header");
        return -EINVAL;
    }
    if (header[UIMAGE_MACHINE] != UIMAGE_PPC || header[UIMAGE_TYPE] != UIMAGE_KERNEL) {
        snprintf(why, why_size,
                 "is a uImage of type %u for machine %u; a kernel (2) for PowerPC (7) is needed",
                 header[UIMAGE_TYPE], header[UIMAGE_MACHINE]);
        return -EINVAL;
    }
    if (header[UIMAGE_COMPRESSION]) {
        snprintf(why, why_size, "is a compressed uImage (method %u); give the vmlinux that it was made from",
                 header[UIMAGE_COMPRESSION]);
        return -EINVAL;
    }
    uint32_t size = get32(header + UIMAGE_SIZE);
    if (!size) {
        snprintf(why, why_size, "has nothing to load");
        return -EINVAL;
    }
    const struct image_segment segment = {UIMAGE_HEADER, size, get32(header + UIMAGE_LOAD), size};
    out->entry = get32(header + UIMAGE_ENTRY);
    return add(out, source, &segment, why, why_size);
}

/* Where program headers begin, how far apart they are, and how many. */
struct table {
    uint32_t offset;
    uint16_t step;
    uint16_t count;
};

static int read_header(const struct image_source *source, const uint8_t bytes[ELF_HEADER], struct table *out,
                       char *why, size_t why_size) {
    unsigned machine = bytes[5] == ELF_BIG_ENDIAN ? get16(bytes + 18) : bytes[18] | bytes[19] << 8;

    if (bytes[4] != ELF_CLASS_32 || bytes[5] != ELF_BIG_ENDIAN || machine != MACHINE_PPC) {
        snprintf(why, why_size, "is an ELF file for another machine (class %u, byte order %u, machine %u)",
                 bytes[4], bytes[5], machine);
        return -EINVAL;
    }
    if (get16(bytes + 16) != ELF_EXECUTABLE) {
        snprintf(why, why_size, "is an ELF file of type %u; an executable (2) is needed", get16(bytes + 16));
        return -EINVAL;
    }
    *out = (struct table){get32(bytes + 28), get16(bytes + 42), get16(bytes + 44)};
    if (out->step < PH_SIZE || !out->count || out->count > PH_MAX || out->offset > source->size ||
        (uint64_t)out->step * out->count > source->size - out->offset) {
        snprintf(why, why_size, "has a damaged table of program headers");
        return -EINVAL;
    }
    return 0;
}

static int parse_elf(const struct image_source *source, const uint8_t bytes[ELF_HEADER],
                     struct image_loadable *out, char *why, size_t why_size) {
    uint32_t entry = get32(bytes + 24);
    struct table table;
    bool found = false;

    if (read_header(source, bytes, &table, why, why_size))
        return -EINVAL;
    out->entry = entry;
    for (unsigned i = 0; i < table.count; i++) {
        uint8_t ph[PH_SIZE];
        if (source->read(source->context, table.offset + (uint64_t)i * table.step, ph, sizeof(ph))) {
            snprintf(why, why_size, "cannot be read");
            return -EINVAL;
        }
        uint32_t virtual_address = get32(ph + 8);
        const struct image_segment segment = {get32(ph + 4), get32(ph + 16), get32(ph + 12), get32(ph + 20)};
        if (get32(ph) != PT_LOAD || !segment.memory_size)
            continue;
        if (add(out, source, &segment, why, why_size))
            return -EINVAL;
        /* A kernel is linked for virtual addresses and entered at physical ones. */
        if (!found && entry >= virtual_address && entry - virtual_address < segment.file_size) {
            out->entry = (uint32_t)segment.address + (entry - virtual_address);
            found = true;
        }
    }
    if (!out->count) {
        snprintf(why, why_size, "has nothing to load");
        return -EINVAL;
    }
    return 0;
}

int image_ppc_parse(const struct image_source *source, struct image_loadable *out, char *why,
                    size_t why_size) {
    uint8_t head[UIMAGE_HEADER];
    int error;

    memset(out, 0, sizeof(*out));
    if (source->size < sizeof(head) || source->read(source->context, 0, head, sizeof(head))) {
        snprintf(why, why_size, "is too short for a kernel");
        return -EINVAL;
    }
    if (get32(head) == UIMAGE_MAGIC)
        error = parse_uimage(source, head, out, why, why_size);
    else if (get32(head) == 0x7f454c46u) /* 0x7f "ELF" */
        error = parse_elf(source, head, out, why, why_size);
    else {
        snprintf(why, why_size, "is neither an ELF file nor a uImage");
        return -EINVAL;
    }
    if (!error && out->entry % 4) {
        snprintf(why, why_size, "is entered at 0x%x, which is no multiple of 4", (unsigned)out->entry);
        return -EINVAL;
    }
    return error ? error : image_entry_check(out, why, why_size);
}
