// SPDX-License-Identifier: Apache-2.0
// RDMSR and WRMSR of a guest. What is not listed here does not exist: #GP, as on a CPU without it.
#include "arch/x86/guest/msr.h"
#include "arch/x86/engine/engine.h"
#include "arch/x86/guest/cpu_model.h"
#include "arch/x86/guest/lapic.h"
#include "arch/x86/guest/pv.h"
#include "arch/x86/guest/tsc.h"
#include "arch/x86/registers.h"
#include "core/log.h"

#include <errno.h>
#include <string.h>

#define MSR_PLATFORM_ID     0x00000017u
#define MSR_TSC             0x00000010u
#define MSR_UCODE_REVISION  0x0000008bu
#define MSR_MTRR_CAP        0x000000feu
#define MSR_SYSENTER_CS     0x00000174u
#define MSR_SYSENTER_ESP    0x00000175u
#define MSR_SYSENTER_EIP    0x00000176u
#define MSR_MISC_ENABLE     0x000001a0u
#define MSR_DEBUGCTL        0x000001d9u
#define MSR_MTRR_VARIABLE   0x00000200u /* base and mask of eight */
#define MSR_MTRR_FIX64K     0x00000250u
#define MSR_MTRR_FIX16K     0x00000258u /* two */
#define MSR_MTRR_FIX4K      0x00000268u /* eight */
#define MSR_MTRR_DEF_TYPE   0x000002ffu
#define MSR_STAR            0xc0000081u
#define MSR_LSTAR           0xc0000082u
#define MSR_CSTAR           0xc0000083u
#define MSR_SFMASK          0xc0000084u
#define MSR_KERNEL_GS_BASE  0xc0000102u
#define MSR_TSC_AUX         0xc0000103u
#define MSR_AMD_SYSCFG      0xc0010010u
#define MSR_AMD_HWCR        0xc0010015u
#define MSR_AMD_NB_CFG      0xc001001fu
#define MSR_AMD_PATCH       0xc0010020u
#define MSR_AMD_INT_PEND    0xc0010055u
#define MSR_AMD_VM_CR       0xc0010114u
#define MSR_AMD_BU_CFG2     0xc001102au
#define MSR_AMD_DE_CFG      0xc0011029u
#define MSR_AMD_FAM10H      0xc0010058u /* MMIO configuration base */

#define MTRR_VARIABLE_COUNT 8u
#define MTRR_CAPABILITIES   (MTRR_VARIABLE_COUNT | 1u << 8 /* fixed */ | 1u << 10 /* write combining */)
#define MISC_ENABLE_DEFAULT 1ull /* fast strings */
#define PAT_DEFAULT         0x0007040600070406ull

static bool canonical(uint64_t address) {
    return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

static bool memory_type_valid(uint8_t type) {
    return type == 0 || type == 1 || type == 4 || type == 5 || type == 6;
}

static bool pat_valid(uint64_t pat) {
    for (unsigned i = 0; i < 8; i++) {
        uint8_t type = (uint8_t)(pat >> i * 8);
        if (!memory_type_valid(type) && type != 7)
            return false;
    }
    return true;
}

/* Where a fixed-range MTRR is kept; NULL: `msr` is none. */
static uint64_t *mtrr_fixed(struct x86_msrs *msrs, uint32_t msr) {
    if (msr == MSR_MTRR_FIX64K)
        return &msrs->mtrr_fixed[0];
    if (msr == MSR_MTRR_FIX16K || msr == MSR_MTRR_FIX16K + 1)
        return &msrs->mtrr_fixed[1 + msr - MSR_MTRR_FIX16K];
    if (msr >= MSR_MTRR_FIX4K && msr < MSR_MTRR_FIX4K + 8)
        return &msrs->mtrr_fixed[3 + msr - MSR_MTRR_FIX4K];
    return NULL;
}

static int mtrr_write(struct x86_vcpu *vcpu, uint32_t msr, uint64_t value) {
    struct x86_msrs *msrs = &vcpu->state->msrs;
    uint64_t physical_mask = (1ull << x86_vm(vcpu->core.vm)->model->physical_bits) - 1;
    uint64_t *fixed = mtrr_fixed(msrs, msr);

    /* The guest's memory is RAM in the host's write-back mapping whatever its MTRRs say: they are kept, and
     * have no effect. */
    if (fixed) {
        for (unsigned i = 0; i < 8; i++)
            if (!memory_type_valid((uint8_t)(value >> i * 8)))
                return -EINVAL;
        *fixed = value;
    } else if (msr == MSR_MTRR_DEF_TYPE) {
        if ((value & ~0xcffull) || !memory_type_valid(value & 0xff))
            return -EINVAL;
        msrs->mtrr_def_type = value;
    } else {
        uint32_t index = msr - MSR_MTRR_VARIABLE;
        uint64_t allowed =
            index & 1 ? (physical_mask & ~0xfffull) | 1u << 11 : (physical_mask & ~0xfffull) | 0xff;
        if ((value & ~allowed) || (!(index & 1) && !memory_type_valid(value & 0xff)))
            return -EINVAL;
        msrs->mtrr_variable[index] = value;
    }
    return 0;
}

int msr_guest_read(struct x86_vcpu *vcpu, uint32_t msr, uint64_t *value) {
    struct x86_vcpu_state *state = vcpu->state;
    struct x86_msrs *msrs = &state->msrs;

    if (msr == MSR_APIC_BASE || msr == MSR_TSC_DEADLINE || msr - 0x800u < 0x100u)
        return lapic_msr_read(vcpu->lapic, msr, value);
    if (msr >= MSR_MTRR_VARIABLE && msr < MSR_MTRR_VARIABLE + 2 * MTRR_VARIABLE_COUNT) {
        *value = msrs->mtrr_variable[msr - MSR_MTRR_VARIABLE];
        return 0;
    }
    const uint64_t *fixed = mtrr_fixed(msrs, msr);
    if (fixed) {
        *value = *fixed;
        return 0;
    }
    switch (msr) {
    case MSR_TSC:
        *value = tsc_of_guest(vcpu, tsc_read());
        return 0;
    case MSR_EFER:
        x86_need(vcpu, X86_STATE_CONTROL);
        *value = state->system.efer;
        return 0;
    case MSR_FS_BASE:
    case MSR_GS_BASE:
        x86_need(vcpu, X86_STATE_SEGMENTS);
        *value = state->system.segment[msr == MSR_FS_BASE ? X86_FS : X86_GS].base;
        return 0;
    case MSR_STAR:
    case MSR_LSTAR:
    case MSR_CSTAR:
    case MSR_SFMASK:
    case MSR_KERNEL_GS_BASE:
    case MSR_SYSENTER_CS:
    case MSR_SYSENTER_ESP:
    case MSR_SYSENTER_EIP:
    case MSR_PAT:
        x86_need(vcpu, X86_STATE_MSRS);
        *value = msr == MSR_STAR             ? msrs->star
                 : msr == MSR_LSTAR          ? msrs->lstar
                 : msr == MSR_CSTAR          ? msrs->cstar
                 : msr == MSR_SFMASK         ? msrs->sfmask
                 : msr == MSR_KERNEL_GS_BASE ? msrs->kernel_gs_base
                 : msr == MSR_SYSENTER_CS    ? msrs->sysenter_cs
                 : msr == MSR_SYSENTER_ESP   ? msrs->sysenter_esp
                 : msr == MSR_SYSENTER_EIP   ? msrs->sysenter_eip
                                             : msrs->pat;
        return 0;
    case MSR_TSC_AUX:
        if (!cpu_model_has_rdtscp(x86_vm(vcpu->core.vm)->model))
            return -EINVAL;
        *value = msrs->tsc_aux;
        return 0;
    case MSR_MISC_ENABLE:
        *value = msrs->misc_enable;
        return 0;
    case MSR_MTRR_CAP:
        *value = MTRR_CAPABILITIES;
        return 0;
    case MSR_MTRR_DEF_TYPE:
        *value = msrs->mtrr_def_type;
        return 0;
    case MSR_AMD_VM_CR:
        *value = 1u << 4; /* SVM is switched off: a guest has none */
        return 0;
    case MSR_AMD_DE_CFG:
        *value = 1u << 1; /* LFENCE serialises */
        return 0;
    case MSR_PLATFORM_ID:
    case MSR_UCODE_REVISION:
    case MSR_MCG_CAP: /* no banks */
    case MSR_MCG_STATUS:
    case MSR_DEBUGCTL:
    case MSR_AMD_SYSCFG:
    case MSR_AMD_HWCR:
    case MSR_AMD_NB_CFG:
    case MSR_AMD_INT_PEND:
    case MSR_AMD_BU_CFG2:
    case MSR_AMD_FAM10H:
        *value = 0;
        return 0;
    }
    int result = pv_msr_read(vcpu, msr, value);
    return result == -ENOENT ? -EINVAL : result;
}

static int efer_write(struct x86_vcpu *vcpu, uint64_t value) {
    struct x86_system *system = &vcpu->state->system;

    x86_need(vcpu, X86_STATE_CONTROL);
    if (value & ~cpu_model_efer_allowed(x86_vm(vcpu->core.vm)->model))
        return -EINVAL;
    /* LME cannot change while paging is on; LMA is the CPU's (AMD APM vol. 2, 3.1.7, 14.6.1). */
    if ((system->cr0 & CR0_PG) && ((value ^ system->efer) & EFER_LME))
        return -EINVAL;
    system->efer = (value & ~EFER_LMA) | (system->efer & EFER_LMA);
    x86_changed(vcpu, X86_STATE_CONTROL);
    return 0;
}

int msr_guest_write(struct x86_vcpu *vcpu, uint32_t msr, uint64_t value) {
    struct x86_msrs *msrs = &vcpu->state->msrs;

    if (msr == MSR_APIC_BASE || msr == MSR_TSC_DEADLINE || msr - 0x800u < 0x100u)
        return lapic_msr_write(vcpu->lapic, msr, value);
    if ((msr >= MSR_MTRR_VARIABLE && msr < MSR_MTRR_VARIABLE + 2 * MTRR_VARIABLE_COUNT) ||
        msr == MSR_MTRR_DEF_TYPE || mtrr_fixed(msrs, msr))
        return mtrr_write(vcpu, msr, value);
    switch (msr) {
    case MSR_TSC: {
        uint64_t before = vcpu->tsc_offset;
        vcpu->tsc_offset = value - tsc_scaled(x86_vm(vcpu->core.vm), tsc_read());
        engine->tsc_offset(vcpu);
        pv_tsc_moved(vcpu, vcpu->tsc_offset - before);
        return 0;
    }
    case MSR_EFER:
        return efer_write(vcpu, value);
    case MSR_FS_BASE:
    case MSR_GS_BASE:
        if (!canonical(value))
            return -EINVAL;
        x86_need(vcpu, X86_STATE_SEGMENTS);
        vcpu->state->system.segment[msr == MSR_FS_BASE ? X86_FS : X86_GS].base = value;
        x86_changed(vcpu, X86_STATE_SEGMENTS);
        return 0;
    case MSR_STAR:
    case MSR_LSTAR:
    case MSR_CSTAR:
    case MSR_SFMASK:
    case MSR_KERNEL_GS_BASE:
    case MSR_SYSENTER_CS:
    case MSR_SYSENTER_ESP:
    case MSR_SYSENTER_EIP:
    case MSR_PAT:
        if (msr == MSR_PAT
                ? !pat_valid(value)
                : !(msr == MSR_STAR || msr == MSR_SFMASK || msr == MSR_SYSENTER_CS) && !canonical(value))
            return -EINVAL;
        x86_need(vcpu, X86_STATE_MSRS);
        *(msr == MSR_STAR             ? &msrs->star
          : msr == MSR_LSTAR          ? &msrs->lstar
          : msr == MSR_CSTAR          ? &msrs->cstar
          : msr == MSR_SFMASK         ? &msrs->sfmask
          : msr == MSR_KERNEL_GS_BASE ? &msrs->kernel_gs_base
          : msr == MSR_SYSENTER_CS    ? &msrs->sysenter_cs
          : msr == MSR_SYSENTER_ESP   ? &msrs->sysenter_esp
          : msr == MSR_SYSENTER_EIP   ? &msrs->sysenter_eip
                                      : &msrs->pat) = value;
        x86_changed(vcpu, X86_STATE_MSRS);
        return 0;
    case MSR_TSC_AUX:
        if (!cpu_model_has_rdtscp(x86_vm(vcpu->core.vm)->model) || value >> 32)
            return -EINVAL;
        msrs->tsc_aux = value;
        msr_write(MSR_TSC_AUX, value);
        return 0;
    case MSR_MISC_ENABLE:
        msrs->misc_enable = value;
        return 0;
    /* Written by kernels as a matter of course; nothing stands behind them. */
    case MSR_UCODE_REVISION:
    case MSR_MCG_STATUS:
    case MSR_DEBUGCTL:
    case MSR_AMD_HWCR:
    case MSR_AMD_NB_CFG:
    case MSR_AMD_PATCH:
    case MSR_AMD_DE_CFG:
    case MSR_AMD_BU_CFG2:
    case MSR_AMD_FAM10H:
        return 0;
    }
    int result = pv_msr_write(vcpu, msr, value);
    return result == -ENOENT ? -EINVAL : result;
}

void msr_guest_reset(struct x86_vcpu *vcpu) {
    struct x86_msrs *msrs = &vcpu->state->msrs;

    memset(msrs, 0, sizeof(*msrs));
    msrs->pat = PAT_DEFAULT;
    msrs->misc_enable = MISC_ENABLE_DEFAULT;
}
