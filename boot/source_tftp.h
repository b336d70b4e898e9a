// SPDX-License-Identifier: Apache-2.0
// The TFTP half of boot/source.c, and what its two files share.
#ifndef SAGUARO_BOOT_SOURCE_TFTP_H
#define SAGUARO_BOOT_SOURCE_TFTP_H

#include "boot/source.h"

/* Is `device` a network interface that the firmware booted from? Then fill in server and directory from its
 * DHCP answers. */
bool source_tftp_open(EFI_BOOT_SERVICES *boot, EFI_HANDLE device, struct source *source);

/* Take back what source_tftp_open() left with the firmware: the application's code is about to go away. */
void source_tftp_close(EFI_BOOT_SERVICES *boot, EFI_HANDLE device, struct source *source);

/* source_read() for a server; `path` is the joined name. */
EFI_STATUS source_tftp_read(struct source *source, const char *path, const char *name, uint64_t max_size,
                            uint32_t type, struct source_file *file, char *why);

/* Shared: refuse an empty file, or one above max_size; memory for a file, with the reason if there is none.
 */
EFI_STATUS source_check_size(uint64_t size, uint64_t max_size, char *why);
uint8_t *source_take(uint64_t size, uint32_t type, char *why);

#endif
