// SPDX-License-Identifier: Apache-2.0
// The words of a report: names of interrupts, syndromes in words.
#ifndef SAGUARO_ARCH_PPC_REPORT_TEXT_H
#define SAGUARO_ARCH_PPC_REPORT_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Name of a kind of interrupt (IVOR_*). */
const char *trap_name(uint32_t vector);

/* Writes what is known of the cause, e.g. "write to 0x00000010, which is not mapped". Empty where nothing is.
 * Always ends with NUL. */
void trap_explain(char *text, size_t size, uint32_t vector, uint32_t esr, uint32_t dear, uint32_t pc);

#endif
