// SPDX-License-Identifier: Apache-2.0
// What a CPU's VT-x can do, from its capability MSRs, and the controls that follow (Intel SDM vol. 3,
// appendix A).
#ifndef SAGUARO_ARCH_X86_ENGINE_VMX_VMX_CAPS_H
#define SAGUARO_ARCH_X86_ENGINE_VMX_VMX_CAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The MSRs as read. Of controls: the lower half has the bits that have to be 1, the upper those that may be.
 */
struct vmx_caps {
    uint64_t basic;
    uint64_t pin, primary, secondary, exit, entry;
    uint64_t cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
    uint64_t ept_vpid;
    bool small_code; /* of Intel's CPUs: IA32_ARCH_CAPABILITIES does not say PSCHANGE_MC_NO */
};

struct vmx_controls {
    uint32_t pin, primary, secondary, exit, entry;
    bool x2apic,
        xapic;        /* VMX_X2APIC_SECONDARY, VMX_XAPIC_SECONDARY may be switched on, with the TPR shadow */
    bool page_log;    /* VMX_SECONDARY_PAGE_LOG may be switched on */
    bool tsc_scaling; /* VMX_SECONDARY_TSC_SCALING may be */
    bool small_code;  /* EPT's large pages must not be executable */
};

/* Chooses the controls: all that is needed, and of what is wanted all that there is. 0, or -ENOTSUP with the
 * missing one named in `why`. */
int vmx_caps_resolve(const struct vmx_caps *caps, struct vmx_controls *controls, char *why, size_t size);

#endif
