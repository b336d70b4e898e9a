// SPDX-License-Identifier: Apache-2.0
// The magic page of ePAPR guests under KVM's interface: a page where the guest's kernel reads and writes some
// of its privileged registers without a trap (Linux: struct kvm_vcpu_arch_shared).
#ifndef SAGUARO_ARCH_PPC_GUEST_MAGIC_H
#define SAGUARO_ARCH_PPC_GUEST_MAGIC_H

#include "arch/ppc/vm.h"

/* Maps it at effective address `address` for the kernel, and shows it at guest-physical `physical`; both
 * page-aligned. 0 or -ENOMEM. */
int magic_map(struct ppc_vcpu *vcpu, uint32_t address, uint32_t physical);
/* The guest gets at it from its next entry on: from here on registers go there and back. (A stock Linux maps
 * the page and never looks at it.) */
void magic_touched(struct ppc_vcpu *vcpu);
/* The page was mapped and then filled from a saved state: where the guest has left a mark of its own on it,
 * the page is in use, and the mark counts before the guest looks at the page again. */
void magic_loaded(struct ppc_vcpu *vcpu);
/* No magic page any more: reset, or before a state is loaded. */
void magic_unmap(struct ppc_vcpu *vcpu);
/* Frees its memory. */
void magic_destroy(struct ppc_vcpu *vcpu);

/* True if an access of the guest's at `address` now goes to the page. */
bool magic_covers(const struct ppc_vcpu *vcpu, uint32_t address);
/* True while the guest's kernel is between two of the page's marks and wants no interrupt (`critical` equals
 * r1). */
bool magic_critical(const struct ppc_vcpu *vcpu);

/* Before an entry and after an exit: registers to the page and back. `slow` has PPC_SLOW_MAGIC while needed.
 */
void magic_enter(struct ppc_vcpu *vcpu);
void magic_exit(struct ppc_vcpu *vcpu);

#endif
