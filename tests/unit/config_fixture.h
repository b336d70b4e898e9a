// SPDX-License-Identifier: Apache-2.0
// Shared by the tests of the config: parses and checks a text from memory, includes included, and keeps what
// was reported.
#ifndef SAGUARO_TESTS_UNIT_CONFIG_FIXTURE_H
#define SAGUARO_TESTS_UNIT_CONFIG_FIXTURE_H

#include <errno.h>
#include <libfdt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/config_check.h"
#include "lib/dts.h"

struct fixture {
    const char *const *includes; /* name, text, name, text, ..., NULL */
    struct dts_mark marks[DTS_MARKS];
    struct dts_positions positions;
    struct dts_report report;
    uint64_t blob[DTS_BLOB_SIZE / 8];
    size_t blob_size;
    struct config_source source;
    struct config config;
    size_t used;
    char errors[64 * 1024]; /* every error as it is printed */
};

static struct fixture fixture;

static void fixture_error(void *context, const struct dts_error *error) {
    struct fixture *f = context;
    char text[DTS_ERROR_TEXT];
    size_t length = dts_error_format(text, sizeof(text), error);

    assert_true(length == strlen(text));
    assert_true(f->used + length < sizeof(f->errors));
    memcpy(f->errors + f->used, text, length + 1);
    f->used += length;
}

static int fixture_include(void *context, const char *name, struct dts_file *file) {
    struct fixture *f = context;

    for (const char *const *entry = f->includes; entry != NULL && *entry != NULL; entry += 2) {
        if (strcmp(entry[0], name) == 0) {
            file->text = entry[1];
            file->size = strlen(entry[1]);
            return 0;
        }
    }
    return -ENOENT;
}

static void fixture_reset(const char *const *includes) {
    fixture.includes = includes;
    fixture.positions.marks = fixture.marks;
    fixture.positions.capacity = DTS_MARKS;
    fixture.report = (struct dts_report){.error = fixture_error, .context = &fixture};
    fixture.blob_size = sizeof(fixture.blob);
    fixture.used = 0;
    fixture.errors[0] = '\0';
}

/* Parses `size` bytes, which are copied to memory of just that size so that reading past them is seen. */
static int fixture_parse_bytes(const char *text, size_t size, const char *const *includes) {
    static char *copy;
    struct dts_file file = {.name = "t.dts", .size = size};

    free(copy);
    copy = malloc(size > 0 ? size : 1);
    memcpy(copy, text, size);
    file.text = copy;
    fixture_reset(includes);
    fixture.source = (struct config_source){
        .fdt = fixture.blob, .size = sizeof(fixture.blob), .file = "t.dts", .positions = &fixture.positions};
    return dts_parse(&file, fixture_include, &fixture, fixture.blob, fixture.blob_size, &fixture.positions,
                     &fixture.report);
}

static int fixture_parse(const char *text) {
    return fixture_parse_bytes(text, strlen(text), NULL);
}

/* Parses, which has to work, and checks for a machine of that architecture. */
static __attribute__((unused)) int fixture_check_for(enum config_arch arch, const char *text) {
    int error = fixture_parse(text);

    if (error != 0) {
        fail_msg("%s", fixture.errors);
    }
    fixture.source.arch = arch;
    return config_check(&fixture.source, &fixture.config, &fixture.report);
}

static __attribute__((unused)) int fixture_check(const char *text) {
    return fixture_check_for(CONFIG_ARCH_X86, text);
}

/* Checks a text, and reads it, which has to come to the same: `error` is the one error from the line number
 * on; NULL: the config is right. */
static __attribute__((unused)) void fixture_expect(enum config_arch arch, const char *text,
                                                   const char *error) {
    static struct config config;
    char expected[512];
    int result = fixture_check_for(arch, text);

    /* The reader is of the same mind. */
    assert_int_equal(config_read(fixture.blob, sizeof(fixture.blob), arch, &config), result);
    if (error == NULL) {
        if (result != 0) {
            fail_msg("%s: %s", text, fixture.errors);
        }
        return;
    }
    snprintf(expected, sizeof(expected), "t.dts:%s\n", error);
    if (result != -EINVAL || fixture.report.count != 1 ||
        strncmp(fixture.errors, expected, strlen(expected)) != 0) {
        fail_msg("%s\nexpected: %sfound %u: %s", text, expected, fixture.report.count, fixture.errors);
    }
}

#endif
