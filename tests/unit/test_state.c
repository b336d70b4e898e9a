// SPDX-License-Identifier: Apache-2.0
// Saved-state records: what is written is read again; what is broken is refused.
// unit-sources: lib/state.c
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "lib/state.h"

static size_t sample(uint8_t *buffer, size_t size) {
    struct state_writer writer;
    state_writer_init(&writer, buffer, size);
    state_begin(&writer, "x86.pit", 0, 3);
    state_put_u8(&writer, 0x11);
    state_put_u16(&writer, 0x2233);
    state_put_u32(&writer, 0x44556677);
    state_put_u64(&writer, 0x8899aabbccddeeffull);
    state_end(&writer);
    state_begin(&writer, "empty", 7, 1);
    state_end(&writer);
    state_begin(&writer, "bytes", 0xffffffff, 0xffff);
    state_put(&writer, "12345678", 8);
    state_put(&writer, NULL, 0);
    state_end(&writer);
    int64_t used = state_finish(&writer);
    return used < 0 ? 0 : (size_t)used;
}

static void test_layout(void **state) {
    (void)state;
    uint8_t buffer[256];
    memset(buffer, 0xcc, sizeof(buffer));
    assert_int_equal(sample(buffer, sizeof(buffer)), 40 + 16 + 40 + 40 + 8);
    static const uint8_t expected[56] = {
        'x',  '8',  '6',  '.',  'p',  'i',  't',  0,    0,    0,    0,    0,    0,    0,    0,    0,
        0,    0,    0,    0,    0,    0,    0,    0, /* name */
        0,    0,    0,    0,    3,    0,    0,    0,    15,   0,    0,    0,    0,    0,    0,    0,
        0x11, 0x33, 0x22, 0x77, 0x66, 0x55, 0x44, 0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99, 0x88, 0};
    assert_memory_equal(buffer, expected, sizeof(expected));
    assert_int_equal(buffer[40 + 16 + 40 + 40 + 8], 0xcc);
}

static void test_round_trip(void **state) {
    (void)state;
    uint8_t raw[257];
    for (unsigned shift = 0; shift < 2; shift++) { /* no alignment is needed */
        uint8_t *buffer = raw + shift;
        size_t size = sample(buffer, 256);
        struct state_reader reader;
        assert_int_equal(state_reader_init(&reader, buffer, size), 0);
        assert_true(state_next(&reader));
        assert_string_equal(reader.record->name, "x86.pit");
        assert_int_equal(reader.record->version, 3);
        assert_int_equal(reader.record->length, 15);
        assert_int_equal(state_get_u8(&reader), 0x11);
        assert_int_equal(state_get_u16(&reader), 0x2233);
        assert_int_equal(state_get_u32(&reader), 0x44556677);
        assert_true(state_get_u64(&reader) == 0x8899aabbccddeeffull);
        assert_int_equal(reader.error, 0);
        assert_int_equal(reader.position, reader.record_end);
        /* The padding is none of the contents. */
        assert_int_equal(state_get_u8(&reader), 0);
        assert_int_equal(reader.error, -EINVAL);
        reader.error = 0;
        assert_true(state_next(&reader));
        assert_string_equal(reader.record->name, "empty");
        assert_int_equal(reader.record->instance, 7);
        assert_true(state_next(&reader)); /* nothing has to be read */
        assert_int_equal(reader.record->instance, 0xffffffff);
        char bytes[9] = "";
        state_get(&reader, bytes, 0);
        state_get(&reader, bytes, 5);
        assert_string_equal(bytes, "12345");
        state_get(&reader, bytes, 4); /* one too many: zeroes */
        assert_int_equal(bytes[0], 0);
        assert_int_equal(reader.error, -EINVAL);
        assert_false(state_next(&reader));
        assert_null(reader.record);
        assert_false(state_next(&reader));
        assert_int_equal(state_get_u32(&reader), 0);
    }
}

static void test_writer_errors(void **state) {
    (void)state;
    uint8_t buffer[256];
    size_t whole = sample(buffer, sizeof(buffer));
    for (size_t size = 0; size < whole; size++) {
        uint8_t *exact = malloc(size + 1);
        assert_int_equal(sample(exact, size), 0);
        free(exact);
    }
    struct state_writer writer;
    state_writer_init(&writer, buffer, 10);
    state_begin(&writer, "a", 0, 1);
    state_put_u8(&writer, 1);
    state_end(&writer);
    assert_int_equal(state_finish(&writer), -ENOSPC); /* the first error stays */
    static const char *const names[] = {"", "123456789012345678901234"};
    for (unsigned i = 0; i < 2; i++) {
        state_writer_init(&writer, buffer, sizeof(buffer));
        state_begin(&writer, names[i], 0, 1);
        assert_int_equal(state_finish(&writer), -EINVAL);
    }
    state_writer_init(&writer, buffer, sizeof(buffer));
    state_begin(&writer, "12345678901234567890123", 0, 1);
    state_end(&writer);
    assert_int_equal(state_finish(&writer), 40);
    state_writer_init(&writer, buffer, sizeof(buffer));
    state_put_u8(&writer, 1); /* outside a record */
    assert_int_equal(state_finish(&writer), -EINVAL);
    state_writer_init(&writer, buffer, sizeof(buffer));
    state_end(&writer);
    assert_int_equal(state_finish(&writer), -EINVAL);
    state_writer_init(&writer, buffer, sizeof(buffer));
    state_begin(&writer, "a", 0, 1);
    assert_int_equal(state_finish(&writer), -EINVAL); /* not closed */
    state_writer_init(&writer, buffer, sizeof(buffer));
    state_begin(&writer, "a", 0, 1);
    state_begin(&writer, "b", 0, 1);
    assert_int_equal(state_finish(&writer), -EINVAL);
}

static void test_broken_input(void **state) {
    (void)state;
    uint8_t good[256];
    size_t whole = sample(good, sizeof(good));
    struct state_reader reader;
    /* Every truncation but those at a record's end. */
    for (size_t size = 0; size <= whole; size++) {
        uint8_t *exact = malloc(size + 1);
        memcpy(exact, good, size);
        bool ends = size == 0 || size == 56 || size == 96 || size == whole;
        assert_int_equal(state_reader_init(&reader, exact, size), ends ? 0 : -EINVAL);
        if (!ends)
            assert_false(state_next(&reader));
        free(exact);
    }
    /* Any single byte changed: refused, or read without a step outside the buffer. */
    for (size_t i = 0; i < whole; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            uint8_t *copy = malloc(whole);
            memcpy(copy, good, whole);
            copy[i] ^= (uint8_t)(1u << bit);
            if (state_reader_init(&reader, copy, whole) == 0) {
                while (state_next(&reader)) {
                    for (uint64_t n = 0; n < reader.record->length + 3; n++)
                        state_get_u8(&reader);
                }
            }
            free(copy);
        }
    }
    uint8_t head[40] = {'a'};
    memset(head + 32, 0xff, 8); /* a length that wraps with its padding */
    assert_int_equal(state_reader_init(&reader, head, 40), -EINVAL);
    memset(head, 'a', 24); /* a name without end */
    memset(head + 32, 0, 8);
    assert_int_equal(state_reader_init(&reader, head, 40), -EINVAL);
    memset(head, 0, 24);
    assert_int_equal(state_reader_init(&reader, head, 40), -EINVAL);
}

/* The buffer may change between the check and the reading (shared memory). */
static void test_changed_later(void **state) {
    (void)state;
    uint8_t *buffer = malloc(96);
    uint8_t good[256];
    sample(good, sizeof(good));
    memcpy(buffer, good, 96);
    struct state_reader reader;
    assert_int_equal(state_reader_init(&reader, buffer, 96), 0);
    assert_true(state_next(&reader));
    buffer[56 + 33] = 0xff;
    assert_false(state_next(&reader));
    assert_int_equal(reader.error, -EINVAL);
    assert_false(state_next(&reader));
    free(buffer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_writer_errors), cmocka_unit_test(test_broken_input),
        cmocka_unit_test(test_changed_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
