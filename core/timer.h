// SPDX-License-Identifier: Apache-2.0
// One-shot timers on a CPU's queue, over the architecture's one-shot hardware timer.
#ifndef SAGUARO_CORE_TIMER_H
#define SAGUARO_CORE_TIMER_H

#include "core/cpu.h"

struct timer {
    struct list link;
    uint64_t deadline; /* time_now() units */
    void (*function)(struct timer *timer);
    struct cpu *cpu; /* the queue it is on, or was on last; NULL before the first arm */
};

/* Prepares a timer. `function` runs on the CPU that armed the timer, with interrupts off and no lock of the
 * queue held. */
void timer_init(struct timer *timer, void (*function)(struct timer *timer));

/* Arms (or moves) a timer on this CPU. A deadline in the past fires as soon as interrupts are taken.
 * The caller serialises arm and cancel of one timer (a device does it under its own lock). */
void timer_arm(struct timer *timer, uint64_t deadline);

/* Disarms. True: it was armed and will not fire. False: it was not armed, or its function is about to run or
 * runs on another CPU: the function must look at its device's state under the device's lock to see whether it
 * is still wanted. */
bool timer_cancel(struct timer *timer);

/* True while it waits on a queue. */
bool timer_armed(const struct timer *timer);

/* Called by the architecture's timer interrupt: fires what is due and programs the next deadline. */
void timer_interrupt(void);

/* Prepares this CPU's queue. */
void timer_cpu_init(struct cpu *cpu);

#endif
