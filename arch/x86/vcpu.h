// SPDX-License-Identifier: Apache-2.0
// An x86 vCPU's states of start: power-on, INIT, SIPI; and its debug registers while it is on a CPU.
#ifndef SAGUARO_ARCH_X86_VCPU_H
#define SAGUARO_ARCH_X86_VCPU_H

#include "arch/x86/vm.h"

/* Power-on: everything to reset values; the first vCPU is active at the reset vector, others wait for SIPI.
 * The vCPU is parked. */
void vcpu_power_on(struct x86_vcpu *vcpu);
/* INIT: as power-on, but the caches, the MSRs that INIT keeps and the XSAVE state stay (Intel SDM vol. 3,
 * table 9-1). */
void vcpu_init_reset(struct x86_vcpu *vcpu);
/* SIPI: starts in real mode at vector << 12. */
void vcpu_sipi(struct x86_vcpu *vcpu, uint8_t vector);

/* The whole of vcpu->state has been written: nothing of what the engine still has counts. */
void vcpu_replaced(struct x86_vcpu *vcpu);

/* DR0-DR3, TSC_AUX: registers of the CPU that no engine switches. */
void vcpu_debug_load(struct x86_vcpu *vcpu);
void vcpu_debug_save(struct x86_vcpu *vcpu);

#endif
