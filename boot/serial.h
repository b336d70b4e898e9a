// SPDX-License-Identifier: Apache-2.0
// COM1 as the loader uses it when the firmware's console does not: write only, 115200 8N1.
#ifndef SAGUARO_BOOT_SERIAL_H
#define SAGUARO_BOOT_SERIAL_H

#include <stdbool.h>
#include <stddef.h>

/* Look for a UART at COM1 and set it up. False: there is none. */
bool serial_open(void);

/* Write one byte; a UART that stops taking bytes is given up after a bounded number of looks at its status.
 */
void serial_write(char byte);

/*
 * Is COM1 part of this EFI device path of `size` bytes (all of its instances)? That is: has an instance a
 * UART node (UEFI 2.10, section 10.3.4.15) under a serial port PNP0501 numbered 0, or under none that is
 * numbered? Pure.
 */
bool serial_in_device_path(const void *path, size_t size);

#endif
