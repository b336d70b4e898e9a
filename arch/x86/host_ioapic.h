// SPDX-License-Identifier: Apache-2.0
// The host's I/O APICs: interrupt lines of the few devices that the hypervisor itself uses.
#ifndef SAGUARO_ARCH_X86_HOST_IOAPIC_H
#define SAGUARO_ARCH_X86_HOST_IOAPIC_H

/* Maps the I/O APICs that the MADT lists and masks all their lines. */
void host_ioapic_init(void);

/* Sends ISA interrupt `irq` to this CPU at `vector`. 0; -ENODEV: no I/O APIC has that line; -ENOTSUP: it
 * cannot address this CPU (APIC ID above 254). */
int host_ioapic_route_isa(unsigned irq, unsigned vector);

#endif
