// SPDX-License-Identifier: Apache-2.0
// The start of the AMD-Vi driver.
#ifndef SAGUARO_DRIVERS_IOMMU_AMDVI_START_H
#define SAGUARO_DRIVERS_IOMMU_AMDVI_START_H

#include <stdbool.h>
#include "lib/acpi_ivrs.h"

/* Switches on the units of an IVRS table, which stays: whatever no domain maps is blocked when this returns,
 * and so are all interrupts of what is behind them. A unit that cannot be used is left alone, with an error
 * in the log; what is behind it is not protected. Once, as early as memory and clock are there, on the boot
 * CPU. */
void amdvi_start(const struct acpi_ivrs *ivrs);
/* Whether a unit that is at work could remap interrupts. After amdvi_start(). */
bool amdvi_can_remap(void);
/* Switches on fault reports and interrupt remapping, once this CPU takes interrupts and before the first
 * line of an I/O APIC is used. `remap` false: lets interrupts pass as they are, since CPUs are in x2APIC
 * mode.
 */
void amdvi_start_interrupts(bool remap);

#endif
