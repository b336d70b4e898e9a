// SPDX-License-Identifier: Apache-2.0
// The local APIC of a host CPU: xAPIC, or x2APIC where the CPU has it and no IOMMU needs the former;
// interprocessor interrupts.
#ifndef SAGUARO_ARCH_X86_HOST_APIC_H
#define SAGUARO_ARCH_X86_HOST_APIC_H

#include <stdbool.h>
#include <stdint.h>

/* Finds and maps the local APIC. `base`: where the MADT says that it is, 0: as the CPU says. `plain`: xAPIC
 * mode is to be used unless the firmware has left the CPUs in x2APIC mode. 0; -ENODEV: the CPU has none;
 * -ENOMEM. */
int host_apic_init(uint64_t base, bool plain);
/* Switches this CPU's local APIC on, every local interrupt masked. */
void host_apic_enable(void);
/* Whether the APICs are in x2APIC mode. */
bool host_apic_x2(void);

/* This CPU's APIC ID; also before host_apic_init(). */
uint32_t host_apic_id(void);

void host_apic_eoi(void);

/* Writes TPR as it is: the APIC looks at what is pending. Hardware does that all the time; svm.c has the
 * emulator that does not. */
void host_apic_recheck(void);

/* Makes LINT0 or LINT1 (`pin` 0, 1) of this CPU raise NMIs, as the MADT tells. */
void host_apic_nmi_pin(unsigned pin, bool active_low, bool level);

/* Interprocessor interrupts. Return once the APIC has accepted the command (or, broken, has not within 10
 * ms). */
void host_apic_send(uint32_t apic_id, unsigned vector);
void host_apic_send_init(uint32_t apic_id);
void host_apic_send_startup(uint32_t apic_id, unsigned page);
/* NMI to every CPU but this one; nothing before host_apic_init(). */
void host_apic_nmi_others(void);
/* NMI to this CPU. */
void host_apic_nmi_self(void);

/* The one-shot timer (host_timer.c). */
#define APIC_TIMER_MODE_DEADLINE (1u << 18)
#define APIC_LVT_MASKED          (1u << 16)
void host_apic_timer_setup(uint32_t lvt); /* divide by 1 */
void host_apic_timer_set(uint32_t count); /* 0: off */
uint32_t host_apic_timer_get(void);

#endif
