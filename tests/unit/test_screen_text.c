// SPDX-License-Identifier: Apache-2.0
// What a screen shows after a stream of bytes: wrapping, scrolling, control characters, escape sequences,
// anything.
// unit-sources: arch/x86/screen_text.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/x86/screen_text.h"

static struct screen_text text;

static void start(unsigned columns, unsigned rows) {
    screen_text_init(&text, columns, rows);
}

static void feed(const char *bytes) {
    screen_text_write(&text, bytes, strlen(bytes));
}

static void shows(unsigned row, const char *expected) {
    char line[SCREEN_MAX_COLUMNS + 1];
    memcpy(line, text.cell[row], text.columns);
    size_t n = text.columns;
    while (n && line[n - 1] == ' ')
        n--;
    line[n] = 0;
    assert_string_equal(line, expected);
}

static void lines_wrap_and_scroll(void **state) {
    (void)state;
    start(10, 3);
    feed("one\r\ntwo\r\nabcdefghij");
    shows(0, "one");
    shows(2, "abcdefghij");
    feed("k"); /* only now the full row is left */
    shows(0, "two");
    shows(1, "abcdefghij");
    shows(2, "k");
    feed("\r\nx\r\ny");
    shows(0, "k");
    shows(1, "x");
    shows(2, "y");
}

static void full_row_then_new_line(void **state) {
    (void)state;
    start(5, 3);
    feed("abcde\r\nf");
    shows(0, "abcde");
    shows(1, "f");
}

static void control_characters(void **state) {
    (void)state;
    start(20, 3);
    feed("abc\b\bX\rY");
    shows(0, "YXc");
    feed("\r\n\tT");
    shows(1, "        T");
    feed("\b\b\b\b\b\b\b\b\b\b\b\b\b\b\bL");
    shows(1, "L       T");
    feed("\r\n\xc3\xa9\x01\x7f!");
    shows(2, "?!");
}

static void escape_sequences(void **state) {
    (void)state;
    start(20, 4);
    feed("hello world\r\x1b[K");
    shows(0, "");
    feed("hello world\x1b[5D\x1b[K!");
    shows(0, "hello !");
    feed("\x1b[1;31mred\x1b[0m");
    shows(0, "hello !red");
    feed("\r\x1b[6C\x1b[P");
    shows(0, "hello red");
    feed("\x1b[3GL\x1b[99D>");
    shows(0, ">eLlo red");
    feed("\x1b[999C|");
    shows(0, ">eLlo red          |");
    feed("\r\nsecond\r\nthird\x1b[H\x1b[2J");
    shows(0, "");
    shows(1, "");
    shows(2, "");
    assert_int_equal(text.row, 0);
    feed("ab\r\ncd\r\nef\x1b[H\r\n\x1b[J");
    shows(0, "ab");
    shows(1, "");
    shows(2, "");
    feed("x\x1b[12\ny"); /* a line end breaks a sequence off */
    shows(2, " y");
    feed("\x1b(Bz");
    shows(2, " yBz");
}

static void any_bytes(void **state) {
    (void)state;
    srand(7);
    for (unsigned round = 0; round < 200; round++) {
        start(1 + (unsigned)rand() % SCREEN_MAX_COLUMNS, 1 + (unsigned)rand() % SCREEN_MAX_ROWS);
        for (unsigned i = 0; i < 2000; i++) {
            static const char likely[] = "\x1b[0123456789;CDGHJKP\r\n\b\t";
            char c = rand() % 3 ? likely[(unsigned)rand() % (sizeof(likely) - 1)] : (char)rand();
            screen_text_write(&text, &c, 1);
            assert_true(text.row < text.rows);
            assert_true(text.column <= text.columns);
        }
        for (unsigned row = 0; row < text.rows; row++)
            for (unsigned column = 0; column < text.columns; column++)
                assert_in_range(text.cell[row][column], 0x20, 0x7e);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_wrap_and_scroll),
        cmocka_unit_test(full_row_then_new_line),
        cmocka_unit_test(control_characters),
        cmocka_unit_test(escape_sequences),
        cmocka_unit_test(any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
