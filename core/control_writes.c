// SPDX-License-Identifier: Apache-2.0
// How much a guest writes: the action behind the shell's "writes". The log of written pages runs for
// a second; the answer comes as a line of the log.
#include <errno.h>
#include "core/control.h"
#include "core/dirty_log.h"
#include "core/log.h"
#include "core/vm.h"

#define SECOND 1000000000ull
#define TRIES  100u /* of a collection that a vCPU kept waiting */

/* One guest at a time. Boot CPU only. */
static struct {
    struct vm *vm; /* NULL: none */
    bool begun;    /* the log runs, and is empty since `since` */
    uint64_t since;
    uint64_t pages;
    unsigned tries;
    struct work work;
    struct timer timer;
} measure;

static void count(void *context, uint64_t offset, uint64_t size) {
    (void)context;
    (void)offset;
    measure.pages += size / PAGE_SIZE;
}

static void end(const char *why) {
    if (why)
        log_error("guest %s: what it writes cannot be measured: %s", measure.vm->name, why);
    dirty_log_stop(measure.vm);
    measure.vm = NULL;
}

static const char *reason(int error) {
    switch (error) {
    case -ENOTSUP:
        return "this CPU notes no writes";
    case -ENOMEM:
        return "not enough memory";
    case -EAGAIN:
        return "a vCPU did not leave its guest";
    default:
        return "its log is in use";
    }
}

/* Between two entries of guests, on the boot CPU. */
static void step(struct work *work) {
    int error = 0;

    if (!measure.begun && !dirty_log_runs(measure.vm))
        error = dirty_log_start(measure.vm);
    measure.pages = 0;
    if (!error)
        error = dirty_log_collect(measure.vm, count, NULL);
    if (error == -EAGAIN && ++measure.tries < TRIES) {
        work_queue(cpu_this(), work);
    } else if (error) {
        end(reason(error));
    } else if (!measure.begun) {
        measure.begun = true;
        measure.since = time_now();
        timer_arm(&measure.timer, measure.since + SECOND);
    } else {
        uint64_t ms = (time_now() - measure.since) / 1000000u;
        log_info("guest %s: wrote %llu of %llu pages in %llu.%03llu s", measure.vm->name,
                 (unsigned long long)measure.pages, (unsigned long long)(measure.vm->memory.size / PAGE_SIZE),
                 (unsigned long long)(ms / 1000), (unsigned long long)(ms % 1000));
        end(NULL);
    }
}

static void second_over(struct timer *timer) {
    (void)timer;
    measure.tries = 0;
    work_queue(cpu_this(), &measure.work);
}

int control_writes(struct vm *vm) {
    if (measure.vm || dirty_log_runs(vm))
        return -EBUSY;
    if (vm->state != VM_RUNNING)
        return -EINVAL;
    measure.vm = vm;
    measure.begun = false;
    measure.tries = 0;
    measure.work.function = step;
    if (!measure.timer.function)
        timer_init(&measure.timer, second_over);
    work_queue(cpu_this(), &measure.work);
    return 0;
}
