// SPDX-License-Identifier: Apache-2.0
// The freestanding string functions and snprintf, compared with the host's C library.
// unit-sources:
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <cmocka.h>

/* The functions under test under names of their own, beside those of the C library. */
#define memcpy    own_memcpy
#define memmove   own_memmove
#define memset    own_memset
#define memcmp    own_memcmp
#define memchr    own_memchr
#define strlen    own_strlen
#define strnlen   own_strnlen
#define strcmp    own_strcmp
#define strncmp   own_strncmp
#define strchr    own_strchr
#define strrchr   own_strrchr
#define snprintf  own_snprintf
#define vsnprintf own_vsnprintf
#include "lib/freestanding/string.c"
#include "lib/freestanding/printf.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef memchr
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#undef strchr
#undef strrchr
#undef snprintf
#undef vsnprintf

static int sign(int value) {
    return (value > 0) - (value < 0);
}

static void fill(unsigned char *area, size_t size) {
    for (size_t i = 0; i < size; i++) {
        area[i] = (unsigned char)(i * 37 + 11);
    }
}

static void test_memcpy(void **state) {
    (void)state;
    unsigned char source[80], target[80], expected[80];
    for (size_t from = 0; from < 9; from++) {
        for (size_t size = 0; size < 64; size++) {
            fill(source, sizeof(source));
            memset(target, 0xee, sizeof(target));
            memset(expected, 0xee, sizeof(expected));
            memcpy(expected + 3, source + from, size);
            assert_ptr_equal(own_memcpy(target + 3, source + from, size), target + 3);
            assert_memory_equal(target, expected, sizeof(target));
        }
    }
}

static void test_memmove_overlaps(void **state) {
    (void)state;
    unsigned char area[96], expected[96];
    for (size_t from = 0; from < 24; from++) {
        for (size_t to = 0; to < 24; to++) {
            for (size_t size = 0; size < 70; size++) {
                fill(area, sizeof(area));
                fill(expected, sizeof(expected));
                memmove(expected + to, expected + from, size);
                assert_ptr_equal(own_memmove(area + to, area + from, size), area + to);
                assert_memory_equal(area, expected, sizeof(area));
            }
        }
    }
}

static void test_memset(void **state) {
    (void)state;
    unsigned char area[40], expected[40];
    for (size_t size = 0; size < 32; size++) {
        fill(area, sizeof(area));
        fill(expected, sizeof(expected));
        memset(expected + 4, 0x1a5, size);
        assert_ptr_equal(own_memset(area + 4, 0x1a5, size), area + 4);
        assert_memory_equal(area, expected, sizeof(area));
    }
}

static void test_memcmp_and_memchr(void **state) {
    (void)state;
    assert_int_equal(own_memcmp("abc", "abd", 2), 0);
    assert_true(own_memcmp("abc", "abd", 3) < 0);
    assert_true(own_memcmp("\xff", "\x01", 1) > 0);
    assert_int_equal(own_memcmp("x", "y", 0), 0);
    const char text[] = "one\0two";
    assert_ptr_equal(own_memchr(text, 't', sizeof(text)), text + 4);
    assert_ptr_equal(own_memchr(text, 0, sizeof(text)), text + 3);
    assert_null(own_memchr(text, 't', 4));
    assert_null(own_memchr(text, 'z', sizeof(text)));
}

static void test_strings(void **state) {
    (void)state;
    static const char *const texts[] = {"", "a", "b", "ab", "abc", "abd", "a\xff", "\x80", "abcabc"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(own_strlen(texts[i]), strlen(texts[i]));
        for (size_t limit = 0; limit < 8; limit++) {
            assert_int_equal(own_strnlen(texts[i], limit), strnlen(texts[i], limit));
        }
        for (const char *c = "abc\xff";; c++) {
            assert_ptr_equal(own_strchr(texts[i], *c), strchr(texts[i], *c));
            assert_ptr_equal(own_strrchr(texts[i], *c), strrchr(texts[i], *c));
            if (*c == '\0') {
                break;
            }
        }
        for (size_t j = 0; j < sizeof(texts) / sizeof(texts[0]); j++) {
            assert_int_equal(sign(own_strcmp(texts[i], texts[j])), sign(strcmp(texts[i], texts[j])));
            for (size_t limit = 0; limit < 8; limit++) {
                assert_int_equal(sign(own_strncmp(texts[i], texts[j], limit)),
                                 sign(strncmp(texts[i], texts[j], limit)));
            }
        }
    }
}

#pragma GCC diagnostic ignored "-Wformat-truncation"

/* Both functions on the same arguments, with room for all and with room for a part. */
#define CHECK(...)                                                                                           \
    do {                                                                                                     \
        char expected[200], text[200];                                                                       \
        memset(expected, 'E', sizeof(expected));                                                             \
        memset(text, 'E', sizeof(text));                                                                     \
        int length = snprintf(expected, sizeof(expected), __VA_ARGS__);                                      \
        assert_int_equal(own_snprintf(text, sizeof(text), __VA_ARGS__), length);                             \
        assert_memory_equal(text, expected, sizeof(text));                                                   \
        for (size_t room = 0; room < 8; room++) {                                                            \
            memset(expected, 'E', sizeof(expected));                                                         \
            memset(text, 'E', sizeof(text));                                                                 \
            snprintf(expected, room, __VA_ARGS__);                                                           \
            assert_int_equal(own_snprintf(text, room, __VA_ARGS__), length);                                 \
            assert_memory_equal(text, expected, sizeof(text));                                               \
        }                                                                                                    \
    } while (0)

static void test_printf_integers(void **state) {
    (void)state;
    static const long long values[] = {0,         1,       -1,      7,        -42,      255,  65535,
                                       123456789, INT_MAX, INT_MIN, LONG_MAX, LONG_MIN, 0x80, 0xffffffffll,
                                       -0x8000ll};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        long long v = values[i];
        CHECK("%d", (int)v);
        CHECK("%i|%u|%x|%X|%o", (int)v, (unsigned)v, (unsigned)v, (unsigned)v, (unsigned)v);
        CHECK("%5d|%-5d|%05d|%+d|% d", (int)v, (int)v, (int)v, (int)v, (int)v);
        CHECK("%#x|%#10x|%#010x|%-#10x|%#o", (unsigned)v, (unsigned)v, (unsigned)v, (unsigned)v, (unsigned)v);
        CHECK("%.3d|%8.3d|%-8.3d|%.0d|%#.0o", (int)v, (int)v, (int)v, (int)v, (unsigned)v);
        CHECK("%ld|%lu|%lx", (long)v, (unsigned long)v, (unsigned long)v);
        CHECK("%lld|%llu|%016llx", v, (unsigned long long)v, (unsigned long long)v);
        CHECK("%zu|%zd|%zx|%td|%jd", (size_t)v, (ssize_t)v, (size_t)v, (ptrdiff_t)v, (intmax_t)v);
        CHECK("%hd|%hu|%hx", (short)v, (unsigned short)v, (unsigned short)v);
        CHECK("%hhd|%hhu|%02hhx", (signed char)v, (unsigned char)v, (unsigned char)v);
        CHECK("%*d|%-*d|%.*d|%*.*x", 9, (int)v, 9, (int)v, 4, (int)v, 12, 6, (unsigned)v);
        CHECK("%*d|%.*d", -9, (int)v, -1, (int)v);
    }
}

static void test_printf_text(void **state) {
    (void)state;
    CHECK("%s", "");
    CHECK("<%s> <%10s> <%-10s> <%.2s> <%6.2s>", "text", "text", "text", "text", "text");
    CHECK("%c%c%c", 'a', 'b', 'c');
    CHECK("<%4c> <%-4c>", 'x', 'y');
    CHECK("100%% of %s", "it");
    CHECK("%p", (void *)0xdeadbeef1234);
    CHECK("nothing to convert");
    char unterminated[3] = {'a', 'b', 'c'};
    CHECK("%.3s|%.*s", unterminated, 2, unterminated);
}

#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-extra-args"

static void test_printf_unknown(void **state) {
    (void)state;
    char text[64];
    assert_int_equal(own_snprintf(text, sizeof(text), "%d %f %d", 5, 1.0, 6), 7);
    assert_string_equal(text, "5 %f %d");
    assert_int_equal(own_snprintf(text, sizeof(text), "end %"), 5);
    assert_string_equal(text, "end %");
    char *volatile none = NULL;
    assert_int_equal(own_snprintf(text, sizeof(text), "%s", none), 6);
    assert_string_equal(text, "(null)");
    assert_int_equal(own_snprintf(NULL, 0, "%d", 12345), 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memcpy),      cmocka_unit_test(test_memmove_overlaps),
        cmocka_unit_test(test_memset),      cmocka_unit_test(test_memcmp_and_memchr),
        cmocka_unit_test(test_strings),     cmocka_unit_test(test_printf_integers),
        cmocka_unit_test(test_printf_text), cmocka_unit_test(test_printf_unknown),
    };
    return cmocka_run_group_tests_name("freestanding", tests, NULL, NULL);
}
