// SPDX-License-Identifier: Apache-2.0
// The start of the VT-d driver.
#ifndef SAGUARO_DRIVERS_IOMMU_VTD_START_H
#define SAGUARO_DRIVERS_IOMMU_VTD_START_H

#include <stdbool.h>
#include "lib/acpi_dmar.h"

/* Switches on the units of a DMAR table, which stays: whatever no domain maps is blocked when this returns.
 * A unit that cannot be used is left alone, with an error in the log; what is behind it is not protected.
 * Once, as early as memory and clock are there, on the boot CPU. */
void vtd_start(const struct acpi_dmar *dmar);
/* Whether a unit that is at work could remap interrupts. After vtd_start(). */
bool vtd_can_remap(void);
/* Switches on fault reports and interrupt remapping, once this CPU takes interrupts and before the first
 * line of an I/O APIC is used. `remap` false: leaves interrupts as they are, since CPUs are in x2APIC mode.
 */
void vtd_start_interrupts(bool remap);

#endif
