// SPDX-License-Identifier: Apache-2.0
// Hypercalls of a guest's kernel: ePAPR's by `sc 1`, and the same by KVM's way, an `sc` with "KVM!" in r0.
#ifndef SAGUARO_ARCH_PPC_GUEST_HYPERCALL_H
#define SAGUARO_ARCH_PPC_GUEST_HYPERCALL_H

#include "arch/ppc/vm.h"

/* The guest executed sc (PC is behind it). True: it was a hypercall, which is done: r3 has the status, r4 the
 * answer. False: it is a system call of the guest's own. */
bool hypercall_handle(struct ppc_vcpu *vcpu);

#endif
