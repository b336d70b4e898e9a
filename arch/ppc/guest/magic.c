// SPDX-License-Identifier: Apache-2.0
// The magic page: its layout, and which registers the guest may change there. What it holds is the guest's
// word: each field is checked as mtspr would.
#include "arch/ppc/guest/magic.h"
#include "arch/ppc/guest/interrupt.h"
#include "arch/ppc/guest/shadow.h"
#include "core/memory.h"

#include <errno.h>
#include <string.h>

/* Offsets of the fields; 64-bit ones hold their value in the second word. All big-endian. */
enum {
    CRITICAL = 24 + 4,
    SPRG0 = 32 + 4,
    SRR0 = 64 + 4,
    SRR1 = 72 + 4,
    DEAR = 80 + 4,
    MSR = 88 + 4,
    PENDING = 100,
    FIELD_MAS0 = 168,
    FIELD_MAS1 = 172,
    FIELD_MAS7 = 176,
    FIELD_MAS3 = 180,
    FIELD_MAS2 = 184 + 4,
    FIELD_MAS4 = 192,
    FIELD_MAS6 = 196,
    FIELD_ESR = 200,
    FIELD_PIR = 204,
    SPRG4 = 208 + 4,
};

/* MSR bits that the guest changes there; the others need a trap. */
#define MSR_FREE (MSR_EE | MSR_CE | MSR_ME)

static uint32_t big_endian(uint32_t value) {
    return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? value : __builtin_bswap32(value);
}

/* The page is aligned, and so is each field. */
static uint32_t *field(const struct ppc_vcpu *vcpu, unsigned offset) {
    return (uint32_t *)(void *)(vcpu->magic + offset);
}

static uint32_t get(const struct ppc_vcpu *vcpu, unsigned offset) {
    return big_endian(*field(vcpu, offset));
}

static void put(struct ppc_vcpu *vcpu, unsigned offset, uint32_t value) {
    *field(vcpu, offset) = big_endian(value);
}

int magic_map(struct ppc_vcpu *vcpu, uint32_t address, uint32_t physical) {
    if (!vcpu->magic) {
        vcpu->magic = heap_pages(0, &vcpu->core.vm->memory.account);
        if (!vcpu->magic)
            return -ENOMEM;
    }
    memset(vcpu->magic, 0, PAGE_SIZE);
    vcpu->state->magic_page = address;
    vcpu->state->magic_physical = physical;
    vcpu->slow &= ~PPC_SLOW_MAGIC;
    shadow_forget(vcpu); /* what was there so far */
    return 0;
}

void magic_touched(struct ppc_vcpu *vcpu) {
    vcpu->slow |= PPC_SLOW_MAGIC;
}

void magic_loaded(struct ppc_vcpu *vcpu) {
    if (get(vcpu, CRITICAL))
        magic_touched(vcpu);
}

void magic_unmap(struct ppc_vcpu *vcpu) {
    vcpu->state->magic_page = 0;
    vcpu->state->magic_physical = 0;
    vcpu->slow &= ~PPC_SLOW_MAGIC;
}

void magic_destroy(struct ppc_vcpu *vcpu) {
    if (vcpu->magic)
        heap_pages_free(vcpu->magic, 0, &vcpu->core.vm->memory.account);
    vcpu->magic = NULL;
}

static bool mapped(const struct ppc_vcpu *vcpu) {
    return vcpu->state->magic_page && vcpu->magic;
}

static bool used(const struct ppc_vcpu *vcpu) {
    return (vcpu->slow & PPC_SLOW_MAGIC) != 0;
}

bool magic_covers(const struct ppc_vcpu *vcpu, uint32_t address) {
    return mapped(vcpu) && !(vcpu->state->msr & MSR_PR) && address >> 12 == vcpu->state->magic_page >> 12;
}

bool magic_critical(const struct ppc_vcpu *vcpu) {
    return used(vcpu) && !(vcpu->state->msr & MSR_PR) &&
           get(vcpu, CRITICAL) == vcpu->state->registers.gpr[1] && vcpu->state->registers.gpr[1];
}

void magic_enter(struct ppc_vcpu *vcpu) {
    const struct ppc_vcpu_state *state = vcpu->state;

    if (!used(vcpu))
        return;
    for (unsigned i = 0; i < 4; i++) {
        put(vcpu, SPRG0 + 8 * i, state->sprg[i]);
        put(vcpu, SPRG4 + 8 * i, state->sprg[4 + i]);
    }
    put(vcpu, SRR0, state->srr0);
    put(vcpu, SRR1, state->srr1);
    put(vcpu, DEAR, state->dear);
    put(vcpu, MSR, state->msr);
    put(vcpu, PENDING, (vcpu->slow & PPC_SLOW_MASKED) != 0);
    put(vcpu, FIELD_MAS0, state->mas[0]);
    put(vcpu, FIELD_MAS1, state->mas[1]);
    put(vcpu, FIELD_MAS2, state->mas[2]);
    put(vcpu, FIELD_MAS3, state->mas[3]);
    put(vcpu, FIELD_MAS4, state->mas[4]);
    put(vcpu, FIELD_MAS6, state->mas[6]);
    put(vcpu, FIELD_MAS7, state->mas[7]);
    put(vcpu, FIELD_ESR, state->esr);
    put(vcpu, FIELD_PIR, state->pir);
}

void magic_exit(struct ppc_vcpu *vcpu) {
    struct ppc_vcpu_state *state = vcpu->state;

    if (!used(vcpu))
        return;
    for (unsigned i = 0; i < 4; i++) {
        state->sprg[i] = get(vcpu, SPRG0 + 8 * i);
        state->sprg[4 + i] = get(vcpu, SPRG4 + 8 * i);
    }
    state->srr0 = get(vcpu, SRR0) & ~3u;
    state->srr1 = get(vcpu, SRR1);
    state->dear = get(vcpu, DEAR);
    state->msr = (state->msr & ~MSR_FREE) | (get(vcpu, MSR) & MSR_FREE);
    state->mas[0] = get(vcpu, FIELD_MAS0) & GUEST_MAS0_BITS;
    state->mas[1] = get(vcpu, FIELD_MAS1) & GUEST_MAS1_BITS;
    state->mas[2] = get(vcpu, FIELD_MAS2) & GUEST_MAS2_BITS;
    state->mas[3] = get(vcpu, FIELD_MAS3) & GUEST_MAS3_BITS;
    state->mas[4] = get(vcpu, FIELD_MAS4) & GUEST_MAS4_BITS;
    state->mas[6] = get(vcpu, FIELD_MAS6) & GUEST_MAS6_BITS;
    state->mas[7] = get(vcpu, FIELD_MAS7) & MAS7_RPN_MASK;
    state->esr = get(vcpu, FIELD_ESR) & GUEST_ESR_BITS;
}
