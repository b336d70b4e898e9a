// SPDX-License-Identifier: Apache-2.0
// Timers on a CPU's sorted queue. A machine has few (some per vCPU), so that a list serves; most are armed
// near its front.
#include "core/timer.h"

void timer_cpu_init(struct cpu *cpu) {
    list_init(&cpu->timers);
    cpu->timer_programmed = UINT64_MAX;
}

void timer_init(struct timer *timer, void (*function)(struct timer *timer)) {
    list_init(&timer->link);
    timer->deadline = UINT64_MAX;
    timer->function = function;
    timer->cpu = NULL;
}

/* With the queue locked, on its own CPU: asks the hardware for the first deadline, if that is not what it was
 * asked for already. */
static void program(struct cpu *cpu) {
    uint64_t first = UINT64_MAX;
    if (!list_empty(&cpu->timers))
        first = container_of(cpu->timers.next, struct timer, link)->deadline;
    /* An interrupt that comes too early costs less than programming the hardware for each cancelled timer. */
    if (first < cpu->timer_programmed) {
        cpu->timer_programmed = first;
        arch_timer_program(first);
    }
}

/* Takes the timer off whatever queue it is on. True: it was on one. */
static bool dequeue(struct timer *timer) {
    struct cpu *cpu = __atomic_load_n(&timer->cpu, __ATOMIC_ACQUIRE);
    if (!cpu)
        return false;
    spin_lock(&cpu->timer_lock);
    bool armed = !list_empty(&timer->link);
    list_remove(&timer->link);
    spin_unlock(&cpu->timer_lock);
    return armed;
}

void timer_arm(struct timer *timer, uint64_t deadline) {
    struct cpu *cpu = cpu_this();

    if (timer->cpu && timer->cpu != cpu)
        dequeue(timer);
    spin_lock(&cpu->timer_lock);
    list_remove(&timer->link);
    timer->deadline = deadline;
    __atomic_store_n(&timer->cpu, cpu, __ATOMIC_RELEASE);
    struct list *at = cpu->timers.next;
    while (at != &cpu->timers && container_of(at, struct timer, link)->deadline <= deadline)
        at = at->next;
    list_insert_before(at, &timer->link);
    program(cpu);
    spin_unlock(&cpu->timer_lock);
}

bool timer_cancel(struct timer *timer) {
    return dequeue(timer);
}

bool timer_armed(const struct timer *timer) {
    return !list_empty(&timer->link);
}

void timer_interrupt(void) {
    struct cpu *cpu = cpu_this();
    uint64_t now = time_now();
    struct list due;
    list_init(&due);

    /* What becomes due while this runs waits for the next interrupt: the loops are bounded by the timers of
     * one moment. */
    spin_lock(&cpu->timer_lock);
    while (!list_empty(&cpu->timers)) {
        struct timer *timer = container_of(cpu->timers.next, struct timer, link);
        if (timer->deadline > now)
            break;
        list_remove(&timer->link);
        list_insert_before(&due, &timer->link);
    }
    /* A due timer stays linked until its turn, so that it can still be cancelled. */
    while (!list_empty(&due)) {
        struct timer *timer = container_of(due.next, struct timer, link);
        list_remove(&timer->link);
        spin_unlock(&cpu->timer_lock);
        timer->function(timer);
        spin_lock(&cpu->timer_lock);
    }
    cpu->timer_programmed = UINT64_MAX;
    program(cpu);
    spin_unlock(&cpu->timer_lock);
}
