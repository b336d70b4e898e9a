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
    if (__atomic_load_n(&lock->next, __ATOMIC_RELAXED) != owner)
        return false;
    return __atomic_compare_exchange_n(&lock->next, &expected, (uint16_t)(owner + 1), false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

/* An architecture may define ARCH_SPIN_UNFAIR, true or false, perhaps not before it runs. */
#ifndef ARCH_SPIN_UNFAIR
#define ARCH_SPIN_UNFAIR false
#endif

#define SPIN_LOOKS 100u /* at an unfair lock between two pauses: an emulator may make much of a pause */

/* By tickets, and so fair; or, where a CPU may stand still for a while that others do not (it is a thread, or
 * takes turns on one), whoever comes first has it. There a ticket would be kept for a CPU that stands still,
 * all others would spin for as long, and of a lock that two want often they would do so at each turn. */
static inline void spin_lock(struct spinlock *lock) {
    if (ARCH_SPIN_UNFAIR) {
        for (unsigned looks = 1; !spin_try_lock(lock); looks++) {
            if (looks % SPIN_LOOKS == 0)
                cpu_relax();
        }
        return;
    }
    uint16_t ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&lock->owner, __ATOMIC_ACQUIRE) != ticket)
        cpu_relax();
}

static inline void spin_unlock(struct spinlock *lock) {
    __atomic_store_n(&lock->owner, (uint16_t)(lock->owner + 1), __ATOMIC_RELEASE);
}

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
#define array_count(a)                      (sizeof(a) / sizeof((a)[0]))

#endif
