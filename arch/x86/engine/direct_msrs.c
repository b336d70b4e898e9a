// SPDX-License-Identifier: Apache-2.0
// The MSRs that a guest reads and writes without an exit.
#include "arch/x86/engine/direct_msrs.h"

const struct direct_msr direct_msrs[DIRECT_MSRS] = {
    {0xc0000081u, false}, /* STAR */
    {0xc0000082u, true},  /* LSTAR */
    {0xc0000083u, true},  /* CSTAR */
    {0xc0000084u, false}, /* SFMASK */
    {0xc0000100u, true},  /* FS_BASE */
    {0xc0000101u, true},  /* GS_BASE */
    {0xc0000102u, true},  /* KERNEL_GS_BASE */
    {0x00000174u, false}, /* SYSENTER_CS */
    {0x00000175u, true},  /* SYSENTER_ESP */
    {0x00000176u, true},  /* SYSENTER_EIP */
};
