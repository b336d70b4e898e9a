// SPDX-License-Identifier: Apache-2.0
// The hypervisor's ELF64 image: its program headers, checked, and its bytes laid out in memory.
// Pure code: builds in the loader and in its unit test.
#ifndef SAGUARO_BOOT_ELF_IMAGE_H
#define SAGUARO_BOOT_ELF_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_IMAGE_MAX_SEGMENTS 16u
#define ELF_IMAGE_MAX_SIZE     (64ull << 20) /* bytes in memory, all segments and the gaps between them */

/* The hypervisor's half of the address space: PML4 slots 256 to 271. */
#define ELF_IMAGE_LOWEST       0xffff800000000000ull
#define ELF_IMAGE_HIGHEST      0xffff87ffffffffffull

struct elf_segment {
    uint64_t address; /* virtual, page-aligned */
    uint64_t memory_size;
    uint64_t file_offset;
    uint64_t file_size;
    bool writable;
    bool executable; /* never together with writable */
};

/* Page-rounded, the image takes `size` bytes; a segment lies at (its address - base) from the image's start.
 */
struct elf_image {
    uint64_t base; /* lowest virtual address, page-aligned */
    uint64_t size;
    uint64_t entry; /* virtual */
    uint32_t segment_count;
    struct elf_segment segments[ELF_IMAGE_MAX_SEGMENTS]; /* by address, not overlapping in any page */
};

/* Check `file` and fill in `image`. Returns 0, or -EINVAL with the reason in words in *why. */
int elf_image_read(const void *file, size_t size, struct elf_image *image, const char **why);

/* Copy the segments of a checked image to `memory` (image->size bytes), with zeroes everywhere else. */
void elf_image_place(const struct elf_image *image, const void *file, void *memory);

#endif
