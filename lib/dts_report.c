// SPDX-License-Identifier: Apache-2.0
// Errors about a config's source: where a byte of it stands, what the line looks like, and how that is
// printed.
#include "lib/dts.h"

#include <stdio.h>
#include <string.h>

#define SHOWN_COLUMNS 100u /* of a long source line */
#define SHOWN_BEFORE  60u  /* of these, before the caret */

void dts_line_column(const struct dts_file *file, uint32_t text, uint32_t *line, uint32_t *column) {
    uint32_t lines = 1, start = 0;

    if (text > file->size) {
        text = (uint32_t)file->size;
    }
    for (uint32_t i = 0; i < text; i++) {
        if (file->text[i] == '\n') {
            lines++;
            start = i + 1;
        }
    }
    *line = lines;
    *column = text - start + 1;
}

const struct dts_mark *dts_find(const struct dts_positions *positions, int offset, unsigned element) {
    uint32_t low = 0, high;
    const struct dts_mark *name;

    if (positions == NULL || offset < 0) {
        return NULL;
    }
    high = positions->count;
    while (low < high) { /* the first mark that is not before (offset, 0) */
        uint32_t middle = low + (high - low) / 2;

        if (positions->marks[middle].offset < (uint32_t)offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == positions->count || positions->marks[low].offset != (uint32_t)offset) {
        return NULL;
    }
    name = &positions->marks[low];
    /* Elements follow the name one by one. */
    if (element < positions->count - low) {
        const struct dts_mark *mark = &positions->marks[low + element];

        if (mark->offset == (uint32_t)offset && mark->element == element) {
            return mark;
        }
    }
    return name;
}

void dts_report_at_v(struct dts_report *report, const struct dts_positions *positions,
                     const struct dts_mark *mark, const char *format, va_list arguments) {
    struct dts_error error = {0};
    char message[256];

    report->count++;
    if (report->error == NULL) {
        return;
    }
    vsnprintf(message, sizeof(message), format, arguments);
    error.message = message;
    if (positions != NULL && mark != NULL && mark->file < positions->file_count) {
        const struct dts_file *file = &positions->files[mark->file];
        size_t start, end;

        dts_line_column(file, mark->text, &error.line, &error.column);
        start = (mark->text < file->size ? mark->text : file->size) - (error.column - 1);
        for (end = start; end < file->size && file->text[end] != '\n'; end++) {
        }
        if (end > start && file->text[end - 1] == '\r') {
            end--;
        }
        error.file = file->name;
        error.source = file->text + start;
        error.source_size = end - start;
    } else if (positions != NULL && positions->file_count > 0) {
        error.file = positions->files[0].name;
    }
    report->error(report->context, &error);
}

void dts_report_at(struct dts_report *report, const struct dts_positions *positions,
                   const struct dts_mark *mark, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    dts_report_at_v(report, positions, mark, format, arguments);
    va_end(arguments);
}

struct output {
    char *buffer;
    size_t size; /* with room for the NUL */
    size_t used;
};

static void put(struct output *out, char c) {
    if (out->used + 1 < out->size) {
        out->buffer[out->used++] = c;
    }
}

/* At most `limit` bytes, without what a terminal or a log would not show as it is. */
static void put_text(struct output *out, const char *text, size_t limit) {
    for (size_t i = 0; i < limit && text[i] != '\0'; i++) {
        put(out, text[i] >= ' ' && text[i] <= '~' ? text[i] : '.');
    }
}

static void put_number(struct output *out, uint32_t number) {
    char digits[10];
    unsigned count = 0;

    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    while (count > 0) {
        put(out, digits[--count]);
    }
}

/* The line and below it the caret. A tab stays a tab in both, so that the caret stands right whatever a tab's
 * width is. */
static void put_source(struct output *out, const struct dts_error *error) {
    size_t caret = error->column - 1;
    size_t start = 0, end = error->source_size;

    if (caret > error->source_size) {
        caret = error->source_size;
    }
    if (error->source_size > SHOWN_COLUMNS) {
        start = caret > SHOWN_BEFORE ? caret - SHOWN_BEFORE : 0;
        if (end - start > SHOWN_COLUMNS) {
            end = start + SHOWN_COLUMNS;
        }
    }
    if (start > 0) {
        put_text(out, "...", 3);
    }
    for (size_t i = start; i < end; i++) {
        char c = error->source[i];

        put(out, (c >= ' ' && c <= '~') || c == '\t' ? c : '.');
    }
    if (end < error->source_size) {
        put_text(out, "...", 3);
    }
    put(out, '\n');
    if (start > 0) {
        put_text(out, "   ", 3);
    }
    for (size_t i = start; i < caret; i++) {
        put(out, error->source[i] == '\t' ? '\t' : ' ');
    }
    put(out, '^');
    put(out, '\n');
}

size_t dts_error_format(char *buffer, size_t size, const struct dts_error *error) {
    struct output out = {.buffer = buffer, .size = size};

    if (size == 0) {
        return 0;
    }
    if (error->file != NULL) {
        size_t length = strlen(error->file);

        if (length > DTS_MAX_PATH) { /* the end of a long path says more than its beginning */
            put_text(&out, "...", 3);
            put_text(&out, error->file + length - DTS_MAX_PATH, DTS_MAX_PATH);
        } else {
            put_text(&out, error->file, length);
        }
        if (error->line != 0) {
            put(&out, ':');
            put_number(&out, error->line);
            put(&out, ':');
            put_number(&out, error->column);
        }
        put_text(&out, ": ", 2);
    }
    put_text(&out, "error: ", 7);
    put_text(&out, error->message, 255);
    put(&out, '\n');
    if (error->line != 0 && error->column != 0 && error->source != NULL) {
        put_source(&out, error);
    }
    buffer[out.used] = '\0';
    return out.used;
}
