// SPDX-License-Identifier: Apache-2.0
// Kernel images by their headers: what the EFI loader checks before it leaves the firmware, and what the
// guest loaders work from. Pure: nothing is loaded here. Every field of the file is checked against the
// file's size and against its own meaning.
#ifndef SAGUARO_LIB_IMAGE_H
#define SAGUARO_LIB_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of a file's beginning that the functions below want to see, or the whole file if it is shorter. */
#define IMAGE_HEAD 8192u

/* A Linux bzImage for the 64-bit boot protocol (Documentation/arch/x86/boot.rst). */
struct image_linux {
    uint32_t kernel_offset; /* of the protected-mode kernel in the file */
    uint64_t kernel_size;   /* bytes of it */
    uint16_t version;       /* of the boot protocol, 0x20c or later */
    uint16_t header_end;    /* end of the set-up header in the file, from 0x1f1 on */
    bool relocatable;
    bool above_4g;        /* takes an initrd and boot parameters above 4 GiB */
    bool has_64bit;       /* has the 64-bit entry at 0x200 */
    uint32_t alignment;   /* of the load address if relocatable */
    uint64_t preferred;   /* load address */
    uint32_t init_size;   /* bytes of memory that it needs from the load address on */
    uint32_t initrd_max;  /* highest address of an initrd's last byte */
    uint32_t cmdline_max; /* bytes without the NUL */
};

/* Reads the header. 0, or -EINVAL with a sentence in `why`. */
int image_linux_parse(const void *head, size_t head_size, uint64_t file_size, struct image_linux *out,
                      char *why, size_t why_size);

/* A file that is read piecewise. read() returns 0, or a negative errno beyond the file's end. */
struct image_source {
    int (*read)(void *context, uint64_t offset, void *buffer, size_t size);
    void *context;
    uint64_t size;
};

/* A piece of a file and where it goes in guest-physical memory; memory_size >= file_size, the rest is zero.
 */
struct image_segment {
    uint64_t offset;
    uint64_t file_size;
    uint64_t address;
    uint64_t memory_size;
};

#define IMAGE_SEGMENTS 32u

/* What is loaded, and where a kernel is entered: multiboot's, PVH's and PowerPC's 32-bit entry. Segments do
 * not overlap and do not wrap. */
struct image_loadable {
    unsigned count;
    struct image_segment segment[IMAGE_SEGMENTS];
    uint64_t lowest; /* address of the first byte in memory, and behind the last */
    uint64_t highest;
    uint32_t entry;
};

/* A multiboot 1 kernel: ELF32, or any file whose multiboot header has the addresses. 0, or -EINVAL with a
 * sentence in `why`. */
int image_multiboot_parse(const struct image_source *source, struct image_loadable *out, char *why,
                          size_t why_size);

/* An ELF kernel with the note XEN_ELFNOTE_PHYS32_ENTRY (PVH). 0, or -EINVAL with a sentence in `why`. */
int image_pvh_parse(const struct image_source *source, struct image_loadable *out, char *why,
                    size_t why_size);

/* The loadable segments of an ELF32 or ELF64 x86 executable; entry is e_entry's lower half. For the two
 * above. */
int image_elf_parse(const struct image_source *source, struct image_loadable *out, char *why,
                    size_t why_size);
/* Finds a note by name and type in the PT_NOTE segments. Returns its descriptor's size, at most `size` bytes
 * of it in `out`; -ENOENT. */
int64_t image_elf_note(const struct image_source *source, const char *name, uint32_t type, void *out,
                       size_t size);

/* A kernel for a 32-bit PowerPC: an ELF executable (vmlinux), whose entry may be given as an address of its
 * segments in virtual or in physical memory, or an uncompressed uImage. Segments and the entry are physical
 * and below 4 GiB. 0, or -EINVAL with a sentence in `why`. */
int image_ppc_parse(const struct image_source *source, struct image_loadable *out, char *why,
                    size_t why_size);

enum image_kind { IMAGE_LINUX, IMAGE_MULTIBOOT, IMAGE_PVH, IMAGE_FIRMWARE, IMAGE_PPC };

/* Everything that can be said of an image before a guest exists. 0, or -EINVAL with a sentence in `why` that
 * goes on after the file's name. */
int image_check(enum image_kind kind, const struct image_source *source, char *why, size_t why_size);

#endif
