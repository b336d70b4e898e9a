// SPDX-License-Identifier: Apache-2.0
// The global timers of a guest's MPIC (MPC8544E reference manual, 10.3.2 "Global Timer Registers"): they are
// looked at when somebody asks, and wake the hypervisor only when they have a vCPU to interrupt.
#include "arch/ppc/guest/mpic_internal.h"

#define TICK      (1000000000u / MPIC_TIMER_FREQUENCY) /* ns, after reset */
#define PER_GROUP (MPIC_TIMERS / MPIC_GROUPS)

_Static_assert(TICK *MPIC_TIMER_FREQUENCY == 1000000000u, "whole nanoseconds");

/* ns of one count. */
static uint64_t tick(const struct mpic *mpic, unsigned timer) {
    return (uint64_t)TICK << (mpic->tcr[timer / PER_GROUP] >> TCR_SHIFT);
}

/* ns from one 0 to the next; 0: it stays at 0. */
static uint64_t period(const struct mpic *mpic, unsigned timer) {
    return (mpic->timer[timer].base & GTBCR_COUNT) * tick(mpic, timer);
}

static uint32_t remaining(const struct mpic *mpic, unsigned timer, uint64_t now) {
    const struct mpic_timer *t = &mpic->timer[timer];
    if (t->expires == MPIC_STANDSTILL)
        return t->stopped;
    if (t->expires <= now)
        return 0;
    uint64_t unit = tick(mpic, timer);
    uint64_t counts = (t->expires - now + unit - 1) / unit;
    return counts > GTBCR_COUNT ? GTBCR_COUNT : (uint32_t)counts;
}

void mpic_timer_expires(struct mpic *mpic, unsigned timer, uint64_t expires) {
    mpic->timer[timer].expires = expires;
    if (expires == MPIC_STANDSTILL)
        mpic->counting &= ~(1u << timer);
    else
        mpic->counting |= 1u << timer;
}

void mpic_timers_reset(struct mpic *mpic) {
    for (unsigned i = 0; i < MPIC_GROUPS; i++) {
        mpic->tcr[i] = 0;
        mpic->tfrr[i] = 0;
    }
    for (unsigned i = 0; i < MPIC_TIMERS; i++)
        mpic->timer[i] = (struct mpic_timer){.base = GTBCR_INHIBIT, .expires = MPIC_STANDSTILL};
    mpic->counting = 0;
}

void mpic_timers_run(struct mpic *mpic) {
    if (!mpic->counting)
        return; /* as with most guests: the clock need not be looked at */
    uint64_t now = time_now();
    for (uint32_t bits = mpic->counting; bits; bits &= bits - 1) {
        unsigned i = (unsigned)__builtin_ctz(bits);
        struct mpic_timer *t = &mpic->timer[i];
        if (t->expires > now)
            continue;
        /* However late this is: as many periods as have passed. */
        uint64_t length = period(mpic, i), times = 1;
        if (length)
            times += (now - t->expires) / length;
        t->toggle ^= times & 1;
        mpic_timer_expires(mpic, i, length ? t->expires + times * length : MPIC_STANDSTILL);
        t->stopped = 0;
        mpic_raise(mpic, MPIC_TIMER + i, mpic->source[MPIC_TIMER + i].destination);
    }
}

/* Nobody is woken for a timer whose interrupt is masked, has no destination, or waits already. */
void mpic_timers_alarm(struct mpic *mpic) {
    uint64_t next = MPIC_STANDSTILL;
    for (uint32_t bits = mpic->counting; bits; bits &= bits - 1) {
        unsigned i = (unsigned)__builtin_ctz(bits);
        const struct mpic_source *s = &mpic->source[MPIC_TIMER + i];
        bool wanted = !(s->vpr & VPR_MASKED) && s->vpr & VPR_PRIORITY && s->destination & ~s->pending;
        if (wanted && mpic->timer[i].expires < next)
            next = mpic->timer[i].expires;
    }
    bool armed = timer_armed(&mpic->alarm);
    if (next == MPIC_STANDSTILL) {
        if (armed)
            timer_cancel(&mpic->alarm);
    } else if (!armed || mpic->alarm.deadline != next) {
        timer_arm(&mpic->alarm, next);
    }
}

uint32_t mpic_timer_count(const struct mpic *mpic, unsigned timer) {
    return remaining(mpic, timer, time_now()) | (mpic->timer[timer].toggle ? GTCCR_TOGGLE : 0);
}

void mpic_timer_base(struct mpic *mpic, unsigned timer, uint32_t value) {
    struct mpic_timer *t = &mpic->timer[timer];
    uint64_t now = time_now();
    bool inhibited = t->base & GTBCR_INHIBIT;
    uint32_t left = remaining(mpic, timer, now);

    t->base = value;
    if (value & GTBCR_INHIBIT) {
        t->stopped = left;
        mpic_timer_expires(mpic, timer, MPIC_STANDSTILL);
        return;
    }
    /* A timer that begins to count loads its base; one that counts already does at its next 0. */
    if (inhibited)
        t->toggle = false;
    if (inhibited || t->expires == MPIC_STANDSTILL) {
        uint64_t length = period(mpic, timer);
        t->stopped = 0;
        mpic_timer_expires(mpic, timer, length ? now + length : MPIC_STANDSTILL);
    }
}

void mpic_timer_control(struct mpic *mpic, unsigned group, uint32_t value) {
    uint64_t now = time_now();
    uint32_t left[PER_GROUP];

    for (unsigned i = 0; i < PER_GROUP; i++)
        left[i] = remaining(mpic, group * PER_GROUP + i, now);
    mpic->tcr[group] = value & TCR_RATIO;
    for (unsigned i = 0; i < PER_GROUP; i++) {
        unsigned timer = group * PER_GROUP + i;
        if (mpic->timer[timer].expires != MPIC_STANDSTILL)
            mpic_timer_expires(mpic, timer, now + left[i] * tick(mpic, timer));
    }
}
