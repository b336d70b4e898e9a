// SPDX-License-Identifier: Apache-2.0
// Little-endian fields at any alignment, for the files that read ACPI tables.
#ifndef SAGUARO_LIB_ACPI_INTERNAL_H
#define SAGUARO_LIB_ACPI_INTERNAL_H

#include <stdint.h>

uint16_t acpi_get16(const uint8_t *p);
uint32_t acpi_get32(const uint8_t *p);
uint64_t acpi_get64(const uint8_t *p);

#endif
