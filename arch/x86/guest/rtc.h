// SPDX-License-Identifier: Apache-2.0
// The real-time clock and CMOS memory of a guest's PC: an MC146818 at ports 0x70/0x71, with a second bank of
// memory at 0x72/0x73.
#ifndef SAGUARO_ARCH_X86_GUEST_RTC_H
#define SAGUARO_ARCH_X86_GUEST_RTC_H

#include "core/part.h"

/*
 * Shows the host's wall clock (UTC) plus what the guest set it to differ by. The time registers change at
 * once at the end of the update cycle, of whose 2228 us UIP tells. Interrupt 8 is a level: up while register
 * C has a flag that register B enables. A timer runs only while such a flag is ahead. Time and CMOS memory
 * survive a reset of the guest, as with a battery; the memory sizes and registers A to C are set anew.
 */
extern const struct part rtc_part; /* "x86.rtc" */

#endif
