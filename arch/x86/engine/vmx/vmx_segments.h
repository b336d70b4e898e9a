// SPDX-License-Identifier: Apache-2.0
// Segment attributes: the architectural form (abi/x86/vcpu.h) to a VMCS's access rights and limits that pass
// VM entry's checks, and back (Intel SDM vol. 3, 24.4.1, 26.3.1.2, 27.3.2).
#ifndef SAGUARO_ARCH_X86_ENGINE_VMX_VMX_SEGMENTS_H
#define SAGUARO_ARCH_X86_ENGINE_VMX_VMX_SEGMENTS_H

#include "abi/x86/vcpu.h"
#include "arch/x86/engine/vmx/vmcs.h"

/* Descriptor bits 52-55 are bits 8-11 of the attributes and 12-15 of the rights. What is not present is not
 * usable: on AMD's CPUs a null selector in a data segment leaves P clear. TR and CS are always usable.
 *
 * `cpl`: of the vCPU; here it is SS's DPL, which AMD's CPUs do not keep equal to it. */
static inline uint32_t vmx_rights(const struct x86_segment *segment, enum x86_segment_name name,
                                  unsigned cpl) {
    uint32_t rights = (segment->attributes & 0xffu) | (segment->attributes & 0xf00u) << 4;

    if (name == X86_SS)
        rights = (rights & ~(3u << X86_SEG_DPL_SHIFT)) | cpl << X86_SEG_DPL_SHIFT;
    if (!(segment->attributes & X86_SEG_P))
        return name == X86_CS || name == X86_TR ? rights : rights | VMX_RIGHTS_UNUSABLE;
    /* A usable code or data segment has been accessed, and a task is busy: a state that was put together by
     * hand may not say so. */
    if (name < X86_LDTR)
        rights |= 1;
    else if (name == X86_TR)
        rights |= 2;
    /* G has to be what the limit allows. */
    if (segment->limit >> 20)
        rights |= X86_SEG_G << 4;
    else if ((segment->limit & 0xfff) != 0xfff)
        rights &= ~(X86_SEG_G << 4);
    return rights;
}

/* Of an unusable segment only SS's DPL means anything. */
static inline uint16_t vmx_attributes(uint32_t rights) {
    if (rights & VMX_RIGHTS_UNUSABLE)
        return (uint16_t)(rights & (3u << X86_SEG_DPL_SHIFT));
    return (uint16_t)((rights & 0xffu) | (rights >> 4 & 0xf00u));
}

#endif
