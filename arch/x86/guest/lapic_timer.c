// SPDX-License-Identifier: Apache-2.0
// The local APIC's timer: one-shot, periodic and TSC deadline (Intel SDM vol. 3, 11.5.4), computed from the
// host's clock. The APIC's bus runs at 1 GHz: one count, before division, is one nanosecond.
#include "arch/x86/clock.h"
#include "arch/x86/guest/lapic_internal.h"
#include "arch/x86/guest/tsc.h"

/*
 * A guest's periodic timers interrupt each of its host CPUs at most this often: those of vCPUs that share one
 * take turns. A shorter period counts down as programmed, but several of its ends share one interrupt (as
 * they would when the first is still pending), so that no guest can keep a host CPU busy with timers alone,
 * for which its vCPUs need not even run.
 */
#define PERIOD_MIN 20000ull /* ns */

static unsigned mode_of(const struct lapic *lapic) {
    return lapic->lvt[LAPIC_LVT_TIMER] >> LAPIC_LVT_MODE_SHIFT & 3;
}

uint32_t lapic_timer_divisor(uint32_t tdcr) {
    unsigned shift = (tdcr & 3) | (tdcr >> 1 & 4);
    return 1u << ((shift + 1) & 7);
}

/* ns until the count reaches 0; 0: it does not run. */
static uint64_t remaining(const struct lapic *lapic, uint64_t now) {
    if (lapic->target == LAPIC_NEVER)
        return 0;
    if (!lapic->period)
        return lapic->target > now ? lapic->target - now : 0;
    if (lapic->target > now) {
        uint64_t rest = (lapic->target - now) % lapic->period;
        return rest ? rest : lapic->period;
    }
    return lapic->period - (now - lapic->target) % lapic->period;
}

/* Sets the host's timer for what `target` says, or takes it away where nobody would notice. Locked. */
static void program(struct lapic *lapic) {
    if (lapic->target == LAPIC_NEVER || lapic->lvt[LAPIC_LVT_TIMER] & LAPIC_LVT_MASK)
        timer_cancel(&lapic->timer);
    else
        timer_arm(&lapic->timer, lapic->target);
}

static uint64_t shortest_period(const struct vcpu *vcpu) {
    unsigned count = vcpu->vm->vcpu_count, cpus = 0;

    for (unsigned i = 0; i < cpu_count(); i++)
        cpus += vcpu->affinity >> i & 1;
    return cpus && cpus < count ? PERIOD_MIN * ((count + cpus - 1) / cpus) : PERIOD_MIN;
}

static void stop(struct lapic *lapic) {
    lapic->target = LAPIC_NEVER;
    lapic->period = 0;
    lapic->deadline = 0;
    timer_cancel(&lapic->timer);
}

/* Steps a periodic timer to an end of its period after `now`, not too soon after the last. */
static void step(struct lapic *lapic, uint64_t now) {
    uint64_t behind = now >= lapic->target ? now - lapic->target : 0;
    uint64_t periods = behind / lapic->period + 1;

    if (lapic->period < lapic->shortest)
        periods += (lapic->shortest - 1) / lapic->period;
    lapic->target += periods * lapic->period;
}

/* Counts down from `count` to 0, and in periodic mode from TMICT after that. */
static void start(struct lapic *lapic, uint64_t count) {
    uint64_t divisor = lapic_timer_divisor(lapic->divide);
    uint64_t now = time_now();

    lapic->target = now + count * divisor;
    lapic->period = mode_of(lapic) == LAPIC_PERIODIC ? lapic->initial * divisor : 0;
    if (lapic->period && lapic->target - now < lapic->shortest) {
        /* The first end as well: TMICT written in a loop fires no more often. */
        uint64_t periods = (lapic->shortest - (lapic->target - now) + lapic->period - 1) / lapic->period;
        lapic->target += periods * lapic->period;
    }
    program(lapic);
}

static void fired(struct timer *timer) {
    struct lapic *lapic = container_of(timer, struct lapic, timer);
    bool fire = false;

    spin_lock(&lapic->timer_lock);
    uint64_t now = time_now();
    /* Otherwise it was stopped or moved while this was on its way. */
    if (lapic->target <= now && !(lapic->lvt[LAPIC_LVT_TIMER] & LAPIC_LVT_MASK)) {
        fire = true;
        if (lapic->period) {
            step(lapic, now);
            program(lapic);
        } else {
            lapic->target = LAPIC_NEVER;
            lapic->deadline = 0;
        }
    }
    spin_unlock(&lapic->timer_lock);
    if (fire)
        lapic_lvt_fire(lapic, LAPIC_LVT_TIMER);
}

void lapic_timer_create(struct lapic *lapic) {
    timer_init(&lapic->timer, fired);
    lapic->target = LAPIC_NEVER;
}

void lapic_timer_reset(struct lapic *lapic) {
    spin_lock(&lapic->timer_lock);
    stop(lapic);
    lapic->initial = 0;
    lapic->divide = 0;
    lapic->shortest = shortest_period(lapic->vcpu);
    spin_unlock(&lapic->timer_lock);
}

void lapic_timer_write_initial(struct lapic *lapic, uint32_t value) {
    spin_lock(&lapic->timer_lock);
    unsigned mode = mode_of(lapic);
    if (mode != LAPIC_TSC_DEADLINE) {
        lapic->initial = value;
        if (value && mode != LAPIC_TIMER_RESERVED)
            start(lapic, value);
        else
            stop(lapic);
    }
    spin_unlock(&lapic->timer_lock);
}

/* The present count of a timer that runs, rounded up: 0 means that it has ended. */
static uint64_t count_now(const struct lapic *lapic) {
    uint64_t divisor = lapic_timer_divisor(lapic->divide);
    return (remaining(lapic, time_now()) + divisor - 1) / divisor;
}

uint32_t lapic_timer_count(struct lapic *lapic) {
    uint64_t count = 0;
    spin_lock(&lapic->timer_lock);
    if (mode_of(lapic) != LAPIC_TSC_DEADLINE)
        count = count_now(lapic);
    spin_unlock(&lapic->timer_lock);
    return (uint32_t)count;
}

void lapic_timer_write_divide(struct lapic *lapic, uint32_t value) {
    spin_lock(&lapic->timer_lock);
    uint64_t count = mode_of(lapic) == LAPIC_TSC_DEADLINE ? 0 : count_now(lapic);
    lapic->divide = value;
    /* The count goes on from where it is, at the new rate. */
    if (count)
        start(lapic, count);
    spin_unlock(&lapic->timer_lock);
}

void lapic_timer_write_lvt(struct lapic *lapic, uint32_t value) {
    spin_lock(&lapic->timer_lock);
    unsigned before = mode_of(lapic);
    bool was_masked = (lapic->lvt[LAPIC_LVT_TIMER] & LAPIC_LVT_MASK) != 0;
    __atomic_store_n(&lapic->lvt[LAPIC_LVT_TIMER], value, __ATOMIC_RELAXED);
    unsigned mode = mode_of(lapic);

    if (mode != before && (mode >= LAPIC_TSC_DEADLINE || before >= LAPIC_TSC_DEADLINE)) {
        /* 11.5.4.1: to and from TSC-deadline mode disarms. */
        stop(lapic);
        lapic->initial = 0;
    } else if (mode != before && lapic->target != LAPIC_NEVER) {
        uint64_t count = count_now(lapic);
        if (count)
            start(lapic, count);
        else
            stop(lapic);
    } else if (was_masked && lapic->target != LAPIC_NEVER) {
        uint64_t now = time_now();
        /* What ended while masked is over without an interrupt. */
        if (lapic->target <= now && lapic->period)
            step(lapic, now);
        else if (lapic->target <= now)
            stop(lapic);
        program(lapic);
    } else if (!was_masked) {
        program(lapic);
    }
    spin_unlock(&lapic->timer_lock);
}

/*
 * When the host's clock has surely passed the guest's TSC value `deadline`: never early, and late by a
 * nanosecond or two at most. 0: it has passed already.
 */
static uint64_t deadline_time(const struct lapic *lapic, uint64_t deadline) {
    uint64_t host = tsc_read();
    const struct x86_vcpu *vcpu = x86_vcpu(lapic->vcpu);
    uint64_t guest = tsc_of_guest(vcpu, host);

    if (deadline <= guest)
        return 0;
    uint64_t distance = tsc_host_ticks(x86_vm(vcpu->core.vm), deadline - guest);
    if (distance > UINT64_MAX - host)
        return LAPIC_NEVER - 1;
    uint64_t time = clock_from_tsc(host + distance);
    return time >= LAPIC_NEVER - 1 ? LAPIC_NEVER - 1 : time + 1;
}

/* Locked. True: the deadline has passed. */
static bool arm_deadline(struct lapic *lapic, uint64_t deadline) {
    uint64_t time = deadline_time(lapic, deadline);
    if (!time) {
        stop(lapic);
        return true;
    }
    lapic->deadline = deadline;
    lapic->target = time;
    program(lapic);
    return false;
}

void lapic_timer_write_deadline(struct lapic *lapic, uint64_t value) {
    bool fire = false;

    spin_lock(&lapic->timer_lock);
    if (mode_of(lapic) == LAPIC_TSC_DEADLINE) {
        if (value)
            fire = arm_deadline(lapic, value);
        else
            stop(lapic);
    }
    spin_unlock(&lapic->timer_lock);
    if (fire)
        lapic_lvt_fire(lapic, LAPIC_LVT_TIMER);
}

uint64_t lapic_timer_read_deadline(struct lapic *lapic) {
    spin_lock(&lapic->timer_lock);
    /* While masked nothing else notices that it has passed. */
    if (lapic->deadline && lapic->lvt[LAPIC_LVT_TIMER] & LAPIC_LVT_MASK && lapic->target <= time_now())
        stop(lapic);
    uint64_t deadline = lapic->deadline;
    spin_unlock(&lapic->timer_lock);
    return deadline;
}

void lapic_tsc_changed(struct lapic *lapic) {
    bool fire = false;

    spin_lock(&lapic->timer_lock);
    if (lapic->deadline)
        fire = arm_deadline(lapic, lapic->deadline);
    spin_unlock(&lapic->timer_lock);
    if (fire)
        lapic_lvt_fire(lapic, LAPIC_LVT_TIMER);
}

uint64_t lapic_timer_remaining(struct lapic *lapic) {
    uint64_t left = LAPIC_NEVER;

    spin_lock(&lapic->timer_lock);
    if (lapic->target != LAPIC_NEVER && !lapic->deadline) {
        left = remaining(lapic, time_now());
        /* Ended, and its interrupt is on the way: it shall come after the load. */
        if (!left && !(lapic->lvt[LAPIC_LVT_TIMER] & LAPIC_LVT_MASK))
            left = 1;
        else if (!left)
            left = LAPIC_NEVER;
    }
    spin_unlock(&lapic->timer_lock);
    return left;
}

void lapic_timer_restore(struct lapic *lapic, uint64_t left, uint64_t deadline) {
    spin_lock(&lapic->timer_lock);
    if (deadline) {
        /* Until lapic_tsc_changed(): the vCPU's TSC may not have been restored yet. */
        lapic->deadline = deadline;
        lapic->target = LAPIC_NEVER - 1;
    } else if (left != LAPIC_NEVER) {
        lapic->target = time_now() + left;
        lapic->period = mode_of(lapic) == LAPIC_PERIODIC
                            ? lapic->initial * (uint64_t)lapic_timer_divisor(lapic->divide)
                            : 0;
        program(lapic);
    }
    spin_unlock(&lapic->timer_lock);
}
