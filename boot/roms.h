// SPDX-License-Identifier: Apache-2.0
// Expansion ROMs of the PCI functions that the config passes through to guests: copies of what the firmware
// has read, which nobody can read later, since the firmware leaves the ROM without an address.
#ifndef SAGUARO_BOOT_ROMS_H
#define SAGUARO_BOOT_ROMS_H

#include <efi.h>

#include "abi/handover.h"
#include "lib/config.h"

/* Lists them in the hand-over. One that cannot be had is left out, after a line that says why.
 * EFI_OUT_OF_RESOURCES: no memory for the list. */
EFI_STATUS roms_keep(EFI_BOOT_SERVICES *boot, const struct config *config, struct handover *handover);

#endif
