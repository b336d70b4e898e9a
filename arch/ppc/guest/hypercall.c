// SPDX-License-Identifier: Apache-2.0
// ePAPR hypercalls (Power.org ePAPR 1.1, ch. 7) and KVM's few of its own (Linux, "The PPC KVM paravirtual
// interface").
#include "arch/ppc/guest/hypercall.h"
#include "arch/ppc/guest/decode.h"
#include "arch/ppc/guest/magic.h"
#include "arch/ppc/guest/translate.h"
#include "core/service.h"

/* r11: vendor and number. */
#define TOKEN(vendor, number) ((vendor) << 16 | (number))
#define VENDOR_EPAPR          1u
#define VENDOR_KVM            42u
#define EV_IDLE               TOKEN(VENDOR_EPAPR, 16u)
#define KVM_FEATURES          TOKEN(VENDOR_KVM, 3u)
#define KVM_MAP_MAGIC_PAGE    TOKEN(VENDOR_KVM, 4u)

#define EV_SUCCESS            0u
#define EV_ENOMEM             5u
#define EV_EINVAL             8u
#define EV_UNIMPLEMENTED      12u

#define KVM_MAGIC_R0          0x4b564d21u /* "KVM!" */
#define FEATURE_MAGIC_PAGE    (1u << 1)
#define MAGIC_HAS_MAS         (1u << 1) /* MAS0 to SPRG7 are on the page */

static uint32_t map_magic(struct ppc_vcpu *vcpu, uint32_t physical, uint32_t address) {
    /* The lowest bits are flags: about code on the page, which we never map executable. */
    physical &= ~0xfffu;
    address &= ~0xfffu;
    if (!address)
        return EV_EINVAL;
    return magic_map(vcpu, address, physical) ? EV_ENOMEM : EV_SUCCESS;
}

static uint32_t call(struct ppc_vcpu *vcpu, uint32_t token, uint32_t *answer) {
    struct ppc_vcpu_state *state = vcpu->state;
    const uint32_t *gpr = state->registers.gpr;
    uint32_t status;

    switch (token) {
    case EV_IDLE:
        /* With interrupts on: the guest goes on behind the call after one (ePAPR 7.4.5). */
        state->msr |= MSR_EE;
        state->activity = PPC_WAITING;
        return EV_SUCCESS;
    case KVM_FEATURES:
        *answer = FEATURE_MAGIC_PAGE;
        return EV_SUCCESS;
    case KVM_MAP_MAGIC_PAGE:
        status = map_magic(vcpu, gpr[3], gpr[4]);
        if (status == EV_SUCCESS)
            *answer = MAGIC_HAS_MAS;
        return status;
    default:
        return EV_UNIMPLEMENTED;
    }
}

bool hypercall_handle(struct ppc_vcpu *vcpu) {
    uint32_t *gpr = vcpu->state->registers.gpr;
    uint32_t word, answer = 0;

    /* From user mode both are plain system calls. */
    if (vcpu->state->msr & MSR_PR)
        return false;
    if (vcpu->core.vm->service) { /* abi/service.h */
        gpr[3] = (uint32_t)service_call(&vcpu->core, gpr[11], &gpr[3]);
        return true;
    }
    /* The CPU does not tell sc 1 from sc. */
    if (gpr[0] != KVM_MAGIC_R0 && (!translate_look(vcpu, vcpu->state->registers.pc - 4, &word) ||
                                   (word & WORD_SC_MASK) != WORD_SC || !(word & WORD_SC_LEVEL1)))
        return false;
    gpr[3] = call(vcpu, gpr[11], &answer);
    gpr[4] = answer;
    return true;
}
