// SPDX-License-Identifier: Apache-2.0
// Saving and loading a vCPU's registers and TLB: a part of the machine like its devices.
#ifndef SAGUARO_ARCH_PPC_GUEST_VCPU_STATE_H
#define SAGUARO_ARCH_PPC_GUEST_VCPU_STATE_H

#include "core/part.h"

/* "ppc.cpu", per vCPU. */
extern const struct part ppc_cpu_part;

#endif
