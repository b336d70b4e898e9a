// SPDX-License-Identifier: Apache-2.0
// A host CPU as core/ sees it, deferred work on it, and the set of all of them.
#ifndef SAGUARO_CORE_CPU_H
#define SAGUARO_CORE_CPU_H

#include "core/atomic.h"
#include "core/list.h"

#define MAX_CPUS 64

struct work {
    struct list link;
    void (*function)(struct work *work);
    uint32_t queued; /* 1 while it waits */
};

/* The first member of each architecture's own per-CPU structure. */
struct cpu {
    struct cpu *self;
    struct vcpu *current; /* the vCPU that runs here, or NULL */
    uint32_t reschedule;  /* set by anyone: the vCPU's run loop must return to the scheduler */
    unsigned number;      /* 0..cpu_count()-1; 0 is the boot CPU */
    uint32_t id;          /* the hardware's number (local APIC ID, PIR) */
    bool online;
    bool
        absent; /* it did not start, or cannot run guests: it will not come online. Set before VMs are made */
    bool idle;  /* in or on the way into arch_cpu_idle(); guarded by the scheduler's lock */
    struct spinlock timer_lock;
    struct list timers;        /* sorted by deadline */
    uint64_t timer_programmed; /* what the hardware was last asked for */
    struct spinlock work_lock;
    struct list work;
    uint64_t idle_time;   /* ns, of sleeps that are over */
    uint64_t idle_since;  /* time_now() when the present one began; 0: it is awake */
    uint64_t slice_end;   /* when the running vCPU's slice is over; see sched.c */
    struct vm *window_vm; /* whose memory this CPU's windows show */
};

/* Registers a CPU while it starts; the architecture has zeroed the structure and set `id`. Returns its
 * number. */
unsigned cpu_register(struct cpu *cpu);
unsigned cpu_count(void);
struct cpu *cpu_get(unsigned number); /* number < cpu_count() */

/* Runs `work->function` on `cpu` soon, between two guest entries and with interrupts off. A queued work is
 * not queued twice. */
void work_queue(struct cpu *cpu, struct work *work);
/* Runs what waits on this CPU; called by the scheduler's loop. */
void work_run(void);

#endif
