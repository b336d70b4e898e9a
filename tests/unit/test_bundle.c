// SPDX-License-Identifier: Apache-2.0
// The reader of bundles: a sound one, and everything that can be wrong with one.
// unit-sources: lib/bundle.c lib/config_path.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lib/bundle.h"
#include "tests/unit/bundle_fixture.h"

#define FILES 3
#define SIZE  (3 * BUNDLE_ALIGN + 7)

static uint8_t bundle[SIZE];
static char why[128];

/* The config, "kernels/vmlinux" and "initrd.gz". */
static void build(void) {
    memset(bundle, 0xa5, sizeof(bundle));
    bundle_head(bundle, FILES, SIZE);
    bundle_place(bundle, 0, "saguaro.dtb", BUNDLE_ALIGN, 100);
    bundle_place(bundle, 1, "kernels/vmlinux", 2 * BUNDLE_ALIGN, BUNDLE_ALIGN);
    bundle_place(bundle, 2, "initrd.gz", 3 * BUNDLE_ALIGN, 7);
    bundle_seal(bundle, SIZE);
}

/* Checks a copy that ends where the memory does. */
static int check(size_t size) {
    uint8_t *copy = malloc(size > 0 ? size : 1);
    int result;

    memcpy(copy, bundle, size);
    memset(why, 0, sizeof(why));
    result = bundle_check(copy, size, why, sizeof(why));
    assert_int_equal(result < 0, why[0] != '\0');
    free(copy);
    return result;
}

static void refuse(const char *sentence) {
    bundle_seal(bundle, SIZE);
    assert_int_equal(check(SIZE), -EINVAL);
    assert_string_equal(why, sentence);
    build();
}

static void sound(void **state) {
    struct bundle_entry file;

    (void)state;
    build();
    assert_int_equal(check(SIZE), FILES);
    file = bundle_file(bundle, 0);
    assert_string_equal(file.name, BUNDLE_CONFIG);
    assert_int_equal(file.offset, BUNDLE_ALIGN);
    assert_int_equal(file.size, 100);
    file = bundle_file(bundle, 1);
    assert_string_equal(file.name, "kernels/vmlinux");
    assert_int_equal(file.offset, 2 * BUNDLE_ALIGN);
    assert_int_equal(file.size, BUNDLE_ALIGN);
    file = bundle_file(bundle, 2);
    assert_string_equal(file.name, "initrd.gz");
    assert_int_equal(file.offset, 3 * BUNDLE_ALIGN);
    assert_int_equal(file.size, 7);
}

/* What is behind the bundle does not matter: firmware may say a rounded size. */
static void longer(void **state) {
    static uint8_t more[SIZE + 100];

    (void)state;
    build();
    memcpy(more, bundle, SIZE);
    assert_int_equal(bundle_check(more, sizeof(more), why, sizeof(why)), FILES);
}

/* The checksum that the standard gives for "123456789", through the bundle's own field. */
static void checksum(void **state) {
    (void)state;
    assert_int_equal(bitwise_crc32((const uint8_t *)"123456789", 9), 0xcbf43926);
    build();
    for (unsigned bit = 0; bit < 8; bit++) {
        for (size_t at = 0; at < SIZE; at += at < 800 ? 1 : 97) {
            bundle[at] ^= (uint8_t)(1u << bit);
            assert_int_equal(check(SIZE), -EINVAL);
            bundle[at] ^= (uint8_t)(1u << bit);
        }
    }
    bundle[SIZE - 1] ^= 1;
    assert_int_equal(check(SIZE), -EINVAL);
    assert_string_equal(why, "is damaged: its checksum is wrong");
}

static void cut_anywhere(void **state) {
    (void)state;
    build();
    for (size_t size = 0; size < SIZE; size += size < 1000 ? 1 : 61) {
        assert_int_equal(check(size), -EINVAL);
    }
    assert_int_equal(check(20), -EINVAL);
    assert_string_equal(why, "is none: it does not begin with \"SAGUARO\"");
    assert_int_equal(check(5000), -EINVAL);
    assert_string_equal(why, "is cut off: 5000 of its 12295 bytes are here");
}

static void header_refused(void **state) {
    (void)state;
    build();
    bundle[7] = 'X';
    refuse("is none: it does not begin with \"SAGUARO\"");
    put_number(bundle + 8, 2, 4);
    refuse("is of version 2; version 1 is understood");
    put_number(bundle + 28, 1, 4);
    refuse("is of version 1; version 1 is understood");
    put_number(bundle + 12, 0, 4);
    refuse("cannot hold 0 files");
    put_number(bundle + 12, BUNDLE_MAX_FILES + 1, 4);
    refuse("cannot hold 257 files");
    put_number(bundle + 12, UINT32_MAX, 4);
    refuse("cannot hold 4294967295 files");
    put_number(bundle + 12, 60, 4); /* the table would end behind the bundle */
    refuse("cannot hold 60 files");
    put_number(bundle + 16, UINT64_MAX, 8);
    refuse("is cut off: 12295 of its 18446744073709551615 bytes are here");
    put_number(bundle + 16, 31, 8);
    refuse("cannot hold 3 files");
}

static void files_refused(void **state) {
    uint8_t *entry = bundle_entry_at(bundle, 1);

    (void)state;
    build();
    bundle_place(bundle, 0, "other.dtb", BUNDLE_ALIGN, 100);
    refuse("does not begin with the config");
    bundle_place(bundle, 2, "kernels/vmlinux", 3 * BUNDLE_ALIGN, 7);
    refuse("has two files \"kernels/vmlinux\"");
    bundle_place(bundle, 2, "", 3 * BUNDLE_ALIGN, 7);
    refuse("has a bad name for file 2");
    bundle_place(bundle, 2, "../x", 3 * BUNDLE_ALIGN, 7);
    refuse("has a bad name for file 2");
    memset(entry + offsetof(struct bundle_file, name), 'a', BUNDLE_NAME);
    refuse("has a bad name for file 1");
    put_number(entry + offsetof(struct bundle_file, reserved), 1, 4);
    refuse("is of a later version: file \"kernels/vmlinux\" has more to it");
}

static void places_refused(void **state) {
    static const struct {
        uint64_t offset, size;
    } bad[] = {
        {2 * BUNDLE_ALIGN + 8, 1},                     /* not aligned */
        {0, 1},                                        /* the header */
        {BUNDLE_ALIGN, 1},                             /* the config's content */
        {2 * BUNDLE_ALIGN, 0},                         /* empty */
        {2 * BUNDLE_ALIGN, BUNDLE_ALIGN + 8},          /* ends behind the bundle */
        {2 * BUNDLE_ALIGN, UINT64_MAX},                /* wraps */
        {UINT64_MAX - BUNDLE_ALIGN + 1, BUNDLE_ALIGN}, /* wraps to 0 */
        {4 * BUNDLE_ALIGN, 1},                         /* behind the bundle */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        build();
        bundle_place(bundle, 1, "k", bad[i].offset, bad[i].size);
        bundle_place(bundle, 2, "i", 2 * BUNDLE_ALIGN, 1); /* out of the way */
        refuse("has no place for file \"k\"");
    }
    build();
    bundle_place(bundle, 0, "saguaro.dtb", BUNDLE_ALIGN, BUNDLE_ALIGN + 1);
    refuse("has no place for file \"kernels/vmlinux\"");
    bundle_place(bundle, 2, "initrd.gz", 3 * BUNDLE_ALIGN, 8);
    refuse("has no place for file \"initrd.gz\"");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound),          cmocka_unit_test(longer),         cmocka_unit_test(checksum),
        cmocka_unit_test(cut_anywhere),   cmocka_unit_test(header_refused), cmocka_unit_test(files_refused),
        cmocka_unit_test(places_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
