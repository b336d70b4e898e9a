// SPDX-License-Identifier: Apache-2.0
// The guest's I/O APIC: 24 pins at PC_IOAPIC_BASE (Intel 82093AA, version 0x20 with an EOI register).
#ifndef SAGUARO_ARCH_X86_GUEST_IOAPIC_H
#define SAGUARO_ARCH_X86_GUEST_IOAPIC_H

#include <stdbool.h>
#include <stdint.h>
#include "core/part.h"

struct ioapic;

#define IOAPIC_PINS 24

extern const struct part ioapic_part; /* "x86.ioapic" */

/* A pin's line goes active or inactive: the entry's polarity bit is kept but means nothing, since `level` is
 * the assertion itself. One source per line. Any CPU. */
void ioapic_set_line(struct ioapic *ioapic, unsigned pin, bool level);

/* A level-triggered interrupt of this vector ended at a local APIC: pins that still ask are delivered again.
 * Any CPU. */
void ioapic_eoi(struct ioapic *ioapic, uint8_t vector);

/* A local APIC was enabled: asserted level pins that nobody took before are delivered again. Any CPU. */
void ioapic_retry(struct ioapic *ioapic);

#endif
