// SPDX-License-Identifier: Apache-2.0
// Saving and loading a vCPU's registers: a part of the machine like its devices.
#ifndef SAGUARO_ARCH_X86_VCPU_STATE_H
#define SAGUARO_ARCH_X86_VCPU_STATE_H

#include "core/part.h"

/* "x86.vcpu", per vCPU; behind lapic_part and pv_part, whose clocks follow the TSC that it loads. */
extern const struct part vcpu_part;

#endif
