// SPDX-License-Identifier: Apache-2.0
// Privileged instructions of a guest's kernel, executed on its state (e500 core manual, ch. 3; Power ISA
// Book III-E).
#include "arch/ppc/guest/emulate.h"
#include "arch/ppc/guest/decode.h"
#include "arch/ppc/guest/interrupt.h"
#include "arch/ppc/guest/shadow.h"
#include "arch/ppc/guest/translate.h"
#include "arch/ppc/instructions.h"

#define L1CSR_UNABLE 0x00000400u /* CUL: a lock could not be made */

/* Performance monitor: the counters are there and stand still. */
#define PMR_COUNTER  16u  /* PMC0-3 */
#define PMR_CONTROLA 144u /* PMLCa0-3 */
#define PMR_CONTROLB 272u /* PMLCb0-3 */
#define PMR_GLOBAL   400u /* PMGC0 */
#define PMGC0_FROZEN 0x80000000u

static uint32_t *gpr(struct ppc_vcpu *vcpu, unsigned number) {
    return &vcpu->state->registers.gpr[number];
}

/* RA|0 + RB. */
static uint32_t indexed_address(struct ppc_vcpu *vcpu, uint32_t word) {
    unsigned ra = decode_ra(word);
    return (ra ? *gpr(vcpu, ra) : 0) + *gpr(vcpu, decode_rb(word));
}

/* ---- MSR and returns */

static enum emulate_result return_from(struct ppc_vcpu *vcpu, uint32_t pc, uint32_t msr) {
    vcpu->state->registers.pc = pc & ~3u;
    guest_msr_set(vcpu, msr);
    return EMULATE_JUMP;
}

static enum emulate_result branch_group(struct ppc_vcpu *vcpu, uint32_t word) {
    const struct ppc_vcpu_state *state = vcpu->state;

    switch (decode_extended(word)) {
    case OP19_RFI:
        return return_from(vcpu, state->srr0, state->srr1);
    case OP19_RFCI:
        return return_from(vcpu, state->csrr0, state->csrr1);
    case OP19_RFMCI:
        return return_from(vcpu, state->mcsrr0, state->mcsrr1);
    default:
        return EMULATE_ILLEGAL;
    }
}

static enum emulate_result set_ee(struct ppc_vcpu *vcpu, uint32_t value) {
    vcpu->state->msr = (vcpu->state->msr & ~(uint32_t)MSR_EE) | (value & MSR_EE);
    return EMULATE_NEXT;
}

/* ---- registers */

static enum emulate_result move_from_spr(struct ppc_vcpu *vcpu, uint32_t word) {
    uint32_t value;
    if (!spr_guest_read(vcpu, decode_spr(word), &value))
        return EMULATE_ILLEGAL;
    *gpr(vcpu, decode_rt(word)) = value;
    return EMULATE_NEXT;
}

static enum emulate_result move_to_spr(struct ppc_vcpu *vcpu, uint32_t word) {
    return spr_guest_write(vcpu, decode_spr(word), *gpr(vcpu, decode_rt(word))) ? EMULATE_NEXT
                                                                                : EMULATE_ILLEGAL;
}

static bool pmr_known(unsigned number) {
    return (number & ~3u) == PMR_COUNTER || (number & ~3u) == PMR_CONTROLA ||
           (number & ~3u) == PMR_CONTROLB || number == PMR_GLOBAL;
}

static enum emulate_result performance(struct ppc_vcpu *vcpu, uint32_t word, bool read) {
    unsigned number = decode_spr(word);

    if (!pmr_known(number))
        return EMULATE_ILLEGAL;
    if (read)
        *gpr(vcpu, decode_rt(word)) = number == PMR_GLOBAL ? PMGC0_FROZEN : 0;
    return EMULATE_NEXT;
}

/* ---- TLB */

static enum emulate_result write_entry(struct ppc_vcpu *vcpu) {
    struct tlb_lost lost;
    guest_tlb_write(vcpu->state, &lost);
    shadow_lose(vcpu, &lost);
    return EMULATE_NEXT;
}

static enum emulate_result invalidate(struct ppc_vcpu *vcpu, uint32_t operand) {
    struct tlb_lost lost;
    guest_tlb_invalidate(vcpu->state, operand, &lost);
    shadow_lose(vcpu, &lost);
    shadow_broadcast(vcpu, operand);
    return EMULATE_NEXT;
}

/* ---- caches */

/* dcbi is a store as far as rights go (Book III-E, 5.4.1). The line may have been written back before: newer
 * data in memory are a permitted outcome, so nothing is thrown away. */
static enum emulate_result data_invalidate(struct ppc_vcpu *vcpu, uint32_t word) {
    return translate(vcpu, indexed_address(vcpu, word), TLB_WRITE, ESR_ST) ? EMULATE_NEXT : EMULATE_JUMP;
}

bool emulate_cache_lock(struct ppc_vcpu *vcpu, uint32_t word) {
    if (decode_primary(word) != OP_GROUP)
        return false;
    switch (decode_extended(word)) {
    case OP31_DCBTLS:
    case OP31_DCBTSTLS:
        vcpu->state->l1csr0 |= L1CSR_UNABLE;
        return true;
    case OP31_ICBTLS:
        vcpu->state->l1csr1 |= L1CSR_UNABLE;
        return true;
    case OP31_DCBLC:
    case OP31_ICBLC:
        return true;
    default:
        return false;
    }
}

/* ---- */

static enum emulate_result wait(struct ppc_vcpu *vcpu) {
    vcpu->state->activity = PPC_WAITING;
    return EMULATE_NEXT;
}

static enum emulate_result group(struct ppc_vcpu *vcpu, uint32_t word) {
    switch (decode_extended(word)) {
    case OP31_MFMSR:
        *gpr(vcpu, decode_rt(word)) = vcpu->state->msr;
        return EMULATE_NEXT;
    case OP31_MTMSR:
        guest_msr_set(vcpu, *gpr(vcpu, decode_rt(word)));
        return EMULATE_NEXT;
    case OP31_WRTEE:
        return set_ee(vcpu, *gpr(vcpu, decode_rt(word)));
    case OP31_WRTEEI:
        return set_ee(vcpu, word);
    case OP31_MFSPR:
        return move_from_spr(vcpu, word);
    case OP31_MTSPR:
        return move_to_spr(vcpu, word);
    case OP31_MFPMR:
        return performance(vcpu, word, true);
    case OP31_MTPMR:
        return performance(vcpu, word, false);
    case OP31_TLBWE:
        return write_entry(vcpu);
    case OP31_TLBRE:
        guest_tlb_read(vcpu->state);
        return EMULATE_NEXT;
    case OP31_TLBSX:
        guest_tlb_search(vcpu->state, indexed_address(vcpu, word));
        return EMULATE_NEXT;
    case OP31_TLBIVAX:
        return invalidate(vcpu, indexed_address(vcpu, word));
    case OP31_TLBSYNC:
        shadow_wait(vcpu);
        return EMULATE_NEXT;
    case OP31_DCBI:
        return data_invalidate(vcpu, word);
    case OP31_ICBT: /* a hint */
        return EMULATE_NEXT;
    case OP31_WAIT:
        return wait(vcpu);
    default:
        return emulate_cache_lock(vcpu, word) ? EMULATE_NEXT : EMULATE_ILLEGAL;
    }
}

enum emulate_result emulate_instruction(struct ppc_vcpu *vcpu, uint32_t word) {
    enum emulate_result result = EMULATE_ILLEGAL;

    if (decode_primary(word) == OP_GROUP)
        result = group(vcpu, word);
    else if (decode_primary(word) == OP_BRANCH_GROUP)
        result = branch_group(vcpu, word);
    if (result == EMULATE_NEXT)
        vcpu->state->registers.pc += 4;
    return result;
}
