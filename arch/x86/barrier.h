// SPDX-License-Identifier: Apache-2.0
// What one VM leaves in a CPU's predictors, buffers and first-level cache, and the next one could make use
// of.
#ifndef SAGUARO_ARCH_X86_BARRIER_H
#define SAGUARO_ARCH_X86_BARRIER_H

#include <stdbool.h>
#include <stdint.h>

#define BARRIER_PREDICTORS 1u /* indirect branches are not predicted by what ran before (IBPB) */
#define BARRIER_CACHE      2u /* the first-level data cache is emptied (L1D_FLUSH) */
#define BARRIER_BUFFERS    4u /* fill, store and load buffers are overwritten (VERW) */

/* BARRIER_*: what barrier_between_vms() does on this CPU. */
uint32_t barrier_kinds(void);
/* Each CPU calls it before it runs a guest. Also keeps what guests have trained from the hypervisor's own
 * branches, where the CPU can do that by itself once told (enhanced or automatic IBRS). */
void barrier_cpu_init(void);
/* This CPU has run one VM and is about to run another one. */
void barrier_between_vms(void);

#endif
