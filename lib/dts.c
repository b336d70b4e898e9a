// SPDX-License-Identifier: Apache-2.0
// The grammar of the DTS subset: nodes, properties, values and /include/, written out through libfdt as they
// come.
#include "lib/dts.h"

#include "lib/config.h"
#include "lib/dts_scan.h"

#include <assert.h>
#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

static_assert(DTS_MAX_VALUE <= UINT16_MAX, "an element's number fits in a mark");
static_assert(DTS_MAX_FILES <= UINT8_MAX, "a file's number fits in a mark");

struct parser {
    struct dts_scan scan;
    struct dts_positions *positions;
    dts_include_fn include;
    void *include_context;
    void *blob;
    size_t blob_size;
    unsigned depth; /* of nodes */
    unsigned open_count;
    uint8_t open[DTS_MAX_INCLUDE + 1]; /* the files that are being read, from the first to the current one */
};

/* An open node. */
struct frame {
    const char *name; /* in the source, `length` bytes */
    uint32_t length;
    uint32_t line;
    uint32_t last_node;     /* mark of the last node in this one, plus 1 */
    uint32_t last_property; /* the same of properties */
    unsigned open_count;    /* of files where the node began */
};

static int parse_include(struct parser *p, struct frame *frame);
static int parse_body(struct parser *p, struct frame *frame);

/* Of libfdt's writing functions only lack of room can come back: everything else was checked before. */
static int check_fdt(struct parser *p, int error) {
    if (error == 0) {
        return 0;
    }
    dts_fail(&p->scan, p->scan.end, "the config is too large: its tree would be over %u bytes",
             (unsigned)p->blob_size);
    return -ENOSPC;
}

static int add_mark(struct parser *p, uint32_t text, unsigned element, uint32_t previous) {
    struct dts_positions *positions = p->positions;

    if (positions->count == positions->capacity) {
        dts_fail(&p->scan, text, "the config is too large: it has over %u nodes, properties and values",
                 positions->capacity);
        return -ENOSPC;
    }
    positions->marks[positions->count++] = (struct dts_mark){
        .offset = fdt_size_dt_struct(p->blob), /* where libfdt will put the next tag */
        .text = text,
        .previous = previous,
        .element = (uint16_t)element,
        .file = p->scan.file,
    };
    return 0;
}

/* Bytes of the name that begins at `text`. */
static uint32_t name_length(const struct dts_file *file, uint32_t text) {
    uint32_t end = text;

    while (end < file->size && dts_is_name(file->text[end])) {
        end++;
    }
    return end - text;
}

/* Rejects a name that stands already in the chain of siblings that ends at mark `previous` - 1. */
static int check_unique(struct parser *p, const char *what, uint32_t text, uint32_t length,
                        uint32_t previous) {
    while (previous != 0) {
        const struct dts_mark *mark = &p->positions->marks[previous - 1];
        const struct dts_file *file = &p->positions->files[mark->file];

        if (name_length(file, mark->text) == length &&
            memcmp(file->text + mark->text, p->scan.text + text, length) == 0) {
            uint32_t line, column;

            dts_line_column(file, mark->text, &line, &column);
            return dts_fail(&p->scan, text, "%s \"%.*s\" is here a second time; the first is at %.80s:%u:%u",
                            what, (int)length, p->scan.text + text, file->name, (unsigned)line,
                            (unsigned)column);
        }
        previous = mark->previous;
    }
    return 0;
}

static int expect_semicolon(struct parser *p, const char *after, const char *name, uint32_t length) {
    int error = dts_skip(&p->scan);

    if (error == 0 && !dts_accept(&p->scan, ";")) {
        error = dts_fail(&p->scan, p->scan.end, "expected \";\" after %s \"%.*s\"", after, (int)length, name);
    }
    return error;
}

static int parse_strings(struct parser *p, size_t *size) {
    unsigned element = 0;
    int error;

    for (;;) {
        size_t used = 0;

        error = add_mark(p, p->scan.at, ++element, 0);
        if (error == 0) {
            error = dts_scan_string(&p->scan, p->positions->value + *size, DTS_MAX_VALUE - *size, &used);
        }
        *size += used;
        if (error == 0) {
            error = dts_skip(&p->scan);
        }
        if (error != 0 || !dts_accept(&p->scan, ",")) {
            return error;
        }
        error = dts_skip(&p->scan);
        if (error != 0) {
            return error;
        }
        if (dts_peek(&p->scan) != '"') {
            char called[DTS_CALLED];

            return dts_fail(&p->scan, p->scan.at, "expected another string after \",\", found %s",
                            dts_called(&p->scan, called));
        }
    }
}

static int parse_cells(struct parser *p, size_t *size) {
    unsigned element = 0;
    uint32_t start = p->scan.at;
    int error = 0;

    while (dts_accept(&p->scan, "<")) {
        for (;;) {
            uint32_t number = 0;
            fdt32_t cell;

            error = dts_skip(&p->scan);
            if (error != 0) {
                return error;
            }
            if (dts_accept(&p->scan, ">")) {
                break;
            }
            if (dts_peek(&p->scan) == '&') {
                return dts_fail(&p->scan, p->scan.at, "references (\"&\") are not in this subset");
            }
            if (dts_peek(&p->scan) == '\0' || dts_peek(&p->scan) == ';') {
                return dts_fail(&p->scan, p->scan.end, "expected \">\" after the numbers");
            }
            error = add_mark(p, p->scan.at, ++element, 0);
            if (error == 0) {
                error = dts_scan_number(&p->scan, &number);
            }
            if (error != 0) {
                return error;
            }
            if (*size + sizeof(cell) > DTS_MAX_VALUE) {
                return dts_fail(&p->scan, start, "this value is longer than %u bytes", DTS_MAX_VALUE);
            }
            cell = cpu_to_fdt32(number);
            memcpy(p->positions->value + *size, &cell, sizeof(cell));
            *size += sizeof(cell);
        }
        error = dts_skip(&p->scan);
        if (error != 0 || !dts_accept(&p->scan, ",")) {
            break;
        }
        error = dts_skip(&p->scan);
        if (error == 0 && dts_peek(&p->scan) != '<') {
            error =
                dts_fail(&p->scan, p->scan.at, "expected \"<\" after \",\": strings and numbers do not mix");
        }
        if (error != 0) {
            break;
        }
    }
    if (error == 0 && element == 0) {
        error = dts_fail(&p->scan, start, "expected a number between \"<\" and \">\"");
    }
    return error;
}

/* What stands between '=' and ';'. */
static int parse_value(struct parser *p, size_t *size, enum dts_kind *kind) {
    const struct dts_scan *scan = &p->scan;
    char called[DTS_CALLED];

    if (dts_peek(scan) == '"') {
        *kind = DTS_KIND_STRINGS;
        return parse_strings(p, size);
    }
    if (dts_peek(scan) == '<') {
        *kind = DTS_KIND_CELLS;
        return parse_cells(p, size);
    }
    if (dts_peek(scan) == '[') {
        return dts_fail(scan, scan->at, "byte strings (\"[...]\") are not in this subset");
    }
    if (dts_peek(scan) == '&') {
        return dts_fail(scan, scan->at, "references (\"&\") are not in this subset");
    }
    if (dts_peek(scan) == '/') {
        return dts_fail(scan, scan->at, "directives in values are not in this subset");
    }
    if (dts_peek(scan) >= '0' && dts_peek(scan) <= '9') {
        return dts_fail(scan, scan->at, "a number is written in \"<\" and \">\", a string in quotes");
    }
    if (dts_is_name(dts_peek(scan))) {
        return dts_fail(scan, scan->at, "a string is written in quotes");
    }
    return dts_fail(scan, scan->at, "expected a value (\"...\" or <...>), found %s",
                    dts_called(scan, called));
}

/* Behind the name of a property: an optional value and ';'. */
static int parse_property(struct parser *p, struct frame *frame, uint32_t text, uint32_t length) {
    char name[DTS_MAX_NAME + 1];
    enum dts_kind kind = DTS_KIND_EMPTY;
    uint32_t mark = p->positions->count;
    size_t size = 0;
    int error;

    memcpy(name, p->scan.text + text, length);
    name[length] = '\0';
    if (strchr(name, '@') != NULL) {
        return dts_fail(&p->scan, text, "the name of a property cannot have \"@\"");
    }
    if (frame->last_node != 0) {
        return dts_fail(&p->scan, text, "property \"%s\" stands behind a node; properties come first", name);
    }
    error = check_unique(p, "property", text, length, frame->last_property);
    if (error == 0) {
        error = add_mark(p, text, 0, frame->last_property);
    }
    frame->last_property = mark + 1;
    if (error == 0 && dts_accept(&p->scan, "=")) {
        error = dts_skip(&p->scan);
        if (error == 0) {
            error = parse_value(p, &size, &kind);
        }
    }
    if (error == 0) {
        error = expect_semicolon(p, kind == DTS_KIND_EMPTY ? "property" : "the value of", name, length);
    }
    if (error == 0) {
        p->positions->marks[mark].kind = (uint8_t)kind;
        error = check_fdt(p, fdt_property(p->blob, name, p->positions->value, (int)size));
    }
    return error;
}

/* Behind the name of a node (`text`, `length`), before its '{'. */
static int parse_node(struct parser *p, struct frame *parent, uint32_t text, uint32_t length) {
    char name[DTS_MAX_NAME + 1];
    struct frame frame = {
        .name = p->scan.text + text,
        .length = length != 0 ? length : 1, /* the root is called "/" */
        .open_count = p->open_count,
    };
    uint32_t mark = p->positions->count, column;
    const char *unit;
    int error;

    memcpy(name, p->scan.text + text, length);
    name[length] = '\0';
    unit = strchr(name, '@');
    if (strchr(name, '#') != NULL || strchr(name, '?') != NULL || unit == name) {
        return dts_fail(&p->scan, text, "\"%s\" is no name for a node", name);
    }
    if (unit != NULL && (unit[1] == '\0' || strchr(unit + 1, '@') != NULL)) {
        return dts_fail(&p->scan, text, "\"%s\" needs one address after its \"@\"", name);
    }
    if (p->depth == DTS_MAX_DEPTH) {
        return dts_fail(&p->scan, text, "nodes are nested deeper than %u", DTS_MAX_DEPTH);
    }
    error = check_unique(p, "node", text, length, parent->last_node);
    if (error == 0) {
        error = add_mark(p, text, 0, parent->last_node);
    }
    if (error == 0) {
        error = check_fdt(p, fdt_begin_node(p->blob, name));
    }
    if (error != 0) {
        return error;
    }
    parent->last_node = mark + 1;
    dts_line_column(&p->positions->files[p->scan.file], text, &frame.line, &column);
    dts_accept(&p->scan, "{");
    p->depth++;
    error = parse_body(p, &frame);
    p->depth--;
    if (error == 0) {
        error = expect_semicolon(p, "node", frame.name, frame.length);
    }
    if (error == 0) {
        error = check_fdt(p, fdt_end_node(p->blob));
    }
    return error;
}

static int unknown_directive(struct parser *p) {
    uint32_t end = p->scan.at + 1;

    while (end < p->scan.size && dts_is_name(p->scan.text[end])) {
        end++;
    }
    if (end < p->scan.size && p->scan.text[end] == '/' && end - p->scan.at > 1 &&
        end - p->scan.at < DTS_MAX_NAME) {
        return dts_fail(&p->scan, p->scan.at, "\"%.*s\" is not in this subset", (int)(end + 1 - p->scan.at),
                        p->scan.text + p->scan.at);
    }
    return dts_fail(&p->scan, p->scan.at, "unexpected \"/\"");
}

/* Common to the inside and the outside of nodes: what begins with a character that no name begins with. */
static int unexpected(struct parser *p) {
    static const char *const preprocessor[] = {"#include", "#define", "#if", "#undef",
                                               "#else",    "#endif",  "# "};
    const struct dts_scan *scan = &p->scan;
    char called[DTS_CALLED];

    for (size_t i = 0; i < sizeof(preprocessor) / sizeof(preprocessor[0]); i++) {
        if (dts_looking_at(scan, preprocessor[i])) {
            return dts_fail(scan, scan->at, "there is no preprocessor; /include/ \"file\" is understood");
        }
    }
    if (dts_peek(scan) == '/') {
        return unknown_directive(p);
    }
    if (dts_peek(scan) == '&') {
        return dts_fail(scan, scan->at, "references (\"&\") are not in this subset");
    }
    return dts_fail(scan, scan->at, "expected the name of a node or property, found %s",
                    dts_called(scan, called));
}

/* A property or a node: its name and what follows. */
static int parse_named(struct parser *p, struct frame *frame) {
    uint32_t text = p->scan.at;
    uint32_t length = name_length(&p->positions->files[p->scan.file], text);
    char called[DTS_CALLED];
    int error;

    if (length > DTS_MAX_NAME) {
        return dts_fail(&p->scan, text, "this name is longer than %u bytes", DTS_MAX_NAME);
    }
    p->scan.at += length;
    p->scan.end = p->scan.at;
    error = dts_skip(&p->scan);
    if (error != 0) {
        return error;
    }
    switch (dts_peek(&p->scan)) {
    case '{':
        return parse_node(p, frame, text, length);
    case '=':
    case ';':
        return parse_property(p, frame, text, length);
    case ':':
        return dts_fail(&p->scan, text, "labels (\"%.*s:\") are not in this subset", (int)length,
                        p->scan.text + text);
    case '[':
    case '"':
    case '<':
        return dts_fail(&p->scan, p->scan.at, "expected \"=\" between \"%.*s\" and its value", (int)length,
                        p->scan.text + text);
    default:
        /* What follows on the next line is rarely to blame. */
        return dts_fail(&p->scan, p->scan.end, "expected \"=\", \";\" or \"{\" after \"%.*s\", found %s",
                        (int)length, p->scan.text + text, dts_called(&p->scan, called));
    }
}

/* The inside of a node, to its '}', or the whole of a file that was included in one. */
static int parse_body(struct parser *p, struct frame *frame) {
    unsigned open_count = p->open_count;
    int error;

    for (;;) {
        error = dts_skip(&p->scan);
        if (error != 0) {
            return error;
        }
        if (dts_peek(&p->scan) == '\0') {
            if (open_count > frame->open_count) {
                return 0;
            }
            return dts_fail(&p->scan, p->scan.end,
                            "the file ends inside node \"%.*s\" of line %u: a \"}\" is missing",
                            (int)frame->length, frame->name, (unsigned)frame->line);
        }
        if (dts_looking_at(&p->scan, "}")) {
            if (open_count > frame->open_count) {
                return dts_fail(&p->scan, p->scan.at, "\"}\" without a \"{\" in this file");
            }
            dts_accept(&p->scan, "}");
            return 0;
        }
        if (dts_accept(&p->scan, "/include/")) {
            error = parse_include(p, frame);
        } else if (dts_peek(&p->scan) == '#' || !dts_is_name(dts_peek(&p->scan))) {
            error = unexpected(p);
        } else {
            error = parse_named(p, frame);
        }
        if (error != 0) {
            return error;
        }
    }
}

/* Outside of nodes: "/dts-v1/;", includes and the root node. `frame` collects the root. */
static int parse_top(struct parser *p, struct frame *frame) {
    int error;

    for (;;) {
        uint32_t text;

        error = dts_skip(&p->scan);
        if (error != 0 || dts_peek(&p->scan) == '\0') {
            return error;
        }
        text = p->scan.at;
        if (dts_accept(&p->scan, "/dts-v1/")) {
            error = expect_semicolon(p, "the version", "/dts-v1/", 8);
        } else if (dts_accept(&p->scan, "/include/")) {
            error = parse_include(p, frame);
        } else if (dts_is_name(dts_peek(&p->scan)) && dts_peek(&p->scan) != '#') {
            error = dts_fail(&p->scan, text, "nodes and properties stand inside the root node: / { ... };");
        } else if (dts_accept(&p->scan, "/")) {
            error = dts_skip(&p->scan);
            if (error == 0 && dts_peek(&p->scan) != '{') {
                p->scan.at = text;
                error = unexpected(p);
            } else if (error == 0 && frame->last_node != 0) {
                error = dts_fail(&p->scan, text, "a second root node; this subset does not merge nodes");
            } else if (error == 0) {
                error = parse_node(p, frame, text, 0);
            }
        } else if (dts_peek(&p->scan) == '}') {
            error = dts_fail(&p->scan, text, "\"}\" without a \"{\"");
        } else {
            char called[DTS_CALLED];

            error = dts_looking_at(&p->scan, "#") || dts_looking_at(&p->scan, "&")
                        ? unexpected(p)
                        : dts_fail(&p->scan, text, "expected the root node (/ { ... };), found %s",
                                   dts_called(&p->scan, called));
        }
        if (error != 0) {
            return error;
        }
    }
}

/* Whether the file with that name, as an include would spell it, is being read. */
static bool is_open(const struct parser *p, const char *name) {
    for (unsigned i = 0; i < p->open_count; i++) {
        unsigned index = p->open[i];
        const char *other = p->positions->names[index];

        if (index == 0) { /* the config itself: its folder is where includes are looked for */
            const char *full = p->positions->files[0].name;
            const char *slash = strrchr(full, '/');

            other = slash != NULL ? slash + 1 : full;
        }
        if (strcmp(other, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Fetches the file and notes it; `text` is where its name stands. */
static int open_include(struct parser *p, uint32_t text, const char *name) {
    struct dts_positions *positions = p->positions;
    const char *problem = config_path_problem(name);
    unsigned index = positions->file_count;
    struct dts_file file = {0};
    int error;

    if (problem != NULL) {
        return dts_fail(&p->scan, text, "cannot include \"%.100s\": %s", name, problem);
    }
    if (is_open(p, name)) {
        return dts_fail(&p->scan, text, "\"%s\" includes itself", name);
    }
    if (p->open_count > DTS_MAX_INCLUDE || index == DTS_MAX_FILES) {
        return dts_fail(&p->scan, text, "too many includes: at most %u deep and %u files", DTS_MAX_INCLUDE,
                        DTS_MAX_FILES);
    }
    if (p->include == NULL) {
        return dts_fail(&p->scan, text, "/include/ cannot be used here");
    }
    memcpy(positions->names[index], name, strlen(name) + 1);
    error = p->include(p->include_context, name, &file);
    if (error != 0 || file.text == NULL) {
        error = error != 0 ? error : -EIO;
        dts_fail(&p->scan, text,
                 error == -ENOENT ? "cannot include \"%s\": there is no such file"
                                  : "cannot include \"%s\": it cannot be read (error %d)",
                 name, -error);
        return error;
    }
    if (file.name == NULL) {
        file.name = positions->names[index];
    }
    positions->files[index] = file;
    positions->file_count++;
    p->open[p->open_count++] = (uint8_t)index;
    return 0;
}

/* Behind /include/: the file's name; then the file itself, as if it stood here. */
static int parse_include(struct parser *p, struct frame *frame) {
    char name[DTS_MAX_PATH + 2];
    struct dts_scan back;
    uint32_t text;
    size_t used = 0;
    int error = dts_skip(&p->scan);

    text = p->scan.at;
    if (error == 0 && dts_peek(&p->scan) != '"') {
        error = dts_fail(&p->scan, p->scan.end, "expected the name of a file in quotes after /include/");
    }
    if (error == 0) {
        error = dts_scan_string(&p->scan, p->positions->value, DTS_MAX_VALUE, &used);
    }
    if (error != 0) {
        return error;
    }
    if (used > sizeof(name)) {
        used = sizeof(name); /* too long all the same, which is said below */
    }
    memcpy(name, p->positions->value, used);
    name[used - 1] = '\0';
    back = p->scan;
    error = open_include(p, text, name);
    if (error != 0) {
        return error;
    }
    error = dts_scan_begin(&p->scan, p->open[p->open_count - 1]);
    if (error == 0) {
        error = p->depth == 0 ? parse_top(p, frame) : parse_body(p, frame);
    }
    p->open_count--;
    p->scan = back;
    return error;
}

int dts_parse(const struct dts_file *file, dts_include_fn include, void *include_context, void *blob,
              size_t blob_size, struct dts_positions *positions, struct dts_report *report) {
    struct parser p = {
        .scan = {.positions = positions, .report = report},
        .positions = positions,
        .include = include,
        .include_context = include_context,
        .blob = blob,
        .blob_size = blob_size > INT32_MAX ? INT32_MAX : blob_size,
        .open_count = 1,
    };
    struct frame top = {.open_count = 1};
    int error;

    positions->files[0] = *file;
    positions->names[0][0] = '\0';
    positions->file_count = 1;
    positions->count = 0;
    error = dts_scan_begin(&p.scan, 0);
    if (error == 0) {
        error = dts_skip(&p.scan);
    }
    if (error == 0 && !dts_looking_at(&p.scan, "/dts-v1/")) {
        error = dts_fail(&p.scan, p.scan.at, "a config begins with \"/dts-v1/;\"");
    }
    if (error == 0) {
        error = check_fdt(&p, fdt_create(blob, (int)p.blob_size));
    }
    if (error == 0) {
        error = check_fdt(&p, fdt_finish_reservemap(blob));
    }
    if (error == 0) {
        error = parse_top(&p, &top);
    }
    if (error == 0 && top.last_node == 0) {
        error = dts_fail(&p.scan, p.scan.end, "there is no root node: / { ... };");
    }
    if (error == 0) {
        error = check_fdt(&p, fdt_finish(blob));
    }
    return error;
}
