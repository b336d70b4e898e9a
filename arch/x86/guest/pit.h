// SPDX-License-Identifier: Apache-2.0
// The 8254 interval timer of a guest at ports 0x40-0x43, and port 0x61 with channel 2's gate and output.
#ifndef SAGUARO_ARCH_X86_GUEST_PIT_H
#define SAGUARO_ARCH_X86_GUEST_PIT_H

#include "core/part.h"

/*
 * Counts are exact at 1.193182 MHz and computed when they are read; a timer runs only while channel 0 has a
 * rising edge of OUT ahead, which is interrupt line 0. Edges that come late or closer than PIT_MIN_PERIOD are
 * merged into one; a periodic guest may so lose ticks, but never read a wrong count.
 */
#define PIT_HZ         1193182u
#define PIT_MIN_PERIOD 100000u /* ns between two interrupts */

extern const struct part pit_part; /* "x86.pit" */

#endif
