// SPDX-License-Identifier: Apache-2.0
// CPU models: the feature sets of the psABI's levels, and the CPUID leaves of a VM.
#include "arch/x86/guest/cpu_model.h"
#include "arch/x86/guest/lapic.h"
#include "arch/x86/engine/engine.h"
#include "arch/x86/guest/pv.h"
#include "arch/x86/registers.h"
#include "arch/x86/vm.h"
#include "lib/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BIT(n)          (1u << (n))

/* Supplied by the hypervisor itself, whatever the host has. */
#define SYNTHETIC_1_ECX (BIT(21) /* x2APIC */ | BIT(24) /* TSC deadline */ | BIT(31) /* hypervisor */)

/* x86-64 (v1) and what every CPU with nested paging has beside it: FPU DE PSE TSC MSR PAE MCE CX8 APIC
 * SEP MTRR PGE MCA CMOV PAT PSE36 CLFSH MMX FXSR SSE SSE2. */
#define V1_1_EDX        0x078bfbfdu
#define V1_80000001_EDX (BIT(11) /* SYSCALL */ | BIT(20) /* NX */ | BIT(29) /* LM */)
#define V2_1_ECX                                                                                             \
    (BIT(0) /* SSE3 */ | BIT(9) /* SSSE3 */ | BIT(13) /* CX16 */ | BIT(19) /* SSE4.1 */ |                    \
     BIT(20) /* SSE4.2 */ | BIT(23) /* POPCNT */)
#define V2_80000001_ECX BIT(0)  /* LAHF */
#define V2_80000001_EDX BIT(27) /* RDTSCP */
#define V3_1_ECX                                                                                             \
    (BIT(12) /* FMA */ | BIT(22) /* MOVBE */ | BIT(26) /* XSAVE */ | BIT(28) /* AVX */ | BIT(29) /* F16C */)
#define V3_7_EBX                                                                                             \
    (BIT(0) /* FSGSBASE */ | BIT(3) /* BMI1 */ | BIT(5) /* AVX2 */ | BIT(7) /* SMEP */ | BIT(8) /* BMI2 */)
#define V3_80000001_ECX BIT(5) /* LZCNT */

/* "host": every feature that the engines and this file know how to virtualise; the rest stays hidden. */
#define HOST_1_ECX                                                                                           \
    (V2_1_ECX | V3_1_ECX | BIT(1) /* PCLMUL */ | BIT(17) /* PCID */ | BIT(25) /* AES */ |                    \
     BIT(30) /* RDRAND */)
#define HOST_7_EBX                                                                                           \
    (V3_7_EBX | BIT(9) /* ERMS */ | BIT(10) /* INVPCID */ | BIT(16) /* AVX512F */ | BIT(17) /* AVX512DQ */ | \
     BIT(18) /* RDSEED */ | BIT(19) /* ADX */ | BIT(20) /* SMAP */ | BIT(21) /* AVX512IFMA */ |              \
     BIT(23) /* CLFLUSHOPT */ | BIT(24) /* CLWB */ | BIT(28) /* AVX512CD */ | BIT(29) /* SHA */ |            \
     BIT(30) /* AVX512BW */ | BIT(31) /* AVX512VL */)
#define HOST_7_ECX                                                                                           \
    (BIT(1) /* AVX512VBMI */ | BIT(2) /* UMIP */ | BIT(6) | BIT(8) /* GFNI */ | BIT(9) /* VAES */ |          \
     BIT(10) /* VPCLMUL */ | BIT(11) | BIT(12) | BIT(14) /* VPOPCNTDQ */)
#define HOST_7_EDX  (BIT(2) | BIT(3) | BIT(4) /* FSRM */ | BIT(8))
#define HOST_D1_EAX BIT(0) /* XSAVEOPT */
#define HOST_80000001_ECX                                                                                    \
    (V2_80000001_ECX | V3_80000001_ECX | BIT(4) /* CR8 in 32-bit */ | BIT(6) /* SSE4A */ | BIT(7) | BIT(8) | \
     BIT(11) | BIT(16) | BIT(21))
#define HOST_80000001_EDX                                                                                    \
    (V1_80000001_EDX | V2_80000001_EDX | BIT(22) | BIT(25) /* FFXSR */ | BIT(26) /* 1 GiB pages */)
#define HOST_80000008_EBX      (BIT(0) /* CLZERO */ | BIT(2) /* XRSTOR errors */ | BIT(9) /* WBNOINVD */)

/* Of no use without the state component that holds their registers, so hidden with it: YMM, and ZMM. */
#define NEEDS_YMM_1_ECX        (BIT(12) | BIT(28) | BIT(29))
#define NEEDS_YMM_7_EBX        BIT(5)
#define NEEDS_YMM_7_ECX        (BIT(9) | BIT(10))
#define NEEDS_YMM_80000001_ECX (BIT(11) /* XOP */ | BIT(16) /* FMA4 */)
#define NEEDS_ZMM_7_EBX        (BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31))
#define NEEDS_ZMM_7_ECX        (BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14))
#define NEEDS_ZMM_7_EDX        (BIT(2) | BIT(3) | BIT(8))

struct definition {
    const char *name;
    uint32_t features[CPU_WORDS];
};

static const struct definition definitions[] = {
    [CONFIG_CPU_X86_64_V1] = {"x86-64-v1", {[WORD_1_EDX] = V1_1_EDX, [WORD_80000001_EDX] = V1_80000001_EDX}},
    [CONFIG_CPU_X86_64_V2] = {"x86-64-v2",
                              {[WORD_1_ECX] = V2_1_ECX,
                               [WORD_1_EDX] = V1_1_EDX,
                               [WORD_80000001_ECX] = V2_80000001_ECX,
                               [WORD_80000001_EDX] = V1_80000001_EDX | V2_80000001_EDX}},
    [CONFIG_CPU_X86_64_V3] = {"x86-64-v3",
                              {[WORD_1_ECX] = V2_1_ECX | V3_1_ECX,
                               [WORD_1_EDX] = V1_1_EDX,
                               [WORD_7_EBX] = V3_7_EBX,
                               [WORD_80000001_ECX] = V2_80000001_ECX | V3_80000001_ECX,
                               [WORD_80000001_EDX] = V1_80000001_EDX | V2_80000001_EDX}},
    [CONFIG_CPU_HOST] = {"host",
                         {[WORD_1_ECX] = HOST_1_ECX,
                          [WORD_1_EDX] = V1_1_EDX | BIT(1) /* VME */,
                          [WORD_7_EBX] = HOST_7_EBX,
                          [WORD_7_ECX] = HOST_7_ECX,
                          [WORD_7_EDX] = HOST_7_EDX,
                          [WORD_D1_EAX] = HOST_D1_EAX,
                          [WORD_80000001_ECX] = HOST_80000001_ECX,
                          [WORD_80000001_EDX] = HOST_80000001_EDX,
                          [WORD_80000008_EBX] = HOST_80000008_EBX}},
};

/* For messages: what a missing bit of a named model is called. */
static const struct {
    uint8_t word, bit;
    const char *name;
} names[] = {
    {WORD_1_ECX, 0, "SSE3"},
    {WORD_1_ECX, 9, "SSSE3"},
    {WORD_1_ECX, 12, "FMA"},
    {WORD_1_ECX, 13, "CMPXCHG16B"},
    {WORD_1_ECX, 19, "SSE4.1"},
    {WORD_1_ECX, 20, "SSE4.2"},
    {WORD_1_ECX, 22, "MOVBE"},
    {WORD_1_ECX, 23, "POPCNT"},
    {WORD_1_ECX, 26, "XSAVE"},
    {WORD_1_ECX, 28, "AVX"},
    {WORD_1_ECX, 29, "F16C"},
    {WORD_7_EBX, 0, "FSGSBASE"},
    {WORD_7_EBX, 3, "BMI1"},
    {WORD_7_EBX, 5, "AVX2"},
    {WORD_7_EBX, 7, "SMEP"},
    {WORD_7_EBX, 8, "BMI2"},
    {WORD_80000001_ECX, 0, "LAHF"},
    {WORD_80000001_ECX, 5, "LZCNT"},
    {WORD_80000001_EDX, 11, "SYSCALL"},
    {WORD_80000001_EDX, 20, "NX"},
    {WORD_80000001_EDX, 27, "RDTSCP"},
    {WORD_80000001_EDX, 29, "long mode"},
};

/* A bit that nobody has given a name is told by its place. */
static void feature_name(unsigned word, unsigned bit, char *name, size_t size) {
    static const char *const places[CPU_WORDS] = {"1 ECX",        "1 EDX",        "7 EBX",
                                                  "7 ECX",        "7 EDX",        "D.1 EAX",
                                                  "80000001 ECX", "80000001 EDX", "80000008 EBX"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].word == word && names[i].bit == bit) {
            snprintf(name, size, "%s", names[i].name);
            return;
        }
    }
    snprintf(name, size, "CPUID %s bit %u", places[word], bit);
}

static void host_features(uint32_t features[CPU_WORDS]) {
    struct cpuid_registers leaf = cpuid_read(0, 0);
    uint32_t basic = leaf.eax;

    memset(features, 0, CPU_WORDS * sizeof(features[0]));
    leaf = cpuid_read(1, 0);
    features[WORD_1_ECX] = leaf.ecx;
    features[WORD_1_EDX] = leaf.edx;
    if (basic >= 7) {
        leaf = cpuid_read(7, 0);
        features[WORD_7_EBX] = leaf.ebx;
        features[WORD_7_ECX] = leaf.ecx;
        features[WORD_7_EDX] = leaf.edx;
    }
    if (basic >= 0xd)
        features[WORD_D1_EAX] = cpuid_read(0xd, 1).eax;
    uint32_t extended = cpuid_read(0x80000000u, 0).eax;
    if (extended >= 0x80000001u) {
        leaf = cpuid_read(0x80000001u, 0);
        features[WORD_80000001_ECX] = leaf.ecx;
        features[WORD_80000001_EDX] = leaf.edx;
    }
    if (extended >= 0x80000008u)
        features[WORD_80000008_EBX] = cpuid_read(0x80000008u, 0).ebx;
}

bool cpu_model_emulated(void) {
    struct cpuid_registers leaf = cpuid_read(0x40000000u, 0);
    return (cpuid_read(1, 0).ecx & BIT(31)) && leaf.ebx == 0x54474354u && leaf.ecx == 0x43544743u &&
           leaf.edx == 0x47435447u;
}

/* State components that a guest may switch on: x87, SSE, AVX, and the three of AVX-512 together, as far as
 * the host has them and our save area holds them. */
static uint64_t xcr0_allowed(const uint32_t *features) {
    uint64_t allowed = 1;

    if (!(features[WORD_1_ECX] & BIT(26)))
        return allowed;
    struct cpuid_registers leaf = cpuid_read(0xd, 0);
    allowed = 1 | (leaf.eax & 2);
    if (features[WORD_1_ECX] & BIT(28))
        allowed |= leaf.eax & 4;
    if ((features[WORD_7_EBX] & BIT(16)) && (leaf.eax & 0xe0) == 0xe0)
        allowed |= 0xe0;
    for (unsigned i = 2; i < 8; i++) {
        struct cpuid_registers component = cpuid_read(0xd, i);
        if ((allowed >> i & 1) && component.ebx + component.eax > X86_XSAVE_MAX)
            allowed &= i >= 5 ? ~0xe0ull : ~(1ull << i);
    }
    return allowed;
}

static void brand(struct x86_cpu_model *model, const char *name) {
    char text[48];

    memset(text, 0, sizeof(text));
    snprintf(text, sizeof(text), "Saguaro virtual CPU %s", name);
    memcpy(&model->extended[2], text, sizeof(text));
}

static void fill(struct x86_cpu_model *model, const char *name) {
    const uint32_t *features = model->features;
    bool amd = cpuid_read(0, 0).ecx == CPUID_AMD;
    struct cpuid_registers vendor = cpuid_read(0, 0);
    struct cpuid_registers signature = cpuid_read(1, 0);

    /* Leaf 0x10 and above describe what guests do not get. 0xB is always there: it numbers the cores. */
    model->basic_max = 0xd;
    model->basic[0] = (struct cpuid_leaf){model->basic_max, vendor.ebx, vendor.ecx, vendor.edx};
    model->basic[1] =
        (struct cpuid_leaf){signature.eax, (signature.ebx & 0xff00u) | model->vcpus << 16,
                            features[WORD_1_ECX], features[WORD_1_EDX] | (model->vcpus > 1 ? BIT(28) : 0)};
    /* 6: no thermal sensors; the APIC timer never stops (ARAT). */
    model->basic[6] = (struct cpuid_leaf){BIT(2), 0, 0, 0};
    model->basic[7] =
        (struct cpuid_leaf){0, features[WORD_7_EBX], features[WORD_7_ECX], features[WORD_7_EDX]};

    model->extended_max = amd ? 0x8000001eu : 0x80000008u;
    model->extended[0] = (struct cpuid_leaf){model->extended_max, vendor.ebx, vendor.ecx, vendor.edx};
    uint32_t cmp = amd && model->vcpus > 1 ? BIT(1) : 0;
    model->extended[1] =
        (struct cpuid_leaf){amd ? signature.eax : 0, 0, features[WORD_80000001_ECX] | cmp,
                            features[WORD_80000001_EDX] | (amd ? features[WORD_1_EDX] & 0x0183f3ffu : 0)};
    brand(model, name);
    if (amd) { /* caches and TLBs: of the host */
        for (uint32_t leaf = 5; leaf <= 6; leaf++) {
            struct cpuid_registers r = cpuid_read(0x80000000u + leaf, 0);
            model->extended[leaf] = (struct cpuid_leaf){r.eax, r.ebx, r.ecx, r.edx};
        }
    }
    /* 8000_0007: an invariant TSC does not travel; kvmclock's stable flag says what the guest needs to know.
     */
    model->extended[8] = (struct cpuid_leaf){model->physical_bits | 48u << 8, features[WORD_80000008_EBX],
                                             amd ? (model->vcpus - 1) | model->core_shift << 12 : 0, 0};
}

int cpu_model_create(unsigned kind, unsigned vcpus, struct memory_account *account,
                     struct x86_cpu_model **out, char *why, size_t why_size) {
    if (kind >= sizeof(definitions) / sizeof(definitions[0]))
        return -EINVAL;
    const struct definition *definition = &definitions[kind];
    uint32_t host[CPU_WORDS];

    host_features(host);
    if (kind != CONFIG_CPU_HOST) {
        /* A named model is the same everywhere, or it could not travel: what it lists has to be there. */
        for (unsigned word = 0; word < CPU_WORDS; word++) {
            uint32_t missing = definition->features[word] & ~host[word];
            if (missing) {
                char name[32];
                feature_name(word, (unsigned)__builtin_ctz(missing), name, sizeof(name));
                snprintf(why, why_size, "cpu-model \"%s\" needs %s, which this machine's CPU does not have",
                         definition->name, name);
                return -ENOTSUP;
            }
        }
    }
    struct x86_cpu_model *model = heap_allocate(sizeof(*model), account);
    if (!model)
        return -ENOMEM;
    for (unsigned i = 0; i < CPU_WORDS; i++)
        model->features[i] = host[i] & definition->features[i];
    model->features[WORD_1_ECX] |= SYNTHETIC_1_ECX;
    model->vcpus = vcpus;
    while (1u << model->core_shift < vcpus)
        model->core_shift++;
    model->physical_bits = 36;
    if (cpuid_read(0x80000000u, 0).eax >= 0x80000008u)
        model->physical_bits = cpuid_read(0x80000008u, 0).eax & 0xff;
    if (model->physical_bits > 48)
        model->physical_bits = 48; /* what four levels of nested tables reach */
    model->xcr0_allowed = xcr0_allowed(model->features);
    if (!(model->xcr0_allowed & 4)) {
        model->features[WORD_1_ECX] &= ~NEEDS_YMM_1_ECX;
        model->features[WORD_7_EBX] &= ~NEEDS_YMM_7_EBX;
        model->features[WORD_7_ECX] &= ~NEEDS_YMM_7_ECX;
        model->features[WORD_80000001_ECX] &= ~NEEDS_YMM_80000001_ECX;
    }
    if ((model->xcr0_allowed & 0xe0) != 0xe0) {
        model->features[WORD_7_EBX] &= ~NEEDS_ZMM_7_EBX;
        model->features[WORD_7_ECX] &= ~NEEDS_ZMM_7_ECX;
        model->features[WORD_7_EDX] &= ~NEEDS_ZMM_7_EDX;
    }
    fill(model, definition->name);
    *out = model;
    return 0;
}

void cpu_model_destroy(struct x86_cpu_model *model, struct memory_account *account) {
    heap_free(model, sizeof(*model), account);
}

/* Leaf 0xB: threads (one a core), then cores. */
static void topology(struct x86_vcpu *vcpu, const struct x86_cpu_model *model, uint32_t subleaf,
                     struct cpuid_leaf *out) {
    *out = (struct cpuid_leaf){0, 0, subleaf & 0xff, lapic_id(vcpu->lapic)};
    if (subleaf == 0) {
        out->ebx = 1;
        out->ecx |= 1u << 8;
    } else if (subleaf == 1) {
        out->eax = model->core_shift;
        out->ebx = model->vcpus;
        out->ecx |= 2u << 8;
    }
}

/* Leaf 0xD: sizes and offsets of XSAVE's components. */
static void xsave(struct x86_vcpu *vcpu, const struct x86_cpu_model *model, uint32_t subleaf,
                  struct cpuid_leaf *out) {
    *out = (struct cpuid_leaf){0, 0, 0, 0};
    if (!cpu_model_has(model, WORD_1_ECX, 26))
        return;
    if (subleaf == 0) {
        uint32_t largest = 576, now = 576;
        for (unsigned i = 2; i < 8; i++) {
            struct cpuid_registers r = cpuid_read(0xd, i);
            if ((model->xcr0_allowed >> i & 1) && r.ebx + r.eax > largest)
                largest = r.ebx + r.eax;
            if ((vcpu->state->xcr0 >> i & 1) && r.ebx + r.eax > now)
                now = r.ebx + r.eax;
        }
        *out = (struct cpuid_leaf){(uint32_t)model->xcr0_allowed, now, largest, 0};
    } else if (subleaf == 1) {
        out->eax = model->features[WORD_D1_EAX];
    } else if (subleaf < 8 && (model->xcr0_allowed >> subleaf & 1)) {
        struct cpuid_registers r = cpuid_read(0xd, subleaf);
        *out = (struct cpuid_leaf){r.eax, r.ebx, 0, 0};
    }
}

/* Leaf 4 on CPUs that describe their caches there: the host's caches, with the sharing of the guest's
 * topology. */
static void caches(const struct x86_cpu_model *model, uint32_t subleaf, struct cpuid_leaf *out) {
    *out = (struct cpuid_leaf){0, 0, 0, 0};
    if (subleaf > 7 || cpuid_read(0, 0).eax < 4)
        return;
    struct cpuid_registers r = cpuid_read(4, subleaf);
    if (!(r.eax & 0x1f))
        return;
    uint32_t level = r.eax >> 5 & 7;
    uint32_t sharing = level >= 3 ? (1u << model->core_shift) - 1 : 0;
    *out = (struct cpuid_leaf){(r.eax & 0x3fffu) | sharing << 14 | ((1u << model->core_shift) - 1) << 26,
                               r.ebx, r.ecx, r.edx};
}

void cpu_model_cpuid(struct x86_vcpu *vcpu, uint32_t leaf, uint32_t subleaf, struct cpuid_leaf *out) {
    const struct x86_cpu_model *model = x86_vm(vcpu->core.vm)->model;

    if (leaf < CPUID_BASIC_LEAVES) {
        *out = model->basic[leaf];
        switch (leaf) {
        case 1:
            out->ebx |= lapic_id(vcpu->lapic) << 24;
            if (!lapic_enabled(vcpu->lapic)) /* Intel SDM vol. 3, 11.4.3 */
                out->edx &= ~BIT(9);
            if (cpu_model_has(model, WORD_1_ECX, 26)) {
                x86_need(vcpu, X86_STATE_CONTROL);
                out->ecx |= (vcpu->state->system.cr4 & CR4_OSXSAVE) ? BIT(27) : 0;
            }
            break;
        case 4:
            caches(model, subleaf, out);
            break;
        case 7:
            if (subleaf)
                *out = (struct cpuid_leaf){0, 0, 0, 0};
            break;
        case 0xb:
            topology(vcpu, model, subleaf, out);
            break;
        case 0xd:
            xsave(vcpu, model, subleaf, out);
            break;
        }
    } else if (leaf - 0x80000000u < CPUID_EXTENDED_LEAVES) {
        *out = model->extended[leaf - 0x80000000u];
        if (leaf == 0x8000001eu && leaf <= model->extended_max) {
            uint32_t id = lapic_id(vcpu->lapic);
            *out = (struct cpuid_leaf){id, id & 0xff, 0, 0};
        }
    } else if (leaf - 0x40000000u < 0x100u) {
        uint32_t answer[4];
        pv_cpuid(vcpu, leaf, subleaf, answer);
        *out = (struct cpuid_leaf){answer[0], answer[1], answer[2], answer[3]};
    } else {
        *out = (struct cpuid_leaf){0, 0, 0, 0};
    }
}

uint64_t cpu_model_cr4_allowed(const struct x86_cpu_model *model) {
    /* TSD DE PSE PAE MCE PGE PCE OSFXSR OSXMMEXCPT come with x86-64. */
    uint64_t allowed = 0x7fc;

    if (cpu_model_has(model, WORD_1_EDX, 1))
        allowed |= 3; /* VME PVI */
    if (cpu_model_has(model, WORD_7_ECX, 2))
        allowed |= CR4_UMIP;
    if (cpu_model_has(model, WORD_7_EBX, 0))
        allowed |= CR4_FSGSBASE;
    if (cpu_model_has(model, WORD_1_ECX, 17))
        allowed |= CR4_PCIDE;
    if (cpu_model_has(model, WORD_1_ECX, 26))
        allowed |= CR4_OSXSAVE;
    if (cpu_model_has(model, WORD_7_EBX, 7))
        allowed |= CR4_SMEP;
    if (cpu_model_has(model, WORD_7_EBX, 20))
        allowed |= CR4_SMAP;
    return allowed;
}

uint64_t cpu_model_efer_allowed(const struct x86_cpu_model *model) {
    return 1ull /* SCE */ | EFER_LME | EFER_LMA | EFER_NXE |
           (cpu_model_has(model, WORD_80000001_EDX, 25) ? 1ull << 14 : 0);
}
