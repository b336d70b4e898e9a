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

#endif
