// SPDX-License-Identifier: Apache-2.0
// The guest's addresses as its TLB translates them: fetching an instruction that trapped, checks of an
// access, looking without side effects.
#ifndef SAGUARO_ARCH_PPC_GUEST_TRANSLATE_H
#define SAGUARO_ARCH_PPC_GUEST_TRANSLATE_H

#include <stddef.h>
#include "arch/ppc/guest/tlb.h"
#include "arch/ppc/vm.h"

/* Finds the guest's entry for an access at `address` in its present mode. NULL: it has none, or none that
 * permits it, and the guest has taken the interrupt for that (`esr`: of a data access, ESR_ST for a store).
 */
const struct ppc_tlb_entry *translate(struct ppc_vcpu *vcpu, uint32_t address, enum tlb_access access,
                                      uint32_t esr);

/* The instruction at `pc`, as the guest would fetch it. False: it could not, and has taken the interrupt. */
bool translate_fetch(struct ppc_vcpu *vcpu, uint32_t pc, uint32_t *word);

/* The word at `pc` of the guest's code, without consequences: false if there is none. */
bool translate_look(struct ppc_vcpu *vcpu, uint32_t pc, uint32_t *word);

/* Reads words of the guest's data space as its kernel would, for reports. 0 or -EFAULT. */
int translate_peek(struct ppc_vcpu *vcpu, uint32_t address, uint32_t *words, unsigned count);

/* A word of guest memory in the byte order that its page has. */
static inline uint32_t translate_word(const uint8_t bytes[4], bool little_endian) {
    if (little_endian)
        return (uint32_t)bytes[3] << 24 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[1] << 8 | bytes[0];
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

#endif
