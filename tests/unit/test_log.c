// SPDX-License-Identifier: Apache-2.0
// The log: form, levels, order, loss, writers that interrupt one another; and what a panic says.
// unit-sources: core/log.c core/console.c core/panic.c
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "core/arch.h"
#include "core/log.h"
#include "tests/unit/host/capture.h"

struct cpu *test_cpu;
uint64_t test_time;

static jmp_buf stopped;

void arch_panic_stop(void) {
    longjmp(stopped, 1);
}

static char replayed[65536];
static unsigned replayed_lines;

static void replay_line(const char *line) {
    size_t used = strlen(replayed);
    snprintf(replayed + used, sizeof(replayed) - used, "%s\n", line);
    replayed_lines++;
}

static const char *replay(unsigned count) {
    replayed[0] = '\0';
    replayed_lines = 0;
    log_replay(count, replay_line);
    return replayed;
}

static void test_early(void **state) {
    (void)state;
    assert_string_equal(replay(5), "");
    log_info("before any console");
    console_add_device(&capture_device);
    /* A console that comes later is shown what was. */
    assert_string_equal(captured, "[    0.000000] before any console\r\n");
}

static void test_form(void **state) {
    (void)state;
    capture_clear();
    test_time = 12345678901ull;
    log_info("text %d %s", 5, "x");
    log_warning("w");
    log_error("e");
    log_debug("d");
    static const char shown[] =
        "[   12.345678] text 5 x\r\n[   12.345678] warning: w\r\n[   12.345678] error: e\r\n";
    assert_string_equal(captured, shown);
    assert_string_equal(replay(2), "[   12.345678] error: e\n[   12.345678] debug: d\n");
    capture_clear();
    log_set_level(LOG_DEBUG);
    log_debug("d2");
    log_set_level(LOG_ERROR);
    log_warning("w2");
    log_set_level(LOG_INFO);
    assert_string_equal(captured, "[   12.345678] debug: d2\r\n");
    /* A long line is cut at 240 bytes. */
    char text[400], expected[400];
    memset(text, 'x', sizeof(text));
    text[399] = '\0';
    capture_clear();
    log_info("%s", text);
    snprintf(expected, sizeof(expected), "[   12.345678] %.240s\r\n", text);
    assert_string_equal(captured, expected);
    capture_clear();
    log_error("%s", text);
    assert_int_equal(captured_length, 15 + 7 + 240 + 2);
    test_time = 1234567ull * 1000000000ull;
    capture_clear();
    log_info("late");
    assert_string_equal(captured, "[1234567.000000] late\r\n");
}

static void test_ring(void **state) {
    (void)state;
    test_time = 0;
    for (unsigned i = 0; i < 1300; i++)
        log_debug("line %u", i);
    replay(10000);
    assert_int_equal(replayed_lines, 512);
    assert_non_null(strstr(replayed, "line 788\n"));
    assert_null(strstr(replayed, "line 787\n"));
    assert_non_null(strstr(replayed, "line 1299\n"));
    assert_string_equal(replay(1), "[    0.000000] debug: line 1299\n");
    assert_string_equal(replay(0), "");
}

/* Somebody else, or an interrupted caller, has the consoles: nobody waits, nothing is lost. */
static void test_consoles_taken(void **state) {
    (void)state;
    capture_clear();
    assert_true(console_begin(true));
    log_info("one");
    log_info("two");
    assert_string_equal(captured, "");
    console_put("half", 4);
    console_end();
    log_show();
    assert_string_equal(captured, "half\r\n[    0.000000] one\r\n[    0.000000] two\r\n");
    capture_clear();
    console_begin(true);
    for (unsigned i = 0; i < 515; i++)
        log_info("%u", i);
    console_end();
    console_write("", 0); /* every writer shows what waits */
    assert_ptr_equal(strstr(captured, "... 3 log lines lost\r\n[    0.000000] 3\r\n"), captured);
    assert_non_null(strstr(captured, "] 514\r\n"));
}

/* A handler that logs while the device is being written to. */
static unsigned depth;

static void nested_write(struct console_device *device, const char *text, size_t length) {
    (void)device;
    (void)text;
    (void)length;
    if (depth++ == 0)
        log_error("from inside");
}

static void test_nested(void **state) {
    (void)state;
    struct console_device nested = {.name = "nested", .write = nested_write};
    depth = 1;
    console_add_device(&nested);
    capture_clear();
    depth = 0;
    log_info("outer");
    list_remove(&nested.link);
    assert_string_equal(captured, "[    0.000000] outer\r\n[    0.000000] error: from inside\r\n");
}

static void test_limit(void **state) {
    (void)state;
    struct log_limit limit = {.burst = 3};
    capture_clear();
    test_time = 5000000000ull;
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(log_allowed(&limit), i < 3);
    test_time += 999999999;
    assert_false(log_allowed(&limit));
    assert_string_equal(captured, "");
    test_time += 1;
    assert_true(log_allowed(&limit));
    assert_string_equal(captured, "[    6.000000] warning: 8 more messages like the next were withheld\r\n");
    assert_true(log_allowed(&limit));
    assert_true(log_allowed(&limit));
    assert_false(log_allowed(&limit));
    /* At the very start of time as well. */
    struct log_limit early = {.burst = 1};
    test_time = 0;
    assert_true(log_allowed(&early));
    assert_false(log_allowed(&early));
}

#define THREADS 4u
#define LINES   60u /* of all threads together fewer than LOG_STALL */

static void *writer(void *argument) {
    for (unsigned i = 0; i < LINES; i++)
        log_info("t%u n%u", (unsigned)(uintptr_t)argument, i);
    return NULL;
}

/* Each thread's lines come once, whole and in order; none waits for a later one. */
static void test_threads(void **state) {
    (void)state;
    for (unsigned round = 0; round < 30; round++) {
        pthread_t thread[THREADS];
        unsigned next[THREADS] = {0};
        capture_clear();
        for (uintptr_t i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&thread[i], NULL, writer, (void *)i), 0);
        for (unsigned i = 0; i < THREADS; i++)
            pthread_join(thread[i], NULL);
        for (char *line = strtok(captured, "\r\n"); line != NULL; line = strtok(NULL, "\r\n")) {
            unsigned t, n;
            assert_int_equal(sscanf(line, "[ 0.000000] t%u n%u", &t, &n), 2);
            assert_true(t < THREADS);
            assert_int_equal(n, next[t]++);
        }
        for (unsigned i = 0; i < THREADS; i++)
            assert_int_equal(next[i], LINES);
    }
}

static void test_panic(void **state) {
    (void)state;
    capture_clear();
    /* The consoles are held, and a line waits: both no hindrance. */
    console_begin(true);
    console_put("prompt", 6);
    log_info("waits");
    if (setjmp(stopped) == 0)
        panic("number %d", 7);
    assert_string_equal(captured,
                        "prompt\r\n[    0.000000] waits\r\n[    0.000000] error: PANIC: number 7\r\n");
    assert_true(console_in_panic());
    log_info("still shown");
    assert_non_null(strstr(captured, "still shown\r\n"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_early),          cmocka_unit_test(test_form),   cmocka_unit_test(test_ring),
        cmocka_unit_test(test_consoles_taken), cmocka_unit_test(test_nested), cmocka_unit_test(test_limit),
        cmocka_unit_test(test_threads),        cmocka_unit_test(test_panic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
