// SPDX-License-Identifier: Apache-2.0
// The scheduler on a simulated machine of up to four CPUs: priorities, turns, budgets, affinity, sleeping and
// waking with the races between them, parking, more vCPUs than CPUs.
// unit-sources: core/sched.c core/timer.c core/cpu.c
#include "sched_vcpus_fixture.h"

/* ---- priorities and turns */

static void test_priority(void **state) {
    (void)state;
    begin(1);
    struct vcpu *low = start(0, 10, 1);
    assert_int_equal(cpu_of(low), 0);
    struct vcpu *high = start(1, 20, 1);
    assert_int_equal(cpu_of(high), 0); /* pushes the other aside at once */
    assert_int_equal(low->state, VCPU_READY);
    struct vcpu *middle = start(2, 15, 1);
    run_for(100 * MS);
    assert_int_equal(ran(high), 100 * MS);
    assert_int_equal(ran(middle) + ran(low), 0);
    give_back(0, VCPU_RUN_BLOCK);
    assert_int_equal(cpu_of(middle), 0);
    give_back(0, VCPU_RUN_BLOCK);
    assert_int_equal(cpu_of(low), 0);
    give_back(0, VCPU_RUN_BLOCK);
    assert_true(machine.cpu[0].idle);
    assert_null(machine.cpu[0].current);
    /* None of this needed a timer: nobody had an equal. */
    assert_int_equal(machine.interrupts[0], 0);
    finish(3);
}

static void test_turns(void **state) {
    (void)state;
    begin(1);
    for (unsigned i = 0; i < 3; i++)
        start(i, 10, 1);
    /* The first one runs until it has had its slice, then each in turn. */
    assert_int_equal(cpu_of(&vcpus[0]), 0);
    run_for(SCHED_SLICE);
    assert_int_equal(cpu_of(&vcpus[1]), 0);
    run_for(SCHED_SLICE);
    assert_int_equal(cpu_of(&vcpus[2]), 0);
    run_for(SCHED_SLICE);
    assert_int_equal(cpu_of(&vcpus[0]), 0);
    run_for(27 * SCHED_SLICE);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(ran(&vcpus[i]), 10 * SCHED_SLICE);
    /* One interrupt for each slice, no more. */
    assert_int_equal(machine.interrupts[0], 30);
    finish(3);
}

/* Who is pushed aside by something more important goes on where it was, for the rest of its slice. */
static void test_rest_of_slice(void **state) {
    (void)state;
    begin(1);
    struct vcpu *first = start(0, 10, 1), *second = start(1, 10, 1);
    run_for(4 * MS);
    start(2, 20, 1);
    run_for(3 * MS);
    give_back(0, VCPU_RUN_BLOCK);
    assert_int_equal(cpu_of(first), 0);
    run_for(6 * MS - 1);
    assert_int_equal(cpu_of(first), 0);
    run_for(1);
    assert_int_equal(cpu_of(second), 0);
    assert_int_equal(ran(first), 10 * MS);
    finish(3);
}

/* One that has run alone for long gives way to an equal as soon as that comes. */
static void test_late_equal(void **state) {
    (void)state;
    begin(1);
    start(0, 10, 1);
    run_for(500 * MS);
    struct vcpu *second = start(1, 10, 1);
    assert_int_equal(cpu_of(second), 0);
    finish(2);
}

/* A slice ends for an equal also when the budget's end had been set on the timer alone. */
static void test_slice_beside_budget(void **state) {
    (void)state;
    begin(1);
    struct vcpu *first = start_budget(0, 10, 80 * MS, 100 * MS);
    run_for(2 * MS);
    struct vcpu *second = start(1, 10, 1);
    run_for(8 * MS);
    assert_int_equal(cpu_of(second), 0);
    run_for(10 * MS);
    assert_int_equal(cpu_of(first), 0);
    finish(2);
}

static void test_pause_gives_turn(void **state) {
    (void)state;
    begin(1);
    struct vcpu *first = start(0, 10, 1), *second = start(1, 10, 1);
    run_for(1 * MS);
    first->slice_left = 0; /* as an exit for PAUSE does */
    machine.cpu[0].reschedule = 1;
    settle();
    assert_int_equal(cpu_of(second), 0);
    finish(2);
}

/* ---- several CPUs */

static void test_spread(void **state) {
    (void)state;
    begin(3);
    for (unsigned i = 0; i < 3; i++)
        start(i, 10, 7);
    for (unsigned i = 0; i < 3; i++)
        assert_true(cpu_of(&vcpus[i]) >= 0);
    /* The most important ones run, wherever that is. */
    struct vcpu *high = start(3, 50, 7), *higher = start(4, 60, 7);
    assert_true(cpu_of(high) >= 0 && cpu_of(higher) >= 0);
    run_for(100 * MS);
    assert_int_equal(ran(high), 100 * MS);
    assert_int_equal(ran(higher), 100 * MS);
    assert_int_equal(ran(&vcpus[0]) + ran(&vcpus[1]) + ran(&vcpus[2]), 100 * MS);
    finish(5);
}

/* A wake-up takes the CPU with what matters least, not another. */
static void test_least_first(void **state) {
    (void)state;
    begin(3);
    struct vcpu *a = start(0, 30, 7), *b = start(1, 20, 7), *c = start(2, 40, 7);
    struct vcpu *d = start(3, 35, 7);
    assert_int_equal(cpu_of(b), -1);
    assert_true(cpu_of(a) >= 0 && cpu_of(c) >= 0 && cpu_of(d) >= 0);
    struct vcpu *e = start(4, 20, 7); /* no better than anyone who runs */
    assert_int_equal(cpu_of(e), -1);
    finish(5);
}

static void test_affinity(void **state) {
    (void)state;
    begin(3);
    struct vcpu *bound = start(0, 10, 2), *other = start(1, 10, 2);
    assert_int_equal(cpu_of(bound), 1);
    run_for(1000 * MS);
    assert_int_equal(ran(bound), 500 * MS);
    assert_int_equal(ran(other), 500 * MS);
    assert_true(machine.cpu[0].idle && machine.cpu[2].idle);
    /* More important, but not there: nobody is disturbed. */
    start(2, 90, 4);
    assert_int_equal(cpu_of(&vcpus[2]), 2);
    struct vcpu *nowhere = start(3, 90, 8); /* a CPU that is not online */
    assert_int_equal(nowhere->state, VCPU_READY);
    nowhere->affinity = 7;
    finish(4);
}

/* Pushed aside on its CPU, a vCPU finds room on another, whose own is pushed aside in its turn. */
static void test_cascade(void **state) {
    (void)state;
    begin(3);
    struct vcpu *a = start(0, 30, 7), *b = start(1, 20, 6), *c = start(2, 10, 4);
    assert_int_equal(cpu_of(a), 0);
    assert_int_equal(cpu_of(b), 1);
    assert_int_equal(cpu_of(c), 2);
    struct vcpu *d = start(3, 40, 1);
    assert_int_equal(cpu_of(d), 0);
    assert_int_equal(cpu_of(a), 2);
    assert_int_equal(cpu_of(b), 1);
    assert_int_equal(cpu_of(c), -1);
    finish(4);
}

/* Equals share all CPUs that they may use, also when one CPU takes turns already. */
static void test_fair_choice(void **state) {
    (void)state;
    begin(2);
    start(0, 10, 1);
    start(1, 10, 3);
    start(2, 10, 1); /* CPU 0 takes turns from now on */
    run_for(1 * MS);
    struct vcpu *late = start(3, 10, 3);
    run_for(200 * MS);
    assert_true(ran(late) >= 60 * MS);
    finish(4);
}

static void test_overcommit(void **state) {
    (void)state;
    begin(2);
    for (unsigned i = 0; i < 10; i++)
        start(i, 10, 3);
    run_for(5000 * MS);
    uint64_t sum = 0;
    for (unsigned i = 0; i < 10; i++) {
        assert_in_range(ran(&vcpus[i]), 960 * MS, 1040 * MS);
        sum += ran(&vcpus[i]);
    }
    assert_int_equal(sum, 10000 * MS);
    finish(10);
}

/* ---- sleeping and waking */

static void test_sleep_and_wake(void **state) {
    (void)state;
    begin(1);
    struct vcpu *vcpu = start(0, 10, 1);
    give_back(0, VCPU_RUN_BLOCK);
    assert_int_equal(vcpu->state, VCPU_BLOCKED);
    run_for(100 * MS);
    assert_int_equal(ran(vcpu), 0);
    assert_int_equal(machine.interrupts[0], 0); /* a machine at rest is at rest */
    sched_wake(vcpu);
    settle();
    assert_int_equal(cpu_of(vcpu), 0);
    sched_wake(vcpu); /* runs already: nothing */
    assert_int_equal(vcpu->state, VCPU_RUNNING);
    give_back(0, VCPU_RUN_BLOCK);
    finish(1);
}

static void test_pending_at_block(void **state) {
    (void)state;
    begin(1);
    struct vcpu *vcpu = start(0, 10, 1);
    pending[0] = true;
    give_back(0, VCPU_RUN_BLOCK);
    assert_int_equal(cpu_of(vcpu), 0);
    pending[0] = false;
    vcpu->requests = WAKE;
    give_back(0, VCPU_RUN_BLOCK);
    assert_int_equal(cpu_of(vcpu), 0);
    finish(1);
}

/* A request that comes between the run loop's last look and the sleep, and turns out to be for nothing, must
 * not stay: the next request with its bit would wake nobody. */
static void test_stale_request(void **state) {
    (void)state;
    begin(2);
    struct vcpu *vcpu = start(0, 10, 1);
    vcpu->requests = WAKE;
    give_back(0, VCPU_RUN_BLOCK);
    settle(); /* it ran once more and took the request */
    assert_int_equal(vcpu->requests, 0);
    give_back(0, VCPU_RUN_BLOCK);
    assert_int_equal(vcpu->state, VCPU_BLOCKED);
    request(vcpu, WAKE);
    settle();
    assert_int_equal(cpu_of(vcpu), 0);

    /* Who comes later than the look at the requests sees the state, and wakes. */
    while_blocking = wake_elsewhere;
    give_back(0, VCPU_RUN_BLOCK);
    assert_int_equal(vcpu->state, VCPU_BLOCKED);
    on_cpu(1);
    sched_wake(vcpu);
    settle();
    assert_int_equal(cpu_of(vcpu), 0);
    finish(1);
}

/* ---- budgets */

static void test_budget(void **state) {
    (void)state;
    begin(1);
    struct vcpu *greedy = start_budget(0, 50, 20 * MS, 100 * MS), *low = start(1, 10, 1);
    run_for(20 * MS - 1);
    assert_int_equal(cpu_of(greedy), 0);
    run_for(1);
    assert_int_equal(cpu_of(low), 0);
    run_for(80 * MS - 1);
    assert_int_equal(cpu_of(low), 0);
    run_for(1); /* a new period */
    assert_int_equal(cpu_of(greedy), 0);
    run_for(900 * MS);
    assert_int_equal(ran(greedy), 200 * MS);
    assert_int_equal(ran(low), 800 * MS);
    finish(2);
}

/* What wakes while out of budget waits for the next period; what sleeps keeps what it has. */
static void test_budget_asleep(void **state) {
    (void)state;
    begin(1);
    struct vcpu *vcpu = start_budget(0, 50, 20 * MS, 100 * MS);
    run_for(15 * MS);
    give_back(0, VCPU_RUN_BLOCK);
    run_for(25 * MS);
    request(vcpu, WAKE);
    settle();
    run_for(5 * MS); /* the rest of the budget */
    assert_int_equal(cpu_of(vcpu), -1);
    assert_int_equal(ran(vcpu), 20 * MS);
    request(vcpu, WAKE);
    settle();
    assert_int_equal(cpu_of(vcpu), -1);
    run_for(54 * MS);
    assert_int_equal(cpu_of(vcpu), -1);
    run_for(1 * MS);
    assert_int_equal(cpu_of(vcpu), 0);

    /* Blocks exactly when the budget ends: stays asleep over the new period. */
    run_for(20 * MS - 1);
    test_time++;
    give_back(0, VCPU_RUN_BLOCK);
    assert_int_equal(vcpu->throttled, 1);
    run_for(300 * MS);
    assert_int_equal(vcpu->state, VCPU_BLOCKED);
    assert_int_equal(ran(vcpu), 40 * MS);
    sched_wake(vcpu);
    settle();
    assert_int_equal(cpu_of(vcpu), 0);
    finish(1);
}

/* The whole period as budget: never out of it, and never lost. */
static void test_budget_is_period(void **state) {
    (void)state;
    begin(1);
    struct vcpu *vcpu = start_budget(0, 50, 100 * MS, 100 * MS);
    start(1, 10, 1);
    run_for(10000 * MS);
    assert_in_range(ran(vcpu), 9990 * MS, 10000 * MS);
    assert_int_equal(cpu_of(vcpu), 0);
    finish(2);
}

/* The CPU was held for long (interrupts off): budget and period end in one moment, the budget is used up and
 * so is the next one. */
static void test_budget_overrun(void **state) {
    (void)state;
    begin(1);
    struct vcpu *vcpu = start_budget(0, 50, 1 * MS, 10 * MS);
    test_time += 500 * MS;
    run_for(0);
    /* Whatever it used beyond its budget: it comes back within a period, not never. */
    uint64_t before = ran(vcpu);
    run_for(100 * MS);
    assert_in_range(ran(vcpu) - before, 8 * MS, 11 * MS);
    /* A refill while it runs, and all of it gone before the CPU looks. */
    while (cpu_of(vcpu) < 0)
        run_for(100000);
    timer_cancel(&vcpu->replenish);
    test_time += 1 * MS;
    give_back(0, VCPU_RUN_RESCHEDULE);
    assert_int_equal(vcpu->throttled, 1);
    assert_true(timer_armed(&vcpu->replenish));
    before = ran(vcpu);
    run_for(100 * MS);
    assert_true(ran(vcpu) - before >= 8 * MS);
    finish(1);
}

/* The end of a budget that is seen late: what was used beyond it comes off the next one, so that over several
 * periods it gets what the config says. Of more than one whole budget the rest is forgiven. */
static void test_budget_debt(void **state) {
    (void)state;
    begin(1);
    struct vcpu *vcpu = start_budget(0, 50, 20 * MS, 100 * MS);
    test_time += 26 * MS;
    run_for(0);
    assert_int_equal(cpu_of(vcpu), -1);
    assert_int_equal(ran(vcpu), 26 * MS);
    run_for(74 * MS); /* the second period */
    assert_int_equal(cpu_of(vcpu), 0);
    run_for(14 * MS - 1);
    assert_int_equal(cpu_of(vcpu), 0);
    run_for(1);
    assert_int_equal(cpu_of(vcpu), -1);
    run_for(86 * MS + 19 * MS); /* into the third, which has all of its budget */
    assert_int_equal(cpu_of(vcpu), 0);

    /* 51 too many: the fourth period goes, the fifth is whole. */
    test_time += 52 * MS;
    run_for(0);
    assert_int_equal(cpu_of(vcpu), -1);
    run_for(29 * MS);
    assert_int_equal(cpu_of(vcpu), -1);
    const uint64_t before = ran(vcpu);
    run_for(100 * MS - 1);
    assert_int_equal(ran(vcpu), before);
    run_for(1);
    assert_int_equal(cpu_of(vcpu), 0);
    run_for(100 * MS);
    assert_int_equal(ran(vcpu), before + 20 * MS);
    finish(1);
}

/* The time before a new period is not charged to it. */
static void test_budget_charge(void **state) {
    (void)state;
    begin(1);
    struct vcpu *vcpu = start_budget(0, 50, 40 * MS, 100 * MS);
    give_back(0, VCPU_RUN_BLOCK);
    run_for(70 * MS);
    request(vcpu, WAKE);
    settle();
    run_for(30 * MS); /* 30 of the old budget, then a new one of 40 */
    assert_int_equal(cpu_of(vcpu), 0);
    run_for(40 * MS - 1);
    assert_int_equal(cpu_of(vcpu), 0);
    run_for(1);
    assert_int_equal(cpu_of(vcpu), -1);
    assert_int_equal(ran(vcpu), 70 * MS);
    finish(1);
}

/* A periodic guest of high priority keeps its deadlines beside one that spins. */
static void test_real_time(void **state) {
    (void)state;
    begin(1);
    struct vcpu *real = start(0, 90, 1);
    start(1, 10, 1);
    start(2, 10, 1);
    for (unsigned i = 0; i < 100; i++) {
        give_back(0, VCPU_RUN_BLOCK);
        run_for(10 * MS - 200000 + (i % 7) * 10);
        request(real, WAKE);
        settle();
        assert_int_equal(cpu_of(real), 0);
        run_for(200000);
        assert_int_equal(cpu_of(real), 0);
    }
    finish(3);
}

/* ---- parking */

static void test_park(void **state) {
    (void)state;
    begin(2);
    struct vcpu *running = start(0, 20, 1), *waiting = start(1, 10, 1), *asleep = start(2, 10, 2);
    give_back(1, VCPU_RUN_BLOCK);
    for (unsigned i = 0; i < 3; i++)
        request(&vcpus[i], VCPU_REQUEST_PARK);
    settle();
    assert_int_equal(parked, 3);
    assert_int_equal(running->state, VCPU_PARKED);
    assert_int_equal(waiting->state, VCPU_PARKED);
    assert_int_equal(asleep->state, VCPU_PARKED);
    sched_wake(asleep); /* no effect on who is outside */
    run_for(100 * MS);
    assert_int_equal(asleep->state, VCPU_PARKED);
    for (unsigned i = 0; i < 3; i++) {
        vcpus[i].requests = 0;
        sched_unpark(&vcpus[i]);
    }
    settle();
    assert_int_equal(cpu_of(running), 0);
    assert_int_equal(cpu_of(asleep), 1);
    finish(3);
}

/* One that would not have a CPU for long parks all the same, and so does one that blocks or is pushed aside
 * just as the request comes. */
static void test_park_starved(void **state) {
    (void)state;
    begin(1);
    start(0, 90, 1);
    struct vcpu *low = start(1, 1, 1);
    assert_int_equal(low->state, VCPU_READY);
    request(low, VCPU_REQUEST_PARK);
    assert_int_equal(parked, 1);
    assert_int_equal(low->state, VCPU_PARKED);
    assert_false(sched_park(low));
    low->requests = 0;
    sched_unpark(low);
    static const enum vcpu_run_result results[] = {VCPU_RUN_BLOCK, VCPU_RUN_RESCHEDULE};
    for (unsigned i = 0; i < 2; i++) {
        vcpus[0].requests = VCPU_REQUEST_PARK;
        assert_false(sched_park(&vcpus[0]));
        give_back(0, results[i]);
        assert_int_equal(parked, 2 + i);
        assert_int_equal(vcpus[0].state, VCPU_PARKED);
        assert_int_equal(cpu_of(low), 0);
        vcpus[0].requests = 0;
        sched_unpark(&vcpus[0]);
        settle();
        assert_int_equal(cpu_of(&vcpus[0]), 0);
    }
    finish(2);
}

/* Out of budget, a vCPU still parks at once, and has to wait for its budget when it comes back. */
static void test_park_throttled(void **state) {
    (void)state;
    begin(1);
    struct vcpu *vcpu = start_budget(0, 50, 10 * MS, 100 * MS);
    run_for(11 * MS);
    assert_int_equal(cpu_of(vcpu), -1);
    request(vcpu, VCPU_REQUEST_PARK);
    settle();
    assert_int_equal(parked, 1);
    vcpu->requests = 0;
    sched_unpark(vcpu);
    settle();
    assert_int_equal(cpu_of(vcpu), -1);
    run_for(89 * MS);
    assert_int_equal(cpu_of(vcpu), 0);
    assert_int_equal(ran(vcpu), 10 * MS);

    /* Parked over the new period: a budget waits for it. */
    run_for(10 * MS);
    request(vcpu, VCPU_REQUEST_PARK);
    settle();
    run_for(200 * MS);
    vcpu->requests = 0;
    sched_unpark(vcpu);
    settle();
    assert_int_equal(cpu_of(vcpu), 0);
    finish(1);
}

/* A machine is prepared in steps, between which others have their turn; a request to park comes between two
 * steps. */
static void test_prepare(void **state) {
    (void)state;
    begin(1);
    struct vcpu *vcpu = make(0, 10, 1);
    prepare_steps = 5;
    vcpu->requests = VCPU_REQUEST_LOAD;
    on_cpu(0);
    sched_unpark(vcpu);
    for (unsigned i = 0; i < 2; i++) {
        struct vcpu *chosen = sched_choose();
        assert_ptr_equal(chosen, vcpu);
        sched_put(vcpu, sched_run(vcpu));
    }
    assert_int_equal(prepare_steps, 3);
    assert_ptr_equal(sched_choose(), vcpu);
    vcpu->requests |= VCPU_REQUEST_PARK; /* it has just been chosen */
    sched_put(vcpu, sched_run(vcpu));
    assert_int_equal(parked, 1);
    assert_int_equal(prepare_steps, 3);
    vcpu->requests &= ~VCPU_REQUEST_PARK;
    sched_unpark(vcpu);
    settle();
    assert_int_equal(prepare_steps, 0);
    assert_int_equal(vcpu->requests, 0);
    assert_int_equal(cpu_of(vcpu), 0);
    finish(1);
}

/* ---- work beside guests */

static unsigned worked;
static struct work idle_work;

static void do_work(struct work *work) {
    (void)work;
    worked++;
}

static void test_work(void **state) {
    (void)state;
    begin(2);
    idle_work.function = do_work;
    worked = 0;
    work_queue(&machine.cpu[1], &idle_work); /* to a CPU that has not looked yet, or sleeps */
    settle();
    assert_int_equal(worked, 1);
    settle();
    assert_true(machine.cpu[1].idle);
    on_cpu(0);
    work_queue(&machine.cpu[1], &idle_work);
    assert_int_equal(machine.kicks[1], 2);
    settle();
    assert_int_equal(worked, 2);
    struct vcpu *vcpu = start(0, 10, 1); /* a guest makes room for it, and goes on */
    work_queue(&machine.cpu[0], &idle_work);
    settle();
    assert_int_equal(worked, 3);
    assert_int_equal(cpu_of(vcpu), 0);
    finish(1);
}

/* ---- everything at once: whoever is ready is no more important than what runs where it may run */

static void check(unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        const struct vcpu *vcpu = &vcpus[i];
        assert_int_equal(vcpu->state == VCPU_RUNNING, cpu_of(vcpu) >= 0);
        assert_int_equal(vcpu->state == VCPU_READY, !list_empty(&vcpu->ready));
        if (vcpu->throttled) {
            assert_int_not_equal(vcpu->state, VCPU_READY);
            assert_true(timer_armed(&vcpu->replenish));
        }
        for (unsigned c = 0; c < machine.cpus; c++) {
            if (!(vcpu->affinity >> c & 1))
                continue;
            const struct vcpu *current = machine.runs[c];
            if (vcpu->state == VCPU_READY) {
                assert_non_null(current);
                assert_true(current->priority >= vcpu->priority);
                /* An equal has been promised a turn. */
                if (current->priority == vcpu->priority && machine.cpus == 1)
                    assert_true(machine.cpu[c].slice_end != UINT64_MAX);
            }
        }
        if (vcpu->state == VCPU_RUNNING)
            assert_true(vcpu->affinity >> cpu_of(vcpu) & 1);
    }
}

static void random_run(unsigned cpus, unsigned seed) {
    begin(cpus);
    srand(seed);
    for (unsigned i = 0; i < VCPUS; i++) {
        /* All may run everywhere: then no one waits for a CPU that somebody else could leave. */
        struct vcpu *vcpu = make(i, (uint8_t)(rand() % 3), 0xf);
        if (rand() % 3 == 0) {
            vcpu->period = (1 + (uint64_t)rand() % 50) * MS;
            vcpu->budget = vcpu->budget_left = 100000 + (uint64_t)rand() % vcpu->period;
            if (vcpu->budget > vcpu->period)
                vcpu->budget = vcpu->budget_left = vcpu->period;
        }
        sched_unpark(vcpu);
    }
    for (unsigned step = 0; step < 2500; step++) {
        unsigned which = (unsigned)rand() % VCPUS, cpu = (unsigned)rand() % cpus;
        switch (rand() % 6) {
        case 0:
        case 1:
            on_cpu(cpu);
            request(&vcpus[which], WAKE);
            break;
        case 2:
            if (machine.runs[cpu])
                give_back(cpu, VCPU_RUN_BLOCK);
            break;
        case 3:
            if (vcpus[which].state == VCPU_PARKED) {
                on_cpu(cpu);
                vcpus[which].requests = 0;
                sched_unpark(&vcpus[which]);
            } else if (rand() % 8 == 0) {
                on_cpu(cpu);
                request(&vcpus[which], VCPU_REQUEST_PARK);
            }
            break;
        default:
            run_for((uint64_t)rand() % (7 * MS));
        }
        settle();
        check(VCPUS);
    }
    finish(VCPUS);
}

static void test_random(void **state) {
    (void)state;
    for (unsigned seed = 1; seed <= 6; seed++)
        random_run(1 + seed % 4, seed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_priority),
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_rest_of_slice),
        cmocka_unit_test(test_late_equal),
        cmocka_unit_test(test_slice_beside_budget),
        cmocka_unit_test(test_pause_gives_turn),
        cmocka_unit_test(test_spread),
        cmocka_unit_test(test_least_first),
        cmocka_unit_test(test_affinity),
        cmocka_unit_test(test_cascade),
        cmocka_unit_test(test_fair_choice),
        cmocka_unit_test(test_overcommit),
        cmocka_unit_test(test_sleep_and_wake),
        cmocka_unit_test(test_pending_at_block),
        cmocka_unit_test(test_stale_request),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_budget_asleep),
        cmocka_unit_test(test_budget_is_period),
        cmocka_unit_test(test_budget_overrun),
        cmocka_unit_test(test_budget_debt),
        cmocka_unit_test(test_budget_charge),
        cmocka_unit_test(test_real_time),
        cmocka_unit_test(test_park),
        cmocka_unit_test(test_park_starved),
        cmocka_unit_test(test_park_throttled),
        cmocka_unit_test(test_prepare),
        cmocka_unit_test(test_work),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
