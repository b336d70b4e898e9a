// SPDX-License-Identifier: Apache-2.0
// x87, SSE and AVX state: saved when a vCPU leaves a CPU, loaded when it comes to one that has another's. The
// hypervisor has none of its own.
#ifndef SAGUARO_ARCH_X86_FPU_H
#define SAGUARO_ARCH_X86_FPU_H

#include "arch/x86/vm.h"

/* Chooses XSAVE or FXSAVE and switches it on; each CPU calls it before it runs a vCPU. */
void fpu_cpu_init(void);
/* XCR0 bits of the components that are switched; 3 without XSAVE. */
uint64_t fpu_components(void);
/* True: this CPU leaves the x87's instruction and data pointers of one vCPU to the next one, and they are
 * overwritten before a vCPU's state is loaded. */
bool fpu_pointers_stay(void);
void fpu_load(struct x86_vcpu *vcpu);
void fpu_save(struct x86_vcpu *vcpu);
/* Saves what a running vCPU has in the CPU, so that `state->xsave` can be read or changed; after a change
 * call fpu_reload(). */
void fpu_sync(struct x86_vcpu *vcpu);
void fpu_reload(struct x86_vcpu *vcpu);
/* state->xcr0 was changed by the guest that runs here. */
void fpu_xcr0_changed(struct x86_vcpu *vcpu);
/* Power-on contents of state->xsave. */
void fpu_reset(struct x86_vcpu *vcpu);

#endif
