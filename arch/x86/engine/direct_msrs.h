// SPDX-License-Identifier: Apache-2.0
// The MSRs that a guest reads and writes without an exit, under every engine: each vCPU has its own copy in
// the hardware.
#ifndef SAGUARO_ARCH_X86_ENGINE_DIRECT_MSRS_H
#define SAGUARO_ARCH_X86_ENGINE_DIRECT_MSRS_H

#include <stdbool.h>
#include <stdint.h>

struct direct_msr {
    uint32_t msr;
    bool address; /* holds one, which has to be canonical */
};

#define DIRECT_MSRS 10u
extern const struct direct_msr direct_msrs[DIRECT_MSRS];

#endif
