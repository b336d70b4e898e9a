// SPDX-License-Identifier: Apache-2.0
// A spin lock of CPUs that take turns on one thread: who waits for it does not keep its holder from taking it
// again. Otherwise a lock that two want often changes hands once a turn (100 ms on QEMU's PowerPC board).
// unit-sources:
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#define TEST_CPU_RELAX
#define ARCH_SPIN_UNFAIR true
#include "core/atomic.h"

struct cpu *test_cpu;
uint64_t test_time;

static struct spinlock lock;
static unsigned turns;

/* The other CPU's turn while this one waits. */
void test_cpu_relax(void) {
    turns++;
    spin_unlock(&lock);
    for (unsigned i = 0; i < 1000; i++) {
        assert_true(spin_try_lock(&lock));
        spin_unlock(&lock);
    }
}

static void test_waiting(void **state) {
    (void)state;
    for (unsigned round = 0; round < 70000; round++) { /* the counters wrap */
        turns = 0;
        spin_lock(&lock);
        assert_int_equal(turns, 0);
        assert_false(spin_try_lock(&lock));
        spin_lock(&lock); /* of another CPU */
        assert_int_equal(turns, 1);
        assert_false(spin_try_lock(&lock));
        spin_unlock(&lock);
        round += 500;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_waiting)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
