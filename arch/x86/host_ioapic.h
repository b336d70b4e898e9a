// SPDX-License-Identifier: Apache-2.0
// The host's I/O APICs: interrupt lines of the few devices that the hypervisor itself uses.
#ifndef SAGUARO_ARCH_X86_HOST_IOAPIC_H
#define SAGUARO_ARCH_X86_HOST_IOAPIC_H

#include <stdbool.h>

/* Maps the I/O APICs that the MADT lists and masks all their lines. */
void host_ioapic_init(void);

/* Sends ISA interrupt `irq` to this CPU at `vector`. 0; -ENODEV: no I/O APIC has that line; -ENOTSUP: it
 * cannot address this CPU (APIC ID above 254); -ENOSPC: the IOMMU has no entry left for it. */
int host_ioapic_route_isa(unsigned irq, unsigned vector);

/* Sends global interrupt `gsi`, level-triggered and active low, to this CPU at `vector`, masked at first. 0;
 * -ENODEV, -ENOTSUP as above. */
int host_ioapic_route_level(unsigned gsi, unsigned vector);
/* Any CPU. A gsi that was routed. */
void host_ioapic_mask(unsigned gsi, bool masked);

#endif
