// SPDX-License-Identifier: Apache-2.0
// What the firmware knows of the machine: CPUs, ACPI and SMBIOS tables, frame buffer, load options.
// Every part may be missing; the hand-over then says so in that part's own way.
#ifndef SAGUARO_BOOT_MACHINE_H
#define SAGUARO_BOOT_MACHINE_H

#include <efi.h>
#include <stdbool.h>
#include <stdint.h>

#include "abi/handover.h"

/* Why the hypervisor cannot be entered on this CPU, in words; NULL: it can. *large_1g: it has 1 GiB pages. */
const char *machine_cpu_fault(bool *large_1g);

/* List the CPUs. EFI_OUT_OF_RESOURCES, or success with count 0 when the firmware has no MP services. */
EFI_STATUS machine_list_cpus(EFI_BOOT_SERVICES *boot, struct handover *handover);

/* ACPI RSDP (2.0 before 1.0) and SMBIOS (3 before 2) from the configuration table. */
void machine_find_tables(EFI_SYSTEM_TABLE *system, struct handover *handover);

/* The frame buffer of the console, or else the first there is. */
void machine_find_framebuffer(EFI_SYSTEM_TABLE *system, struct handover_framebuffer *framebuffer);

/* The load options, where they are printable text; in LOADER memory. */
EFI_STATUS machine_command_line(EFI_BOOT_SERVICES *boot, EFI_HANDLE image, struct handover *handover);

#endif
