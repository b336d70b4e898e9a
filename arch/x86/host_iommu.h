// SPDX-License-Identifier: Apache-2.0
// The machine's IOMMU: found in the firmware's tables and switched on.
#ifndef SAGUARO_ARCH_X86_HOST_IOMMU_H
#define SAGUARO_ARCH_X86_HOST_IOMMU_H

/* Closes DMA, unless iommu=off is on the loader's command line: on the boot CPU, as soon as memory and clock
 * are there. */
void host_iommu_init(void);
/* Its own interrupts, and the remapping of all others: once the local APIC is on, before any line of an I/O
 * APIC is used. */
void host_iommu_start(void);

#endif
