// SPDX-License-Identifier: Apache-2.0
// The scheduler: fixed priorities, round robin inside one, an optional budget per period, affinity; one queue
// for all CPUs.
#ifndef SAGUARO_CORE_SCHED_H
#define SAGUARO_CORE_SCHED_H

#include "core/vm.h"

#define SCHED_SLICE 10000000ull /* ns: round robin inside one priority */

/* Each CPU ends its start-up here and never returns. */
__attribute__((noreturn)) void sched_loop(void);
/* What the loop consists of. sched_choose() gives the vCPU that is this CPU's from now on, or NULL: then
 * sched_sleep() waits for an interrupt, unless there is work. */
void sched_cpu_init(void);
struct vcpu *sched_choose(void);
enum vcpu_run_result sched_run(struct vcpu *vcpu);
void sched_put(struct vcpu *vcpu, enum vcpu_run_result result);
void sched_sleep(void);

/* Lets a parked vCPU run (ready at once). The caller has cleared VCPU_REQUEST_PARK under the VM's lock. */
void sched_unpark(struct vcpu *vcpu);
/* After VCPU_REQUEST_PARK has been set: true when the vCPU is not on a CPU, and so is parked now, however
 * long it would have waited for one. Else it parks by itself when it leaves its CPU, or is parked already. */
bool sched_park(struct vcpu *vcpu);
/* A blocked vCPU may have something to do: makes it ready. Nothing happens to others. */
void sched_wake(struct vcpu *vcpu);
/* ns that a vCPU has run so far, the present slice included. */
uint64_t sched_run_time(struct vcpu *vcpu);

#endif
