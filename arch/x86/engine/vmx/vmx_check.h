// SPDX-License-Identifier: Apache-2.0
// Why a VM entry failed, in words.
#ifndef SAGUARO_ARCH_X86_ENGINE_VMX_VMX_CHECK_H
#define SAGUARO_ARCH_X86_ENGINE_VMX_VMX_CHECK_H

#include <stdint.h>

/* What a VM-instruction error number means (Intel SDM vol. 3, 30.4). */
const char *vmx_instruction_error(uint32_t error);

/* The first check of the guest-state area that the current VMCS does not pass (26.3.1). NULL: none that is
 * known here. `qualification`: the exit's, which says more in a few cases. */
const char *vmx_state_error(uint64_t qualification);

#endif
