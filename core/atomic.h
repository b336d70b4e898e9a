// SPDX-License-Identifier: Apache-2.0
// Spin locks and the small helpers that everything in core/ uses.
#ifndef SAGUARO_CORE_ATOMIC_H
#define SAGUARO_CORE_ATOMIC_H

#include "core/arch.h"

struct spinlock {
    uint16_t next;
    uint16_t owner;
};

static inline bool spin_try_lock(struct spinlock *lock) {
    uint16_t owner = __atomic_load_n(&lock->owner, __ATOMIC_RELAXED);
    uint16_t expected = owner;
    return __atomic_compare_exchange_n(&lock->next, &expected, (uint16_t)(owner + 1), false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

/* By tickets, and so fair. An architecture whose CPUs may take turns on one thread of an emulator defines
 * ARCH_SPIN_UNFAIR: there a lock that two CPUs want often would change hands once a turn, and nobody get on.
 */
static inline void spin_lock(struct spinlock *lock) {
#ifdef ARCH_SPIN_UNFAIR
    while (!spin_try_lock(lock))
        cpu_relax();
#else
    uint16_t ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&lock->owner, __ATOMIC_ACQUIRE) != ticket)
        cpu_relax();
#endif
}

static inline void spin_unlock(struct spinlock *lock) {
    __atomic_store_n(&lock->owner, (uint16_t)(lock->owner + 1), __ATOMIC_RELEASE);
}

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
#define array_count(a)                      (sizeof(a) / sizeof((a)[0]))

#endif
