// SPDX-License-Identifier: Apache-2.0
// A guest's timers: decrementer, fixed-interval timer and watchdog over the time base (e500 core manual, 2.6;
// Power ISA Book III-E, ch. 9). The guest reads the real time base, which user mode cannot be kept from.
#ifndef SAGUARO_ARCH_PPC_GUEST_CLOCK_H
#define SAGUARO_ARCH_PPC_GUEST_CLOCK_H

#include "arch/ppc/vm.h"

void clock_guest_create(struct ppc_vcpu *vcpu);
/* Power-on: the decrementer stands at 0, nothing is enabled. */
void clock_guest_reset(struct ppc_vcpu *vcpu);

/* Brings TSR and the decrementer up to the present and arms the timer for what comes next. By the CPU that
 * runs the vCPU. The watchdog may end the guest here. */
void clock_update(struct ppc_vcpu *vcpu);
/* After a pause, which is no time for FIT and watchdog. */
void clock_resume(struct ppc_vcpu *vcpu);
/* TSR_WIS, TSR_FIS and TSR_DIS as far as TCR enables them, now; changes nothing. */
uint32_t clock_asserted(const struct ppc_vcpu *vcpu);

/* The registers, as the guest's mfspr and mtspr see them. */
uint32_t clock_dec_read(struct ppc_vcpu *vcpu);
void clock_dec_write(struct ppc_vcpu *vcpu, uint32_t value);
void clock_decar_write(struct ppc_vcpu *vcpu, uint32_t value);
uint32_t clock_tsr_read(struct ppc_vcpu *vcpu);
void clock_tsr_write(struct ppc_vcpu *vcpu, uint32_t value); /* ones clear */
void clock_tcr_write(struct ppc_vcpu *vcpu, uint32_t value);

/* For saved state: the decrementer into state->dec and back, with the time base. */
void clock_save(struct ppc_vcpu *vcpu);
void clock_load(struct ppc_vcpu *vcpu);

#endif
