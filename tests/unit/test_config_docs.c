// SPDX-License-Identifier: Apache-2.0
// Holds docs/config.md to the schema, both ways, and tries the examples that the page and the repository
// show.
// unit-sources: lib/config*.c lib/dts*.c
#include "tests/unit/config_fixture.h"

#include <glob.h>

#include "lib/config_check_words.h"

static char page[64 * 1024];

/* Where the reference stands in the page. */
static char *reference, *reference_end;

/* The way to the top of the source tree: the tests run there, or in a folder below it. */
static const char *const up[] = {"", "../", "../../", "../../../", "../../../../"};

static int read_page(void **state) {
    FILE *file = NULL;
    size_t used;

    (void)state;
    for (unsigned i = 0; i < sizeof(up) / sizeof(up[0]) && file == NULL; i++) {
        char path[64];

        snprintf(path, sizeof(path), "%sdocs/config.md", up[i]);
        file = fopen(path, "rb");
    }
    if (file == NULL) {
        print_error("docs/config.md is not to be found; run this from the top of the source tree\n");
        return -1;
    }
    used = fread(page, 1, sizeof(page) - 1, file);
    assert_true(feof(file) != 0);
    fclose(file);
    page[used] = '\0';
    reference = strstr(page, "\n## Reference\n");
    assert_non_null(reference);
    reference_end = strstr(reference + 4, "\n## ");
    assert_non_null(reference_end);
    return 0;
}

struct walk {
    char *at; /* the reference is in the schema's order */
    unsigned headings, rows;
};

/* The next line of the reference that begins with `start`; NULL: none. */
static char *next_line(char *at, const char *start) {
    size_t length = strlen(start);

    for (; at != NULL && at < reference_end; at = strchr(at + 1, '\n')) {
        if (*at == '\n' && strncmp(at + 1, start, length) == 0) {
            return at + 1;
        }
    }
    return NULL;
}

static void expect_line(struct walk *walk, const char *expected, const char *start) {
    char *line = next_line(walk->at, start);

    if (line == NULL) {
        fail_msg("docs/config.md lacks: %s", expected);
    }
    if (strncmp(line, expected, strlen(expected)) != 0 || line[strlen(expected)] != '\n') {
        fail_msg("docs/config.md should have: %s\nit has: %.*s", expected, (int)strcspn(line, "\n"), line);
    }
    walk->at = line;
}

static void documented(void *context, const struct config_node *node, const char *path) {
    struct walk *walk = context;
    char row[CONFIG_ROW];

    config_reference_heading(node, path, row);
    assert_true(strlen(row) < CONFIG_ROW - 1);
    expect_line(walk, row, "### ");
    walk->headings++;
    for (unsigned i = 0; i < node->property_count; i++) {
        config_reference_row(&node->properties[i], row);
        assert_true(strlen(row) < CONFIG_ROW - 1);
        expect_line(walk, row, "| `");
        walk->rows++;
    }
}

static unsigned count_lines(const char *start) {
    unsigned count = 0;

    for (char *at = next_line(reference + 1, start); at != NULL; at = next_line(at, start)) {
        count++;
    }
    return count;
}

static void test_reference(void **state) {
    struct walk walk = {.at = reference + 1};

    (void)state;
    config_each_node(documented, &walk);
    assert_true(walk.rows > 20);
    /* Nothing more stands there than what was just found, in order. */
    assert_int_equal(count_lines("### "), walk.headings);
    assert_int_equal(count_lines("| `"), walk.rows);
}

static void test_example(void **state) {
    char example[4096];
    char *begin = strstr(page, "\n    /dts-v1/;"), *end;

    (void)state;
    assert_non_null(begin);
    end = strstr(begin, "\n    };\n");
    assert_non_null(end);
    snprintf(example, sizeof(example), "%.*s", (int)(end - begin) + 8, begin);
    if (fixture_check(example) != 0) {
        fail_msg("%s", fixture.errors);
    }
    assert_int_equal(fixture.config.guest_count, 2);
}

static void test_error_example(void **state) {
    (void)state;
    assert_int_equal(
        fixture_check(
            "/dts-v1/;\n/ {\n    compatible = \"saguaro,host\";\n\n\n\n    guests {\n        web {\n"
            "            kernel = \"vmlinuz\";\n            memory = \"1M\";\n\n"
            "            memroy = \"256M\";\n        };\n    };\n};\n"),
        -EINVAL);
    /* As the page has it, but for the file's name and the indent of the page. */
    assert_non_null(strstr(page, strchr(strtok(fixture.errors, "\n"), ':')));
}

static void test_examples(void **state) {
    static char text[DTS_MAX_SOURCE];
    unsigned found = 0;

    (void)state;
    for (unsigned i = 0; i < sizeof(up) / sizeof(up[0]) && found == 0; i++) {
        char pattern[64];
        glob_t files;

        snprintf(pattern, sizeof(pattern), "%sexamples/*/saguaro.dts", up[i]);
        if (glob(pattern, 0, NULL, &files) != 0) {
            continue;
        }
        for (size_t file = 0; file < files.gl_pathc; file++) {
            FILE *example = fopen(files.gl_pathv[file], "rb");
            size_t size;

            assert_non_null(example);
            size = fread(text, 1, sizeof(text) - 1, example);
            fclose(example);
            text[size] = '\0';
            if (fixture_check_for(strstr(files.gl_pathv[file], "-ppc/") != NULL ? CONFIG_ARCH_PPC
                                                                                : CONFIG_ARCH_X86,
                                  text) != 0) {
                fail_msg("%s: %s", files.gl_pathv[file], fixture.errors);
            }
            found++;
        }
        globfree(&files);
    }
    assert_true(found > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_example),
        cmocka_unit_test(test_error_example),
        cmocka_unit_test(test_examples),
    };

    return cmocka_run_group_tests(tests, read_page, NULL);
}
