// SPDX-License-Identifier: Apache-2.0
// Spin locks (ticket: fair) and the small helpers that everything in core/ uses.
#ifndef SAGUARO_CORE_ATOMIC_H
#define SAGUARO_CORE_ATOMIC_H

#include "core/arch.h"

struct spinlock {
    uint16_t next;
    uint16_t owner;
};

static inline void spin_lock(struct spinlock *lock) {
    uint16_t ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&lock->owner, __ATOMIC_ACQUIRE) != ticket)
        cpu_relax();
}

static inline bool spin_try_lock(struct spinlock *lock) {
    uint16_t owner = __atomic_load_n(&lock->owner, __ATOMIC_RELAXED);
    uint16_t expected = owner;
    return __atomic_compare_exchange_n(&lock->next, &expected, (uint16_t)(owner + 1), false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

static inline void spin_unlock(struct spinlock *lock) {
    __atomic_store_n(&lock->owner, (uint16_t)(lock->owner + 1), __ATOMIC_RELEASE);
}

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
#define array_count(a)                      (sizeof(a) / sizeof((a)[0]))

#endif
