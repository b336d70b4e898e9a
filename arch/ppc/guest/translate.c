// SPDX-License-Identifier: Apache-2.0
// Accesses of a guest that the hypervisor does or checks in its stead, through the guest's own TLB.
#include "arch/ppc/guest/translate.h"
#include "arch/ppc/guest/interrupt.h"

#include <errno.h>
#include <string.h>

static unsigned space_for(const struct ppc_vcpu_state *state, enum tlb_access access) {
    return (state->msr & (access == TLB_EXECUTE ? MSR_IS : MSR_DS)) != 0;
}

const struct ppc_tlb_entry *translate(struct ppc_vcpu *vcpu, uint32_t address, enum tlb_access access,
                                      uint32_t esr) {
    const struct ppc_vcpu_state *state = vcpu->state;
    const struct ppc_tlb_entry *entry = guest_tlb_lookup(state, address, space_for(state, access));

    if (entry && guest_tlb_permits(entry, state->msr & MSR_PR, access))
        return entry;
    if (access == TLB_EXECUTE) {
        if (entry)
            guest_interrupt_syndrome(vcpu, IVOR_INST_STORAGE, 0);
        else
            guest_interrupt_inst_tlb(vcpu);
        return NULL;
    }
    esr &= ESR_ST | ESR_SPE;
    if (entry)
        guest_interrupt_data(vcpu, IVOR_DATA_STORAGE, esr, address);
    else
        guest_interrupt_data_tlb(vcpu, esr, address);
    return NULL;
}

/* Four aligned bytes of RAM or ROM. False: there are none. */
static bool read_word(struct vm *vm, uint64_t gpa, uint8_t bytes[4]) {
    const uint8_t *page = guest_page(vm, gpa & ~(uint64_t)0xfff);

    if (!page)
        return false;
    memcpy(bytes, page + (gpa & 0xffc), 4);
    return true;
}

bool translate_fetch(struct ppc_vcpu *vcpu, uint32_t pc, uint32_t *word) {
    uint8_t bytes[4];
    const struct ppc_tlb_entry *entry = translate(vcpu, pc, TLB_EXECUTE, 0);

    if (!entry)
        return false;
    if (!read_word(vcpu->core.vm, guest_tlb_physical(entry, pc), bytes)) {
        guest_machine_check(vcpu, MCSR_BUS_IAERR, pc);
        return false;
    }
    *word = translate_word(bytes, entry->mas2 & MAS2_E);
    return true;
}

bool translate_look(struct ppc_vcpu *vcpu, uint32_t pc, uint32_t *word) {
    const struct ppc_vcpu_state *state = vcpu->state;
    const struct ppc_tlb_entry *entry = guest_tlb_lookup(state, pc, space_for(state, TLB_EXECUTE));
    uint8_t bytes[4];

    if (!entry || !read_word(vcpu->core.vm, guest_tlb_physical(entry, pc), bytes))
        return false;
    *word = translate_word(bytes, entry->mas2 & MAS2_E);
    return true;
}

int translate_peek(struct ppc_vcpu *vcpu, uint32_t address, uint32_t *words, unsigned count) {
    const struct ppc_vcpu_state *state = vcpu->state;

    for (unsigned i = 0; i < count; i++) {
        uint8_t bytes[4];
        uint32_t at = address + 4 * i;
        const struct ppc_tlb_entry *entry = guest_tlb_lookup(state, at, (state->msr & MSR_DS) != 0);
        if ((at & 3) || !entry || !read_word(vcpu->core.vm, guest_tlb_physical(entry, at), bytes))
            return -EFAULT;
        words[i] = translate_word(bytes, entry->mas2 & MAS2_E);
    }
    return 0;
}
