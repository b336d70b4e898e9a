// SPDX-License-Identifier: Apache-2.0
// Timers of core/: order, cancelling and moving them, also from inside a timer and from another CPU; what the
// hardware is asked for.
// unit-sources: core/timer.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "core/timer.h"

struct cpu *test_cpu;
uint64_t test_time;

static struct cpu cpus[2];
static uint64_t programmed[2];
static unsigned programs;

void arch_timer_program(uint64_t deadline) {
    programmed[test_cpu->number] = deadline;
    programs++;
}

static struct timer timers[8];
static char fired[64];
static void (*inside)(unsigned number); /* what a timer's function does besides */

static void function(struct timer *timer) {
    unsigned number = (unsigned)(timer - timers);
    size_t used = strlen(fired);

    /* Neither linked nor under the queue's lock while its function runs. */
    assert_false(timer_armed(timer));
    assert_int_equal(test_cpu->timer_lock.next, test_cpu->timer_lock.owner);
    fired[used] = (char)('0' + number);
    fired[used + 1] = 0;
    if (inside)
        inside(number);
}

static int setup(void **state) {
    (void)state;
    memset(cpus, 0, sizeof(cpus));
    for (unsigned i = 0; i < 2; i++) {
        cpus[i].number = i;
        timer_cpu_init(&cpus[i]);
        programmed[i] = UINT64_MAX;
    }
    test_cpu = &cpus[0];
    test_time = 1000;
    programs = 0;
    fired[0] = 0;
    inside = NULL;
    for (unsigned i = 0; i < 8; i++)
        timer_init(&timers[i], function);
    return 0;
}

/* The hardware's timer on this CPU goes off at `time`. */
static void interrupt_at(uint64_t time) {
    test_time = time;
    programmed[test_cpu->number] = UINT64_MAX;
    timer_interrupt();
}

static void test_order(void **state) {
    (void)state;
    timer_arm(&timers[0], 3000);
    timer_arm(&timers[1], 2000);
    timer_arm(&timers[2], 3000); /* behind its equal */
    timer_arm(&timers[3], 9000);
    assert_int_equal(programmed[0], 2000);
    assert_true(timer_armed(&timers[2]));

    interrupt_at(1999); /* early: nothing is lost */
    assert_string_equal(fired, "");
    assert_int_equal(programmed[0], 2000);
    interrupt_at(3000);
    assert_string_equal(fired, "102");
    assert_int_equal(programmed[0], 9000);
    assert_false(timer_armed(&timers[1]));
    interrupt_at(9001);
    assert_string_equal(fired, "1023");
    /* Nothing waits: the hardware stays silent. */
    assert_int_equal(programmed[0], UINT64_MAX);
    interrupt_at(20000);
    assert_string_equal(fired, "1023");
}

/* Only a deadline before what the hardware was asked for costs anything. */
static void test_programming(void **state) {
    (void)state;
    timer_arm(&timers[0], 5000);
    assert_int_equal(programs, 1);
    timer_arm(&timers[1], 6000);
    timer_arm(&timers[2], 5000);
    assert_int_equal(programs, 1);
    timer_arm(&timers[3], 4000);
    assert_int_equal(programs, 2);
    assert_true(timer_cancel(&timers[3]));
    timer_arm(&timers[4], 4500); /* the interrupt at 4000 comes first, and asks for it */
    assert_int_equal(programs, 2);
    interrupt_at(4000);
    assert_string_equal(fired, "");
    assert_int_equal(programmed[0], 4500);
    /* A deadline that has passed fires with the next interrupt. */
    timer_arm(&timers[5], 10);
    assert_int_equal(programmed[0], 10);
    interrupt_at(4001);
    assert_string_equal(fired, "5");
    assert_int_equal(programmed[0], 4500);
}

static void test_cancel_and_move(void **state) {
    (void)state;
    assert_false(timer_cancel(&timers[0])); /* never armed */
    timer_arm(&timers[0], 2000);
    assert_true(timer_cancel(&timers[0]));
    assert_false(timer_cancel(&timers[0]));
    timer_arm(&timers[0], 2000);
    timer_arm(&timers[0], 4000);
    timer_arm(&timers[1], 3000);
    interrupt_at(3500);
    assert_string_equal(fired, "1");
    timer_arm(&timers[0], 3600); /* forward */
    interrupt_at(3700);
    assert_string_equal(fired, "10");
}

static void cancel_next(unsigned number) {
    if (number == 0)
        assert_true(timer_cancel(&timers[1]));
}

static void rearm(unsigned number) {
    if (strlen(fired) < 3)
        timer_arm(&timers[number], test_time);
}

static void move_later(unsigned number) {
    if (number == 0)
        timer_arm(&timers[1], 8000);
}

/* A due timer whose turn has not come yet can still be taken away or moved. */
static void test_inside(void **state) {
    (void)state;
    timer_arm(&timers[0], 2000);
    timer_arm(&timers[1], 2000);
    timer_arm(&timers[2], 2000);
    inside = cancel_next;
    interrupt_at(2000);
    assert_string_equal(fired, "02");

    setup(NULL);
    timer_arm(&timers[0], 2000);
    timer_arm(&timers[1], 2000);
    inside = move_later;
    interrupt_at(2000);
    assert_string_equal(fired, "0");
    assert_int_equal(programmed[0], 8000);
    interrupt_at(8000);
    assert_string_equal(fired, "01");
}

/* One that arms itself for now has its turn with the next interrupt: no loop inside this one. */
static void test_endless(void **state) {
    (void)state;
    inside = rearm;
    timer_arm(&timers[0], 2000);
    interrupt_at(2000);
    assert_string_equal(fired, "0");
    assert_int_equal(programmed[0], 2000);
    interrupt_at(2001);
    assert_string_equal(fired, "00");
}

static void test_other_cpu(void **state) {
    (void)state;
    timer_arm(&timers[0], 2000);
    timer_arm(&timers[1], 2500);
    test_cpu = &cpus[1];
    assert_true(timer_cancel(&timers[0]));
    timer_arm(&timers[1], 3000); /* moves here */
    assert_true(list_empty(&cpus[0].timers));
    assert_int_equal(programmed[1], 3000);
    test_cpu = &cpus[0];
    interrupt_at(4000);
    assert_string_equal(fired, "");
    test_cpu = &cpus[1];
    interrupt_at(4000);
    assert_string_equal(fired, "1");
    assert_int_equal(cpus[0].timer_lock.next, cpus[0].timer_lock.owner);
    assert_int_equal(cpus[1].timer_lock.next, cpus[1].timer_lock.owner);
}

static void steal_due(unsigned number) {
    if (number != 0)
        return;
    test_cpu = &cpus[1];
    timer_arm(&timers[1], 7000);
    assert_true(timer_cancel(&timers[2]));
    test_cpu = &cpus[0];
}

/* Another CPU takes what is due here away while the first function runs. */
static void test_other_cpu_inside(void **state) {
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        timer_arm(&timers[i], 2000);
    inside = steal_due;
    interrupt_at(2000);
    assert_string_equal(fired, "03");
    test_cpu = &cpus[1];
    interrupt_at(7000);
    assert_string_equal(fired, "031");
}

/* Against a plain model: the earliest deadline first, equals in the order of arming. */
static void test_random(void **state) {
    uint64_t deadline[8], order[8], sequence = 0;
    (void)state;
    srand(7);
    memset(deadline, 0xff, sizeof(deadline));
    for (unsigned step = 0; step < 20000; step++) {
        unsigned n = (unsigned)rand() % 8;
        switch (rand() % 3) {
        case 0:
            deadline[n] = test_time + (uint64_t)rand() % 50;
            order[n] = sequence++;
            timer_arm(&timers[n], deadline[n]);
            break;
        case 1:
            assert_int_equal(timer_cancel(&timers[n]), deadline[n] != UINT64_MAX);
            deadline[n] = UINT64_MAX;
            break;
        default: {
            char expected[16] = "";
            uint64_t now = test_time + (uint64_t)rand() % 20;
            for (unsigned count = 0;; count++) {
                int best = -1;
                for (int i = 0; i < 8; i++)
                    if (deadline[i] <= now && (best < 0 || deadline[i] < deadline[best] ||
                                               (deadline[i] == deadline[best] && order[i] < order[best])))
                        best = i;
                if (best < 0)
                    break;
                expected[count] = (char)('0' + best);
                deadline[best] = UINT64_MAX;
            }
            fired[0] = 0;
            interrupt_at(now);
            assert_string_equal(fired, expected);
        }
        }
        uint64_t first = UINT64_MAX;
        for (unsigned i = 0; i < 8; i++)
            first = deadline[i] < first ? deadline[i] : first;
        assert_true(programmed[0] <= first); /* never later than what waits */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_order, setup),
        cmocka_unit_test_setup(test_programming, setup),
        cmocka_unit_test_setup(test_cancel_and_move, setup),
        cmocka_unit_test_setup(test_inside, setup),
        cmocka_unit_test_setup(test_endless, setup),
        cmocka_unit_test_setup(test_other_cpu, setup),
        cmocka_unit_test_setup(test_other_cpu_inside, setup),
        cmocka_unit_test_setup(test_random, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
