// SPDX-License-Identifier: Apache-2.0
// Up to twelve vCPUs of one VM on the simulated machine of sched_fixture.h, for unit tests of the scheduler.
// Included by one file of a test program.
#ifndef SAGUARO_TESTS_SCHED_VCPUS_FIXTURE_H
#define SAGUARO_TESTS_SCHED_VCPUS_FIXTURE_H

#include "sched_fixture.h"

#define VCPUS 12u
#define WAKE  0x10000u /* a request of the architecture's */

static struct vm vm;
static struct vcpu vcpus[VCPUS];
static bool pending[VCPUS];
static bool answered[VCPUS]; /* what a held one waits for is there */
static unsigned parked;
static void (*while_blocking)(struct vcpu *vcpu); /* what another CPU does in the middle of a put */

static bool guest_pending(struct vcpu *vcpu) {
    bool result = pending[vcpu - vcpus];
    if (while_blocking) {
        void (*hook)(struct vcpu *) = while_blocking;
        while_blocking = NULL;
        hook(vcpu);
    }
    return result;
}

bool vcpu_held(const struct vcpu *vcpu) {
    bool held = vcpu->hold && !answered[vcpu - vcpus];
    if (while_blocking) {
        void (*hook)(struct vcpu *) = while_blocking;
        while_blocking = NULL;
        hook(&vcpus[vcpu - vcpus]);
    }
    return held;
}

enum vcpu_run_result arch_vcpu_run(struct vcpu *vcpu) {
    (void)vcpu;
    fail();
    return VCPU_RUN_PARK;
}

static unsigned prepare_steps;

bool vm_prepare(struct vm *which) {
    assert_ptr_equal(which, &vm);
    return --prepare_steps != 0;
}

void vm_parked(struct vm *which) {
    assert_ptr_equal(which, &vm);
    parked++;
}

/* As vcpu_request() of core/vm.c. */
static inline void request(struct vcpu *vcpu, uint32_t bits) {
    if (bits == VCPU_REQUEST_PARK) { /* as park_all() there */
        vcpu->requests |= bits;
        parked += sched_park(vcpu);
        return;
    }
    uint32_t before = vcpu->requests;
    vcpu->requests |= bits;
    if ((before & bits) != bits && vcpu->state == VCPU_BLOCKED)
        sched_wake(vcpu);
}

static inline struct vcpu *make(unsigned number, uint8_t priority, uint64_t affinity) {
    struct vcpu *vcpu = &vcpus[number];
    memset(vcpu, 0, sizeof(*vcpu));
    list_init(&vcpu->ready);
    vcpu->vm = &vm;
    vcpu->index = number;
    vcpu->priority = priority;
    vcpu->affinity = affinity;
    return vcpu;
}

static inline struct vcpu *start(unsigned number, uint8_t priority, uint64_t affinity) {
    struct vcpu *vcpu = make(number, priority, affinity);
    sched_unpark(vcpu);
    settle();
    return vcpu;
}

static inline struct vcpu *start_budget(unsigned number, uint8_t priority, uint64_t budget, uint64_t period) {
    struct vcpu *vcpu = make(number, priority, 1);
    vcpu->budget = vcpu->budget_left = budget;
    vcpu->period = period;
    sched_unpark(vcpu);
    settle();
    return vcpu;
}

static inline void begin(unsigned cpus) {
    memset(pending, 0, sizeof(pending));
    memset(answered, 0, sizeof(answered));
    while_blocking = NULL;
    parked = 0;
    machine_start(cpus);
}

/* Leaves nothing behind: the scheduler's queue is one for the whole program. */
static inline void finish(unsigned count) {
    settle();
    parked = 0;
    unsigned expected = 0;
    for (unsigned i = 0; i < count; i++) {
        if (vcpus[i].state == VCPU_PARKED)
            continue;
        expected++;
        request(&vcpus[i], VCPU_REQUEST_PARK);
        settle();
    }
    for (unsigned rounds = 0; parked < expected && rounds < 100; rounds++)
        run_for(100 * MS);
    assert_int_equal(parked, expected);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(vcpus[i].state, VCPU_PARKED);
        on_cpu(0);
        timer_cancel(&vcpus[i].replenish);
    }
    for (unsigned i = 0; i < machine.cpus; i++) {
        assert_null(machine.runs[i]);
        assert_true(machine.cpu[i].idle);
    }
}

static inline uint64_t ran(const struct vcpu *vcpu) {
    return sched_run_time((struct vcpu *)vcpu);
}

static inline void wake_elsewhere(struct vcpu *vcpu) {
    struct cpu *here = test_cpu;
    vcpu->requests |= WAKE;
    test_cpu = &machine.cpu[1];
    /* What the waker sees in the middle of sched_put(): the lock makes sched_wake() wait until it is done. */
    assert_int_equal(vcpu->state, VCPU_BLOCKED);
    test_cpu = here;
}

#endif
