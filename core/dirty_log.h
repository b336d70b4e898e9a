// SPDX-License-Identifier: Apache-2.0
// The log of the pages of a VM's RAM that have been written: by its vCPUs (the CPU's dirty bits or its
// page-modification log) and by everything that goes through guest_write() and guest_mark_dirty().
#ifndef SAGUARO_CORE_DIRTY_LOG_H
#define SAGUARO_CORE_DIRTY_LOG_H

#include <stdbool.h>
#include <stdint.h>

struct vm;

/* Begins a log in which every page counts as written. While it runs the VM's memory is mapped by 4 KiB pages.
 * 0; -EALREADY; -ENOMEM; -ENOTSUP: this CPU notes no writes. Boot CPU, as all of these. */
int dirty_log_start(struct vm *vm);
/* Ends it. Nothing happens where there is none. */
void dirty_log_stop(struct vm *vm);
bool dirty_log_runs(const struct vm *vm);

/*
 * Calls `found` for what has been written since the log was begun or last collected: runs of whole pages of
 * the backing, in order. A page that is written while this runs is in this collection, in the next, or in
 * both; its content may be read from `found` on. `found` may be NULL. 0; -EAGAIN: a vCPU did not leave its
 * guest within a moment: nothing was given out and nothing is lost; -EINVAL: there is no log.
 */
int dirty_log_collect(struct vm *vm, void (*found)(void *context, uint64_t offset, uint64_t size),
                      void *context);

#endif
