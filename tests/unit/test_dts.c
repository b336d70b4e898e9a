// SPDX-License-Identifier: Apache-2.0
// The parser of the config's source: what it reads, every error it has, and how errors are printed.
// unit-sources: lib/dts.c lib/dts_scan.c lib/dts_report.c lib/config_path.c
#include "tests/unit/config_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const void *value_of(const char *path, const char *name, int *size) {
    int node = fdt_path_offset(fixture.blob, path);

    assert_true(node >= 0);
    return fdt_getprop(fixture.blob, node, name, size);
}

static void holds_string(const char *path, const char *name, const char *expected, size_t size) {
    int found;
    const void *value = value_of(path, name, &found);

    assert_non_null(value);
    assert_int_equal(found, size);
    assert_memory_equal(value, expected, size);
}

static void holds_cells(const char *path, const char *name, const uint32_t *cells, unsigned count) {
    int size;
    const fdt32_t *value = value_of(path, name, &size);

    assert_non_null(value);
    assert_int_equal(size, count * 4);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(fdt32_to_cpu(value[i]), cells[i]);
    }
}

static void parses(const char *text) {
    if (fixture_parse(text) != 0) {
        fail_msg("%s", fixture.errors);
    }
    assert_int_equal(fixture.report.count, 0);
    assert_int_equal(fdt_check_full(fixture.blob, sizeof(fixture.blob)), 0);
}

static void test_values(void **state) {
    int size;

    (void)state;
    parses("/dts-v1/;\n"
           "// a comment\n"
           "/ { /* two\nlines **/ empty; a=\"\"; b = \"x\",\"yz\" , \"\";\n"
           "  c = <1 0x10 017 (3) ( ( 0xFfffFFFF ) ) 0 4294967295>; d = <1>, <2 3>;\n"
           "  e = \"q\\\"b\\\\t\\tn\\n\\x41\\101\\x7\\a\\b\\f\\v\\r\\'\";\n"
           "  odd,name._+?#-1 = <7>; f = \"// no /* comment\";\n"
           "  sub { deep@1f,0 { x; }; deep@2 { }; }; 9sub { };\n"
           "};\n");
    assert_non_null(value_of("/", "empty", &size));
    assert_int_equal(size, 0);
    holds_string("/", "a", "", 1);
    holds_string("/", "b", "x\0yz\0", 6);
    holds_cells("/", "c", (uint32_t[]){1, 16, 15, 3, 0xffffffff, 0, 0xffffffff}, 7);
    holds_cells("/", "d", (uint32_t[]){1, 2, 3}, 3);
    holds_string("/", "e", "q\"b\\t\tn\nAA\x07\a\b\f\v\r'", 18);
    holds_cells("/", "odd,name._+?#-1", (uint32_t[]){7}, 1);
    holds_string("/", "f", "// no /* comment", 17);
    assert_non_null(value_of("/sub/deep@1f,0", "x", &size));
    assert_true(fdt_path_offset(fixture.blob, "/sub/deep@2") > 0);
    assert_true(fdt_path_offset(fixture.blob, "/9sub") > 0);
}

static void test_line_ends_and_marks(void **state) {
    (void)state;
    parses("\xef\xbb\xbf/dts-v1/;\r\n/ {\r\n\ta = <5>; // \xc3\xbc\r\n};");
    holds_cells("/", "a", (uint32_t[]){5}, 1);
    parses("/dts-v1/;/{};");
    parses("/dts-v1/ ;/ {a=<1>;b{};};// no line end");
}

static void test_longest(void **state) {
    char text[8192];
    char longest[DTS_MAX_NAME + 1], value[DTS_MAX_VALUE];
    int size;

    (void)state;
    memset(longest, 'n', DTS_MAX_NAME);
    longest[DTS_MAX_NAME] = '\0';
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    snprintf(text, sizeof(text), "/dts-v1/; / { %s = \"%s\"; %s { }; };", longest, value, longest);
    parses(text);
    assert_non_null(value_of("/", longest, &size));
    assert_int_equal(size, DTS_MAX_VALUE);
    snprintf(text, sizeof(text), "/dts-v1/; / { %sn; };", longest);
    assert_int_equal(fixture_parse(text), -EINVAL);
    assert_non_null(strstr(fixture.errors, "t.dts:1:15: error: this name is longer than 63 bytes\n"));
    snprintf(text, sizeof(text), "/dts-v1/; / { a = \"%sv\"; };", value);
    assert_int_equal(fixture_parse(text), -EINVAL);
    assert_non_null(strstr(fixture.errors, "t.dts:1:19: error: this value is longer than 4096 bytes\n"));
    snprintf(text, sizeof(text), "/dts-v1/; / { a = \"%s\", \"\"; };", value);
    assert_int_equal(fixture_parse(text), -EINVAL);
    assert_non_null(strstr(fixture.errors, "error: this value is longer than 4096 bytes\n"));
}

/* Each text begins on line 2, inside the root node if it is in `inside`. */
struct row {
    const char *text;
    const char *error; /* the first line of what is printed, from the line number on */
};

static const struct row inside[] = {
    {"a = <1> b;", "2:8: error: expected \";\" after the value of \"a\""},
    {"a = \"1\"\nb;", "2:8: error: expected \";\" after the value of \"a\""},
    {"a b;", "2:2: error: expected \"=\", \";\" or \"{\" after \"a\", found \"b\""},
    {"a", "2:2: error: expected \"=\", \";\" or \"{\" after \"a\", found \"}\""},
    {"a \"x\";", "2:3: error: expected \"=\" between \"a\" and its value"},
    {"a <1>;", "2:3: error: expected \"=\" between \"a\" and its value"},
    {"a = ;", "2:5: error: expected a value (\"...\" or <...>), found \";\""},
    {"a = 5;", "2:5: error: a number is written in \"<\" and \">\", a string in quotes"},
    {"a = yes;", "2:5: error: a string is written in quotes"},
    {"a = [00 11];", "2:5: error: byte strings (\"[...]\") are not in this subset"},
    {"a = &b;", "2:5: error: references (\"&\") are not in this subset"},
    {"a = <&b>;", "2:6: error: references (\"&\") are not in this subset"},
    {"a = /bits/ 8 <1>;", "2:5: error: directives in values are not in this subset"},
    {"a = <>;", "2:5: error: expected a number between \"<\" and \">\""},
    {"a = <1;", "2:7: error: expected \">\" after the numbers"},
    {"a = <-1>;", "2:6: error: numbers cannot be negative"},
    {"a = <4294967296>;", "2:6: error: this number does not fit in 32 bits (4294967295 is the largest)"},
    {"a = <0x1ffffffffffffffff>;",
     "2:6: error: this number does not fit in 32 bits (4294967295 is the largest)"},
    {"a = <08>;", "2:7: error: not a digit of an octal (0...) number"},
    {"a = <0xg>;", "2:8: error: not a digit of a hexadecimal number"},
    {"a = <0x>;", "2:6: error: \"0x\" without digits"},
    {"a = <12k>;", "2:8: error: not a digit of a decimal number"},
    {"a = <1 x>;", "2:8: error: expected a number, found \"x\""},
    {"a = <'x'>;", "2:6: error: expected a number, found \"'\""},
    {"a = <(1 + 2)>;", "2:9: error: expressions are not in this subset; write the number"},
    {"a = <(1>;", "2:8: error: expressions are not in this subset; write the number"},
    {"a = <(1;", "2:8: error: expected \")\""},
    {"a = <1>, \"x\";", "2:10: error: expected \"<\" after \",\": strings and numbers do not mix"},
    {"a = \"x\", <1>;", "2:10: error: expected another string after \",\", found \"<\""},
    {"a = \"x\", ;", "2:10: error: expected another string after \",\", found \";\""},
    {"a = \"x;", "2:5: error: this string has no end on its line (\")"},
    {"a = \"\\q\";", "2:6: error: unknown escape; write \"\\\\\" for a backslash"},
    {"a = \"\\x\";", "2:6: error: unknown escape; write \"\\\\\" for a backslash"},
    {"a = \"\\0\";", "2:6: error: a string cannot hold a NUL byte"},
    {"a = \"\\x00\";", "2:6: error: a string cannot hold a NUL byte"},
    {"a = \"\\400\";", "2:6: error: this escape is larger than a byte (\\377)"},
    {"a = \"\xc3\xbc\";", "2:6: error: byte 0xc3 in a string; strings are plain ASCII"},
    {"\xc3\xbc = <1>;", "2:1: error: expected the name of a node or property, found byte 0xc3"},
    {"; ", "2:1: error: expected the name of a node or property, found \";\""},
    {"\"a\" = <1>;", "2:1: error: expected the name of a node or property, found \"\"\""},
    {"a@1 = <1>;", "2:1: error: the name of a property cannot have \"@\""},
    {"a: b { };", "2:1: error: labels (\"a:\") are not in this subset"},
    {"&a { };", "2:1: error: references (\"&\") are not in this subset"},
    {"/delete-node/ a;", "2:1: error: \"/delete-node/\" is not in this subset"},
    {"/ a;", "2:1: error: unexpected \"/\""},
    {"#include \"a\"", "2:1: error: there is no preprocessor; /include/ \"file\" is understood"},
    {"#address-cells = <1>;", "2:1: error: expected the name of a node or property, found \"#\""},
    {"a; b; a;", "2:7: error: property \"a\" is here a second time; the first is at t.dts:2:1"},
    {"a { };\n a { };", "3:2: error: node \"a\" is here a second time; the first is at t.dts:2:1"},
    {"a { }; b;", "2:8: error: property \"b\" stands behind a node; properties come first"},
    {"a { }", "2:6: error: expected \";\" after node \"a\""},
    {"a? { };", "2:1: error: \"a?\" is no name for a node"},
    {"@1 { };", "2:1: error: \"@1\" is no name for a node"},
    {"a@ { };", "2:1: error: \"a@\" needs one address after its \"@\""},
    {"a@1@2 { };", "2:1: error: \"a@1@2\" needs one address after its \"@\""},
    {"a /* b", "2:3: error: this comment has no end (\"*/\")"},
    {"a {", "3:3: error: the file ends inside node \"/\" of line 1: a \"}\" is missing"},
    {"a { b {", "3:3: error: the file ends inside node \"a\" of line 2: a \"}\" is missing"},
    {"/include/ a;", "2:10: error: expected the name of a file in quotes after /include/"},
    {"/include/ \"none\"", "2:11: error: cannot include \"none\": there is no such file"},
    {"/include/ \"../a\"", "2:11: error: cannot include \"../a\": it leaves the config's folder (\"..\")"},
    {"/include/ \"t.dts\"", "2:11: error: \"t.dts\" includes itself"},
};

static const struct row outside[] = {
    {"/ { a = <1>; ", "2:13: error: the file ends inside node \"/\" of line 2: a \"}\" is missing"},
    {"/ { b {", "2:8: error: the file ends inside node \"b\" of line 2: a \"}\" is missing"},
    {"/ { }", "2:6: error: expected \";\" after node \"/\""},
    {"/ { }; / { };", "2:8: error: a second root node; this subset does not merge nodes"},
    {"/ { }; };", "2:8: error: \"}\" without a \"{\""},
    {"a = <1>;", "2:1: error: nodes and properties stand inside the root node: / { ... };"},
    {"", "1:10: error: there is no root node: / { ... };"},
    {"/memreserve/ 1 2;", "2:1: error: \"/memreserve/\" is not in this subset"},
    {"/ x", "2:1: error: unexpected \"/\""},
    {"&a { };", "2:1: error: references (\"&\") are not in this subset"},
    {"#define A", "2:1: error: there is no preprocessor; /include/ \"file\" is understood"},
    {"{ };", "2:1: error: expected the root node (/ { ... };), found \"{\""},
    {"/* x", "2:1: error: this comment has no end (\"*/\")"},
};

static void expect_error(const char *text, const char *error) {
    char expected[512];

    snprintf(expected, sizeof(expected), "t.dts:%s\n", error);
    assert_true(fixture_parse(text) < 0);
    if (fixture.report.count != 1 || strncmp(fixture.errors, expected, strlen(expected)) != 0) {
        fail_msg("%s\nexpected: %sfound %u: %s", text, expected, fixture.report.count, fixture.errors);
    }
}

static void test_errors(void **state) {
    char text[512];

    (void)state;
    for (size_t i = 0; i < COUNT(inside); i++) {
        snprintf(text, sizeof(text), "/dts-v1/; / {\n%s\n};", inside[i].text);
        expect_error(text, inside[i].error);
    }
    for (size_t i = 0; i < COUNT(outside); i++) {
        snprintf(text, sizeof(text), "/dts-v1/;\n%s", outside[i].text);
        expect_error(text, outside[i].error);
    }
    expect_error("/ { };", "1:1: error: a config begins with \"/dts-v1/;\"");
    expect_error(" \n // only a comment", "2:19: error: a config begins with \"/dts-v1/;\"");
    expect_error("/dts-v1/ / { };", "1:9: error: expected \";\" after the version \"/dts-v1/\"");
}

static void test_not_text(void **state) {
    static const char tree[] = "\xd0\x0d\xfe\xed\0\0\0\x48";
    static const char utf16[] = "\xff\xfe/\0d\0";
    char *large;
    uint32_t random = 1;

    (void)state;
    assert_int_equal(fixture_parse_bytes("", 0, NULL), -EINVAL);
    assert_string_equal(fixture.errors, "t.dts: error: the config is empty\n");
    assert_int_equal(fixture_parse_bytes(tree, sizeof(tree), NULL), -EINVAL);
    assert_non_null(
        strstr(fixture.errors, "t.dts:1:1: error: this is a compiled device tree; its name must end in"));
    assert_int_equal(fixture_parse_bytes(utf16, sizeof(utf16), NULL), -EINVAL);
    assert_non_null(strstr(fixture.errors, "t.dts:1:1: error: this is UTF-16 text;"));
    assert_int_equal(fixture_parse_bytes("/dts-v1/;\n/ {\n a\0; };", 21, NULL), -EINVAL);
    assert_string_equal(fixture.errors,
                        "t.dts:3:3: error: byte 0x00 does not belong in a text file; is this a config?\n"
                        " a.; };\n"
                        "  ^\n");
    large = malloc(1 << 20);
    for (size_t i = 0; i < 1 << 20; i++) {
        random = random * 1664525 + 1013904223;
        large[i] = (char)(random >> 24);
    }
    assert_int_equal(fixture_parse_bytes(large, 1 << 20, NULL), -EINVAL);
    assert_int_equal(fixture.report.count, 1);
    assert_non_null(strstr(fixture.errors, "does not belong in a text file; is this a config?"));
    assert_true(fixture.used < 400);
    memset(large, ' ', 1 << 20);
    memcpy(large, "/dts-v1/; / { };", 16);
    assert_int_equal(fixture_parse_bytes(large, DTS_MAX_SOURCE, NULL), 0);
    assert_int_equal(fixture_parse_bytes(large, DTS_MAX_SOURCE + 1, NULL), -EINVAL);
    assert_string_equal(fixture.errors, "t.dts: error: the config is too long: 262144 bytes are the most\n");
    free(large);
}

static void test_depth(void **state) {
    char text[1024] = "/dts-v1/; / {";

    (void)state;
    for (unsigned depth = 2; depth <= DTS_MAX_DEPTH; depth++) {
        strcat(text, "a{");
    }
    for (unsigned depth = 1; depth <= DTS_MAX_DEPTH; depth++) {
        strcat(text, "};");
    }
    parses(text);
    strcpy(text, "/dts-v1/; / {");
    for (unsigned depth = 2; depth <= DTS_MAX_DEPTH + 1; depth++) {
        strcat(text, "a{");
    }
    expect_error(text, "1:44: error: nodes are nested deeper than 16");
}

static void test_room(void **state) {
    static const char text[] = "/dts-v1/; / { a = \"x\"; b { c = <1 2>; }; };";
    struct dts_file file = {.name = "t.dts", .text = text, .size = strlen(text)};
    uint64_t needed;

    (void)state;
    parses(text);
    needed = fdt_totalsize(fixture.blob);
    /* Every size of buffer either works or says so; none is written past. */
    for (size_t size = 0; size <= needed + 64; size++) {
        void *blob = aligned_alloc(8, (size + 8) & ~(size_t)7);
        int error;

        fixture_reset(NULL);
        error = dts_parse(&file, NULL, NULL, blob, size, &fixture.positions, &fixture.report);
        if (error != 0) {
            assert_int_equal(error, -ENOSPC);
            assert_non_null(strstr(fixture.errors, "the config is too large: its tree would be over "));
        } else {
            assert_true(size >= needed);
        }
        free(blob);
    }
    for (uint32_t capacity = 0; capacity < 8; capacity++) {
        fixture_reset(NULL);
        fixture.positions.capacity = capacity;
        /* Marks: the root, a, "x", b, c, 1, 2. */
        assert_int_equal(dts_parse(&file, NULL, NULL, fixture.blob, sizeof(fixture.blob), &fixture.positions,
                                   &fixture.report),
                         capacity < 7 ? -ENOSPC : 0);
        assert_int_equal(fixture.report.count, capacity < 7 ? 1 : 0);
    }
}

static void test_include(void **state) {
    static const char *const files[] = {"guest.dtsi", "b = <2>; sub/* x */ { /include/ \"dir/c\" };", "dir/c",
                                        "c = \"3\";", NULL};
    static const char text[] = "/dts-v1/; / { a = <1>; /include/ \"guest.dtsi\" more { }; };";
    static const char *const top[] = {"top", "/dts-v1/; / { x; };", NULL};
    static const char whole[] = "/dts-v1/; /include/ \"top\"";
    const struct dts_mark *mark;

    (void)state;
    assert_int_equal(fixture_parse_bytes(text, strlen(text), files), 0);
    holds_cells("/", "b", (uint32_t[]){2}, 1);
    holds_string("/sub", "c", "3", 2);
    assert_true(fdt_path_offset(fixture.blob, "/more") > 0);
    mark = dts_find(&fixture.positions, fdt_path_offset(fixture.blob, "/sub"), 0);
    assert_non_null(mark);
    assert_string_equal(fixture.positions.files[mark->file].name, "guest.dtsi");
    assert_int_equal(mark->text, 9);
    assert_int_equal(fixture_parse_bytes(whole, strlen(whole), top), 0);
    assert_int_equal(fdt_path_offset(fixture.blob, "/"), 0);
}

static void include_fails(const char *const *files, const char *expected) {
    static const char text[] = "/dts-v1/; / { a; /include/ \"f\" };";

    assert_int_equal(fixture_parse_bytes(text, strlen(text), files), -EINVAL);
    if (strncmp(fixture.errors, expected, strlen(expected)) != 0) {
        fail_msg("expected %s, found %s", expected, fixture.errors);
    }
}

static void test_include_errors(void **state) {
    const char *deep[2 * 12 + 1];
    char names[12][4], texts[12][32];

    (void)state;
    include_fails((const char *[]){"f", "a;", NULL},
                  "f:1:1: error: property \"a\" is here a second time; the first is at t.dts:1:15\n");
    include_fails((const char *[]){"f", "b = <1>; };", NULL},
                  "f:1:10: error: \"}\" without a \"{\" in this file\n");
    include_fails((const char *[]){"f", "b {", NULL},
                  "f:1:4: error: the file ends inside node \"b\" of line 1");
    include_fails((const char *[]){"f", "", NULL}, "t.dts: error: f is empty\n");
    include_fails((const char *[]){"f", "\n/include/ \"g\"", "g", "/include/ \"f\"", NULL},
                  "g:1:11: error: \"f\" includes itself\n");
    include_fails((const char *[]){"f", "/include/ \"t.dts\"", NULL},
                  "f:1:11: error: \"t.dts\" includes itself\n");
    include_fails((const char *[]){"f", "b = <1>;\nc = x;", NULL},
                  "f:2:5: error: a string is written in quotes\nc = x;\n    ^\n");
    for (unsigned i = 0; i < 12; i++) {
        snprintf(names[i], sizeof(names[i]), i == 0 ? "f" : "%u", i);
        snprintf(texts[i], sizeof(texts[i]), "/include/ \"%u\"", i + 1);
        deep[2 * i] = names[i];
        deep[2 * i + 1] = texts[i];
    }
    deep[24] = NULL;
    include_fails(deep, "7:1:11: error: too many includes: at most 8 deep and 16 files\n");
}

static void test_many_files(void **state) {
    static const char *const files[] = {"f", "// nothing", NULL};
    char text[1024] = "/dts-v1/; / {";

    (void)state;
    for (unsigned i = 1; i < DTS_MAX_FILES; i++) {
        strcat(text, "/include/ \"f\"\n");
    }
    strcat(text, "};");
    assert_int_equal(fixture_parse_bytes(text, strlen(text), files), 0);
    text[strlen(text) - 2] = '\0';
    strcat(text, "/include/ \"f\" };");
    assert_int_equal(fixture_parse_bytes(text, strlen(text), files), -EINVAL);
    assert_non_null(strstr(fixture.errors, "too many includes"));
}

static void test_find(void **state) {
    int node, property;
    uint32_t line, column;
    const struct dts_mark *mark;

    (void)state;
    parses("/dts-v1/;\n/ {\n\ta = <1 22\n\t\t33>;\n\tb { };\n};\n");
    property = fdt_first_property_offset(fixture.blob, 0);
    mark = dts_find(&fixture.positions, property, 0);
    assert_int_equal(mark->kind, DTS_KIND_CELLS);
    dts_line_column(&fixture.positions.files[0], mark->text, &line, &column);
    assert_int_equal(line, 3);
    assert_int_equal(column, 2);
    mark = dts_find(&fixture.positions, property, 3);
    dts_line_column(&fixture.positions.files[0], mark->text, &line, &column);
    assert_int_equal(line, 4);
    assert_int_equal(column, 3);
    assert_ptr_equal(dts_find(&fixture.positions, property, 4), dts_find(&fixture.positions, property, 0));
    node = fdt_path_offset(fixture.blob, "/b");
    mark = dts_find(&fixture.positions, node, 0);
    dts_line_column(&fixture.positions.files[0], mark->text, &line, &column);
    assert_int_equal(line, 5);
    assert_ptr_equal(dts_find(&fixture.positions, node, 1), mark);
    assert_null(dts_find(&fixture.positions, node + 4, 0));
    assert_null(dts_find(&fixture.positions, -1, 0));
    assert_null(dts_find(NULL, 0, 0));
}

static void test_format(void **state) {
    char text[DTS_ERROR_TEXT], line[400], small[8];
    struct dts_error error = {.file = "a.dts", .line = 12, .column = 4, .message = "wrong"};

    (void)state;
    error.source = "\t\t\x01x = \xff;";
    error.source_size = 9;
    dts_error_format(text, sizeof(text), &error);
    assert_string_equal(text, "a.dts:12:4: error: wrong\n\t\t.x = .;\n\t\t ^\n");
    /* A long line is cut on both sides; the caret still stands under its column. */
    memset(line, 'a', sizeof(line));
    line[299] = 'X';
    error.source = line;
    error.source_size = sizeof(line);
    error.column = 300;
    dts_error_format(text, sizeof(text), &error);
    {
        const char *shown = strchr(text, '\n') + 1;
        const char *caret = strchr(shown, '\n') + 1;

        assert_true(strlen(caret) < 110);
        assert_int_equal(shown[strchr(caret, '^') - caret], 'X');
        assert_memory_equal(shown, "...aaa", 6);
        assert_memory_equal(caret - 4, "...\n", 4);
    }
    error.column = 401; /* behind the last byte */
    dts_error_format(text, sizeof(text), &error);
    assert_non_null(strchr(text, '^'));
    error.column = 4000000000u; /* nonsense does no harm */
    dts_error_format(text, sizeof(text), &error);
    error.file = NULL;
    error.source = NULL;
    dts_error_format(text, sizeof(text), &error);
    assert_string_equal(text, "error: wrong\n");
    error.file = "b.dtb";
    error.line = 0;
    dts_error_format(text, sizeof(text), &error);
    assert_string_equal(text, "b.dtb: error: wrong\n");
    assert_int_equal(dts_error_format(small, sizeof(small), &error), 7);
    assert_string_equal(small, "b.dtb: ");
    assert_int_equal(dts_error_format(NULL, 0, &error), 0);
    /* A very long file name and message fit. */
    memset(line, 'f', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\0';
    error.file = line;
    error.message = line;
    error.line = 4294967295u;
    error.column = 300;
    error.source = line;
    error.source_size = sizeof(line);
    assert_true(dts_error_format(text, sizeof(text), &error) < sizeof(text) - 1);
    assert_int_equal(text[strlen(text) - 1], '\n');
}

static void test_paths(void **state) {
    char longest[DTS_MAX_PATH + 2];
    static const char *const wrong[] = {"",       "/a",   "a/",    "a//b",     "..",      "../a",
                                        "a/../b", "a/..", "./a",   "a/.",      "a\\b",    "c:a",
                                        "a b",    "a\tb", "a\x7f", "\xc3\xbc", "http://x"};
    static const char *const right[] = {"a",   "vmlinuz-6.1.0", "dir/sub/file", "a..b",
                                        "..a", ".hidden",       "a/.b/c..",     "a@b,c"};

    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        assert_non_null(config_path_problem(wrong[i]));
    }
    for (size_t i = 0; i < COUNT(right); i++) {
        assert_null(config_path_problem(right[i]));
    }
    memset(longest, 'a', sizeof(longest));
    longest[DTS_MAX_PATH] = '\0';
    assert_null(config_path_problem(longest));
    longest[DTS_MAX_PATH] = 'a';
    longest[DTS_MAX_PATH + 1] = '\0';
    assert_non_null(config_path_problem(longest));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),         cmocka_unit_test(test_line_ends_and_marks),
        cmocka_unit_test(test_longest),        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_not_text),       cmocka_unit_test(test_depth),
        cmocka_unit_test(test_room),           cmocka_unit_test(test_include),
        cmocka_unit_test(test_include_errors), cmocka_unit_test(test_many_files),
        cmocka_unit_test(test_find),           cmocka_unit_test(test_format),
        cmocka_unit_test(test_paths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
