// SPDX-License-Identifier: Apache-2.0
// What is where in an XSAVE area (Intel SDM vol. 1, 13.4), and x87 state that is nothing but the initial one.
#ifndef SAGUARO_ARCH_X86_XSAVE_AREA_H
#define SAGUARO_ARCH_X86_XSAVE_AREA_H

#include <stdint.h>
#include <string.h>

#define XSAVE_MXCSR  24u /* SSE's, with its mask */
#define XSAVE_ST     32u /* the x87 registers, 16 bytes each */
#define XSAVE_XMM    160u
#define XSAVE_BV     512u /* 64 bits: a component whose bit is clear is in its initial state */
#define XSAVE_YMM    576u /* the upper halves, in the standard format */

#define XSAVE_BV_X87 1u
#define XSAVE_FCW    0x37fu /* FCW after FNINIT */

/*
 * Says in XSTATE_BV that x87 is in its initial state, where the area has just that: XRSTOR then makes it so
 * itself. CPUs mostly say it when they save (13.6); QEMU 7.2 never does. There each XRSTOR with x87 registers
 * rewrites a word of the first CPU's state without a lock, see docs/support.md, "Where the emulators differ".
 */
static inline void xsave_forget_x87(uint8_t *area) {
    uint64_t all = 0;

    if (!(area[XSAVE_BV] & XSAVE_BV_X87))
        return;
        /* On the way of each vCPU to a CPU: without a copy, and without a loop. */
#pragma GCC unroll 20
    for (unsigned at = 0; at < XSAVE_XMM; at += 8) {
        uint64_t word;
        memcpy(&word, area + at, sizeof(word));
        if (at != XSAVE_MXCSR)
            all |= word ^ (at == 0 ? XSAVE_FCW : 0);
    }
    if (!all)
        area[XSAVE_BV] &= (uint8_t)~XSAVE_BV_X87;
}

#endif
