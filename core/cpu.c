// SPDX-License-Identifier: Apache-2.0
// The set of host CPUs, and work that one CPU leaves for another (or for itself, later).
#include "core/cpu.h"
#include "core/log.h"

static struct cpu *cpus[MAX_CPUS];
static unsigned registered;

unsigned cpu_register(struct cpu *cpu) {
    unsigned number = __atomic_fetch_add(&registered, 1, __ATOMIC_ACQ_REL);
    bug_if(number >= MAX_CPUS);
    cpu->self = cpu;
    cpu->number = number;
    list_init(&cpu->timers);
    list_init(&cpu->work);
    cpu->timer_programmed = UINT64_MAX;
    __atomic_store_n(&cpus[number], cpu, __ATOMIC_RELEASE);
    return number;
}

unsigned cpu_count(void) {
    return __atomic_load_n(&registered, __ATOMIC_ACQUIRE);
}

struct cpu *cpu_get(unsigned number) {
    bug_if(number >= cpu_count());
    return cpus[number];
}

void work_queue(struct cpu *cpu, struct work *work) {
    if (__atomic_exchange_n(&work->queued, 1, __ATOMIC_ACQ_REL))
        return;
    spin_lock(&cpu->work_lock);
    list_insert_before(&cpu->work, &work->link);
    spin_unlock(&cpu->work_lock);
    __atomic_store_n(&cpu->reschedule, 1, __ATOMIC_RELEASE);
    arch_cpu_kick(cpu);
}

void work_run(void) {
    struct cpu *cpu = cpu_this();

    /* Nearly always. Who adds to it asks the CPU to look again afterwards. */
    if (__atomic_load_n(&cpu->work.next, __ATOMIC_ACQUIRE) == &cpu->work)
        return;
    /* Only what waits now: work that queues itself again has its turn after the guests'. */
    struct list batch;
    list_init(&batch);
    spin_lock(&cpu->work_lock);
    if (!list_empty(&cpu->work)) {
        list_insert_before(&cpu->work, &batch);
        list_remove(&cpu->work);
    }
    spin_unlock(&cpu->work_lock);

    while (!list_empty(&batch)) {
        struct work *work = container_of(batch.next, struct work, link);
        list_remove(&work->link);
        /* Before the function looks at anything: who finds it queued still has left there what it is to see.
         */
        __atomic_exchange_n(&work->queued, 0, __ATOMIC_SEQ_CST);
        work->function(work);
    }
}
