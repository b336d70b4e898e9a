// SPDX-License-Identifier: Apache-2.0
// The global utilities of a guest's board (MPC8544E reference manual, ch. 19): PVR, SVR, and the reset
// request. What the chip's pins and clocks would say reads 0, as on QEMU's board.
#ifndef SAGUARO_ARCH_PPC_GUEST_GUTS_H
#define SAGUARO_ARCH_PPC_GUEST_GUTS_H

#include "core/part.h"

extern const struct part guts_part; /* "ppc.guts"; nothing to save */

#endif
