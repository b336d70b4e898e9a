// SPDX-License-Identifier: Apache-2.0
// CPU models: which features of the host's CPU a guest sees, and the CPUID leaves that follow
// (docs/cpu-policy.md).
#ifndef SAGUARO_ARCH_X86_GUEST_CPU_MODEL_H
#define SAGUARO_ARCH_X86_GUEST_CPU_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct memory_account;
struct x86_vcpu;

struct cpuid_leaf {
    uint32_t eax, ebx, ecx, edx;
};

/* The words of features that a model decides on. */
enum cpu_word {
    WORD_1_ECX,
    WORD_1_EDX,
    WORD_7_EBX,
    WORD_7_ECX,
    WORD_7_EDX,
    WORD_D1_EAX,
    WORD_80000001_ECX,
    WORD_80000001_EDX,
    WORD_80000008_EBX,
    CPU_WORDS,
};

#define CPUID_BASIC_LEAVES    0x10u
#define CPUID_EXTENDED_LEAVES 0x20u

/* A model as one VM sees it: the leaves are computed once, and what differs by vCPU or moment is put in when
 * a guest asks. */
struct x86_cpu_model {
    uint32_t features[CPU_WORDS];
    uint32_t basic_max;    /* highest basic leaf */
    uint32_t extended_max; /* highest extended leaf */
    unsigned physical_bits;
    unsigned vcpus;
    unsigned core_shift;   /* bits of the APIC ID that number the cores */
    uint64_t xcr0_allowed; /* 1 where there is no XSAVE */
    struct cpuid_leaf basic[CPUID_BASIC_LEAVES];
    struct cpuid_leaf extended[CPUID_EXTENDED_LEAVES];
};

/* Builds the model `kind` (enum config_cpu_model) for a VM of `vcpus`. 0; -ENOMEM; -ENOTSUP: the host's CPU
 * lacks what the model needs, and `why` names it. */
int cpu_model_create(unsigned kind, unsigned vcpus, struct memory_account *account,
                     struct x86_cpu_model **model, char *why, size_t why_size);
void cpu_model_destroy(struct x86_cpu_model *model, struct memory_account *account);

/* The leaf if its answer is the same for every vCPU, subleaf and moment; else NULL: ask cpu_model_cpuid(). */
static inline const struct cpuid_leaf *cpu_model_fixed_leaf(const struct x86_cpu_model *model,
                                                            uint32_t leaf) {
    /* Not 1 (APIC ID, OSXSAVE), 4 (caches), 7 (subleaves), 0xB and 0xD. */
    return leaf < CPUID_BASIC_LEAVES && !(0x2892u >> leaf & 1) ? &model->basic[leaf] : NULL;
}

/* What CPUID answers to this vCPU now. */
void cpu_model_cpuid(struct x86_vcpu *vcpu, uint32_t leaf, uint32_t subleaf, struct cpuid_leaf *out);

static inline bool cpu_model_has(const struct x86_cpu_model *model, enum cpu_word word, unsigned bit) {
    return (model->features[word] >> bit & 1) != 0;
}
static inline bool cpu_model_has_rdtscp(const struct x86_cpu_model *model) {
    return cpu_model_has(model, WORD_80000001_EDX, 27);
}

/* True when the host is an emulator whose omissions have to be made up for (QEMU's TCG). */
bool cpu_model_emulated(void);

/* Guest CR4 and EFER bits that this model's features allow. */
uint64_t cpu_model_cr4_allowed(const struct x86_cpu_model *model);
uint64_t cpu_model_efer_allowed(const struct x86_cpu_model *model);

#endif
