// SPDX-License-Identifier: Apache-2.0
// The scheduler. One queue sorted by priority serves all CPUs: a machine has few CPUs, and a global queue is
// what makes fixed priorities true across them. See docs/architecture.md, "Scheduling".
#include "core/sched.h"
#include "core/log.h"

static struct spinlock sched_lock;
static struct list ready = {&ready, &ready};
static struct timer slice_timer[MAX_CPUS];

static bool allowed(const struct vcpu *vcpu, const struct cpu *cpu) {
    return (vcpu->affinity >> cpu->number & 1) != 0;
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

static void preempt(struct cpu *cpu) {
    __atomic_store_n(&cpu->reschedule, 1, __ATOMIC_RELEASE);
    arch_cpu_kick(cpu);
}

/* Finds a CPU for a vCPU that has become ready: an idle one (its last first), else the one that runs what
 * matters least. */
static void notify(struct vcpu *vcpu) {
    struct cpu *best = NULL;

    if (vcpu->cpu && vcpu->cpu->idle && allowed(vcpu, vcpu->cpu)) {
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
            if (!best || cpu->current->priority < best->current->priority)
                best = cpu;
        }
    }
    if (!best)
        return;
    if (best->idle) {
        best->idle = false;
        preempt(best);
    } else if (best->current->priority < vcpu->priority ||
               (best->current->priority == vcpu->priority && !timer_armed(&slice_timer[best->number]))) {
        preempt(best);
    }
}

static void make_ready(struct vcpu *vcpu) {
    if (vcpu->throttled) {
        /* Only a request to park lets a vCPU without budget through: it will not enter the guest. */
        if (!(__atomic_load_n(&vcpu->requests, __ATOMIC_ACQUIRE) & VCPU_REQUEST_PARK))
            return;
    }
    enqueue(vcpu);
    notify(vcpu);
}

/* A new period: the budget is whole again. */
static void replenish(struct timer *timer) {
    struct vcpu *vcpu = container_of(timer, struct vcpu, replenish);

    spin_lock(&sched_lock);
    vcpu->budget_left = vcpu->budget;
    if (vcpu->throttled) {
        vcpu->throttled = false;
        if (vcpu->state == VCPU_BLOCKED) {
            if (__atomic_load_n(&vcpu->requests, __ATOMIC_ACQUIRE) || arch_vcpu_pending(vcpu) ||
                vcpu->preempted)
                make_ready(vcpu);
        }
    } else if (vcpu->state == VCPU_RUNNING) {
        preempt(vcpu->cpu); /* its slice timer stands at the old budget's end */
    }
    spin_unlock(&sched_lock);
}

static void slice_over(struct timer *timer) {
    (void)timer;
    __atomic_store_n(&cpu_this()->reschedule, 1, __ATOMIC_RELEASE);
}

/* With the lock: charges the time since it was put on this CPU. */
static void charge(struct vcpu *vcpu, uint64_t now) {
    uint64_t used = now - vcpu->slice_start;

    vcpu->slice_start = now;
    vcpu->run_time += used;
    vcpu->slice_left -= used < vcpu->slice_left ? used : vcpu->slice_left;
    if (vcpu->budget)
        vcpu->budget_left -= used < vcpu->budget_left ? used : vcpu->budget_left;
}

/* With the lock: takes the first vCPU that may run here off the queue and makes it current. */
static struct vcpu *pick(struct cpu *cpu) {
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
    uint64_t limit = rivals ? vcpu->slice_left : UINT64_MAX;
    if (vcpu->budget) {
        if (!timer_armed(&vcpu->replenish))
            timer_arm(&vcpu->replenish, now + vcpu->period);
        if (vcpu->budget_left < limit)
            limit = vcpu->budget_left;
    }
    if (limit != UINT64_MAX)
        timer_arm(&slice_timer[cpu->number], now + limit);
    return vcpu;
}

/* With the lock: what becomes of a vCPU that has come back. True: it parked. */
static bool put(struct cpu *cpu, struct vcpu *vcpu, enum vcpu_run_result result) {
    timer_cancel(&slice_timer[cpu->number]);
    charge(vcpu, time_now());
    cpu->current = NULL;
    vcpu->throttled = vcpu->budget && !vcpu->budget_left;

    switch (result) {
    case VCPU_RUN_PARK:
        vcpu->state = VCPU_PARKED;
        return true;
    case VCPU_RUN_BLOCK:
        /* Who makes something pending does so before it looks at the state; we the other way round. One of
         * the two sees it. */
        vcpu->state = VCPU_BLOCKED;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (!(__atomic_load_n(&vcpu->requests, __ATOMIC_ACQUIRE) & VCPU_REQUEST_PARK) &&
            !arch_vcpu_pending(vcpu))
            return false;
        break;
    case VCPU_RUN_RESCHEDULE:
        break;
    }
    if (vcpu->throttled && !(__atomic_load_n(&vcpu->requests, __ATOMIC_ACQUIRE) & VCPU_REQUEST_PARK)) {
        vcpu->state = VCPU_BLOCKED;
        vcpu->preempted = true; /* wants to run as soon as it has a budget */
        return false;
    }
    enqueue(vcpu);
    return false;
}

static enum vcpu_run_result run(struct vcpu *vcpu) {
    if (__builtin_expect(__atomic_load_n(&vcpu->requests, __ATOMIC_ACQUIRE) & VCPU_REQUEST_LOAD, 0)) {
        if (__atomic_load_n(&vcpu->requests, __ATOMIC_ACQUIRE) & VCPU_REQUEST_PARK)
            return VCPU_RUN_PARK;
        if (!vm_prepare(vcpu->vm))
            __atomic_and_fetch(&vcpu->requests, ~VCPU_REQUEST_LOAD, __ATOMIC_RELEASE);
        arch_interrupts_poll();
        return VCPU_RUN_RESCHEDULE;
    }
    return arch_vcpu_run(vcpu);
}

void sched_loop(void) {
    struct cpu *cpu = cpu_this();
    struct vcpu *previous = NULL;

    timer_init(&slice_timer[cpu->number], slice_over);
    cpu->online = true;
    for (;;) {
        /* Before looking at the work and the queue: who adds to them sets it again. */
        __atomic_store_n(&cpu->reschedule, 0, __ATOMIC_SEQ_CST);
        work_run();
        spin_lock(&sched_lock);
        struct vcpu *vcpu = pick(cpu);
        if (!vcpu && __atomic_load_n(&cpu->work.next, __ATOMIC_ACQUIRE) == &cpu->work)
            cpu->idle = true;
        if (previous && previous != vcpu && previous->state == VCPU_READY)
            notify(previous); /* was pushed aside: another CPU may have room */
        spin_unlock(&sched_lock);
        previous = NULL;

        if (!vcpu) {
            if (!cpu->idle)
                continue;
            cpu->idle_since = time_now();
            arch_cpu_idle();
            cpu->idle_time += time_now() - cpu->idle_since;
            cpu->idle_since = 0;
            spin_lock(&sched_lock);
            cpu->idle = false;
            spin_unlock(&sched_lock);
            continue;
        }

        enum vcpu_run_result result = run(vcpu);

        spin_lock(&sched_lock);
        bool parked = put(cpu, vcpu, result);
        spin_unlock(&sched_lock);
        if (parked)
            vm_parked(vcpu->vm);
        else
            previous = vcpu;
    }
}

void sched_unpark(struct vcpu *vcpu) {
    spin_lock(&sched_lock);
    bug_if(vcpu->state != VCPU_PARKED);
    if (!vcpu->replenish.function)
        timer_init(&vcpu->replenish, replenish);
    if (!vcpu->throttled)
        make_ready(vcpu);
    else {
        vcpu->state = VCPU_BLOCKED;
        vcpu->preempted = true;
    }
    spin_unlock(&sched_lock);
}

void sched_wake(struct vcpu *vcpu) {
    spin_lock(&sched_lock);
    if (vcpu->state == VCPU_BLOCKED)
        make_ready(vcpu);
    spin_unlock(&sched_lock);
}

uint64_t sched_run_time(struct vcpu *vcpu) {
    spin_lock(&sched_lock);
    uint64_t time = vcpu->run_time;
    if (vcpu->state == VCPU_RUNNING)
        time += time_now() - vcpu->slice_start;
    spin_unlock(&sched_lock);
    return time;
}
