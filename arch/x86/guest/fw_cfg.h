// SPDX-License-Identifier: Apache-2.0
// The firmware configuration device of a guest's PC: ports 0x510-0x51b, items by selector, files by
// directory, DMA.
#ifndef SAGUARO_ARCH_X86_GUEST_FW_CFG_H
#define SAGUARO_ARCH_X86_GUEST_FW_CFG_H

#include "core/part.h"

/*
 * The interface that QEMU defined (docs/specs/fw_cfg in its manual) and that OVMF and SeaBIOS look for.
 * Items: signature, ID, RAM size, CPU counts, file directory; files: etc/e820, etc/acpi/rsdp,
 * etc/acpi/tables, etc/table-loader. Nothing can be written. Selectors that do not exist read zeroes.
 */
#define FW_CFG_PORT           0x510
#define FW_CFG_SIGNATURE      0x00
#define FW_CFG_ID             0x01
#define FW_CFG_RAM_SIZE       0x03
#define FW_CFG_CPU_COUNT      0x05
#define FW_CFG_MAX_CPUS       0x0f
#define FW_CFG_FILE_DIRECTORY 0x19
#define FW_CFG_FILE_FIRST     0x20

/* DMA control bits. */
#define FW_CFG_DMA_ERROR      0x01u
#define FW_CFG_DMA_READ       0x02u
#define FW_CFG_DMA_SKIP       0x04u
#define FW_CFG_DMA_SELECT     0x08u
#define FW_CFG_DMA_WRITE      0x10u

/* A DMA read may ask for this many bytes beyond its item's end (they are zero); more is an error. */
#define FW_CFG_DMA_EXCESS     4096u

extern const struct part fw_cfg_part; /* "x86.fw-cfg" */

#endif
