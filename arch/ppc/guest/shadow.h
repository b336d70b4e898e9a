// SPDX-License-Identifier: Apache-2.0
// The shadow of a guest's TLB: real TLB entries in address space 1 that stand for the guest's own, filled
// when the guest misses them; host PIDs that keep vCPUs, their modes and their processes apart.
#ifndef SAGUARO_ARCH_PPC_GUEST_SHADOW_H
#define SAGUARO_ARCH_PPC_GUEST_SHADOW_H

#include "arch/ppc/guest/tlb.h"
#include "arch/ppc/vm.h"

enum shadow_result {
    SHADOW_FILLED,   /* the access can be tried again */
    SHADOW_DEVICE,   /* no memory is there, or none that takes writes */
    SHADOW_CONFLICT, /* MSR[IS] != MSR[DS] and code lies elsewhere at the same address: the access has to be
                        emulated */
};

/* 0 or -ENOMEM. */
int shadow_create(struct ppc_vcpu *vcpu);
void shadow_destroy(struct ppc_vcpu *vcpu);

/* The vCPU comes to this CPU: host PIDs for it here. 0, or -ENOMEM: this CPU has no memory for its records.
 */
int shadow_load(struct ppc_vcpu *vcpu);
/* It leaves this CPU. Its entries stay, for when it comes back. */
void shadow_put(struct ppc_vcpu *vcpu);
/* MSR[PR, IS, DS] or a PID of the guest changed: chooses the host PIDs for the next entry. Nothing happens
 * while the vCPU is on no CPU. */
void shadow_context(struct ppc_vcpu *vcpu);
/* Every real entry of this vCPU, on whatever CPU, is void from its next entry on. */
void shadow_forget(struct ppc_vcpu *vcpu);
/* The same when the guest's TLB is a new one: what other vCPUs asked to be dropped of the old one is nothing
 * to it. */
void shadow_renew(struct ppc_vcpu *vcpu);
/* Entries of the guest's TLB are no more: the real ones that stand for them go, on this CPU. */
void shadow_lose(struct ppc_vcpu *vcpu, const struct tlb_lost *lost);

/* Fills what the guest's `entry` (it translates `address` and permits the access) says about `address`. */
enum shadow_result shadow_fill(struct ppc_vcpu *vcpu, const struct ppc_tlb_entry *entry, uint32_t address,
                               enum tlb_access access);
/* Maps one page of the hypervisor's heap for loads and stores of the guest's kernel at `address`: the magic
 * page. */
void shadow_fill_page(struct ppc_vcpu *vcpu, uint32_t address, uint64_t physical);

/* tlbivax of a guest with several vCPUs: the others do the same before they enter the guest again. */
void shadow_broadcast(struct ppc_vcpu *vcpu, uint32_t operand);
/* What another vCPU's tlbivax asked this one to drop; between two entries. */
void shadow_take_broadcast(struct ppc_vcpu *vcpu);
/* tlbsync: waits until the other vCPUs are out of the guest or have dropped it. */
void shadow_wait(struct ppc_vcpu *vcpu);

#endif
