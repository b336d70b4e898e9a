// SPDX-License-Identifier: Apache-2.0
// The EFI runtime's ResetSystem(), called on page tables of its own.
#ifndef SAGUARO_ARCH_X86_EFI_RESET_H
#define SAGUARO_ARCH_X86_EFI_RESET_H

#include <stdbool.h>

/* Checks the firmware's tables and makes the page tables, while memory can still be had. */
void efi_reset_prepare(void);

/* Powers the machine off or resets it. Returns only if that did not work. No other CPU may run. */
void efi_reset(bool power_off);

#endif
