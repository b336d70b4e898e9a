// SPDX-License-Identifier: Apache-2.0
// Parser for the device-tree source that Saguaro's config is written in: a subset of DTS, turned into a
// flattened tree by libfdt. Keeps where each node, property and value was written, so that later checks can
// point at it. Builds freestanding (loader) and on the host; allocates nothing. The subset is described in
// docs/config.md.
#ifndef SAGUARO_LIB_DTS_H
#define SAGUARO_LIB_DTS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DTS_MAX_SOURCE  (256u * 1024) /* bytes of one source file */
#define DTS_MAX_FILES   16u           /* source files read for one config, the first included */
#define DTS_MAX_INCLUDE 8u            /* depth of /include/ */
#define DTS_MAX_DEPTH   16u           /* depth of nodes, the root included */
#define DTS_MAX_NAME    63u   /* bytes of a node's name with its unit address, and of a property's name */
#define DTS_MAX_PATH    200u  /* bytes of a file name */
#define DTS_MAX_VALUE   4096u /* bytes of a property's value */

#define DTS_BLOB_SIZE   (256u * 1024) /* a good size for the tree that dts_parse() writes */
#define DTS_MARKS       8192u         /* a good capacity for struct dts_positions */

/* One source file. The text stays where it is for as long as positions into it or errors about it are used.
 */
struct dts_file {
    const char *name; /* as the person would name it; NUL-terminated */
    const char *text; /* need not be NUL-terminated */
    size_t size;      /* bytes */
};

/* One error. */
struct dts_error {
    const char *file;    /* NULL: no file is known; else NUL-terminated */
    uint32_t line;       /* from 1; 0: not known (then `source` is NULL) */
    uint32_t column;     /* in bytes, from 1 */
    const char *message; /* one line without a full stop; valid during the call only */
    const char *source;  /* the line, without its end; not NUL-terminated; NULL: not known */
    size_t source_size;  /* bytes */
};

/* Where errors go. `error` is called once per error, in the order of the config where that is possible. */
struct dts_report {
    void (*error)(void *context, const struct dts_error *error); /* NULL: errors are counted only */
    void *context;
    unsigned count; /* errors so far; start with 0 */
};

/* Where one thing was written: a node's or property's name (element 0) or a property's n-th value (element
 * n). */
struct dts_mark {
    uint32_t offset;   /* of the node or property in the tree, as libfdt counts; marks are sorted by (offset,
                          element) */
    uint32_t text;     /* offset in the file's text */
    uint32_t previous; /* while parsing: the mark of the sibling before, plus 1; 0: none */
    uint16_t element;
    uint8_t file; /* index in dts_positions.files */
    uint8_t kind; /* enum dts_kind of the property */
};

/* What a property's value was written as. */
enum dts_kind {
    DTS_KIND_UNKNOWN = 0, /* no source, or a node */
    DTS_KIND_EMPTY,       /* name; */
    DTS_KIND_STRINGS,     /* name = "a", "b"; */
    DTS_KIND_CELLS,       /* name = <1 2>; */
};

struct dts_positions {
    struct dts_mark *marks; /* the caller's memory */
    uint32_t capacity;      /* marks that fit there; DTS_MARKS is plenty */
    uint32_t count;
    uint32_t file_count;
    struct dts_file files[DTS_MAX_FILES];
    char names[DTS_MAX_FILES][DTS_MAX_PATH + 1]; /* of included files, as they were written */
    uint8_t value[DTS_MAX_VALUE];                /* scratch of the parser */
};

/*
 * Fetches an included file: `name` is checked (config_path_problem()) and relative to the config's folder.
 * Fills in text and size (name is filled in by the parser) and returns 0, or a negative errno (-ENOENT: there
 * is none).
 */
typedef int (*dts_include_fn)(void *context, const char *name, struct dts_file *file);

/*
 * Parses `file` and writes the tree into `blob` (8-byte aligned, `blob_size` bytes; DTS_BLOB_SIZE is plenty).
 * `positions` gives marks and capacity and is filled in; it points into the sources. Stops at the first
 * error, reports it and returns -EINVAL (wrong source), -ENOSPC (a buffer or limit is too small) or the error
 * of `include`. `include` NULL: /include/ is an error. On success returns 0 and the blob is a complete tree
 * for libfdt.
 */
int dts_parse(const struct dts_file *file, dts_include_fn include, void *include_context, void *blob,
              size_t blob_size, struct dts_positions *positions, struct dts_report *report);

/* Finds where element `element` of the node or property at `offset` was written (falls back to element 0);
 * NULL: not known. */
const struct dts_mark *dts_find(const struct dts_positions *positions, int offset, unsigned element);

/* Line and column, both from 1, of byte `text` of a file. */
void dts_line_column(const struct dts_file *file, uint32_t text, uint32_t *line, uint32_t *column);

/* Reports an error at `mark` (NULL: without a position). The message is printf-like and cut at 255 bytes. */
void dts_report_at(struct dts_report *report, const struct dts_positions *positions,
                   const struct dts_mark *mark, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void dts_report_at_v(struct dts_report *report, const struct dts_positions *positions,
                     const struct dts_mark *mark, const char *format, va_list arguments);

/*
 * Writes an error for people: "FILE:LINE:COLUMN: error: MESSAGE\n", then the source line and a caret under
 * the column, each ended by '\n'. Tabs keep the caret in place, unprintable bytes become '.', long lines are
 * cut around the column. Returns the bytes written without the NUL; always NUL-terminated when size > 0.
 * DTS_ERROR_TEXT bytes always suffice.
 */
#define DTS_ERROR_TEXT 1024u
size_t dts_error_format(char *buffer, size_t size, const struct dts_error *error);

#endif
