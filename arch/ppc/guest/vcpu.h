// SPDX-License-Identifier: Apache-2.0
// A vCPU's life: what it is made of, reset, and its two starts. (The rest of the interface is in
// arch/ppc/vm.h.)
#ifndef SAGUARO_ARCH_PPC_GUEST_VCPU_H
#define SAGUARO_ARCH_PPC_GUEST_VCPU_H

#include "arch/ppc/vm.h"

/* PPC_REQUEST_START was seen: a held vCPU begins as ePAPR 5.5 says. By the CPU that runs it. */
void vcpu_start(struct ppc_vcpu *vcpu);

/* TLB1's entry 0 maps effective `address` to guest-physical `base`, with all rights, as large a page as fits
 * into `size`; HID0 as a boot program leaves it. Address and base are aligned to the page. */
void vcpu_map_start(struct ppc_vcpu *vcpu, uint32_t address, uint32_t base, uint32_t size);

/* The state was replaced from outside (loaded): nothing that was derived from the old one stays. The vCPU is
 * parked. */
void vcpu_replaced(struct ppc_vcpu *vcpu);

#endif
