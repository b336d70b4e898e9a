// SPDX-License-Identifier: Apache-2.0
// Executes privileged instructions for a guest whose kernel runs in user mode.
#ifndef SAGUARO_ARCH_PPC_GUEST_EMULATE_H
#define SAGUARO_ARCH_PPC_GUEST_EMULATE_H

#include "arch/ppc/vm.h"

enum emulate_result {
    EMULATE_NEXT,    /* done: the next instruction follows */
    EMULATE_JUMP,    /* done, or an interrupt was taken: PC says where to go on */
    EMULATE_ILLEGAL, /* no instruction of an e500v2's supervisor mode */
};

/* Executes `word`, which the guest's kernel (MSR[PR] = 0) could not. PC is advanced with EMULATE_NEXT. */
enum emulate_result emulate_instruction(struct ppc_vcpu *vcpu, uint32_t word);

/* A cache-locking instruction was refused (data storage interrupt with DLK or ILK): for a guest that may
 * lock, it locks nothing and L1CSR says so. False: no such instruction. */
bool emulate_cache_lock(struct ppc_vcpu *vcpu, uint32_t word);

/* mfspr and mtspr of the guest's supervisor mode. False: no such register, or not this way round. */
bool spr_guest_read(struct ppc_vcpu *vcpu, unsigned number, uint32_t *value);
bool spr_guest_write(struct ppc_vcpu *vcpu, unsigned number, uint32_t value);
/* True if every register of the state holds a value that the guest could have given it. */
bool spr_guest_valid(const struct ppc_vcpu_state *state);

#endif
