// SPDX-License-Identifier: Apache-2.0
// A guest's interrupts: the registers that taking one changes (e500 core manual, 5.7), and which of the
// pending ones comes first (5.11.1).
#include "arch/ppc/guest/interrupt.h"
#include "arch/ppc/guest/clock.h"
#include "arch/ppc/guest/magic.h"
#include "arch/ppc/guest/shadow.h"

/* The class of an interrupt: where PC and MSR are saved and which MSR bits stay (5.4). */
#define KEPT_NORMAL   (MSR_CE | MSR_ME | MSR_DE)
#define KEPT_CRITICAL MSR_ME

void guest_msr_set(struct ppc_vcpu *vcpu, uint32_t value) {
    struct ppc_vcpu_state *state = vcpu->state;
    uint32_t changed = state->msr ^ value;

    state->msr = value & GUEST_MSR_BITS;
    if (changed & (MSR_PR | MSR_IS | MSR_DS))
        shadow_context(vcpu);
    /* WE asks for the mode that HID0 names; without one it does nothing (2.10.1). */
    if ((value & MSR_WE) && (state->hid0 & (HID0_DOZE | HID0_NAP | HID0_SLEEP)))
        state->activity = PPC_WAITING;
}

static void vector(struct ppc_vcpu *vcpu, unsigned ivor, uint32_t kept) {
    struct ppc_vcpu_state *state = vcpu->state;
    unsigned index = ivor < 16 ? ivor : ivor - 32 + 16;

    state->activity = PPC_RUNNING;
    guest_msr_set(vcpu, state->msr & kept);
    state->registers.pc = (state->ivpr & 0xffff0000u) | (state->ivor[index] & 0xfff0u);
}

void guest_interrupt(struct ppc_vcpu *vcpu, unsigned ivor) {
    struct ppc_vcpu_state *state = vcpu->state;

    state->srr0 = state->registers.pc;
    state->srr1 = state->msr;
    vector(vcpu, ivor, KEPT_NORMAL);
}

static void critical(struct ppc_vcpu *vcpu, unsigned ivor) {
    struct ppc_vcpu_state *state = vcpu->state;

    state->csrr0 = state->registers.pc;
    state->csrr1 = state->msr;
    vector(vcpu, ivor, KEPT_CRITICAL);
}

void guest_interrupt_syndrome(struct ppc_vcpu *vcpu, unsigned ivor, uint32_t esr) {
    vcpu->state->esr = esr;
    guest_interrupt(vcpu, ivor);
}

void guest_interrupt_program(struct ppc_vcpu *vcpu, uint32_t esr) {
    guest_interrupt_syndrome(vcpu, IVOR_PROGRAM, esr);
}

void guest_interrupt_data(struct ppc_vcpu *vcpu, unsigned ivor, uint32_t esr, uint32_t dear) {
    vcpu->state->dear = dear;
    guest_interrupt_syndrome(vcpu, ivor, esr);
}

void guest_interrupt_data_tlb(struct ppc_vcpu *vcpu, uint32_t esr, uint32_t dear) {
    guest_tlb_miss(vcpu->state, dear, (vcpu->state->msr & MSR_DS) != 0);
    guest_interrupt_data(vcpu, IVOR_DATA_TLB, esr, dear);
}

void guest_interrupt_inst_tlb(struct ppc_vcpu *vcpu) {
    guest_tlb_miss(vcpu->state, vcpu->state->registers.pc, (vcpu->state->msr & MSR_IS) != 0);
    guest_interrupt(vcpu, IVOR_INST_TLB);
}

void guest_machine_check(struct ppc_vcpu *vcpu, uint32_t mcsr, uint32_t address) {
    struct ppc_vcpu_state *state = vcpu->state;

    if (!(state->msr & MSR_ME)) {
        vm_crash(&vcpu->core, "checkstop: bus error at %08x (MCSR %08x, PC %08x) while MSR[ME] is off",
                 address, mcsr, state->registers.pc);
        return;
    }
    state->mcsr = mcsr;
    state->mcar = address;
    state->mcsrr0 = state->registers.pc;
    state->mcsrr1 = state->msr;
    vector(vcpu, IVOR_MACHINE_CHECK, 0);
}

/* ---- what comes from outside and from the clock */

enum source { NONE, EXTERNAL, WATCHDOG, FIXED_TIMER, DECREMENTER };

/* The first of what is pending, in the order of 5.11.1; with `msr` all ones: whatever MSR says. */
static enum source first_pending(const struct ppc_vcpu *vcpu, uint32_t msr, uint32_t timers) {
    bool ordinary = (msr & MSR_EE) != 0;

    if (ordinary && __atomic_load_n(&vcpu->external, __ATOMIC_ACQUIRE))
        return EXTERNAL;
    if ((msr & MSR_CE) && (timers & TSR_WIS))
        return WATCHDOG;
    if (ordinary && (timers & TSR_FIS))
        return FIXED_TIMER;
    if (ordinary && (timers & TSR_DIS))
        return DECREMENTER;
    return NONE;
}

/* The guest's MSR as far as it masks: between two marks on the magic page neither EE nor CE counts. */
static uint32_t mask_of(const struct ppc_vcpu *vcpu) {
    return vcpu->state->msr & ~(magic_critical(vcpu) ? MSR_EE | MSR_CE : 0u);
}

bool guest_interrupt_ready(const struct ppc_vcpu *vcpu) {
    return first_pending(vcpu, mask_of(vcpu), clock_asserted(vcpu)) != NONE;
}

static void take(struct ppc_vcpu *vcpu, enum source source) {
    struct vm *vm = vcpu->core.vm;

    switch (source) {
    case NONE:
        break;
    case EXTERNAL:
        if (mpic_core_int(vm))
            vcpu->state->epr = mpic_acknowledge(vm, vcpu->core.index);
        guest_interrupt(vcpu, IVOR_EXTERNAL);
        break;
    case WATCHDOG:
        critical(vcpu, IVOR_WATCHDOG);
        break;
    case FIXED_TIMER:
        guest_interrupt(vcpu, IVOR_FIXED_TIMER);
        break;
    case DECREMENTER:
        guest_interrupt(vcpu, IVOR_DECREMENTER);
        break;
    }
}

void guest_interrupts_update(struct ppc_vcpu *vcpu) {
    clock_update(vcpu);
    /* One may come on top of another: the watchdog on the rest. */
    for (unsigned i = 0; i < 2; i++) {
        enum source source = first_pending(vcpu, mask_of(vcpu), clock_asserted(vcpu));
        if (source == NONE)
            break;
        take(vcpu, source);
    }
    if (first_pending(vcpu, UINT32_MAX, clock_asserted(vcpu)) != NONE)
        vcpu->slow |= PPC_SLOW_MASKED;
    else
        vcpu->slow &= ~PPC_SLOW_MASKED;
}
