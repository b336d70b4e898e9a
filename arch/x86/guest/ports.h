// SPDX-License-Identifier: Apache-2.0
// Ports of a guest's PC that belong to no device: the exit port and the two that are written for a delay.
#ifndef SAGUARO_ARCH_X86_GUEST_PORTS_H
#define SAGUARO_ARCH_X86_GUEST_PORTS_H

#include "core/part.h"

/*
 * 0xF4, where the config has not switched it off: a write of any size ends the guest (VM_END_EXIT) with the
 * value as its exit code; reads find nobody. 0x80 (POST codes) and 0xED take any write and read all ones:
 * kernels write them to wait a microsecond. Every other port that no part claims reads all ones and drops
 * writes, so there is no DMA controller, no second serial port, no floppy.
 */
extern const struct part ports_part; /* "x86.ports" */

#endif
