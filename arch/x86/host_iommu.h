// SPDX-License-Identifier: Apache-2.0
// The machine's IOMMU: found in the firmware's tables and switched on.
#ifndef SAGUARO_ARCH_X86_HOST_IOMMU_H
#define SAGUARO_ARCH_X86_HOST_IOMMU_H

#include <stdbool.h>

/* Closes DMA, unless iommu=off is on the loader's command line: on the boot CPU, as soon as memory and clock
 * are there. */
void host_iommu_init(void);
/* Whether the CPUs' APICs are to be in xAPIC mode, the only one in which interrupts are remapped here: an
 * IOMMU can remap them, and no CPU has an APIC ID that needs the other mode. After host_iommu_init(). */
bool host_iommu_wants_xapic(void);
/* Its own interrupts, and the remapping of all others: once the local APIC is on, before any line of an I/O
 * APIC is used. */
void host_iommu_start(void);

#endif
