// SPDX-License-Identifier: Apache-2.0
// A machine of several CPUs for unit tests of core/'s scheduler, timers and VMs: each CPU runs what the
// scheduler gives it, and time goes from one event to the next. Included by one file of a test program, which
// defines what its guests do: guest_step() and guest_pending().
#ifndef SAGUARO_TESTS_SCHED_FIXTURE_H
#define SAGUARO_TESTS_SCHED_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/log.h"
#include "core/sched.h"

struct cpu *test_cpu;
uint64_t test_time;

#define MS           1000000ull
#define MACHINE_CPUS 4u

static struct machine {
    struct cpu cpu[MACHINE_CPUS];
    struct vcpu *runs[MACHINE_CPUS];   /* what the scheduler gave each CPU */
    uint64_t hardware[MACHINE_CPUS];   /* its timer's deadline */
    unsigned interrupts[MACHINE_CPUS]; /* of the timer */
    unsigned kicks[MACHINE_CPUS];
    unsigned cpus;
} machine;

/* Whether a blocked vCPU has something to do. */
static bool guest_pending(struct vcpu *vcpu);

/* ---- what the architecture gives */

/* A kick may be slow: never with the scheduler's lock, for which this would wait for ever then. */
static void assert_unlocked(void) {
    static struct vcpu nobody;
    (void)sched_run_time(&nobody);
}

void arch_cpu_kick(struct cpu *cpu) {
    assert_unlocked();
    if (cpu != test_cpu)
        machine.kicks[cpu->number]++;
}

void arch_timer_program(uint64_t deadline) {
    machine.hardware[test_cpu->number] = deadline;
}

bool arch_vcpu_pending(struct vcpu *vcpu) {
    return guest_pending(vcpu);
}

void arch_interrupts_poll(void) {}

void arch_cpu_idle(void) {
    fail_msg("the simulated machine sleeps by itself");
}

void panic(const char *format, ...) {
    char text[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    fail_msg("panic: %s", text);
    abort();
}

/* ---- the machine */

static inline void on_cpu(unsigned number) {
    test_cpu = &machine.cpu[number];
}

/* cpu_register() counts for the whole program: the structures are made once and cleared for each test. */
static inline void machine_start(unsigned cpus) {
    static bool registered;

    for (unsigned i = 0; i < MACHINE_CPUS; i++) {
        if (!registered) {
            assert_int_equal(cpu_register(&machine.cpu[i]), i);
        } else {
            struct cpu *cpu = &machine.cpu[i];
            memset(cpu, 0, sizeof(*cpu));
            cpu->self = cpu;
            cpu->number = i;
            list_init(&cpu->work);
        }
        timer_cpu_init(&machine.cpu[i]);
        machine.runs[i] = NULL;
        machine.hardware[i] = UINT64_MAX;
        machine.interrupts[i] = machine.kicks[i] = 0;
    }
    registered = true;
    machine.cpus = cpus;
    test_time = 1000 * MS;
    for (unsigned i = 0; i < cpus; i++) {
        on_cpu(i);
        sched_cpu_init();
    }
    on_cpu(0);
}

/* The CPU looks at its queue and work until it runs something or sleeps. */
static inline void settle_one(unsigned number) {
    struct cpu *cpu = &machine.cpu[number];

    on_cpu(number);
    for (unsigned rounds = 0; !machine.runs[number] && !cpu->idle; rounds++) {
        assert_true(rounds < 1000); /* a CPU that finds neither work nor rest */
        machine.runs[number] = sched_choose();
        if (machine.runs[number])
            assert_ptr_equal(cpu->current, machine.runs[number]);
    }
}

/* A vCPU comes back to the scheduler. */
static inline void give_back(unsigned number, enum vcpu_run_result result) {
    struct vcpu *vcpu = machine.runs[number];

    assert_non_null(vcpu);
    on_cpu(number);
    machine.runs[number] = NULL;
    sched_put(vcpu, result);
    settle_one(number);
}

static inline int cpu_of(const struct vcpu *vcpu) {
    for (unsigned i = 0; i < machine.cpus; i++)
        if (machine.runs[i] == vcpu)
            return (int)i;
    return -1;
}

/* What every vCPU's run loop does: parks when asked to, leaves when the CPU is wanted. True: something
 * changed. */
static inline bool settle_guest(unsigned number) {
    struct cpu *cpu = &machine.cpu[number];
    struct vcpu *vcpu = machine.runs[number];

    if (!vcpu) {
        if (cpu->idle && !cpu->reschedule)
            return false;
        on_cpu(number);
        cpu->idle = false; /* as sched_sleep() does when it wakes */
        settle_one(number);
        return true;
    }
    if (vcpu->requests & VCPU_REQUEST_LOAD) {
        on_cpu(number);
        give_back(number, sched_run(vcpu));
    } else if (vcpu->requests & VCPU_REQUEST_PARK) {
        give_back(number, VCPU_RUN_PARK);
    } else if (cpu->reschedule) {
        vcpu->requests = 0;
        give_back(number, VCPU_RUN_RESCHEDULE);
    } else {
        vcpu->requests = 0; /* taken */
        return false;
    }
    return true;
}

static inline void settle(void) {
    bool changed = true;

    for (unsigned rounds = 0; changed; rounds++) {
        assert_true(rounds < 10000);
        changed = false;
        for (unsigned i = 0; i < machine.cpus; i++)
            changed |= settle_guest(i);
    }
    on_cpu(0);
}

static inline void timer_fires(unsigned number) {
    on_cpu(number);
    machine.hardware[number] = UINT64_MAX;
    machine.interrupts[number]++;
    timer_interrupt();
}

/* Lets the machine run until `time`. */
static inline void run_until(uint64_t time) {
    settle();
    for (;;) {
        unsigned next = 0;
        for (unsigned i = 1; i < machine.cpus; i++)
            if (machine.hardware[i] < machine.hardware[next])
                next = i;
        if (machine.hardware[next] > time)
            break;
        if (machine.hardware[next] > test_time)
            test_time = machine.hardware[next];
        timer_fires(next);
        settle();
    }
    test_time = time;
}

static inline void run_for(uint64_t ns) {
    run_until(test_time + ns);
}

#endif
