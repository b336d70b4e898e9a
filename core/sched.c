// SPDX-License-Identifier: Apache-2.0
// The scheduler. One queue sorted by priority serves all CPUs: a machine has few CPUs, and a global queue is
// what makes fixed priorities true across them. See docs/architecture.md, "Scheduling".
#include "core/sched.h"
#include "core/log.h"

static struct spinlock sched_lock;
static struct list ready = {&ready, &ready};
static struct timer slice_timer[MAX_CPUS];
static struct vcpu *pushed_aside[MAX_CPUS]; /* what each CPU ran last, until it has chosen again */

static bool allowed(const struct vcpu *vcpu, const struct cpu *cpu) {
    return (vcpu->affinity >> cpu->number & 1) != 0;
}

/* Whether a blocked vCPU has something to do. A held one has not, whatever is pending for it. */
static bool wanted(struct vcpu *vcpu) {
    if (vcpu->hold)
        return !vcpu_held(vcpu);
    return __atomic_load_n(&vcpu->requests, __ATOMIC_ACQUIRE) || arch_vcpu_pending(vcpu);
}

/* Into the queue: behind its equals, or in front of them when its slice is not used up. */
static void enqueue(struct vcpu *vcpu) {
    struct list *at = ready.next;
    bool behind = vcpu->slice_left == 0;
    while (at != &ready) {
        const struct vcpu *other = container_of(at, struct vcpu, ready);
        if (behind ? other->priority < vcpu->priority : other->priority <= vcpu->priority)
            break;
        at = at->next;
    }
    list_insert_before(at, &vcpu->ready);
    vcpu->state = VCPU_READY;
}

/* Asks a CPU to choose anew: what is returned is to be kicked once the lock is free. A kick takes long where
 * each access to the interrupt controller is slow, and all CPUs would wait for it. */
static struct cpu *preempt(struct cpu *cpu) {
    __atomic_store_n(&cpu->reschedule, 1, __ATOMIC_RELEASE);
    return cpu;
}

/* Without the lock. The CPU may have seen by itself what it is kicked for: then it is for nothing. */
static void kick(struct cpu *cpu) {
    if (cpu)
        arch_cpu_kick(cpu);
}

/* Finds a CPU for a vCPU that has become ready: an idle one (this one first, which an interrupt has woken
 * already, then its last), else the one that runs what matters least. The CPU to kick, or NULL. */
static struct cpu *notify(struct vcpu *vcpu) {
    struct cpu *best = NULL;

    if (cpu_this()->idle && allowed(vcpu, cpu_this())) {
        best = cpu_this();
    } else if (vcpu->cpu && vcpu->cpu->idle && allowed(vcpu, vcpu->cpu)) {
        best = vcpu->cpu;
    } else {
        for (unsigned i = 0; i < cpu_count(); i++) {
            struct cpu *cpu = cpu_get(i);
            if (!cpu->online || !allowed(vcpu, cpu))
                continue;
            if (cpu->idle) {
                best = cpu;
                break;
            }
            if (cpu->reschedule || !cpu->current)
                continue; /* looks at the queue soon by itself */
            if (!best || cpu->current->priority < best->current->priority ||
                (cpu->current->priority == best->current->priority && best->slice_end != UINT64_MAX))
                best = cpu;
        }
    }
    if (!best)
        return NULL;
    if (best->idle) {
        best->idle = false;
        return preempt(best);
    }
    if (best->current->priority < vcpu->priority ||
        (best->current->priority == vcpu->priority && best->slice_end == UINT64_MAX))
        return preempt(best);
    return NULL;
}

/* As notify(). */
static struct cpu *make_ready(struct vcpu *vcpu) {
    if (vcpu->throttled)
        return NULL;
    enqueue(vcpu);
    return notify(vcpu);
}

/* With the lock: charges the time since it was put on its CPU, whose clock may be a little ahead of the one
 * that `now` is from: that is no time, and not nearly all that there is. */
static void charge(struct vcpu *vcpu, uint64_t now) {
    uint64_t used = now > vcpu->slice_start ? now - vcpu->slice_start : 0;

    vcpu->slice_start = now;
    vcpu->run_time += used;
    vcpu->slice_left -= used < vcpu->slice_left ? used : vcpu->slice_left;
    if (!vcpu->budget)
        return;
    /* Its budget's end may be noticed late (the CPU was held, its timer waited): what it had beyond it comes
     * off the next one. Of more than a whole budget the rest is forgiven: it waits for one period more at
     * most, however long the CPU was away. */
    if (used > vcpu->budget_left) {
        vcpu->budget_debt += used - vcpu->budget_left;
        if (vcpu->budget_debt > vcpu->budget)
            vcpu->budget_debt = vcpu->budget;
        used = vcpu->budget_left;
    }
    vcpu->budget_left -= used;
}

/* A new period: the budget is whole again, less what was used beyond the old one. */
static void replenish(struct timer *timer) {
    struct vcpu *vcpu = container_of(timer, struct vcpu, replenish);
    struct cpu *cpu = NULL;

    spin_lock(&sched_lock);
    if (vcpu->state == VCPU_RUNNING)
        charge(vcpu, time_now()); /* what it has used belongs to the old period */
    vcpu->budget_left = vcpu->budget - vcpu->budget_debt;
    vcpu->budget_debt = 0;
    if (vcpu->throttled && !vcpu->budget_left) {
        timer_arm(timer, time_now() + vcpu->period);
    } else if (vcpu->throttled) {
        vcpu->throttled = false;
        if (vcpu->state == VCPU_BLOCKED) {
            if (wanted(vcpu) || (vcpu->preempted && !vcpu->hold))
                cpu = make_ready(vcpu);
        }
    } else if (vcpu->state == VCPU_RUNNING) {
        cpu = preempt(vcpu->cpu); /* its slice timer stands at the old budget's end */
    }
    spin_unlock(&sched_lock);
    kick(cpu);
}

static void slice_over(struct timer *timer) {
    (void)timer;
    __atomic_store_n(&cpu_this()->reschedule, 1, __ATOMIC_RELEASE);
}

/* When the timers of a vCPU that was picked are due; UINT64_MAX: never. */
struct alarms {
    uint64_t slice;  /* its slice or its budget is over */
    uint64_t period; /* it gets a new budget */
};

/* With the lock: takes the first vCPU that may run here off the queue and makes it current. */
static struct vcpu *pick(struct cpu *cpu, struct alarms *alarms) {
    struct vcpu *vcpu = NULL;
    bool rivals = false;

    for (struct list *at = ready.next; at != &ready; at = at->next) {
        struct vcpu *candidate = container_of(at, struct vcpu, ready);
        if (!allowed(candidate, cpu))
            continue;
        if (!vcpu) {
            vcpu = candidate;
        } else {
            rivals = candidate->priority == vcpu->priority;
            break;
        }
    }
    cpu->current = vcpu;
    if (!vcpu)
        return NULL;

    list_remove(&vcpu->ready);
    vcpu->state = VCPU_RUNNING;
    vcpu->cpu = cpu;
    vcpu->preempted = false;
    uint64_t now = time_now();
    vcpu->slice_start = now;
    if (!vcpu->slice_left)
        vcpu->slice_left = SCHED_SLICE;
    cpu->slice_end = rivals ? now + vcpu->slice_left : UINT64_MAX;
    *alarms = (struct alarms){.slice = cpu->slice_end, .period = UINT64_MAX};
    if (vcpu->budget) {
        alarms->period = now + vcpu->period;
        if (now + vcpu->budget_left < alarms->slice)
            alarms->slice = now + vcpu->budget_left;
    }
    return vcpu;
}

/* Without the lock, for programming the hardware may take long. Until the vCPU is put back nobody else arms
 * its timers. */
static void arm(struct cpu *cpu, struct vcpu *vcpu, const struct alarms *alarms) {
    if (alarms->period != UINT64_MAX && !timer_armed(&vcpu->replenish))
        timer_arm(&vcpu->replenish, alarms->period);
    if (alarms->slice != UINT64_MAX)
        timer_arm(&slice_timer[cpu->number], alarms->slice);
}

/* With the lock: what becomes of a vCPU that has come back. True: it parked. */
static bool put(struct cpu *cpu, struct vcpu *vcpu, enum vcpu_run_result result) {
    charge(vcpu, time_now());
    cpu->current = NULL;
    vcpu->throttled = vcpu->budget && !vcpu->budget_left;
    /* The timer may have fired while it ran, and all of the new budget be gone already. */
    if (vcpu->throttled && !timer_armed(&vcpu->replenish))
        timer_arm(&vcpu->replenish, time_now() + vcpu->period);

    /* Whatever it came back for: it need not have this CPU again to find the request. */
    if (__atomic_load_n(&vcpu->requests, __ATOMIC_ACQUIRE) & VCPU_REQUEST_PARK)
        result = VCPU_RUN_PARK;
    switch (result) {
    case VCPU_RUN_PARK:
        vcpu->state = VCPU_PARKED;
        return true;
    case VCPU_RUN_BLOCK:
        /* Who makes something pending does so before it looks at the state; we the other way round. One of
         * the two sees it. Any request counts, also one that turns out to be for nothing: with its bit still
         * set the next one like it would wake nobody. */
        vcpu->state = VCPU_BLOCKED;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (!wanted(vcpu))
            return false;
        break;
    case VCPU_RUN_RESCHEDULE:
        break;
    }
    if (vcpu->throttled) {
        vcpu->state = VCPU_BLOCKED;
        vcpu->preempted = true; /* wants to run as soon as it has a budget */
        return false;
    }
    enqueue(vcpu);
    return false;
}

void sched_cpu_init(void) {
    struct cpu *cpu = cpu_this();

    timer_init(&slice_timer[cpu->number], slice_over);
    cpu->slice_end = UINT64_MAX;
    cpu->online = true;
}

struct vcpu *sched_choose(void) {
    struct cpu *cpu = cpu_this(), *other = NULL;
    struct alarms alarms;

    /* What waits already need not cost the next guest an exit. (Bochs 2.7 does not even leave a guest for it
     * that is entered with its interrupts off.) */
    arch_interrupts_poll();
    /* Before looking at the work and the queue: who adds to them sets it again. */
    __atomic_store_n(&cpu->reschedule, 0, __ATOMIC_SEQ_CST);
    work_run();
    spin_lock(&sched_lock);
    struct vcpu *previous = pushed_aside[cpu->number];
    struct vcpu *vcpu = pick(cpu, &alarms);
    pushed_aside[cpu->number] = NULL;
    if (!vcpu && __atomic_load_n(&cpu->work.next, __ATOMIC_ACQUIRE) == &cpu->work)
        cpu->idle = true;
    if (previous && previous != vcpu && previous->state == VCPU_READY)
        other = notify(previous); /* which may have room */
    spin_unlock(&sched_lock);
    kick(other);
    if (vcpu)
        arm(cpu, vcpu, &alarms);
    return vcpu;
}

enum vcpu_run_result sched_run(struct vcpu *vcpu) {
    if (__builtin_expect(__atomic_load_n(&vcpu->requests, __ATOMIC_ACQUIRE) & VCPU_REQUEST_LOAD, 0)) {
        if (__atomic_load_n(&vcpu->requests, __ATOMIC_ACQUIRE) & VCPU_REQUEST_PARK)
            return VCPU_RUN_PARK;
        if (!vm_prepare(vcpu->vm))
            __atomic_and_fetch(&vcpu->requests, ~VCPU_REQUEST_LOAD, __ATOMIC_RELEASE);
        if (vcpu->hold)
            return VCPU_RUN_BLOCK;
        arch_interrupts_poll();
        return VCPU_RUN_RESCHEDULE;
    }
    return arch_vcpu_run(vcpu);
}

void sched_put(struct vcpu *vcpu, enum vcpu_run_result result) {
    struct cpu *cpu = cpu_this();

    if (timer_armed(&slice_timer[cpu->number])) /* by this CPU alone */
        timer_cancel(&slice_timer[cpu->number]);
    spin_lock(&sched_lock);
    bool parked = put(cpu, vcpu, result);
    if (!parked)
        pushed_aside[cpu->number] = vcpu;
    spin_unlock(&sched_lock);
    if (parked)
        vm_parked(vcpu->vm);
}

void sched_sleep(void) {
    struct cpu *cpu = cpu_this();

    if (!cpu->idle)
        return;
    cpu->idle_since = time_now();
    arch_cpu_idle();
    cpu->idle_time += time_now() - cpu->idle_since;
    cpu->idle_since = 0;
    /* Whoever has found something to do for this CPU has said so already. */
    if (!__atomic_load_n(&cpu->idle, __ATOMIC_RELAXED))
        return;
    spin_lock(&sched_lock);
    cpu->idle = false;
    spin_unlock(&sched_lock);
}

void sched_loop(void) {
    sched_cpu_init();
    for (;;) {
        struct vcpu *vcpu = sched_choose();
        if (vcpu)
            sched_put(vcpu, sched_run(vcpu));
        else
            sched_sleep();
    }
}

void sched_unpark(struct vcpu *vcpu) {
    struct cpu *cpu = NULL;

    spin_lock(&sched_lock);
    bug_if(vcpu->state != VCPU_PARKED);
    if (!vcpu->replenish.function)
        timer_init(&vcpu->replenish, replenish);
    if (!vcpu->throttled)
        cpu = make_ready(vcpu);
    else {
        vcpu->state = VCPU_BLOCKED;
        vcpu->preempted = true;
    }
    spin_unlock(&sched_lock);
    kick(cpu);
}

bool sched_park(struct vcpu *vcpu) {
    spin_lock(&sched_lock);
    bool idle = vcpu->state == VCPU_READY || vcpu->state == VCPU_BLOCKED;
    if (idle) {
        list_remove(&vcpu->ready);
        vcpu->state = VCPU_PARKED;
    }
    spin_unlock(&sched_lock);
    return idle;
}

void sched_wake(struct vcpu *vcpu) {
    struct cpu *cpu = NULL;

    spin_lock(&sched_lock);
    if (vcpu->state == VCPU_BLOCKED && !vcpu_held(vcpu))
        cpu = make_ready(vcpu);
    spin_unlock(&sched_lock);
    kick(cpu);
}

uint64_t sched_run_time(struct vcpu *vcpu) {
    spin_lock(&sched_lock);
    uint64_t time = vcpu->run_time;
    if (vcpu->state == VCPU_RUNNING)
        time += time_now() - vcpu->slice_start;
    spin_unlock(&sched_lock);
    return time;
}
