// SPDX-License-Identifier: Apache-2.0
// A guest's decrementer, fixed-interval timer and watchdog, reckoned from the time base when somebody looks;
// one host timer per vCPU for the next event that is enabled.
#include "arch/ppc/guest/clock.h"
#include "arch/ppc/instructions.h"

#define NEVER             UINT64_MAX
#define FAR               (1ull << 56) /* ticks: no host timer waits so long */
#define TCR_WRC_CHECKSTOP 0x10000000u

/* ---- events of one bit of the time base */

/* Which bit, counted from the lowest, TCR's two fields select; TCR counts from the highest (2.6.1). */
static unsigned fit_bit(uint32_t tcr) {
    return 63 - ((tcr & TCR_FPEXT_MASK) >> 13 << 2 | (tcr & TCR_FP_MASK) >> 24);
}

static unsigned watchdog_bit(uint32_t tcr) {
    return 63 - ((tcr & TCR_WPEXT_MASK) >> 17 << 2 | (tcr & TCR_WP_MASK) >> 30);
}

/* How often the bit has gone from 0 to 1 when the time base is `now`. */
static uint64_t rises(unsigned bit, uint64_t now) {
    return bit >= 62 ? 0 : (now + (1ull << bit)) >> (bit + 1);
}

static uint64_t next_rise(unsigned bit, uint64_t now) {
    return bit >= 62 ? NEVER : ((rises(bit, now) + 1) << (bit + 1)) - (1ull << bit);
}

/* ---- what time has done */

/* Watchdog state after `count` time-outs (2.6.3): ENW, then WIS, then TCR[WRC]'s action. Never the last two
 * at one look: a guest that did not run meanwhile has not seen its interrupt yet. */
static uint32_t watchdog(uint32_t tsr, uint64_t count, bool *last) {
    *last = false;
    for (; count; count--) {
        if (!(tsr & TSR_ENW))
            tsr |= TSR_ENW;
        else {
            *last = (tsr & TSR_WIS) != 0;
            return tsr | TSR_WIS;
        }
    }
    return tsr;
}

/* TSR at `now`, if nobody has looked since. */
static uint32_t tsr_at(const struct ppc_vcpu *vcpu, uint64_t now, bool *watchdog_over) {
    const struct ppc_vcpu_state *state = vcpu->state;
    uint64_t seen = vcpu->clock_seen;
    unsigned fit = fit_bit(state->tcr), dog = watchdog_bit(state->tcr);
    uint32_t tsr = state->tsr;

    if (vcpu->dec_expires <= now)
        tsr |= TSR_DIS;
    if (rises(fit, now) != rises(fit, seen))
        tsr |= TSR_FIS;
    return watchdog(tsr, rises(dog, now) - rises(dog, seen), watchdog_over);
}

static uint32_t enabled(uint32_t tcr) {
    return (tcr & TCR_WIE ? TSR_WIS : 0) | (tcr & TCR_FIE ? TSR_FIS : 0) | (tcr & TCR_DIE ? TSR_DIS : 0);
}

uint32_t clock_asserted(const struct ppc_vcpu *vcpu) {
    bool over;
    return tsr_at(vcpu, timebase_read(), &over) & enabled(vcpu->state->tcr);
}

/* The decrementer went through 0: it stays there, or starts again from DECAR. */
static void decrementer_over(struct ppc_vcpu *vcpu, uint64_t now) {
    const struct ppc_vcpu_state *state = vcpu->state;

    if (!(state->tcr & TCR_ARE) || !state->decar) {
        vcpu->dec_expires = NEVER;
        return;
    }
    uint64_t periods = (now - vcpu->dec_expires) / state->decar + 1;
    vcpu->dec_expires += periods * state->decar;
}

static void arm(struct ppc_vcpu *vcpu, uint64_t now) {
    const struct ppc_vcpu_state *state = vcpu->state;
    uint64_t next = NEVER;

    if ((state->tcr & TCR_DIE) && !(state->tsr & TSR_DIS))
        next = vcpu->dec_expires;
    if ((state->tcr & TCR_FIE) && !(state->tsr & TSR_FIS)) {
        uint64_t rise = next_rise(fit_bit(state->tcr), now);
        next = rise < next ? rise : next;
    }
    if ((state->tcr & TCR_WRC_MASK) || ((state->tcr & TCR_WIE) && !(state->tsr & TSR_WIS))) {
        uint64_t rise = next_rise(watchdog_bit(state->tcr), now);
        next = rise < next ? rise : next;
    }
    if (next == NEVER || next > now + FAR) {
        if (timer_armed(&vcpu->timer))
            timer_cancel(&vcpu->timer);
        return;
    }
    uint64_t deadline = time_from_timebase(next) + 1;
    if (!timer_armed(&vcpu->timer) || vcpu->timer.deadline != deadline || vcpu->timer.cpu != cpu_this())
        timer_arm(&vcpu->timer, deadline);
}

void clock_update(struct ppc_vcpu *vcpu) {
    struct ppc_vcpu_state *state = vcpu->state;
    uint64_t now = timebase_read();
    bool watchdog_over;

    uint32_t before = state->tsr;
    state->tsr = tsr_at(vcpu, now, &watchdog_over);
    /* Whoever looked (mfspr DEC, say): the timer that would have said so is armed for what comes next now. */
    if (state->tsr & ~before & enabled(state->tcr))
        __atomic_or_fetch(&vcpu->core.requests, PPC_REQUEST_EVENT, __ATOMIC_RELAXED);
    vcpu->clock_seen = now;
    if (vcpu->dec_expires <= now)
        decrementer_over(vcpu, now);
    if (watchdog_over && (state->tcr & TCR_WRC_MASK)) {
        state->tsr |= state->tcr & TCR_WRC_MASK; /* TSR[WRS] lies where TCR[WRC] does */
        if ((state->tcr & TCR_WRC_MASK) == TCR_WRC_CHECKSTOP)
            vm_crash(&vcpu->core, "checkstop by the watchdog");
        else
            vm_end(vcpu->core.vm, VM_END_RESET, 0, "the watchdog has reset the machine");
    }
    arm(vcpu, now);
}

void clock_resume(struct ppc_vcpu *vcpu) {
    vcpu->clock_seen = timebase_read();
}

static void expired(struct timer *timer) {
    struct ppc_vcpu *vcpu = container_of(timer, struct ppc_vcpu, timer);
    vcpu_request(&vcpu->core, PPC_REQUEST_EVENT);
}

void clock_guest_create(struct ppc_vcpu *vcpu) {
    timer_init(&vcpu->timer, expired);
    vcpu->dec_expires = NEVER;
}

void clock_guest_reset(struct ppc_vcpu *vcpu) {
    timer_cancel(&vcpu->timer);
    vcpu->state->tcr = 0;
    vcpu->state->tsr = 0;
    vcpu->state->dec = 0;
    vcpu->state->decar = 0;
    vcpu->dec_expires = NEVER;
    vcpu->clock_seen = timebase_read();
}

/* ---- registers */

static uint32_t dec_at(const struct ppc_vcpu *vcpu, uint64_t now) {
    return vcpu->dec_expires == NEVER ? 0 : (uint32_t)(vcpu->dec_expires - now);
}

uint32_t clock_dec_read(struct ppc_vcpu *vcpu) {
    clock_update(vcpu);
    return dec_at(vcpu, vcpu->clock_seen);
}

void clock_dec_write(struct ppc_vcpu *vcpu, uint32_t value) {
    clock_update(vcpu);
    /* 0 is no event: that is the step from 1 to 0 (Book III-E, 9.3). */
    vcpu->dec_expires = value ? vcpu->clock_seen + value : NEVER;
    arm(vcpu, vcpu->clock_seen);
}

void clock_decar_write(struct ppc_vcpu *vcpu, uint32_t value) {
    clock_update(vcpu); /* a 0 that has passed was followed by the old value */
    vcpu->state->decar = value;
}

uint32_t clock_tsr_read(struct ppc_vcpu *vcpu) {
    clock_update(vcpu);
    return vcpu->state->tsr;
}

void clock_tsr_write(struct ppc_vcpu *vcpu, uint32_t value) {
    clock_update(vcpu);
    vcpu->state->tsr &= ~value;
    arm(vcpu, vcpu->clock_seen);
}

void clock_tcr_write(struct ppc_vcpu *vcpu, uint32_t value) {
    struct ppc_vcpu_state *state = vcpu->state;

    clock_update(vcpu);
    /* WRC can be set, but only a reset clears it (2.6.1). */
    if (state->tcr & TCR_WRC_MASK)
        value = (value & ~TCR_WRC_MASK) | (state->tcr & TCR_WRC_MASK);
    state->tcr = value & (TCR_WP_MASK | TCR_WRC_MASK | TCR_WIE | TCR_DIE | TCR_FP_MASK | TCR_FIE | TCR_ARE |
                          TCR_WPEXT_MASK | TCR_FPEXT_MASK);
    arm(vcpu, vcpu->clock_seen);
}

/* ---- saved state */

void clock_save(struct ppc_vcpu *vcpu) {
    struct ppc_vcpu_state *state = vcpu->state;
    bool over;

    clock_resume(vcpu); /* it is paused */
    uint64_t now = timebase_read();
    state->timebase = now;
    state->tsr = tsr_at(vcpu, now, &over);
    vcpu->clock_seen = now;
    if (vcpu->dec_expires <= now)
        decrementer_over(vcpu, now);
    state->dec = dec_at(vcpu, now);
}

void clock_load(struct ppc_vcpu *vcpu) {
    uint64_t now = timebase_read();

    timer_cancel(&vcpu->timer);
    vcpu->clock_seen = now;
    vcpu->dec_expires = vcpu->state->dec ? now + vcpu->state->dec : NEVER;
}
