// SPDX-License-Identifier: Apache-2.0
// Where files come from: the FAT volume that the loader was started from, or the TFTP server that sent it.
#ifndef SAGUARO_BOOT_SOURCE_H
#define SAGUARO_BOOT_SOURCE_H

#include <efi.h>
#include <stdbool.h>
#include <stdint.h>

#include "boot/path.h"

#define SOURCE_WHY 256u

/* One place: a volume or a server. */
struct source {
    EFI_FILE_HANDLE root;                    /* a volume, or NULL */
    struct _EFI_PXE_BASE_CODE_PROTOCOL *pxe; /* a server, or NULL */
    EFI_HANDLE device;
    uint32_t server;                /* IPv4 address, first byte lowest */
    char directory[PATH_MAX_BYTES]; /* where the loader itself came from, then the config's directory */
};

/* A file in memory: whole pages, the last one filled up with zeroes. */
struct source_file {
    uint8_t *data;
    uint64_t size; /* bytes */
};

/*
 * Find the places that `image` can have come from: up to two (network boot programs offer both kinds at
 * once), volume first. Returns how many.
 */
unsigned int source_open(EFI_BOOT_SERVICES *boot, EFI_HANDLE image, struct source sources[2]);

/* Before the application returns to the firmware. */
void source_close(EFI_BOOT_SERVICES *boot, struct source *sources, unsigned int count);

/*
 * Read `name`, relative to the source's directory, into pages of `type` (see memory_take()), showing progress
 * under that name. Sizes above `max_size` are refused. Errors: EFI_NOT_FOUND, EFI_INVALID_PARAMETER (the
 * name), EFI_END_OF_FILE (it is empty), EFI_BAD_BUFFER_SIZE (above max_size), EFI_OUT_OF_RESOURCES, or what
 * the firmware said; each with the reason in words, and where it looked, in `why` (SOURCE_WHY bytes).
 */
EFI_STATUS source_read(struct source *source, const char *name, uint64_t max_size, uint32_t type,
                       struct source_file *file, char *why);

void source_free(struct source_file *file);

/* Does the loader's directory lie at the top of the volume or server? Look there from now on. */
bool source_in_root(const struct source *source);
void source_go_to_root(struct source *source);

/* An EFI status in words. */
const char *source_status_text(EFI_STATUS status);

#endif
