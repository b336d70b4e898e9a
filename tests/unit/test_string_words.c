// SPDX-License-Identifier: Apache-2.0
// Copying and filling by words, against the C library's own: every alignment, sizes around each loop's step.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "lib/freestanding/string_words.h"

#define AREA 400

static unsigned char source[AREA], expected[AREA], actual[AREA];

static void prepare(void) {
    for (unsigned i = 0; i < AREA; i++) {
        source[i] = (unsigned char)(i * 7 + 1);
        expected[i] = actual[i] = (unsigned char)(0xff - i);
    }
}

static void test_copy(void **state) {
    (void)state;
    for (unsigned to = 0; to < 2 * STRING_WORD; to++) {
        for (unsigned from = 0; from < 2 * STRING_WORD; from++) {
            for (unsigned size = 0; size < 3 * STRING_BURST; size++) {
                prepare();
                memcpy(expected + to, source + from, size);
                words_copy(actual + to, source + from, size);
                assert_memory_equal(actual, expected, AREA);
            }
        }
    }
}

static void test_fill(void **state) {
    (void)state;
    static const unsigned char values[] = {0, 1, 0x5a, 0x80, 0xff};
    for (unsigned i = 0; i < sizeof(values); i++) {
        for (unsigned to = 0; to < 2 * STRING_WORD; to++) {
            for (unsigned size = 0; size < 3 * STRING_BURST; size++) {
                prepare();
                memset(expected + to, values[i], size);
                words_fill(actual + to, values[i], size);
                assert_memory_equal(actual, expected, AREA);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_fill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
