// SPDX-License-Identifier: Apache-2.0
// Multiboot 1 and PVH kernels by their headers (Multiboot Specification 0.6.96, 3.1; Xen's PVH boot ABI), and
// the one check for every kind of image.
#include "lib/image_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MULTIBOOT_MAGIC      0x1badb002u
#define MULTIBOOT_PAGE_ALIGN 0x00000001u
#define MULTIBOOT_MEMORY     0x00000002u
#define MULTIBOOT_REQUIRED   0x0000ffffu /* a loader that does not know one of these must refuse */
#define MULTIBOOT_ADDRESSES  0x00010000u
#define MULTIBOOT_SEARCH     8192u
#define PHYS32_ENTRY         18u
#define FIRMWARE_MAX         (16u << 20)

static uint32_t get32(const uint8_t *bytes) {
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* Finds the header in the first 8 KiB. Its words go to `words`. Returns its offset, or -ENOENT. */
static int64_t find_header(const struct image_source *source, uint32_t words[8]) {
    uint64_t end = source->size < MULTIBOOT_SEARCH ? source->size : MULTIBOOT_SEARCH;
    uint8_t block[512 + 32];

    for (uint64_t base = 0; base + 12 <= end; base += 512) {
        uint64_t have = source->size - base < sizeof(block) ? source->size - base : sizeof(block);
        if (source->read(source->context, base, block, have))
            return -ENOENT;
        for (unsigned at = 0; at < 512 && at + 12 <= have; at += 4) {
            uint32_t magic = get32(block + at), flags = get32(block + at + 4);
            if (magic != MULTIBOOT_MAGIC || magic + flags + get32(block + at + 8) != 0 ||
                base + at + 12 > end)
                continue;
            if ((flags & MULTIBOOT_ADDRESSES) && at + 32 > have)
                continue;
            for (unsigned i = 0; i < 8; i++)
                words[i] = at + 4 * i + 4 <= have ? get32(block + at + 4 * i) : 0;
            return (int64_t)(base + at);
        }
    }
    return -ENOENT;
}

/* A header with addresses: one piece of the file, and zeroes behind it. */
static int by_addresses(const struct image_source *source, uint64_t header, const uint32_t words[8],
                        struct image_loadable *out, char *why, size_t why_size) {
    uint32_t header_address = words[3], load = words[4], load_end = words[5], bss_end = words[6];

    memset(out, 0, sizeof(*out));
    if (header_address < load || header_address - load > header) {
        snprintf(why, why_size, "has a multiboot header that lies about its address");
        return -EINVAL;
    }
    uint64_t offset = header - (header_address - load);
    uint64_t size = load_end ? (uint64_t)load_end - load : source->size - offset;
    if ((load_end && load_end < load) || offset > source->size || size > source->size - offset) {
        snprintf(why, why_size, "is cut short: its multiboot header loads up to 0x%x", load_end);
        return -EINVAL;
    }
    uint64_t end = load + size;
    if (bss_end && bss_end > end)
        end = bss_end;
    if (!size || end > 1ull << 32) {
        snprintf(why, why_size, "has a multiboot header that loads nothing, or beyond 4 GiB");
        return -EINVAL;
    }
    out->count = 1;
    out->segment[0] = (struct image_segment){offset, size, load, end - load};
    out->lowest = load;
    out->highest = end;
    out->entry = words[7];
    return 0;
}

int image_multiboot_parse(const struct image_source *source, struct image_loadable *out, char *why,
                          size_t why_size) {
    uint32_t words[8];
    int64_t header = find_header(source, words);

    if (header < 0) {
        snprintf(why, why_size, "has no multiboot header in its first 8 KiB");
        return -EINVAL;
    }
    if (words[1] & MULTIBOOT_REQUIRED & ~(MULTIBOOT_PAGE_ALIGN | MULTIBOOT_MEMORY)) {
        snprintf(why, why_size, "asks for multiboot features that are not offered (flags 0x%x)", words[1]);
        return -EINVAL;
    }
    int error = words[1] & MULTIBOOT_ADDRESSES
                    ? by_addresses(source, (uint64_t)header, words, out, why, why_size)
                    : image_elf_parse(source, out, why, why_size);
    return error ? error : image_entry_check(out, why, why_size);
}

int image_pvh_parse(const struct image_source *source, struct image_loadable *out, char *why,
                    size_t why_size) {
    uint8_t entry[8] = {0};

    if (image_elf_parse(source, out, why, why_size))
        return -EINVAL;
    int64_t size = image_elf_note(source, "Xen", PHYS32_ENTRY, entry, sizeof(entry));
    if ((size != 4 && size != 8) || (size == 8 && get32(entry + 4))) {
        snprintf(why, why_size,
                 "has no PVH entry (ELF note \"Xen\", type 18); was it built with CONFIG_PVH?");
        return -EINVAL;
    }
    out->entry = get32(entry);
    return image_entry_check(out, why, why_size);
}

static int linux_check(const struct image_source *source, char *why, size_t why_size) {
    struct image_linux image;
    uint8_t head[1024];
    size_t size = source->size < sizeof(head) ? (size_t)source->size : sizeof(head);

    if (source->read(source->context, 0, head, size)) {
        snprintf(why, why_size, "cannot be read");
        return -EINVAL;
    }
    return image_linux_parse(head, size, source->size, &image, why, why_size);
}

int image_check(enum image_kind kind, const struct image_source *source, char *why, size_t why_size) {
    struct image_loadable image;

    switch (kind) {
    case IMAGE_LINUX:
        return linux_check(source, why, why_size);
    case IMAGE_MULTIBOOT:
        return image_multiboot_parse(source, &image, why, why_size);
    case IMAGE_PVH:
        return image_pvh_parse(source, &image, why, why_size);
    case IMAGE_PPC:
        return image_ppc_parse(source, &image, why, why_size);
    case IMAGE_FIRMWARE:
        if (source->size < 16 || source->size > FIRMWARE_MAX) {
            snprintf(why, why_size, "has %llu bytes; a firmware image has 16 bytes to 16 MiB",
                     (unsigned long long)source->size);
            return -EINVAL;
        }
        return 0;
    }
    return -EINVAL;
}
