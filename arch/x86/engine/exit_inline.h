// SPDX-License-Identifier: Apache-2.0
// The exit that is measured most, whole in its caller: a call and its registers cost more than what it does.
#ifndef SAGUARO_ARCH_X86_ENGINE_EXIT_INLINE_H
#define SAGUARO_ARCH_X86_ENGINE_EXIT_INLINE_H

#include "arch/x86/engine/engine.h"
#include "arch/x86/guest/cpu_model.h"

/* Leaves that differ by vCPU, subleaf or moment. */
void exit_cpuid_computed(struct x86_vcpu *vcpu, unsigned length);

static inline void exit_cpuid(struct x86_vcpu *vcpu, unsigned length) {
    uint64_t *gpr = vcpu->state->registers.gpr;
    const struct cpuid_leaf *leaf =
        cpu_model_fixed_leaf(x86_vm(vcpu->core.vm)->model, (uint32_t)gpr[X86_RAX]);

    if (__builtin_expect(!leaf, 0)) {
        exit_cpuid_computed(vcpu, length);
        return;
    }
    gpr[X86_RAX] = leaf->eax;
    gpr[X86_RBX] = leaf->ebx;
    gpr[X86_RCX] = leaf->ecx;
    gpr[X86_RDX] = leaf->edx;
    x86_skip(vcpu, length);
}

#endif
