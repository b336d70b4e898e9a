// SPDX-License-Identifier: Apache-2.0
// The guest's pair of 8259A interrupt controllers, with the edge/level registers of a PC chipset.
#ifndef SAGUARO_ARCH_X86_GUEST_PIC_H
#define SAGUARO_ARCH_X86_GUEST_PIC_H

#include <stdbool.h>
#include <stdint.h>
#include "core/part.h"

struct pic;

extern const struct part pic_part; /* "x86.pic" */

/* ISA line 0..15 (2 is the cascade and ignored) goes active or inactive. Any CPU. */
void pic_set_line(struct pic *pic, unsigned line, bool level);

/* Whether INTR is up. Any CPU; no lock. */
bool pic_pending(const struct pic *pic);

/* The interrupt acknowledge cycle: the vector to inject. A request that went away meanwhile gives the
 * spurious vector (line 7 of the chip that was asked), as the hardware does. */
uint8_t pic_acknowledge(struct pic *pic);

#endif
