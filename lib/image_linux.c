// SPDX-License-Identifier: Apache-2.0
// The set-up header of a Linux bzImage, checked (Documentation/arch/x86/boot.rst, "The Real-Mode Kernel
// Header").
#include "lib/image.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SETUP_SECTS   0x1f1
#define BOOT_FLAG     0x1fe
#define JUMP          0x200 /* over the header */
#define HEADER_JUMP   0x201 /* its displacement: where the header ends */
#define HEADER_MAGIC  0x202
#define VERSION       0x206
#define LOADFLAGS     0x211
#define INITRD_MAX    0x22c
#define ALIGNMENT     0x230
#define RELOCATABLE   0x234
#define XLOADFLAGS    0x236
#define CMDLINE_SIZE  0x238
#define PREFERRED     0x258
#define INIT_SIZE     0x260
#define HEADER_LEAST  0x264

#define JUMP_SHORT    0xebu
#define XLF_KERNEL_64 1u
#define XLF_ABOVE_4G  2u
#define LOADED_HIGH   1u
#define VERSION_LEAST 0x20cu /* Linux 3.8: xloadflags */

static uint16_t get16(const uint8_t *bytes) {
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}
static uint32_t get32(const uint8_t *bytes) {
    return get16(bytes) | (uint32_t)get16(bytes + 2) << 16;
}
static uint64_t get64(const uint8_t *bytes) {
    return get32(bytes) | (uint64_t)get32(bytes + 4) << 32;
}

int image_linux_parse(const void *head, size_t head_size, uint64_t file_size, struct image_linux *out,
                      char *why, size_t why_size) {
    const uint8_t *bytes = head;

    memset(out, 0, sizeof(*out));
    if (head_size < HEADER_LEAST || file_size < HEADER_LEAST) {
        snprintf(why, why_size, "is too short for a Linux kernel (%llu bytes)",
                 (unsigned long long)file_size);
        return -EINVAL;
    }
    if (get16(bytes + BOOT_FLAG) != 0xaa55 || memcmp(bytes + HEADER_MAGIC, "HdrS", 4)) {
        snprintf(why, why_size, "is no Linux bzImage (no \"HdrS\" at 0x202)");
        return -EINVAL;
    }
    out->version = get16(bytes + VERSION);
    if (out->version < VERSION_LEAST) {
        snprintf(why, why_size, "has boot protocol %u.%02u; 2.12 (Linux 3.8) or later is needed",
                 out->version >> 8, out->version & 0xff);
        return -EINVAL;
    }
    if (!(bytes[LOADFLAGS] & LOADED_HIGH)) {
        snprintf(why, why_size, "is a zImage, which loads below 1 MiB; a bzImage is needed");
        return -EINVAL;
    }
    if (bytes[JUMP] != JUMP_SHORT) {
        snprintf(why, why_size, "has no jump over its set-up header at 0x200");
        return -EINVAL;
    }
    out->header_end = (uint16_t)(HEADER_MAGIC + bytes[HEADER_JUMP]);
    if (out->header_end < HEADER_LEAST || out->header_end > 0x290 || out->header_end > head_size) {
        snprintf(why, why_size, "has a set-up header that ends at 0x%x", out->header_end);
        return -EINVAL;
    }
    unsigned sectors = bytes[SETUP_SECTS] ? bytes[SETUP_SECTS] : 4;
    out->kernel_offset = (sectors + 1) * 512;
    if (out->kernel_offset >= file_size) {
        snprintf(why, why_size, "is cut short: the kernel proper begins at byte %u of %llu",
                 out->kernel_offset, (unsigned long long)file_size);
        return -EINVAL;
    }
    out->kernel_size = file_size - out->kernel_offset;
    /* syssize counts 16-byte units of the protected-mode kernel, the checksum included. */
    uint64_t stated = (uint64_t)get32(bytes + 0x1f4) * 16;
    if (stated > out->kernel_size + 15) {
        snprintf(why, why_size, "is cut short: %llu of %llu bytes of the kernel are there",
                 (unsigned long long)out->kernel_size, (unsigned long long)stated);
        return -EINVAL;
    }
    uint16_t flags = get16(bytes + XLOADFLAGS);
    out->has_64bit = flags & XLF_KERNEL_64;
    out->above_4g = flags & XLF_ABOVE_4G;
    out->relocatable = bytes[RELOCATABLE] != 0;
    out->alignment = get32(bytes + ALIGNMENT);
    out->preferred = get64(bytes + PREFERRED);
    out->init_size = get32(bytes + INIT_SIZE);
    out->initrd_max = get32(bytes + INITRD_MAX);
    out->cmdline_max = get32(bytes + CMDLINE_SIZE);
    if (out->relocatable && (!out->alignment || (out->alignment & (out->alignment - 1)))) {
        snprintf(why, why_size, "wants to be loaded at a multiple of 0x%x, which is no power of two",
                 out->alignment);
        return -EINVAL;
    }
    if (out->preferred < 0x100000 || out->preferred >= 1ull << 40 || out->init_size < 0x1000) {
        snprintf(why, why_size, "wants 0x%x bytes at 0x%llx: the header is damaged", out->init_size,
                 (unsigned long long)out->preferred);
        return -EINVAL;
    }
    return 0;
}
