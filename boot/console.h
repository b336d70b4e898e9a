// SPDX-License-Identifier: Apache-2.0
// The loader's messages: to the firmware's text console and to COM1, and the one question that it asks (any
// key).
#ifndef SAGUARO_BOOT_CONSOLE_H
#define SAGUARO_BOOT_CONSOLE_H

#include <efi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Find out where messages go. Before this call, messages are dropped. A machine with neither console nor UART
 * is fine. */
void console_open(EFI_SYSTEM_TABLE *system);

/* Boot services are about to end or have ended: from here on messages go to COM1 alone, also if the firmware
 * used it. */
void console_leave_firmware(void);

/* Text as printf() would write it; lines end with '\n'. UTF-8. What is longer than 1 KiB is cut. */
void console_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same without formatting and of any length. */
void console_write(const char *text);

/*
 * A progress line: name, size and percent, rewritten in place on a screen. A line that also goes to a serial
 * port is rewritten in few steps only. `total` 0: not known yet. End it with console_progress_end(), which
 * leaves the finished line, or after a failure what it showed last.
 */
void console_progress(const char *name, uint64_t done, uint64_t total);
void console_progress_end(const char *name, uint64_t size, bool success);

/* Wait for a key, at most `seconds`. */
void console_wait_key(unsigned int seconds);

#endif
