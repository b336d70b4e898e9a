// SPDX-License-Identifier: Apache-2.0
// The lookup of function names for backtraces.
// unit-sources: lib/symbols.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/symbols.h"

#define BASE 0xffff870000001000ull

const uint64_t symbol_base = BASE;
const uint32_t symbol_size = 0x100;
const uint32_t symbol_count = 4;
const struct symbol symbol_table[] = {{0, 0}, {0x10, 6}, {0x11, 13}, {0x80, 17}};
const char symbol_names[] = "first\0second\0one\0last";

static void check(uint64_t address, const char *name, uint64_t offset) {
    uint64_t found = UINT64_MAX;
    const char *text = symbol_lookup(address, &found);
    assert_non_null(text);
    assert_string_equal(text, name);
    assert_int_equal(found, offset);
    assert_string_equal(symbol_lookup(address, NULL), name);
}

static void test_inside(void **state) {
    (void)state;
    check(BASE, "first", 0);
    check(BASE + 0xf, "first", 0xf);
    check(BASE + 0x10, "second", 0);
    check(BASE + 0x11, "one", 0);
    check(BASE + 0x7f, "one", 0x6e);
    check(BASE + 0x80, "last", 0);
    check(BASE + 0xff, "last", 0x7f);
}

static void test_outside(void **state) {
    (void)state;
    uint64_t offset = 77;
    assert_null(symbol_lookup(BASE - 1, &offset));
    assert_null(symbol_lookup(BASE + 0x100, &offset));
    assert_null(symbol_lookup(0, &offset));
    assert_null(symbol_lookup(UINT64_MAX, &offset));
    assert_int_equal(offset, 77);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inside),
        cmocka_unit_test(test_outside),
    };
    return cmocka_run_group_tests_name("symbols", tests, NULL, NULL);
}
