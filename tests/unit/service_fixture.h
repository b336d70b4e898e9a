// SPDX-License-Identifier: Apache-2.0
// What stands for the hypervisor and the architecture below the service VM's program in its unit tests: calls
// are recorded, memory is the test's own, the counter is what the test says.
#ifndef SAGUARO_TESTS_UNIT_SERVICE_FIXTURE_H
#define SAGUARO_TESTS_UNIT_SERVICE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "abi/service.h"
#include "service/arch.h"

#define array_count(array) (sizeof(array) / sizeof((array)[0]))

/* ---- calls */

struct call {
    uint32_t number, a, b, c, d;
    char text[SERVICE_MAX_TEXT + 1]; /* of LOG, NOTE and CRASH */
};

static struct call calls[1024];
static unsigned call_count;
static int call_result;                    /* of the next calls; LOG succeeds always */
static void (*call_hook)(uint32_t number); /* runs inside each call */
static const void *call_pointer;           /* what arch_physical() was last asked for */
static jmp_buf crashed;                    /* where a crash goes to, once expected */
static bool crash_expected;

int service_call(enum service_call number, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    struct call *call = &calls[call_count++];

    assert_true(call_count < array_count(calls));
    *call = (struct call){.number = number, .a = a, .b = b, .c = c, .d = d};
    if (number == SERVICE_CALL_LOG || number == SERVICE_CALL_NOTE || number == SERVICE_CALL_CRASH) {
        uint32_t length = number == SERVICE_CALL_CRASH ? b : c;
        assert_true(length <= SERVICE_MAX_TEXT);
        memcpy(call->text, call_pointer, length);
    }
    if (number == SERVICE_CALL_CRASH) {
        assert_true(crash_expected);
        longjmp(crashed, 1);
    }
    if (call_hook)
        call_hook(number);
    return number == SERVICE_CALL_LOG ? 0 : call_result;
}

uint32_t arch_physical(const void *address) {
    call_pointer = address;
    return (uint32_t)(uintptr_t)address;
}

void arch_die(void) {
    abort();
}

static inline unsigned calls_of(uint32_t number) {
    unsigned count = 0;

    for (unsigned i = 0; i < call_count; i++)
        count += calls[i].number == number;
    return count;
}

static inline void calls_reset(void) {
    call_count = 0;
    call_result = 0;
    call_hook = NULL;
    crash_expected = false;
}

/* The text with which `statement` ends the run; it must. */
#define assert_crash(statement, expected)                                                                    \
    do {                                                                                                     \
        crash_expected = true;                                                                               \
        if (!setjmp(crashed)) {                                                                              \
            statement;                                                                                       \
            fail_msg("it went on");                                                                          \
        }                                                                                                    \
        crash_expected = false;                                                                              \
        assert_non_null(strstr(calls[call_count - 1].text, expected));                                       \
    } while (0)

/* ---- the clock: a counter that the test sets */

static uint64_t counter;

uint64_t arch_counter(void) {
    return counter;
}

#endif
