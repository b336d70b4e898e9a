// SPDX-License-Identifier: Apache-2.0
// The host's ACPI tables as read at start-up. A machine may have none.
#ifndef SAGUARO_ARCH_X86_HOST_ACPI_H
#define SAGUARO_ARCH_X86_HOST_ACPI_H

#include "lib/acpi.h"

/* Reads the tables; says in the log what is missing. After platform_copy() and window_init(). */
void host_acpi_init(void);

/* NULL: the machine has no such table. */
const struct acpi_root *host_acpi_root(void);
const struct acpi_madt *host_acpi_madt(void);
const struct acpi_fadt *host_acpi_fadt(void);

#endif
