// SPDX-License-Identifier: Apache-2.0
// The model-specific registers that a guest sees (docs/cpu-policy.md): one table for every engine.
#ifndef SAGUARO_ARCH_X86_GUEST_MSR_H
#define SAGUARO_ARCH_X86_GUEST_MSR_H

#include <stdint.h>

struct x86_vcpu;

/* RDMSR and WRMSR by the vCPU that runs here. 0; -EINVAL: the guest gets #GP(0) and nothing has changed. */
int msr_guest_read(struct x86_vcpu *vcpu, uint32_t msr, uint64_t *value);
int msr_guest_write(struct x86_vcpu *vcpu, uint32_t msr, uint64_t value);

/* Power-on values. */
void msr_guest_reset(struct x86_vcpu *vcpu);

#endif
