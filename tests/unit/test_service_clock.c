// SPDX-License-Identifier: Apache-2.0
// The service VM's clock: the multiplication against one of 128 bits, the ends of its range; and its log.
// unit-sources: service/clock.c service/log.c
#include "tests/unit/service_fixture.h"
#include "service/clock.h"
#include "service/log.h"

static uint64_t now(uint64_t base, uint64_t multiplier, uint64_t at) {
    struct service_board *board = calloc(1, sizeof(*board));

    board->clock_base = base;
    board->clock_multiplier = multiplier;
    clock_init(board);
    free(board);
    counter = at;
    return clock_now();
}

static void test_examples(void **state) {
    (void)state;
    assert_true(now(0, 1ull << 32, 0) == 0);
    assert_true(now(0, 1ull << 32, 12345) == 12345);            /* 1 GHz */
    assert_true(now(1000, 1ull << 31, 3000) == 1000);           /* 2 GHz */
    assert_true(now(0, 20ull << 32, 50000000) == CLOCK_SECOND); /* 50 MHz */
    /* 3 GHz: 0.333 ns, a year */
    assert_true(now(7, 1431655765, 7 + 3000000000ull * 86400 * 365) / CLOCK_SECOND == 86400 * 365 - 1);
    assert_true(now(1000, 1ull << 32, 999) == 0); /* before its time */
}

static void test_exact(void **state) {
    uint64_t random = 88172645463325252ull;

    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        uint64_t ticks = random >> (i % 64), multiplier = (random * 0x9e3779b97f4a7c15ull) >> (i / 64 % 64);
        uint64_t expected = (uint64_t)(((unsigned __int128)ticks * multiplier) >> 32);
        assert_true(now(0, multiplier, ticks) == expected);
    }
}

static void test_log(void **state) {
    char expected[SERVICE_MAX_TEXT + 1];

    (void)state;
    calls_reset();
    service_log(LOG_INFO, "%s %d", "five", 5);
    assert_int_equal(call_count, 1);
    assert_int_equal(calls[0].number, SERVICE_CALL_LOG);
    assert_int_equal(calls[0].a, LOG_INFO);
    assert_string_equal(calls[0].text, "five 5");
    service_log(LOG_ERROR, "%0300d", 0); /* cut */
    memset(expected, '0', SERVICE_MAX_TEXT);
    expected[SERVICE_MAX_TEXT] = 0;
    assert_int_equal(calls[1].c, SERVICE_MAX_TEXT);
    assert_string_equal(calls[1].text, expected);
    service_log(LOG_ERROR, "%s", ""); /* says nothing */
    assert_int_equal(call_count, 2);
    service_log_limit(LOG_WARNING);
    service_log(LOG_INFO, "not this");
    service_log(LOG_WARNING, "but this");
    assert_int_equal(call_count, 3);
    service_log_limit(LOG_DEBUG);
    service_note(7, "about %s", "it");
    assert_int_equal(calls[3].number, SERVICE_CALL_NOTE);
    assert_int_equal(calls[3].a, 7);
    assert_string_equal(calls[3].text, "about it");
    assert_crash(service_fatal("the end of %s", "it"), "the end of it");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
