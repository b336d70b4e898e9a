// SPDX-License-Identifier: Apache-2.0
// The host's timer on PowerPC: what the decrementer is told, so that an interrupt comes for each deadline.
// unit-sources: arch/ppc/clock.c
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "arch/ppc/clock.h"
#include "arch/ppc/instructions.h"
#include "core/arch.h"

struct cpu *test_cpu;
uint64_t test_time;
static uint64_t timebase;
static uint32_t decrementer;

uint64_t timebase_read(void) {
    return timebase;
}

uint64_t clock_scale(uint64_t value, uint64_t ratio) {
    return (uint64_t)((unsigned __int128)value * ratio >> 32);
}

void spr_write(unsigned spr, uint32_t value) {
    assert_int_equal(spr, SPR_DEC);
    decrementer = value;
}

static uint32_t programmed(uint64_t deadline) {
    decrementer = 0x12345678;
    arch_timer_program(deadline);
    return decrementer;
}

/* The interrupt comes with the step from 1 to 0 (e500 core manual, 2.6.4): 0 would be never. */
static void test_deadlines(void **state) {
    (void)state;
    assert_int_equal(clock_start(999999), -EINVAL);
    assert_int_equal(clock_start(400000000), 0);
    test_time = 1000000;
    assert_int_equal(programmed(0), 1);
    assert_int_equal(programmed(999999), 1);
    assert_int_equal(programmed(1000000), 1);
    assert_in_range(programmed(1000001), 1, 2);
    assert_in_range(programmed(2000000), 400000, 400001);
    assert_int_equal(programmed(1000000 + 3600 * 1000000000ull), UINT32_MAX);
    assert_int_equal(programmed(UINT64_MAX - 1), UINT32_MAX);
    assert_int_equal(programmed(UINT64_MAX), 0); /* none */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_deadlines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
