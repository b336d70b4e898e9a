// SPDX-License-Identifier: Apache-2.0
// The set of CPUs, and work that one leaves for another.
// unit-sources: core/cpu.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/cpu.h"
#include "core/log.h"

struct cpu *test_cpu;
uint64_t test_time;

static struct cpu cpus[MAX_CPUS + 1];
static unsigned kicks[MAX_CPUS];
static jmp_buf panicked;

void arch_cpu_kick(struct cpu *cpu) {
    kicks[cpu->number]++;
}

void panic(const char *format, ...) {
    (void)format;
    longjmp(panicked, 1);
}

static char ran[32];
static struct work work[4];
static unsigned again; /* number of the work that queues itself once more */

static void function(struct work *which) {
    size_t used = strlen(ran);
    unsigned number = (unsigned)(which - work);

    assert_int_equal(which->queued, 0);
    assert_int_equal(test_cpu->work_lock.next, test_cpu->work_lock.owner);
    ran[used] = (char)('0' + number);
    ran[used + 1] = 0;
    if (number == again)
        work_queue(test_cpu, which);
}

static int setup(void **state) {
    (void)state;
    for (unsigned i = cpu_count(); i < 2; i++) {
        cpus[i].id = 10 + i;
        assert_int_equal(cpu_register(&cpus[i]), i);
    }
    memset(kicks, 0, sizeof(kicks));
    memset(work, 0, sizeof(work));
    for (unsigned i = 0; i < 4; i++)
        work[i].function = function;
    ran[0] = 0;
    again = UINT32_MAX;
    cpus[0].reschedule = cpus[1].reschedule = 0;
    test_cpu = &cpus[0];
    return 0;
}

static void test_order(void **state) {
    (void)state;
    work_run(); /* nothing waits */
    assert_string_equal(ran, "");
    for (unsigned i = 0; i < 3; i++)
        work_queue(&cpus[1], &work[i]);
    work_queue(&cpus[1], &work[0]); /* waits already */
    work_queue(&cpus[0], &work[3]);
    /* A guest that runs there is to make room, and the CPU to notice. */
    assert_int_equal(cpus[1].reschedule, 1);
    assert_int_equal(kicks[1], 3);
    work_run();
    assert_string_equal(ran, "3");
    test_cpu = &cpus[1];
    work_run();
    assert_string_equal(ran, "3012");
    work_run();
    assert_string_equal(ran, "3012");
    work_queue(&cpus[1], &work[0]); /* and once more */
    work_run();
    assert_string_equal(ran, "30120");
}

/* Work that queues itself waits for the next round, behind what came meanwhile. */
static void test_again(void **state) {
    (void)state;
    again = 1;
    for (unsigned i = 0; i < 3; i++)
        work_queue(&cpus[0], &work[i]);
    cpus[0].reschedule = 0;
    work_run();
    assert_string_equal(ran, "012");
    assert_int_equal(cpus[0].reschedule, 1);
    work_queue(&cpus[0], &work[3]);
    again = UINT32_MAX;
    work_run();
    assert_string_equal(ran, "01213");
    assert_true(list_empty(&cpus[0].work));
}

static void test_registry(void **state) {
    (void)state;
    assert_int_equal(cpu_count(), 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_ptr_equal(cpu_get(i), &cpus[i]);
        assert_ptr_equal(cpus[i].self, &cpus[i]);
        assert_int_equal(cpus[i].number, i);
        assert_int_equal(cpus[i].id, 10 + i);
        assert_int_equal(cpus[i].timer_programmed, UINT64_MAX);
        assert_true(list_empty(&cpus[i].timers));
    }
    if (!setjmp(panicked)) {
        cpu_get(2);
        fail();
    }
    for (unsigned i = 2; i < MAX_CPUS; i++)
        assert_int_equal(cpu_register(&cpus[i]), i);
    if (!setjmp(panicked)) {
        cpu_register(&cpus[MAX_CPUS]);
        fail();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_order, setup),
        cmocka_unit_test_setup(test_again, setup),
        cmocka_unit_test_setup(test_registry, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
