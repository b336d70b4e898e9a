// SPDX-License-Identifier: Apache-2.0
// The words of a report: names of exceptions, error codes in words.
#ifndef SAGUARO_ARCH_X86_REPORT_TEXT_H
#define SAGUARO_ARCH_X86_REPORT_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Name of an exception vector (0-31). */
const char *trap_name(unsigned vector);

/* Writes what an error code means, e.g. "write to 0xffff870000001000, which is mapped but not writable".
 * `address` is CR2 and counts for page faults alone. Empty for vectors without an error code. Always ends
 * with NUL. */
void trap_explain(char *text, size_t size, unsigned vector, uint64_t error, uint64_t address);

#endif
