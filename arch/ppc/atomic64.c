// SPDX-License-Identifier: Apache-2.0
// Atomic operations on 64 bits and more, for a CPU whose own reach to 32: under one lock. The compiler calls
// these where core/ and lib/ use __atomic built-ins on uint64_t. Only the hypervisor's CPUs are kept apart: a
// guest's own accesses are not.
#include <string.h>
#include "core/atomic.h"

uint64_t atomic_load_8(const volatile void *at, int order) __asm__("__atomic_load_8");
void atomic_store_8(volatile void *at, uint64_t value, int order) __asm__("__atomic_store_8");
uint64_t atomic_exchange_8(volatile void *at, uint64_t value, int order) __asm__("__atomic_exchange_8");
bool atomic_compare_exchange_8(volatile void *at, void *expected, uint64_t desired, bool weak, int success,
                               int failure) __asm__("__atomic_compare_exchange_8");
uint64_t atomic_fetch_or_8(volatile void *at, uint64_t value, int order) __asm__("__atomic_fetch_or_8");
uint64_t atomic_fetch_and_8(volatile void *at, uint64_t value, int order) __asm__("__atomic_fetch_and_8");
uint64_t atomic_fetch_add_8(volatile void *at, uint64_t value, int order) __asm__("__atomic_fetch_add_8");

/* A lock of its own kind: its holder reads and writes the value and does nothing else. An interrupt handler
 * that is let in uses these functions too. */
static uint32_t lock;

static bool lock_take(void) {
    bool enabled = interrupts_save();
    while (__atomic_exchange_n(&lock, 1, __ATOMIC_SEQ_CST) != 0)
        cpu_relax();
    return enabled;
}

static void lock_release(bool enabled) {
    __atomic_store_n(&lock, 0, __ATOMIC_SEQ_CST);
    interrupts_restore(enabled);
}

uint64_t atomic_load_8(const volatile void *at, int order) {
    (void)order;
    bool enabled = lock_take();
    uint64_t value = *(const volatile uint64_t *)at;
    lock_release(enabled);
    return value;
}

void atomic_store_8(volatile void *at, uint64_t value, int order) {
    (void)order;
    bool enabled = lock_take();
    *(volatile uint64_t *)at = value;
    lock_release(enabled);
}

uint64_t atomic_exchange_8(volatile void *at, uint64_t value, int order) {
    (void)order;
    bool enabled = lock_take();
    uint64_t old = *(volatile uint64_t *)at;
    *(volatile uint64_t *)at = value;
    lock_release(enabled);
    return old;
}

bool atomic_compare_exchange_8(volatile void *at, void *expected, uint64_t desired, bool weak, int success,
                               int failure) {
    (void)weak;
    (void)success;
    (void)failure;
    bool enabled = lock_take();
    uint64_t old = *(volatile uint64_t *)at;
    bool equal = old == *(uint64_t *)expected;
    if (equal)
        *(volatile uint64_t *)at = desired;
    else
        *(uint64_t *)expected = old;
    lock_release(enabled);
    return equal;
}

uint64_t atomic_fetch_or_8(volatile void *at, uint64_t value, int order) {
    (void)order;
    bool enabled = lock_take();
    uint64_t old = *(volatile uint64_t *)at;
    *(volatile uint64_t *)at = old | value;
    lock_release(enabled);
    return old;
}

uint64_t atomic_fetch_and_8(volatile void *at, uint64_t value, int order) {
    (void)order;
    bool enabled = lock_take();
    uint64_t old = *(volatile uint64_t *)at;
    *(volatile uint64_t *)at = old & value;
    lock_release(enabled);
    return old;
}

uint64_t atomic_fetch_add_8(volatile void *at, uint64_t value, int order) {
    (void)order;
    bool enabled = lock_take();
    uint64_t old = *(volatile uint64_t *)at;
    *(volatile uint64_t *)at = old + value;
    lock_release(enabled);
    return old;
}

bool arch_compare_exchange_16(void *at, void *expected, const void *desired) {
    bool enabled = lock_take();
    bool equal = memcmp(at, expected, 16) == 0;
    if (equal)
        memcpy(at, desired, 16);
    else
        memcpy(expected, at, 16);
    lock_release(enabled);
    return equal;
}
